"""A Job's pods are counted once each (kube-behaviour 4.11).

The model: a store, caches of it that are late by any number of changes, each by its own, and a
controller that is killed after any of its writes. What holds for all of them is the truth: pods
that ended while they were tracked.
"""

from collections.abc import Callable
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api import pods
from controlplane.api.meta import rfc3339
from controlplane.api.types.batch_v1 import Job, JobStatus, UncountedTerminatedPods
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers import job_accounting, job_plan, job_verdict
from controlplane.controllers.job_backoff import Backoff
from controlplane.controllers.job_pods import TRACKING, is_tracked, terms_of
from tests.controlplane.controllers.job_objects import job, pod
from tests.controlplane.controllers.objects import NOW

replace = msgspec.structs.replace


# ------------------------------------------------------------------------------ one step


def test_who_lost_its_finalizer_becomes_a_number() -> None:
    """4.11: uncountedTerminatedPods."""
    waiting = UncountedTerminatedPods(succeeded=("a", "b"), failed=("c",))
    before = JobStatus(succeeded=1, failed=2, uncounted_terminated_pods=waiting)
    after = job_accounting.settled(before, {"b"})
    assert (after.succeeded, after.failed) == (2, 3)
    assert after.uncounted_terminated_pods == UncountedTerminatedPods(succeeded=("b",))
    assert job_accounting.settled(before, {"a", "b", "c"}) is before


def test_who_has_ended_is_noted_first() -> None:
    """4.11."""
    ended = [pod("s", "Succeeded"), pod("f", "Failed")]
    after = job_accounting.entered(JobStatus(), terms_of(job()), ended)
    assert after.uncounted_terminated_pods == UncountedTerminatedPods(
        succeeded=("uid-s",), failed=("uid-f",)
    )
    assert (after.succeeded, after.failed) == (0, 0)


def test_no_more_than_500_are_noted() -> None:
    """4.11: some 20 kB."""
    assert job_accounting.room(JobStatus()) == 500
    waiting = UncountedTerminatedPods(failed=tuple(str(number) for number in range(470)))
    status = JobStatus(uncounted_terminated_pods=waiting)
    assert job_accounting.room(status) == 30
    of = job({}, parallelism=600, completions=600, backoffLimit=600)
    of = replace(of, status=status)
    tracked = [replace(pod(str(number), "Failed")) for number in range(600)]
    tracked = [
        replace(one, metadata=replace(one.metadata, uid=one.metadata.name)) for one in tracked
    ]
    planned = job_plan.plan(of, tracked, NOW, Backoff())
    assert len(job_accounting.noted(planned.status)) == 500
    assert len(planned.released) == 500, "those that were noted before, and 30 more"


# ------------------------------------------------------------------------------ the model


class Killed(Exception):  # noqa: N818 -- it is no error
    """The controller does not come to its next write."""


class Conflict(Exception):  # noqa: N818 -- nor is this
    """A write that is refused."""


class Store:
    """A job, its pods, all that they ever were, and what truly happened."""

    def __init__(self, of: Job) -> None:
        self.revision = 1
        self.job = replace(of, metadata=replace(of.metadata, resource_version="1"))
        self.pods: dict[str, Pod] = {}
        self.jobs: list[Job] = [self.job]
        self.states: list[dict[str, Pod]] = [{}]
        self.made: set[str] = set()
        self.dismissed: set[str] = set()
        self.succeeded: set[str] = set()
        self.failed: set[str] = set()

    def put_job(self, changed: Job) -> None:
        if changed == self.job:
            return
        self.revision += 1
        metadata = replace(changed.metadata, resource_version=str(self.revision))
        self.job = replace(changed, metadata=metadata)
        self.jobs.append(self.job)

    def put_pod(self, changed: Pod | None, name: str) -> None:
        """None: it goes; and so does what nothing holds any more."""
        if changed is not None and changed == self.pods.get(name):
            return
        self.revision += 1
        self.pods.pop(name, None)
        if changed is not None and not _is_gone(changed):
            metadata = replace(changed.metadata, resource_version=str(self.revision))
            self.pods[name] = replace(changed, metadata=metadata)
        self.states.append(dict(self.pods))

    def end(self, name: str, phase: str) -> None:
        """What the node does."""
        found = self.pods[name]
        assert is_tracked(found) or pods.is_deleted(found), "what it has done is done again"
        if is_tracked(found):
            (self.succeeded if phase == "Succeeded" else self.failed).add(found.metadata.uid)
        self.put_pod(replace(found, status=replace(found.status, phase=phase)), name)


def _is_gone(found: Pod) -> bool:
    has_ended = pods.is_finished(found) or not found.spec.node_name
    return pods.is_deleted(found) and has_ended and not found.metadata.finalizers


def untracked(found: Pod) -> Pod:
    return replace(found, metadata=replace(found.metadata, finalizers=()))


class Controller:
    """One life of the controller: its caches never go back."""

    def __init__(self, store: Store, *, is_late: bool) -> None:
        self.store = store
        # A new one lists what there is; its caches are late from then on.
        self.seen_job, self.seen_pods = len(store.jobs) - 1, len(store.states) - 1
        self.is_late = is_late
        self.backoff: Backoff | None = None

    def look(self, behind: tuple[int, int]) -> None:
        newest = len(self.store.jobs) - 1, len(self.store.states) - 1
        late = behind if self.is_late else (0, 0)
        self.seen_job = max(self.seen_job, newest[0] - late[0])
        self.seen_pods = max(self.seen_pods, newest[1] - late[1])

    def reconcile(self, now: float, writes_max: int) -> None:
        """As `jobs.py`, until it is killed or refused."""
        left = writes_max

        def write(do: Callable[[], None]) -> None:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            do()

        of, found = self.store.jobs[self.seen_job], self.store.states[self.seen_pods]
        if job_verdict.is_finished(of.status.conditions):
            return
        past = self.backoff or job_plan.reconstructed(found.values())
        plan = job_plan.plan(of, list(found.values()), now, past, lambda name: name in found)
        if plan.status != of.status:
            write(lambda: self._write_status(of, plan))
            of = self.store.job
        self.backoff = plan.backoff
        for each in plan.released:
            write(lambda each=each: self._change(each, untracked))  # type: ignore[misc]
        for each in plan.dismissed:
            write(lambda each=each: self._dismiss(of, each))  # type: ignore[misc]
        for each in plan.doomed:
            write(lambda each=each: self._change(each, _deleted))  # type: ignore[misc]
        for new in plan.made:
            write(lambda new=new: self._create(of, new.name))  # type: ignore[misc]

    def _write_status(self, of: Job, plan: job_plan.Plan) -> None:
        self._guard(of)
        self.store.put_job(replace(of, status=plan.status))

    def _guard(self, of: Job) -> None:
        if self.store.job.metadata.resource_version != of.metadata.resource_version:
            raise Conflict

    def _dismiss(self, of: Job, each: Pod) -> None:
        self._guard(of)
        current = self.store.pods.get(each.metadata.name)
        if current is not None and pods.is_finished(current):
            raise Conflict
        if current is not None and is_tracked(current):
            self.store.dismissed.add(current.metadata.uid)
        self._change(each, lambda found: _deleted(untracked(found)))

    def _change(self, each: Pod, change: Callable[[Pod], Pod]) -> None:
        current = self.store.pods.get(each.metadata.name)
        if current is not None and current.metadata.uid == each.metadata.uid:
            self.store.put_pod(change(current), each.metadata.name)

    def _create(self, of: Job, name: str) -> None:
        self._guard(of)
        if name in self.store.pods:
            return
        made = pod(name)
        uid = f"uid-{self.store.revision}"
        self.store.made.add(uid)
        self.store.put_pod(replace(made, metadata=replace(made.metadata, uid=uid)), name)


def _deleted(found: Pod) -> Pod:
    if pods.is_deleted(found):
        return found
    return replace(found, metadata=replace(found.metadata, deletion_timestamp=rfc3339(NOW)))


_STEPS = ["look"] * 4 + ["end"] * 3 + ["leave", "spec", "restart"]


@settings(deadline=None, max_examples=400)
@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from((0, 1, 2, 1000, 1000, 1000)),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_each_is_counted_once(
    completions: int, parallelism: int, limit: int, seed: int, is_late: bool
) -> None:
    """4.11: no pod counted twice or lost, whoever is killed, however late its caches are."""
    store = Store(job(completions=completions, parallelism=parallelism, backoffLimit=limit))
    controller, now, dice = Controller(store, is_late=is_late), NOW, Random(seed)
    for _ in range(50):
        now += 1000
        match dice.choice(_STEPS):
            case "look":
                controller.look((dice.choice((0, 0, 1, 2)), dice.choice((0, 1, 2, 5))))
                try:
                    controller.reconcile(now, writes_max=dice.choice((0, 1, 2, 3, 5, 99)))
                except Killed:
                    controller = Controller(store, is_late=is_late)
                except Conflict:
                    pass
            case "restart":
                controller = Controller(store, is_late=is_late)
            case "spec":
                spec = replace(store.job.spec, suspend=dice.random() < 0.3)
                store.put_job(replace(store.job, spec=replace(spec, parallelism=dice.randrange(6))))
            case what:
                if store.pods:
                    name = dice.choice(sorted(store.pods))
                    _live(store, name, dice.choice(("Failed", "Succeeded", "Succeeded")), what)
    _finish(store, now)
    status = store.job.status
    assert status.succeeded + status.failed == len(store.made) - len(store.dismissed)
    is_complete = any(one.type == "Complete" for one in status.conditions)
    assert is_complete == (len(store.failed) <= limit)
    if is_complete:
        assert status.succeeded == len(store.succeeded) >= completions
        assert status.failed == len(store.failed)
    assert not job_accounting.noted(status)
    assert not any(is_tracked(one) or pods.is_active(one) for one in store.pods.values())
    if is_complete and not is_late:
        assert status.succeeded == completions, "nothing is made twice"


def _live(store: Store, name: str, phase: str, what: str) -> None:
    found = store.pods[name]
    if pods.is_active(found) and what == "end":
        store.end(name, phase)
    elif pods.is_deleted(found) and not pods.is_finished(found):
        store.end(name, "Failed")


def _finish(store: Store, now: float) -> None:
    """Nothing goes wrong any more."""
    spec = replace(store.job.spec, suspend=False, parallelism=3)
    store.put_job(replace(store.job, spec=spec))
    controller = Controller(store, is_late=False)
    for _ in range(100):
        now += 1000
        controller.look((0, 0))
        controller.reconcile(now, writes_max=10_000)
        if job_verdict.is_finished(store.job.status.conditions):
            return
        for name in sorted(store.pods):
            _live(store, name, "Succeeded", "end")
    raise AssertionError("it does not end")


def test_the_finalizer_is_that_of_kubernetes() -> None:
    """4.11."""
    assert TRACKING == "batch.kubernetes.io/job-tracking"
