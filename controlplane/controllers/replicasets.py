"""ReplicaSets and ReplicationControllers: as many pods as are wanted, no more and no fewer.

Source: Kubernetes' documentation, "ReplicaSet", "ReplicationController"; kube-behaviour 4.1, 4.16.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from controlplane.api.changes import carry
from controlplane.api.errors import ApiError
from controlplane.api.pods import is_active, is_finished
from controlplane.api.record import Record
from controlplane.api.resource import Object, Resource
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.apps_v1 import ReplicaSet, ReplicaSetStatus
from controlplane.api.types.core_v1 import Pod, ReplicationController
from controlplane.controller import Controller, Lister, Trigger, key_of, owned
from controlplane.controllers import adoption
from controlplane.controllers.batches import in_batches
from controlplane.controllers.context import Context
from controlplane.controllers.creation import Creation, looked_up
from controlplane.controllers.parallel import each
from controlplane.controllers.patience import patience_seconds
from controlplane.controllers.pod_templates import pod_from_template
from controlplane.controllers.readable import readable
from controlplane.controllers.replica_status import (
    FAILED_CREATE,
    FAILED_DELETE,
    REPLICA_FAILURE,
    Failure,
    again_in,
    as_replica_set,
    controller_status,
    desired,
    selector_of,
    status_of,
)
from controlplane.controllers.scale_down import most_dispensable
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

PODS_MAX = 500  # 4.1: created or deleted in one look
WORKERS = 5  # kube-controller-manager's --concurrent-replicaset-syncs
AGAIN_SECONDS_MIN = 0.1  # after pods were refused: mostly a new namespace lacks its account still

_TERMINATING = "NamespaceTerminating"


class Plan(msgspec.Struct, frozen=True):
    """How many pods to create, and which to delete."""

    create: int = 0
    delete: tuple[Pod, ...] = ()


def plan(
    replica_set: ReplicaSet, active: Sequence[Pod], related: Sequence[Pod], now: float
) -> Plan:
    """What a ReplicaSet lacks, or has too much. Pure.

    active   its pods that count
    related  pods of all ReplicaSets of its owner
    now      seconds since 1970
    """
    surplus = len(active) - desired(replica_set)
    if replica_set.metadata.deletion_timestamp is not None or not surplus:
        return Plan()
    if surplus < 0:
        return Plan(create=min(-surplus, PODS_MAX))
    count = min(surplus, PODS_MAX)
    return Plan(delete=tuple(most_dispensable(active, count, related, now)))


class _Kind(msgspec.Struct, frozen=True):
    """One of the two kinds.

    type         of its structs
    view         of one of them: as a ReplicaSet
    with_status  one of them with what it tells now
    """

    name: str
    resource: Resource
    type: type[Record]
    view: Callable[[Any], ReplicaSet]
    with_status: Callable[[Any, ReplicaSetStatus], Record]


def controller(context: Context) -> Controller:
    """Of ReplicaSets."""
    return _controller(
        context,
        _Kind(
            name="replicaset",
            resource=context.resource("apps", "replicasets"),
            type=ReplicaSet,
            view=lambda found: found,
            with_status=lambda found, status: replace(found, status=status),
        ),
    )


def replication_controller(context: Context) -> Controller:
    """Of ReplicationControllers."""
    return _controller(
        context,
        _Kind(
            name="replicationcontroller",
            resource=context.resource("", "replicationcontrollers"),
            type=ReplicationController,
            view=as_replica_set,
            with_status=lambda found, status: replace(found, status=controller_status(status)),
        ),
    )


def _controller(context: Context, kind: _Kind) -> Controller:
    """Keys are those of objects, and (namespace, empty) where there is something to adopt."""
    pods = context.resource("", "pods")
    orphans = f"orphans for a {kind.name}"

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        look = _Look(context, kind, orphans, lister, store)
        return await (look.at_one(key) if key.name else look.at_orphans(key.namespace))

    return Controller(
        kind.name,
        kind.resource,
        reconcile,
        triggers=[
            owned(pods, by=kind.resource),
            Trigger(pods, adoption.keys_of_orphan, part=adoption.concern),
        ],
        reads=looked_up(context),
        indexes={orphans: (pods, adoption.orphan_places)},
        workers=WORKERS,
    )


class _Look:
    """One look: what it reads, and what it does."""

    def __init__(
        self, context: Context, kind: _Kind, orphans: str, lister: Lister, store: ObjectStore
    ) -> None:
        self._recorder = context.recorder
        self._context = context
        self._pods = context.resource("", "pods")
        self._kind = kind
        self._orphans = orphans
        self._lister = lister
        self._store = store

    async def at_orphans(self, namespace: str) -> None:
        """Of pods that nobody controls: whoever selects them adopts them."""
        if not self._lister.by_index(self._pods, self._orphans, namespace):
            return

        async def adopt(owner: Object) -> None:
            found = self._lister.record(self._kind.type, self._kind.resource, key_of(owner))
            if found is None:
                return
            replica_set = self._kind.view(found)
            if self._adoptable(namespace, selector_of(replica_set)):
                await self._claimed(replica_set, owner)

        await each(self._lister.list(self._kind.resource, namespace), adopt)

    async def at_one(self, key: Key) -> float | None:
        """Of one ReplicaSet, or what is read as one."""
        before = self._lister.record(self._kind.type, self._kind.resource, key)
        owner = self._lister.get(self._kind.resource, key)
        if before is None or owner is None:
            return None  # it is gone, and the garbage collector takes its pods
        replica_set = self._kind.view(before)
        found = await self._claimed(replica_set, owner)
        active = [one for one in found if is_active(one)]
        now = self._store.clock()
        todo = plan(replica_set, active, self._related(replica_set, active), now)
        failure = await self._carry_out(todo, owner)
        status = status_of(replica_set, active, len(found) - len(active), failure, now)
        after = self._kind.with_status(before, status)
        if after != before:
            await self._store.update(
                self._kind.resource,
                key.namespace,
                key.name,
                lambda live: carry(live, before, after),
                uid=replica_set.metadata.uid,
                known=owner,
            )
        return _soonest(again_in(replica_set, active, now), _patience(status, now))

    async def _claimed(self, replica_set: ReplicaSet, owner: Object) -> list[Pod]:
        """Its pods that have not ended, with those that it adopts, without what it lets go."""
        metadata = replica_set.metadata
        own = self._lister.owned_by(self._pods, metadata.uid)
        selector = selector_of(replica_set)
        orphans = self._adoptable(metadata.namespace, selector)
        both = {key_of(one): one for one in (*own, *orphans)}
        found = readable(self._lister, Pod, self._pods, both.values())
        claims = adoption.claims(metadata, selector, (one for one in found if not is_finished(one)))
        await adoption.settle(self._store, self._kind.resource, owner, self._pods, selector, claims)
        return [*claims.owned, *claims.adopted]

    def _adoptable(self, namespace: str, selector: LabelSelector) -> Sequence[Object]:
        return adoption.orphans(self._lister, self._pods, self._orphans, namespace, selector)

    def _related(self, replica_set: ReplicaSet, active: Sequence[Pod]) -> Sequence[Pod]:
        """Pods of all that its owner owns; asked for only where some are too many."""
        uid = adoption.controller_uid(replica_set.metadata)
        if not uid or len(active) <= desired(replica_set):
            return active
        siblings = self._lister.owned_by(self._kind.resource, uid)
        uids = [str(one["metadata"]["uid"]) for one in siblings]
        found = [pod for uid in uids for pod in self._lister.owned_by(self._pods, uid)]
        return readable(self._lister, Pod, self._pods, found)

    # ------------------------------------------------------------------- writes

    async def _carry_out(self, todo: Plan, owner: Object) -> Failure | None:
        """Raises ApiError where nobody knows what is so: the store is away, or others write."""
        if todo.create:
            return await self._create(todo.create, owner)
        if todo.delete:
            return await self._delete(todo.delete, owner)
        return None

    async def _create(self, count: int, owner: Object) -> Failure | None:
        template = (owner.get("spec") or {}).get("template") or {}
        pod = pod_from_template(template, owner, namespace=str(owner["metadata"]["namespace"]))
        creation = Creation(self._context, self._lister, self._store, self._pods, pod)

        async def create() -> None:
            made = await creation.create()
            self._tell(owner, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

        error = await in_batches(count, create)
        if error is None or any(cause.reason == _TERMINATING for cause in error.causes):
            return None  # where all ends nothing is missing
        _require_refusal(error)
        self._tell(owner, FAILED_CREATE, f"Error creating: {error.message}", is_warning=True)
        return Failure(FAILED_CREATE, error.message)

    async def _delete(self, doomed: Sequence[Pod], owner: Object) -> Failure | None:
        async def delete(pod: Pod) -> None:
            metadata = pod.metadata
            # As it was chosen: it may have become ready since, or somebody else's.
            options = DeleteOptions(uid=metadata.uid, resource_version=metadata.resource_version)
            try:
                await self._store.delete(
                    self._pods,
                    metadata.namespace,
                    metadata.name,
                    options=options,
                    known=self._lister.get(self._pods, Key(metadata.namespace, metadata.name)),
                )
            except ApiError as error:
                if error.code == 404:
                    return
                raise
            self._tell(owner, "SuccessfulDelete", f"Deleted pod: {metadata.name}")

        try:
            await each(doomed, delete)
        except ApiError as error:
            _require_refusal(error)
            self._tell(owner, FAILED_DELETE, f"Error deleting: {error.message}", is_warning=True)
            return Failure(FAILED_DELETE, error.message)
        return None

    def _tell(self, owner: Object, reason: str, message: str, *, is_warning: bool = False) -> None:
        kind: Literal["Normal", "Warning"] = "Warning" if is_warning else "Normal"
        self._recorder.record(owner, kind, reason, message)


def _require_refusal(error: ApiError) -> None:
    """Raise what is no refusal: the next look will find out what is so."""
    if error.code >= 500 or error.code == 409:
        raise error


def _patience(status: ReplicaSetStatus, now: float) -> float | None:
    """How soon to try again what is refused. Pure."""
    found = next((one for one in status.conditions if one.type == REPLICA_FAILURE), None)
    if found is None:
        return None
    return patience_seconds(found.last_transition_time, now, least=AGAIN_SECONDS_MIN)


def _soonest(*times: float | None) -> float | None:
    return min((one for one in times if one is not None), default=None)
