"""Deployments: from one template to the next, a few pods at a time.

Source: Kubernetes' documentation, "Deployments"; kube-behaviour 4.2 to 4.8.
"""

from collections.abc import Collection, Sequence

import msgspec
from msgspec.structs import replace

from controlplane.api import preparation, record, selectors
from controlplane.api.changes import carry
from controlplane.api.errors import ApiError, conflict
from controlplane.api.resource import Object, Resource
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from controlplane.api.types.core_v1 import PodTemplateSpec
from controlplane.controller import Controller, Lister, Trigger, key_of, owned
from controlplane.controllers import adoption, progress, revisions, rollouts
from controlplane.controllers.context import Context
from controlplane.controllers.creation import Creation, looked_up
from controlplane.controllers.parallel import each
from controlplane.controllers.patience import patience_seconds
from controlplane.controllers.readable import readable
from controlplane.controllers.revisions import Complete, History
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

REFUSED_SECONDS = 10.0  # before the next attempt where nothing tells how long it has been refused
WORKERS = 5  # kube-controller-manager's --concurrent-deployment-syncs

_ORPHANS = "orphans for a deployment"
_TERMINATING = "NamespaceTerminating"
_SELECTS_ALL = "This deployment is selecting all pods. A non-empty selector is required."


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written, in this order.

    create   a ReplicaSet for the Deployment's template
    change   ReplicaSets as they are, and as they shall be
    delete   ReplicaSets of revisions that nobody goes back to
    after    the Deployment with what it tells
    again    seconds after which to look again though nothing has changed; None: never
    """

    create: ReplicaSet | None = None
    change: tuple[tuple[ReplicaSet, ReplicaSet], ...] = ()
    delete: tuple[ReplicaSet, ...] = ()
    after: Deployment
    again: float | None = None


def plan(
    deployment: Deployment,
    replica_sets: Sequence[ReplicaSet],
    running: Collection[str],
    now: float,
    complete: Complete = lambda template: template,
) -> Plan:
    """The next step of a Deployment. Pure.

    replica_sets  its own
    running       uids of those that have pods that have not ended; asked for by Recreate only
    now           seconds since 1970
    complete      fills in the defaults of a template
    """
    found = revisions.history(deployment, replica_sets, complete)
    if deployment.metadata.deletion_timestamp is not None:
        return Plan(after=replace(deployment, status=progress.counted(deployment, found, now)))
    deployment = progress.with_pause(deployment, now)
    if found.new is not None:
        new = revisions.renewed(deployment, found.new, found.old)
        found = replace(found, new=new)
        deployment = progress.with_new(_at_revision(deployment, new), new, now)
    if deployment.spec.paused or rollouts.is_scaling(deployment, replica_sets):
        sizes = rollouts.scaled(deployment, found.new, found.old)
        after = _resized(deployment, found, sizes, is_noted=True)
        return _plan(deployment, replica_sets, after, progress.counted(deployment, after, now), now)
    is_recreate = deployment.spec.strategy.type == rollouts.RECREATE
    if is_recreate and _has_pods(found.old, running):
        after = _resized(deployment, found, rollouts.emptied(found.old))
    elif found.new is None:
        made = revisions.new_replica_set(deployment, found.old)
        after = replace(found, new=made)
        deployment = _at_revision(deployment, made)
        deployment = progress.with_new(deployment, made, now, is_created=True)
    elif is_recreate:
        sizes = {found.new.metadata.name: rollouts.desired(deployment)}
        after = _resized(deployment, found, sizes)
    else:
        sizes = rollouts.rolling(deployment, found.new, found.old)
        after = _resized(deployment, found, sizes)
    return _plan(deployment, replica_sets, after, progress.judged(deployment, after, now), now)


def _plan(
    deployment: Deployment,
    before: Sequence[ReplicaSet],
    after: History,
    status: DeploymentStatus,
    now: float,
) -> Plan:
    """What makes `after` of what was before."""
    known = {one.metadata.uid: one for one in before}
    # What is to be has no uid. It may have another's name: that is found out when it is created.
    made = after.new if after.new is not None and not after.new.metadata.uid else None
    pairs = [(known[one.metadata.uid], one) for one in after.all if one is not made]
    changed = [(was, one) for was, one in pairs if was != one]
    doomed: list[ReplicaSet] = []
    if deployment.spec.paused or progress.is_complete(deployment, status):
        kept = {one.metadata.uid for _, one in changed}
        old = revisions.superfluous(deployment, after.old)
        doomed = [one for one in old if one.metadata.uid not in kept]
    return Plan(
        create=made,
        change=tuple(changed),
        delete=tuple(doomed),
        after=replace(deployment, status=status),
        again=progress.again_in(deployment, status, now),
    )


def _resized(
    deployment: Deployment, found: History, sizes: rollouts.Sizes, *, is_noted: bool = False
) -> History:
    """With other sizes. `is_noted`: those that keep theirs are told what is wanted now as well."""

    def resized(one: ReplicaSet) -> ReplicaSet:
        before = rollouts.size(one)
        size = sizes.get(one.metadata.name, before)
        if size == before and not (is_noted and size):
            return one
        annotations = {**one.metadata.annotations, **rollouts.annotations(deployment)}
        metadata = replace(one.metadata, annotations=annotations)
        return replace(one, metadata=metadata, spec=replace(one.spec, replicas=size))

    new = None if found.new is None else resized(found.new)
    return History(new, tuple(map(resized, found.old)))


def _at_revision(deployment: Deployment, new: ReplicaSet) -> Deployment:
    """The Deployment with the revision of its ReplicaSet (4.6)."""
    annotations = {
        **deployment.metadata.annotations,
        revisions.REVISION: new.metadata.annotations[revisions.REVISION],
    }
    return replace(deployment, metadata=replace(deployment.metadata, annotations=annotations))


def _has_pods(old: Sequence[ReplicaSet], running: Collection[str]) -> bool:
    """Whether anything old is there, or comes, or may run still (4.8)."""
    return any(
        rollouts.size(one) or one.status.replicas or one.metadata.uid in running for one in old
    )


def controller(context: Context) -> Controller:
    """Of Deployments. Keys are theirs, and (namespace, empty) where there is something to adopt."""
    deployments = context.resource("apps", "deployments")
    replica_sets = context.resource("apps", "replicasets")
    pods = context.resource("", "pods")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        look = _Look(context, deployments, replica_sets, pods, lister, store)
        if not key.name:
            await look.at_orphans(key.namespace)
            return None
        return await look.at_one(key)

    return Controller(
        "deployment",
        deployments,
        reconcile,
        triggers=[
            owned(replica_sets, by=deployments),
            Trigger(replica_sets, adoption.keys_of_orphan, part=adoption.concern),
        ],
        reads=[pods, *looked_up(context)],
        indexes={_ORPHANS: (replica_sets, adoption.orphan_places)},
        workers=WORKERS,
    )


def _selector_of(deployment: Deployment) -> LabelSelector:
    """Raises ApiError 400 for what is no selector."""
    selector = deployment.spec.selector
    return selectors.from_object(None if selector is None else record.to_object(selector))


class _Look:
    """One look: what it reads, and what it does."""

    def __init__(
        self,
        context: Context,
        deployments: Resource,
        replica_sets: Resource,
        pods: Resource,
        lister: Lister,
        store: ObjectStore,
    ) -> None:
        self._context = context
        self._deployments = deployments
        self._replica_sets = replica_sets
        self._pods = pods
        self._lister = lister
        self._store = store

    async def at_orphans(self, namespace: str) -> None:
        """Of ReplicaSets that nobody controls: who selects them adopts them."""
        if not self._lister.by_index(self._replica_sets, _ORPHANS, namespace):
            return

        async def adopt(owner: Object) -> None:
            deployment = self._lister.record(Deployment, self._deployments, key_of(owner))
            if deployment is None:
                return
            selector = _selector_of(deployment)
            if self._adoptable(namespace, selector):
                await self._claimed(deployment, owner, selector)

        await each(self._lister.list(self._deployments, namespace), adopt)

    async def at_one(self, key: Key) -> float | None:
        """Of one Deployment."""
        deployment = self._lister.record(Deployment, self._deployments, key)
        owner = self._lister.get(self._deployments, key)
        if deployment is None or owner is None:
            return None  # it is gone, and the garbage collector takes what it had
        selector = _selector_of(deployment)
        if selector.is_everything:
            self._context.recorder.record(owner, "Warning", "SelectingAll", _SELECTS_ALL)
            await self._write(deployment, owner, _observed(deployment))
            return None
        replica_sets = await self._claimed(deployment, owner, selector)
        now = self._store.clock()
        running = self._running(deployment, replica_sets)
        todo = plan(deployment, replica_sets, running, now, self._complete)
        if todo.create is not None:
            again = await self._create(todo.create, deployment, owner)
            if again is not None:
                return again
        for before, after in todo.change:
            await self._change(before, after, owner)
        await each(todo.delete, self._delete)
        await self._write(deployment, owner, todo.after)
        return todo.again

    async def _claimed(
        self, deployment: Deployment, owner: Object, selector: LabelSelector
    ) -> list[ReplicaSet]:
        """Its ReplicaSets, with those that it adopts, without those that it lets go."""
        metadata = deployment.metadata
        own = self._lister.owned_by(self._replica_sets, metadata.uid)
        orphans = self._adoptable(metadata.namespace, selector)
        both = {key_of(one): one for one in (*own, *orphans)}
        found = readable(self._lister, ReplicaSet, self._replica_sets, both.values())
        claims = adoption.claims(metadata, selector, found)
        await adoption.settle(
            self._store, self._deployments, owner, self._replica_sets, selector, claims
        )
        return [*claims.owned, *claims.adopted]

    def _adoptable(self, namespace: str, selector: LabelSelector) -> Sequence[Object]:
        return adoption.orphans(self._lister, self._replica_sets, _ORPHANS, namespace, selector)

    def _running(self, deployment: Deployment, replica_sets: Sequence[ReplicaSet]) -> set[str]:
        """Uids of ReplicaSets that have pods that have not ended; only Recreate asks for them."""
        if deployment.spec.strategy.type != rollouts.RECREATE:
            return set()
        return {
            one.metadata.uid
            for one in replica_sets
            if any(map(_may_run, self._lister.owned_by(self._pods, one.metadata.uid)))
        }

    def _complete(self, template: PodTemplateSpec) -> PodTemplateSpec:
        """As the API server would have it."""
        obj = {"spec": {"template": record.to_object(template)}}
        return record.from_object(
            ReplicaSet, preparation.defaulted(self._replica_sets, obj)
        ).spec.template

    # ------------------------------------------------------------------- writes

    async def _create(
        self, made: ReplicaSet, deployment: Deployment, owner: Object
    ) -> float | None:
        """None: it is made. Seconds to wait where that is refused."""
        obj = revisions.as_object(made, owner)
        creation = Creation(self._context, self._lister, self._store, self._replica_sets, obj)
        name, size = made.metadata.name, rollouts.size(made)
        try:
            await creation.create()
        except ApiError as error:
            if error.reason == "AlreadyExists":
                await self._collided(made, deployment, owner)
                raise
            if error.code >= 500 or error.code == 409:
                raise  # nobody knows what is so, or others were faster
            if any(cause.reason == _TERMINATING for cause in error.causes):
                return REFUSED_SECONDS  # where all ends nothing is missing
            return await self._refused(made, deployment, owner, error)
        if size:
            self._tell(owner, f"Scaled up replica set {name} from 0 to {size}")
        return None

    async def _collided(self, made: ReplicaSet, deployment: Deployment, owner: Object) -> None:
        """4.5: another template has this hash, or somebody else this name: next time it differs."""
        metadata = made.metadata
        found = await self._store.get(self._replica_sets, metadata.namespace, metadata.name)
        there = record.from_object(ReplicaSet, found)
        is_ours = adoption.controller_uid(there.metadata) == deployment.metadata.uid
        if is_ours and revisions.has_template(deployment, there, self._complete):
            return  # the cache will have it soon
        count = (deployment.status.collision_count or 0) + 1
        after = replace(deployment, status=replace(deployment.status, collision_count=count))
        await self._write(deployment, owner, after)

    async def _refused(
        self, made: ReplicaSet, deployment: Deployment, owner: Object, error: ApiError
    ) -> float:
        """Seconds after which to try again; why it must be is told."""
        message = f'Failed to create new replica set "{made.metadata.name}": {error.message}'
        self._context.recorder.record(owner, "Warning", progress.CREATE_ERROR, message)
        if progress.deadline_seconds(deployment) is None:
            return REFUSED_SECONDS
        now = self._store.clock()
        said = progress.condition(
            progress.PROGRESSING, "False", progress.CREATE_ERROR, message, now
        )
        after = progress.with_conditions(deployment, [said])
        await self._write(deployment, owner, after)
        found = progress.find(after.status.conditions, progress.PROGRESSING)
        return patience_seconds(found.last_update_time if found is not None else None, now)

    async def _change(self, before: ReplicaSet, after: ReplicaSet, owner: Object) -> None:
        """Raises ApiError 409 where somebody else has changed what is wanted of it."""
        metadata, resource = before.metadata, self._replica_sets

        def change(live: Object) -> Object:
            if live["metadata"].get("generation", 0) != metadata.generation:
                raise conflict(resource.plural, resource.group, metadata.name)
            return carry(live, before, after)

        await self._store.update(
            resource,
            metadata.namespace,
            metadata.name,
            change,
            uid=metadata.uid,
            known=self._lister.get(resource, Key(metadata.namespace, metadata.name)),
        )
        was, now = rollouts.size(before), rollouts.size(after)
        if was != now:
            way = "up" if was < now else "down"
            self._tell(owner, f"Scaled {way} replica set {metadata.name} from {was} to {now}")

    async def _delete(self, replica_set: ReplicaSet) -> None:
        """As it was when it was found to have no pods."""
        metadata = replica_set.metadata
        options = DeleteOptions(uid=metadata.uid, resource_version=metadata.resource_version)
        try:
            await self._store.delete(
                self._replica_sets, metadata.namespace, metadata.name, options=options
            )
        except ApiError as error:
            if error.code != 404:
                raise

    async def _write(self, before: Deployment, owner: Object, after: Deployment) -> None:
        if after == before:
            return
        metadata = before.metadata
        await self._store.update(
            self._deployments,
            metadata.namespace,
            metadata.name,
            lambda live: carry(live, before, after),
            uid=metadata.uid,
            known=owner,
        )

    def _tell(self, owner: Object, message: str) -> None:
        self._context.recorder.record(owner, "Normal", "ScalingReplicaSet", message)


def _may_run(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _observed(deployment: Deployment) -> Deployment:
    status: DeploymentStatus = replace(
        deployment.status, observed_generation=deployment.metadata.generation
    )
    return replace(deployment, status=status)
