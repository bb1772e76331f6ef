"""What controllers make is admitted as what users make: completed, checked, charged to quotas.

Controllers write past the API server, so its rules for new objects are asked here: defaults,
admission (tolerations, account, priority, limits), validation; and each object is charged to its
quotas in the Txn that writes it, so that these are never exceeded (kube-behaviour 8.2, 11.4).
"""

import asyncio
import contextlib
from collections.abc import Sequence

from controlplane import admission
from controlplane.admission import resource_quota
from controlplane.admission.review import CREATE, Review
from controlplane.admission.review import Lister as Known
from controlplane.api import preparation, stored
from controlplane.api.resource import Object, Resource
from controlplane.controller import Lister, key_of
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, ObjectStore

ATTEMPTS_MAX = 20  # to charge a quota that others charge, too: each time somebody gets through

_LOOKED_UP = (
    ("", "limitranges"),
    ("", "namespaces"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "storageclasses"),
)


def looked_up(context: Context) -> list[Resource]:
    """What admission looks things up in: a controller that creates names it in `reads`."""
    return [context.resource(*place) for place in _LOOKED_UP]


class Creation:
    """One new object, of which any number may be created, also at once.

        creation = Creation(context, lister, store, pods, pod_from_template(…))
        await asyncio.gather(*(creation.create() for _ in range(3)))

    Nothing is asked of the store but what the caches turn out to be wrong about.
    """

    def __init__(
        self, context: Context, lister: Lister, store: ObjectStore, resource: Resource, obj: Object
    ) -> None:
        self._context = context
        self._lister = lister
        self._store = store
        self._resource = resource
        self._given = obj
        self._namespace = str(obj["metadata"].get("namespace", ""))
        self._fresher: dict[str, dict[Key, Object]] = {}  # by the resource's prefix
        self._asked_at = 0
        self._turn = asyncio.Lock()
        self._admitted: tuple[Object, Sequence[Claim]] | None = None
        self._claimed: set[bytes] = set()

    async def create(self) -> Object:
        """Create it once more, as long as its quotas allow it.

        Raises ApiError: 403 and 422 with the words of the API server, 409 when its name is taken;
        ClaimLostError when others were always faster, or what the store compares is another.
        """
        is_counted = bool(resource_quota.counters(self._review()))
        # Those who are charged to one quota would only overtake each other.
        async with self._turn if is_counted else contextlib.nullcontext():
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    return await self._create()
                except ClaimLostError as error:
                    # What the caller's store compares no look changes: what it is for is no more.
                    if attempt == ATTEMPTS_MAX or not self._claimed.issuperset(error.keys):
                        raise
                    await self._look_again()
        raise AssertionError("unreachable")

    async def _create(self) -> Object:
        if self._admitted is None:
            self._admitted = self._admit()
        ready, guards = self._admitted
        review = self._review()
        admission.validate(review, ready)
        also = [*guards, *review.claims]
        self._claimed.update(claim.key for claim in also)
        # Whoever does not know what became of it would make another one.
        made = await self._store.create(self._resource, ready, also=also, is_sure=True)
        self._charged(review.claims, int(made["metadata"]["resourceVersion"]))
        return made

    def _admit(self) -> tuple[Object, Sequence[Claim]]:
        """The object as it is to be created, and what must be so when it is."""
        review = self._review()
        found = preparation.defaulted(self._resource, self._given)
        found = admission.mutate(review, found)
        prepare = self._resource.strategy.prepare_create
        if prepare is not None:
            found = prepare(found)
        preparation.require_valid(self._resource, found)
        return found, tuple(review.claims)

    def _review(self) -> Review:
        metadata = self._given["metadata"]
        return Review(
            operation=CREATE,
            resource=self._resource,
            namespace=self._namespace,
            name=str(metadata.get("name") or metadata.get("generateName") or ""),
            lister=Known(get=self._get, list=self._list),
            claims=[],
            quota_resource=self._context.resource("", "resourcequotas"),
        )

    # ------------------------------------------------------------- what is known

    def _get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        resource, key = self._context.resource(group, plural), Key(namespace, name)
        return self._newest(resource, key, self._lister.get(resource, key))

    def _list(self, group: str, plural: str, namespace: str) -> Sequence[Object]:
        resource = self._context.resource(group, plural)
        found: dict[Key, Object | None] = dict.fromkeys(self._fresher.get(resource.key_prefix, ()))
        found |= {key_of(one): one for one in self._lister.list(resource, namespace)}
        known = (self._newest(resource, key, cached) for key, cached in found.items())
        return [one for one in known if one is not None]

    def _newest(self, resource: Resource, key: Key, cached: Object | None) -> Object | None:
        """The cache's, unless the store has told something newer."""
        fresh = self._fresher.get(resource.key_prefix, {}).get(key)
        if cached is None or resource.key_prefix not in self._fresher:
            return fresh or cached
        told_at = self._asked_at if fresh is None else _version(fresh)
        return cached if _version(cached) > told_at else fresh

    async def _look_again(self) -> None:
        """Ask the store for what is compared: the namespace, and the quotas there."""
        namespaces = self._context.resource("", "namespaces")
        quotas = self._context.resource("", "resourcequotas")
        page = await self._store.list(quotas, self._namespace)
        namespace = await self._store.get(namespaces, "", self._namespace)
        self._asked_at = page.revision
        self._fresher = {
            namespaces.key_prefix: {key_of(namespace): namespace},
            quotas.key_prefix: {key_of(one): one for one in page.items},
        }
        self._admitted = None

    def _charged(self, claims: Sequence[Claim], revision: int) -> None:
        """Quotas are as the Txn that created the object has written them."""
        quotas = self._context.resource("", "resourcequotas")
        for claim in claims:
            if claim.value is not None:
                quota = stored.decode(quotas, claim.value, revision)
                self._fresher.setdefault(quotas.key_prefix, {})[key_of(quota)] = quota


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
