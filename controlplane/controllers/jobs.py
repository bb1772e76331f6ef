"""Jobs: pods until so many have succeeded, or too many have failed; each is counted once.

What is to be done is planned in `job_plan`, and what makes the counts exact is in
`job_accounting`. Here a plan is carried out:

* The status is written if the job is as it was in the cache.
* Pods are made, and let go uncounted, only while the job is as it was planned for. A name is given
  again until something has ended (`job_plan`), so who lost an answer does not make a pod twice.
* An untracked pod that has not ended is one that a former plan did not bring to its end: it goes.

Source: Kubernetes' documentation, "Jobs"; kube-behaviour 4.11-4.13.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from controlplane.api import changes, errors, pods
from controlplane.api.errors import ApiError
from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object, Resource
from controlplane.api.types.batch_v1 import Job, JobStatus
from controlplane.api.types.core_v1 import Pod
from controlplane.controller import (
    Controller,
    Lister,
    Trigger,
    key_of,
    owned,
)
from controlplane.controllers import job_plan, job_pods, job_verdict
from controlplane.controllers.context import Context
from controlplane.controllers.creation import Creation, looked_up
from controlplane.controllers.job_backoff import Backoff
from controlplane.controllers.job_plan import NewPod, Plan
from controlplane.controllers.parallel import each
from controlplane.controllers.patience import patience_seconds
from controlplane.controllers.pod_templates import pod_from_template
from controlplane.controllers.readable import readable
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, DeleteOptions, ObjectStore

WORKERS = 5  # kube-controller-manager's --concurrent-job-syncs
AGAIN_SECONDS_MIN = 0.1  # after pods were refused: mostly a new namespace lacks its account still
OWN_NAME = "kubernetes.io/job-controller"
_OF_JOB = "jobs/pods"
_NAME_LABEL = "batch.kubernetes.io/job-name"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
_TERMINATING = "NamespaceTerminating"  # why nothing may be created where all ends
_MODES = ("", "NonIndexed", "Indexed")


def controller(context: Context) -> Controller:
    """Of jobs."""
    jobs, pods_ = context.resource("batch", "jobs"), context.resource("", "pods")
    owners = owned(pods_, by=jobs)

    def keys(pod: Object) -> Sequence[Key]:
        return list(owners.keys(pod)) or _without_owner(pod)

    keeper = _Jobs(jobs, pods_, context)
    return Controller(
        "job",
        jobs,
        keeper.reconcile,
        triggers=[Trigger(pods_, keys)],
        reads=looked_up(context),
        indexes={_OF_JOB: (pods_, lambda pod: map(str, keys(pod)))},
        workers=WORKERS,
    )


def _without_owner(pod: Object) -> list[Key]:
    """Of a pod that a job has left behind: it is held still, by nobody."""
    metadata = pod["metadata"]
    if job_pods.TRACKING not in (metadata.get("finalizers") or ()):
        return []
    return [Key(metadata["namespace"], (metadata.get("labels") or {}).get(_NAME_LABEL, ""))]


class _Jobs:
    """Jobs, kept as they should be."""

    def __init__(self, jobs: Resource, pods: Resource, context: Context) -> None:
        self._jobs = jobs
        self._pods = pods
        self._context = context
        self._recorder = context.recorder
        self._backoffs: dict[Key, tuple[str, Backoff]] = {}  # with the uid of the job
        self._refused_since: dict[Key, str] = {}  # whose pods the API's rules refuse

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> float | None:
        """See `Controller`."""
        live = lister.get(self._jobs, key)
        job = lister.record(Job, self._jobs, key)
        found = lister.by_index(self._pods, _OF_JOB, str(key))
        all_pods = readable(lister, Pod, self._pods, found)
        uid = job.metadata.uid if job is not None else None
        own = [pod for pod in all_pods if job_pods.controller_uid(pod) == uid]
        strangers = [pod for pod in all_pods if job_pods.controller_uid(pod) != uid]
        await self._let_strangers_go(key, strangers, lister, store)
        if job is not None and job.spec.managed_by not in (None, OWN_NAME):
            return None  # nor is it ours when it has ended
        if live is None or job is None or job_verdict.is_finished(job.status.conditions):
            self._backoffs.pop(key, None)
            self._refused_since.pop(key, None)
            await self._let_leftovers_go(own, lister, store)
            return None
        if (job.spec.completion_mode or "") not in _MODES:
            told = "Skipped Job sync because completion mode is unknown"
            self._recorder.record(live, "Warning", "UnknownCompletionMode", told)
            return None
        plan = job_plan.plan(
            job, own, store.clock(), self._backoff(key, job, own), _taken(lister, self._pods, key)
        )
        return await self._carry_out(plan, key, job, live, lister, store)

    def _backoff(self, key: Key, job: Job, own: Sequence[Pod]) -> Backoff:
        uid, backoff = self._backoffs.get(key, ("", Backoff()))
        return backoff if uid == job.metadata.uid else job_plan.reconstructed(own)

    async def _carry_out(
        self, plan: Plan, key: Key, job: Job, live: Object, lister: Lister, store: ObjectStore
    ) -> float | None:
        written = await self._write(plan, job, live, store)
        self._backoffs[key] = job.metadata.uid, plan.backoff
        for kind, reason, message in plan.happenings:
            self._recorder.record(written, kind, reason, message)
        hands = self._hands(lister, store, written, _guard(self._jobs, written))
        await each(plan.released, hands.release)
        await each(plan.dismissed, hands.dismiss)
        await each(plan.doomed, hands.delete)
        try:
            await hands.create(plan.made)
        except ApiError as error:
            if error.code >= 500 or error.code == 409:
                raise  # nobody knows what is so, or others were faster
            now = store.clock()
            since = self._refused_since.setdefault(key, rfc3339(now))
            wait = patience_seconds(since, now, least=AGAIN_SECONDS_MIN)
            return _soonest(wait, plan.again_seconds)
        self._refused_since.pop(key, None)
        return plan.again_seconds

    async def _write(self, plan: Plan, job: Job, live: Object, store: ObjectStore) -> Object:
        """The job with its new status. Raises ApiError 409 if the plan was for another state."""
        if plan.status == job.status:
            return live
        metadata = live["metadata"]
        return await store.update(
            self._jobs,
            metadata["namespace"],
            metadata["name"],
            lambda current: _with_status(current, job.status, plan.status),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            known=live,
        )

    async def _let_strangers_go(
        self, key: Key, strangers: Sequence[Pod], lister: Lister, store: ObjectStore
    ) -> None:
        """Pods of a job of this name that is gone, or that are no job's: nobody will count them.

        Who is gone is asked of the store: a cache of jobs may be behind that of pods.
        """
        held = [pod for pod in strangers if job_pods.is_tracked(pod)]
        if not held:
            return
        uid = await self._uid(key, store)
        hands = self._hands(lister, store)
        await each([pod for pod in held if job_pods.controller_uid(pod) != uid], hands.release)

    async def _uid(self, key: Key, store: ObjectStore) -> str | None:
        """Of the job that the store has; None: there is none."""
        if not key.name:
            return None  # `_without_owner`
        try:
            found = await store.get(self._jobs, key.namespace, key.name)
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return str(found["metadata"]["uid"])

    async def _let_leftovers_go(
        self, own: Sequence[Pod], lister: Lister, store: ObjectStore
    ) -> None:
        """Pods of a job that has ended: none is expected, and none is needed."""
        hands = self._hands(lister, store)
        held = [pod for pod in own if job_pods.is_tracked(pod)]
        await each(held, hands.release)
        await each([pod for pod in held if pods.is_active(pod)], hands.delete)

    def _hands(
        self, lister: Lister, store: ObjectStore, job: Object | None = None, *guards: Claim
    ) -> "_Hands":
        return _Hands(self._pods, self._context, lister, store, job, guards)


class _Hands:
    """What is done to the pods of a job, each with its preconditions.

    job     whom events are about; None: nobody is told
    guards  the job is as it was planned for
    """

    def __init__(
        self,
        pods: Resource,
        context: Context,
        lister: Lister,
        store: ObjectStore,
        job: Object | None,
        guards: Sequence[Claim],
    ) -> None:
        self._pods = pods
        self._context = context
        self._lister = lister
        self._store = store
        self._job = job or {}
        self._guarded = store.guarded(*guards)

    async def release(self, pod: Pod) -> None:
        """Take away what keeps a pod for being counted."""
        metadata = pod.metadata
        try:
            await self._store.update(
                self._pods,
                metadata.namespace,
                metadata.name,
                _untracked,
                uid=metadata.uid,
                known=self._known(pod),
            )
        except ApiError as error:
            if not _is_gone(error):
                raise

    async def dismiss(self, pod: Pod) -> None:
        """Delete a pod that is not to be counted; if it has ended meanwhile, it is.

        In one write: one that was let go only, by who was killed then, would end by itself, and
        another would do once more what it has done.
        """

        def unless_ended(current: Object) -> Object:
            if (current.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                raise errors.conflict(self._pods.plural, self._pods.group, pod.metadata.name)
            return _untracked(current)

        await self._delete(self._guarded, pod, unless_ended)

    async def delete(self, pod: Pod) -> None:
        """Delete a pod as it wants to be deleted."""
        await self._delete(self._store, pod, lambda current: current)

    async def _delete(
        self, store: ObjectStore, pod: Pod, change: Callable[[Object], Object]
    ) -> None:
        metadata = pod.metadata
        try:
            await store.delete(
                self._pods,
                metadata.namespace,
                metadata.name,
                options=DeleteOptions(propagation_policy="Background", uid=metadata.uid),
                known=self._known(pod),
                change=change,
            )
        except ApiError as error:
            if _is_gone(error):
                return
            if not isinstance(error, ClaimLostError):
                self._tell("Warning", "FailedDelete", f"Error deleting: {error.message}")
            raise
        self._tell("Normal", "SuccessfulDelete", f"Deleted pod: {metadata.name}")

    async def create(self, made: Sequence[NewPod]) -> None:
        """1 pod, then 2, 4, …: what the first cannot be made for, the others are not tried for.
        Where all ends nothing is missing.
        """
        start, size = 0, 1
        while start < len(made):
            await each(made[start : start + size], self._create)
            start, size = start + size, size * 2

    async def _create(self, new: NewPod) -> None:
        pod = pod_of(self._job, new)
        creation = Creation(self._context, self._lister, self._guarded, self._pods, pod)
        try:
            await creation.create()
        except ApiError as error:
            if any(cause.reason == _TERMINATING for cause in error.causes):
                return
            if error.reason == "AlreadyExists" and await self._is_own(new.name):
                return  # made before, and the answer was lost
            if not isinstance(error, ClaimLostError):
                self._tell("Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._tell("Normal", "SuccessfulCreate", f"Created pod: {new.name}")

    async def _is_own(self, name: str) -> bool:
        found = await self._store.get(self._pods, self._job["metadata"]["namespace"], name)
        owners = found["metadata"].get("ownerReferences") or ()
        uid = self._job["metadata"]["uid"]
        return any(one.get("controller") and one.get("uid") == uid for one in owners)

    def _known(self, pod: Pod) -> Object | None:
        return self._lister.get(self._pods, Key(pod.metadata.namespace, pod.metadata.name))

    def _tell(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        if self._job:
            self._context.recorder.record(self._job, kind, reason, message)


def pod_of(job: Object, new: NewPod) -> dict[str, Any]:
    """The pod to create. Pure."""
    namespace = str(job["metadata"]["namespace"])
    template = job["spec"]["template"]
    pod = pod_from_template(template, job, namespace=namespace, name=new.name)
    metadata, spec = pod["metadata"], dict(pod["spec"])
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), job_pods.TRACKING]
    if new.index is None:
        return pod
    index = str(new.index)
    annotations = {**(metadata.get("annotations") or {}), job_pods.INDEX: index}
    if new.failures is not None:
        counted, ignored = new.failures
        annotations[job_pods.FAILURES] = str(counted)
        if ignored:
            annotations[job_pods.IGNORED] = str(ignored)
    metadata["annotations"] = annotations
    metadata["labels"] = {**(metadata.get("labels") or {}), job_pods.INDEX: index}
    spec["hostname"] = f"{job['metadata']['name']}-{index}"
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            spec[kind] = [_with_index(container) for container in spec[kind]]
    return {**pod, "spec": spec}


def _with_index(container: Object) -> Object:
    """A container that is told its index, unless it has such a variable already."""
    variables = container.get("env") or []
    if any(one.get("name") == _INDEX_VARIABLE for one in variables):
        return container
    path = f"metadata.annotations['{job_pods.INDEX}']"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}
    return {**container, "env": [*variables, {"name": _INDEX_VARIABLE, "valueFrom": source}]}


def _untracked(pod: Object) -> Object:
    metadata = pod["metadata"]
    finalizers = [one for one in metadata.get("finalizers") or () if one != job_pods.TRACKING]
    return {**pod, "metadata": {**metadata, "finalizers": finalizers}}


def _with_status(job: Object, before: JobStatus, after: JobStatus) -> Object:
    return {**job, "status": changes.carry(job.get("status") or {}, before, after)}


def _taken(lister: Lister, pods: Resource, key: Key) -> Callable[[str], bool]:
    return lambda name: lister.get(pods, Key(key.namespace, name)) is not None


def _guard(resource: Resource, obj: Object) -> Claim:
    """Compared in a Txn: an object is as it was read."""
    key, metadata = key_of(obj), obj["metadata"]
    place = resource.key(key.namespace, key.name).encode()
    return Claim(place, None, int(metadata["resourceVersion"]))


def _soonest(wait: float, again: float | None) -> float:
    return wait if again is None else min(wait, again)


def _is_gone(error: ApiError) -> bool:
    """Of a write that is meant for one uid: there is no such pod, its name is another's, or it has
    ended.
    """
    return error.code in (404, 409) and not isinstance(error, ClaimLostError)
