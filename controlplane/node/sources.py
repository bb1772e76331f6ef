"""What pods of a node are made of besides themselves: ConfigMaps, Secrets, Services, tokens.

ConfigMaps and Secrets are read when they are needed, one by one: a node need not know those of
others, and whoever takes it over does not find them there.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.types.core_v1 import Pod, Service
from controlplane.controller import Lister
from controlplane.informer import Informers
from controlplane.node.environment import Reference
from controlplane.node.volume_files import TokenWish, VolumeError
from controlplane.objects import ObjectStore
from controlplane.tokens import Tokens

logger = logging.getLogger(__name__)

READS_MAX = 8  # at once
TOKEN_SECONDS_MIN = 600
RENEW_PART = 0.8
"""Of its time a token is used; then it is made anew, as Kubernetes does."""
RENEW_SECONDS_MAX = 24 * 3_600.0


class Kinds(msgspec.Struct, frozen=True):
    """The resources that an agent knows."""

    pods: Resource
    nodes: Resource
    services: Resource
    configmaps: Resource
    secrets: Resource
    accounts: Resource

    @classmethod
    def of(cls, registry: Registry) -> "Kinds":
        """In the versions in which they are stored."""

        def find(plural: str) -> Resource:
            found = registry.storage("", plural)
            assert found is not None, f"there is no {plural}"
            return found

        names = ("pods", "nodes", "services", "configmaps", "secrets", "serviceaccounts")
        return cls(*map(find, names))


class Issued(msgspec.Struct, frozen=True):
    """A token that was made.

    at     when, by the wall clock, which the token tells
    since  … by one that nobody sets
    """

    token: str
    at: float
    since: float

    def is_good(self, wall: float, now: float, lasting: float) -> bool:
        """Whether it is used still. One from the future was made before the clock was set back."""
        return self.at <= wall < self.at + lasting and now < self.since + lasting


class Sources:
    """Reads for one node. `tokens`: None where no key to sign with was given."""

    def __init__(
        self,
        store: ObjectStore,
        informers: Informers,
        kinds: Kinds,
        tokens: Tokens | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._tokens = tokens
        self._monotonic = monotonic
        self._lister = Lister({kinds.services.key_prefix: informers.of(kinds.services)})
        self._reads = asyncio.Semaphore(READS_MAX)
        self._issued: dict[tuple[str, TokenWish], Issued] = {}

    async def objects(
        self, namespace: str, references: Iterable[Reference]
    ) -> dict[Reference, Object]:
        """Those that there are. Raises ApiError where that cannot be found out."""
        found = {}
        for one in dict.fromkeys(references):
            is_config = one.kind == "configmap"
            resource = self._kinds.configmaps if is_config else self._kinds.secrets
            obj = await self._get(resource, namespace, one.name)
            if obj is not None:
                found[one] = obj
        return found

    def services(self, namespace: str) -> list[Service]:
        """Of a namespace, and the API's."""
        resource, lister = self._kinds.services, self._lister
        listed = list(lister.list(resource, namespace))
        if namespace != "default":
            listed += [
                one
                for one in lister.list(resource, "default")
                if one["metadata"]["name"] == "kubernetes"
            ]
        found: list[Service] = []
        for one in listed:
            try:
                found += lister.records(Service, resource, [one])
            except msgspec.ValidationError as error:  # a stranger's: it keeps no pod from starting
                logger.info("service %s: %s", one["metadata"]["name"], error)
        return found

    async def token(self, pod: Pod, wish: TokenWish) -> str:
        """A token that ends with its pod. Raises VolumeError, ApiError."""
        key, now = (pod.metadata.uid, wish), self._store.clock()
        issued = self._issued.get(key)
        seconds = max(wish.seconds, TOKEN_SECONDS_MIN)
        lasting = min(seconds * RENEW_PART, RENEW_SECONDS_MAX)
        if issued is not None and issued.is_good(now, self._monotonic(), lasting):
            return issued.token
        token = await self._issue(pod, wish, now)
        self._issued[key] = Issued(token, now, self._monotonic())
        return token

    def forget(self, uid: str) -> None:
        """A pod is gone."""
        for key in [one for one in self._issued if one[0] == uid]:
            del self._issued[key]

    async def _issue(self, pod: Pod, wish: TokenWish, now: float) -> str:
        if self._tokens is None:
            raise VolumeError(
                "this node cannot make tokens: its agent has no --service-account-private-key-file"
            )
        name = pod.spec.service_account_name or "default"
        account = await self._get(self._kinds.accounts, pod.metadata.namespace, name)
        if account is None:
            raise VolumeError(f'failed to fetch token: serviceaccounts "{name}" not found')
        return self._tokens.issue(
            account,
            audiences=(wish.audience,) if wish.audience else self._tokens.audiences,
            ttl_seconds=max(wish.seconds, TOKEN_SECONDS_MIN),
            now=now,
            token_id=str(uuid.uuid4()),
            bound={"kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid},
        )

    async def _get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        async with self._reads:
            try:
                return await self._store.get(resource, namespace, name)
            except ApiError as error:
                if error.code == 404:
                    return None
                raise
