"""One of many candidates leads: by a Lease, as Kubernetes' own components do.

    elector = LeaderElector(store, "scheduler", identity="host-1_7f3a")
    await elector.stand(lambda store: run([CONTROLLER], store), print)

The Lease keeps the others away while the leader renews it. That alone is a matter of clocks: a
leader that was stopped in the middle of a write goes on with it afterwards, whoever leads by then.
So whoever takes the Lease also writes a key beside it in the same Txn, and what leads gets a store
that compares this key in every write: late writes of a former leader are refused by the store.

Source of the protocol: Kubernetes' Lease API and leader election (kube-behaviour.md 3.6).
"""

import asyncio
import logging
import random as dice
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from controlplane.api.errors import ApiError, UnreadableError
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Schema
from controlplane.objects import Claim, ClaimLostError, ObjectStore
from controlplane.store_errors import as_api_errors
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

LEASE_SECONDS = 15.0
RENEW_SECONDS_MAX = 10.0  # less than the lease: a leader stops before others may begin
RETRY_SECONDS = 2.0
RETRY_JITTER = 1.2  # candidates wait up to so much longer, so that they don't meet
RELEASE_SECONDS_MAX = 2.0  # of a farewell that spares the next one the wait

LEASES = Resource(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    singular="lease",
    is_namespaced=True,
    schema=Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {}),
)
"""What a client needs to know of Leases."""

logger = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Another leads, or may, because the Lease could not be renewed in time."""


class Observed(msgspec.Struct, frozen=True):
    """A Lease, and when it was seen to change, by our own monotonic clock."""

    version: str
    at: float


def spec_to_write(
    lease: Object | None, identity: str, *, observed_at: float, now: float, wall: float
) -> dict[str, Any] | None:
    """The Lease's spec with which `identity` leads, or None while another does. Pure.

    observed_at, now  of our monotonic clock: the holder's time stamps may be those of another time
    wall              seconds since 1970, for people
    """
    spec = _spec_of(lease)
    holder = spec.get("holderIdentity") or ""
    held_seconds = _number(spec, "leaseDurationSeconds")
    if holder not in ("", identity) and now < observed_at + held_seconds:
        return None
    is_same = holder == identity
    transitions = int(_number(spec, "leaseTransitions"))
    return {
        **spec,
        "holderIdentity": identity,
        "leaseDurationSeconds": int(LEASE_SECONDS),
        "acquireTime": spec.get("acquireTime") if is_same else micro_time(wall),
        "renewTime": micro_time(wall),
        "leaseTransitions": transitions + (lease is not None and not is_same),
    }


def _spec_of(lease: Object | None) -> Mapping[str, Any]:
    """Of a Lease that anybody may have written: without one, nobody holds it."""
    spec = (lease or {}).get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _number(spec: Mapping[str, Any], field: str) -> float:
    value = spec.get(field)
    return value if isinstance(value, int | float) else 0.0


def micro_time(seconds: float) -> str:
    """A time as Leases have it: UTC, microseconds. `seconds` since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaderElector:
    """One candidate. `identity` is its own: two that share one would both lead."""

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        identity: str,
        *,
        namespace: str = "kube-system",
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        assert identity, "who has no identity releases the Lease with every renewal"
        self._store = store
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._clock = clock or AsyncioClock()
        self._random = random or dice.Random()
        self._fence = f"/leaders/{namespace}/{name}".encode()
        self._observed = Observed("", 0.0)

    async def run(self, lead: Callable[[ObjectStore], Awaitable[None]]) -> None:
        """Wait to become the leader, lead, and return when `lead` does.

        `lead` is cancelled when the Lease is lost; it must write with the store that it is given.
        Raises LeadershipLostError then, and whatever `lead` raises. The Lease is released when
        `lead` has ended, also by cancellation.
        """
        store, renewed_at = await self._until_leading()
        logger.info("%s: %s leads", self._name, self._identity)
        leading = asyncio.ensure_future(lead(store))
        holding = asyncio.ensure_future(self._hold(store, renewed_at))
        try:
            await asyncio.wait({leading, holding}, return_when=asyncio.FIRST_COMPLETED)
            if not leading.done():
                holding.result()
                raise LeadershipLostError(self._name)
            await leading
        finally:
            leading.cancel()
            is_held = not holding.done()
            holding.cancel()
            await asyncio.wait({leading, holding})
            if is_held:
                await self._release(store)

    async def stand(
        self, lead: Callable[[ObjectStore], Awaitable[None]], announce: Callable[[str], None]
    ) -> None:
        """Lead as often as it can, until cancelled; `announce` is told its identity each time.

        `lead` as in `run`; raises whatever it raises.
        """

        async def announced(store: ObjectStore) -> None:
            announce(self._identity)
            await lead(store)

        while True:
            try:
                await self.run(announced)
            except LeadershipLostError:
                logger.warning("%s leads no longer", self._identity)

    async def _until_leading(self) -> tuple[ObjectStore, float]:
        """A store that only the leader can write with, and when our Lease began."""
        while True:
            begun = self._clock.now()
            try:
                store = await self._try_acquire()
            except UnreadableError as error:
                # Nobody can lead before somebody deletes it: it may be held, who knows by whom.
                logger.error("%s: %s cannot take the lease: %s", self._name, self._identity, error)
                store = None
            except ApiError as error:
                logger.info("%s: %s cannot take the lease: %s", self._name, self._identity, error)
                store = None
            if store is not None and self._clock.now() < begun + RENEW_SECONDS_MAX:
                return store, begun
            await self._clock.sleep(RETRY_SECONDS * (1.0 + RETRY_JITTER * self._random.random()))

    async def _try_acquire(self) -> ObjectStore | None:
        """Take the Lease, if nobody has it. Raises ApiError when somebody was faster."""
        lease = await self._read()
        spec = self._spec(lease)
        if spec is None:
            return None
        with as_api_errors():
            fence = await self._store.client.get(self._fence)
        mine = Claim(self._fence, self._identity.encode(), fence.mod_revision if fence else 0)
        if lease is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            obj = {"metadata": metadata, "spec": spec}
            written = await self._store.create(LEASES, obj, also=[mine])
        else:
            written = await self._write(self._store, lease, spec, mine)
        version = written["metadata"]["resourceVersion"]
        return self._store.guarded(Claim(self._fence, None, int(version)))

    async def _hold(self, store: ObjectStore, renewed_at: float) -> None:
        """Renew the Lease until it is lost."""
        while True:
            left = renewed_at + RENEW_SECONDS_MAX - self._clock.now()
            await self._clock.sleep(min(RETRY_SECONDS, max(0.0, left)))
            begun = self._clock.now()
            left = renewed_at + RENEW_SECONDS_MAX - begun
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    if not await self._renew(store):
                        return
                renewed_at = begun
            except (ApiError, TimeoutError) as error:
                logger.info("%s: %s cannot renew: %s", self._name, self._identity, error)

    async def _renew(self, store: ObjectStore) -> bool:
        """Tell whether the Lease is still ours. Raises ApiError when nobody knows."""
        lease = await self._read()
        spec = self._spec(lease)
        if lease is None or spec is None or not self._is_ours(lease):
            return False
        try:
            await self._write(store, lease, spec)
        except ClaimLostError:
            return False
        return True

    async def _release(self, store: ObjectStore) -> None:
        """Let the next one lead at once; if that fails it waits for the Lease's end."""
        released = {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(RELEASE_SECONDS_MAX):
                lease = await self._read()
                if lease is not None and self._is_ours(lease):
                    await self._write(store, lease, {**_spec_of(lease), **released})
        except (ApiError, TimeoutError) as error:
            logger.info("%s: %s cannot release: %s", self._name, self._identity, error)

    def _spec(self, lease: Object | None) -> dict[str, Any] | None:
        now = self._clock.now()
        version = lease["metadata"]["resourceVersion"] if lease is not None else ""
        if version != self._observed.version:
            self._observed = Observed(version, now)
        return spec_to_write(
            lease,
            self._identity,
            observed_at=self._observed.at,
            now=now,
            wall=self._store.clock(),
        )

    def _is_ours(self, lease: Object) -> bool:
        return bool(_spec_of(lease).get("holderIdentity") == self._identity)

    async def _read(self) -> Object | None:
        try:
            return await self._store.get(LEASES, self._namespace, self._name)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def _write(
        self, store: ObjectStore, lease: Object, spec: dict[str, Any], *also: Claim
    ) -> Object:
        """Write the Lease, if nobody did since it was read."""
        return await store.update(
            LEASES,
            self._namespace,
            self._name,
            lambda current: {**current, "spec": spec},
            resource_version=lease["metadata"]["resourceVersion"],
            also=also,
            known=lease,
        )
