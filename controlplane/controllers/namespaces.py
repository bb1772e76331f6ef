"""Namespaces that are deleted: all that is in them goes, then they do.

Pods go first, for what runs may need the rest to end well; then everything else at once. The last
look finds nothing; only then the finalizer `kubernetes` is taken away: while others are deleted,
some that were begun before may still be made.

Source: Kubernetes' documentation, "Namespaces" and API reference of Namespace (conditions);
kube-behaviour 3.1. Pods first: feature OrderedNamespaceDeletion of 1.33.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from controlplane.api.errors import ApiError, UnreadableError
from controlplane.api.kinds.namespace import FINALIZER
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers.conditions import Said, with_conditions
from controlplane.controllers.context import Context, custom_resources
from controlplane.controllers.parallel import each
from controlplane.controllers.patience import again_seconds
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

WORKERS = 10  # kube-controller-manager's --concurrent-namespace-syncs
PAGE_OBJECTS = 500


class Content(msgspec.Struct, frozen=True):
    """What is in a namespace after all of it was told to go.

    counts      resource as conditions name it (`pods.`, `deployments.apps`) -> objects
    finalizers  name -> objects that it holds
    failures    what could not be deleted, and why
    unknown     definitions that cannot be read: what they define may be here, too
    went        objects that went while they were looked at
    """

    counts: Mapping[str, int] = {}
    finalizers: Mapping[str, int] = {}
    failures: Sequence[str] = ()
    unknown: Sequence[str] = ()
    went: int = 0

    @property
    def is_left(self) -> bool:
        """Something is there still, or may be: not everything could be looked at."""
        return bool(self.counts or self.failures or self.unknown)

    @property
    def is_gone(self) -> bool:
        """Nothing was there."""
        return not self.is_left and not self.went


def controller(context: Context) -> Controller:
    """Of namespaces."""
    namespaces = context.resource("", "namespaces")
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")

    async def look(name: str, store: ObjectStore) -> Content:
        # What is defined since the cache heard last may have objects here already.
        page = await store.list(definitions)
        custom = custom_resources(page.items)
        resources = [one for one in (*context.stored(), *custom) if one.is_namespaced]
        content = await _empty(resources, name, store)
        unknown = [place.decode(errors="replace") for place in page.unreadable]
        return msgspec.structs.replace(content, unknown=unknown)

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        namespace = lister.get(namespaces, key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return None
        if FINALIZER not in (namespace.get("spec") or {}).get("finalizers", ()):
            return None  # others hold it still
        content = await look(key.name, store)
        if not content.is_left and content.went:
            content = await look(key.name, store)  # mostly the last one
        now = store.clock()
        await store.update(
            namespaces,
            "",
            key.name,
            lambda old: plan(old, content, now),
            uid=namespace["metadata"]["uid"],
            known=namespace,
        )
        return None if content.is_gone else again_seconds(namespace, now)

    return Controller("namespace", namespaces, reconcile, workers=WORKERS)


def plan(namespace: Object, content: Content, now: float) -> Object:
    """The namespace with its conditions, and without the finalizer once nothing is left. Pure."""
    status = namespace.get("status") or {}
    conditions = with_conditions(status.get("conditions") or (), _conditions(content), now)
    status = {**status, "phase": "Terminating", "conditions": conditions}
    spec = namespace.get("spec") or {}
    if content.is_gone:
        kept = [one for one in spec.get("finalizers") or () if one != FINALIZER]
        spec = {**spec, "finalizers": kept}
    return {**namespace, "spec": spec, "status": status}


def _conditions(content: Content) -> list[Said]:
    counts = ", ".join(
        f"{what} has {count} resource instances" for what, count in sorted(content.counts.items())
    )
    held = ", ".join(
        f"{name} in {count} resource instances"
        for name, count in sorted(content.finalizers.items())
    )
    return [_discovery(content), _PARSED, _failure(content), _remaining(counts), _finalizers(held)]


_PARSED: Said = (
    "NamespaceDeletionGroupVersionParsingFailure",
    False,
    "ParsedGroupVersions",
    "All legacy kube types successfully parsed",
)


def _discovery(content: Content) -> Said:
    kind = "NamespaceDeletionDiscoveryFailure"
    if content.unknown:
        told = f"Discovery failed for what cannot be read: {', '.join(content.unknown)}"
        return (kind, True, "DiscoveryFailed", told)
    return (kind, False, "ResourcesDiscovered", "All resources successfully discovered")


def _failure(content: Content) -> Said:
    kind = "NamespaceDeletionContentFailure"
    if content.failures:
        return (kind, True, "ContentDeletionFailed", "; ".join(content.failures))
    told = "All content successfully deleted, may be waiting on finalization"
    return (kind, False, "ContentDeleted", told)


def _remaining(counts: str) -> Said:
    kind = "NamespaceContentRemaining"
    if counts:
        return (kind, True, "SomeResourcesRemain", f"Some resources are remaining: {counts}")
    return (kind, False, "ContentRemoved", "All content successfully removed")


def _finalizers(held: str) -> Said:
    kind = "NamespaceFinalizersRemaining"
    if held:
        told = f"Some content in the namespace has finalizers remaining: {held}"
        return (kind, True, "SomeFinalizersRemain", told)
    told = "All content-preserving finalizers finished"
    return (kind, False, "ContentHasNoFinalizers", told)


async def _empty(resources: Sequence[Resource], namespace: str, store: ObjectStore) -> Content:
    """Delete what is there; what is there still."""
    pods = [one for one in resources if (one.group, one.plural) == ("", "pods")]
    content = await _deleted(pods, namespace, store)
    if content.is_left:
        return content
    rest = await _deleted([one for one in resources if one not in pods], namespace, store)
    return msgspec.structs.replace(rest, went=content.went + rest.went)


async def _deleted(resources: Sequence[Resource], namespace: str, store: ObjectStore) -> Content:
    counts: Counter[str] = Counter()
    finalizers: Counter[str] = Counter()
    failures: list[str] = []
    went = 0
    for resource in resources:
        whole = f"{resource.plural}.{resource.group}"
        try:
            left = await _delete_all(resource, namespace, store)
        except ApiError as error:
            if error.code >= 500 and not isinstance(error, UnreadableError):
                raise  # the store is away: nothing is known of the others either
            failures.append(f"{whole}: {error.message}")
        else:
            went += left.went
            counts.update({whole: left.count} if left.count else {})
            finalizers.update(left.finalizers)
            if left.unreadable:
                failures.append(f"{whole}: cannot be read: {', '.join(left.unreadable)}")
    return Content(counts, finalizers, failures, went=went)


class _Left(msgspec.Struct):
    """What stays of a resource for now: marked objects, and those that cannot be read."""

    count: int = 0
    went: int = 0
    finalizers: Counter[str] = msgspec.field(default_factory=Counter)
    unreadable: list[str] = []

    def add(self, obj: Object) -> None:
        self.count += 1
        finalizers = obj["metadata"].get("finalizers")
        if isinstance(finalizers, list):
            self.finalizers.update(map(str, finalizers))


async def _delete_all(resource: Resource, namespace: str, store: ObjectStore) -> _Left:
    left, token = _Left(), ""

    async def doom(found: Object) -> None:
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp"):
            left.add(found)
            return
        options = DeleteOptions(propagation_policy="Background", uid=metadata.get("uid", ""))
        try:
            deletion = await store.delete(resource, namespace, metadata["name"], options=options)
        except ApiError as error:
            if error.code != 404:
                raise
            left.went += 1
            return
        if deletion.is_gone:
            left.went += 1
        else:
            left.add(deletion.object)

    while True:
        page = await store.list(resource, namespace, limit=PAGE_OBJECTS, continue_token=token)
        left.unreadable += [place.decode(errors="replace") for place in page.unreadable]
        await each(page.items, doom)
        token = page.continue_token
        if not token:
            return left
