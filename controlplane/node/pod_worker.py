"""Keeps one pod of a node as it should be: looks, plans, begins what is planned, tells how it is.

A look waits for nothing. What takes time - a start, a stop with its grace, a write to the store -
runs beside it; when it ends, the next look sees what came of it. So pods are kept running also
while the store is away, and are told of when it is back.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from controlplane.api import pods
from controlplane.api.changes import carry
from controlplane.api.errors import ApiError
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod, PodStatus
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.node import endings, orphans, restarts
from controlplane.node.actions import (
    Action,
    Plan,
    RemoveContainer,
    RemoveFiles,
    RemoveSandbox,
    RemoveVolumes,
    RunPreStop,
    RunSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from controlplane.node.endings import Moments
from controlplane.node.eviction_plan import EVICTED
from controlplane.node.fitting import Rejection
from controlplane.node.folders import Folders
from controlplane.node.observer import Observer
from controlplane.node.ongoing import Ongoing
from controlplane.node.operations import Operations, StartError, Tell
from controlplane.node.outcomes import has_ended
from controlplane.node.plan import SANDBOX, Situation, grace_seconds, plan
from controlplane.node.pod_writes import PodWrites
from controlplane.node.prober import Prober
from controlplane.node.restarts import StartFailure
from controlplane.node.runtime.interface import RefusedError, Runtime
from controlplane.node.sources import Kinds, Sources
from controlplane.node.statuses import pod_status, rejected
from controlplane.node.termination_messages import message_of
from controlplane.node.view import PodView, until_hooked
from controlplane.node.waiting_events import waiting_events
from controlplane.objects import DeleteOptions, ObjectStore
from kvstore.seams import Clock

RETRY_SECONDS = 1.0
PAUSE_SECONDS = 0.01  # between looks that nothing but time has caused
MINOR_SECONDS = 0.5
"""So long what few wait for is not told: mostly something comes that is told with it."""

logger = logging.getLogger(__name__)


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers of a node share.

    admit    why the node does not take a pod; None: it has taken it
    again    have a pod looked at, by its uid
    writes   bounds those of a node that are under way
    scheme   before container ids: `process`
    """

    store: ObjectStore
    kinds: Kinds
    pods: Informer[Object]
    node_name: str
    host_ip: str
    scheme: str
    clock: Clock
    runtime: Runtime
    observer: Observer
    operations: Operations
    prober: Prober
    sources: Sources
    folders: Folders
    tell: Tell
    admit: Callable[[str, Object, Pod], Rejection | None]
    again: Callable[[str], None]
    writes: asyncio.Semaphore


class PodWorker:
    """Of one pod, by its uid.

    is_done      nothing of it is left, neither in the store nor here
    has_volumes  they may still be on the disk
    """

    def __init__(self, uid: str, key: Key | None, crew: Crew) -> None:
        """`key`: None for what the runtime has of a pod that nobody knows."""
        self.uid = uid
        self.is_done = False
        self.has_volumes = True
        self.pod: Pod | None = None
        """As it was last seen."""
        self._key = key
        self._crew = crew
        self._moments: Moments | None = None
        self._failures: dict[str, StartFailure] = {}
        self._ongoing = Ongoing(
            uid,
            self._attempt,
            refresh=crew.observer.refresh,
            again=lambda: crew.again(uid),
        )
        self._turn = asyncio.Lock()  # of its containers, to be started: as it was planned
        self._messages: dict[str, str] = {}
        self._is_admitted = False
        self._written: Object | None = None
        self._writes = PodWrites(uid, crew.clock, crew.writes, lambda: crew.again(uid))
        self._minor_due: float | None = None
        self._has_files = True
        self._is_reclaimed = False

    @property
    def is_ending(self) -> bool:
        """Whether it is being stopped, for whatever reason."""
        return self._moments is not None and endings.ending_of(self._moments) is not None

    def look(self) -> float | None:
        """One look; seconds after which to look again, if nothing happens."""
        obj = self._object()
        if obj is None:
            return self._clean_up()
        pod = self.pod = self._record(obj)
        now = self._crew.clock.now()
        view = until_hooked(pod, self._crew.observer.view(self.uid), self._ongoing.actions)
        if not self._is_admitted and not self._admit(obj, pod, view):
            return None
        moments = self._remember(pod, view, now)
        ending = endings.ending_of(moments)
        self._crew.prober.sync(pod, view, host_ip=self._crew.host_ip, is_ending=ending is not None)
        situation = Situation(
            pod=pod,
            view=view,
            now=now,
            health=self._crew.prober.health(self.uid),
            failures=self._failures,
            ended_at=self._crew.observer.ended_at,
            ending=ending,
            over_at=moments.over_at,
            pre_stopped=self._ongoing.pre_stopped,
        )
        planned = plan(situation)
        self._ongoing.carry_out(pod, view, planned.actions, is_ended=planned.is_ended)
        if planned.is_over and pods.is_finished(pod):
            self._ongoing.carry_out(pod, view, self._rests(view), is_ended=True)
        if planned.is_over and not self._makes_sandbox():
            self._crew.operations.addresses.release(self.uid)
        has_news = self._tell_status(obj, situation, planned)
        if planned.is_over and not has_news and pods.is_deleted(pod):
            self._delete(pod)
        return self._next_look(planned, pod, moments, now)

    def _makes_sandbox(self) -> bool:
        """Whether one is being made still, that will have the pod's address."""
        return any(isinstance(one, RunSandbox) for one in self._ongoing.actions)

    def _rests(self, view: PodView) -> Sequence[Action]:
        return endings.clear_away(
            view,
            has_volumes=self.has_volumes,
            has_files=self._has_files,
            is_reclaimed=self._is_reclaimed,
        )

    def evict(self, why: str, *, is_disrupted: bool = False) -> None:
        """End it. is_disrupted: the node has too little left; else it uses what is not its own"""
        if self._moments is None or self.is_ending or self.pod is None:
            return
        self._moments = msgspec.structs.replace(
            self._moments, end_at=self._crew.clock.now(), evicted=why, is_disrupted=is_disrupted
        )
        self._crew.tell(self.pod, "Warning", EVICTED, why)
        self._crew.again(self.uid)

    def reclaim(self) -> bool:
        """Give back what a pod that has ended still takes here; whether there is something."""
        if self.pod is None or not pods.is_finished(self.pod) or self._is_reclaimed:
            return False
        self._is_reclaimed = True
        self._crew.again(self.uid)
        return True

    async def close(self) -> None:
        """Stop doing things; what runs in the runtime goes on."""
        await self._ongoing.close()
        await self._writes.close()

    # ------------------------------------------------------------------ what there is

    def _object(self) -> Object | None:
        """The pod's object, if it is still this pod, and this node's; the newest that we know."""
        if self._key is None:
            return None
        found = self._crew.pods.indexer.get(self._key)
        if found is None or found["metadata"].get("uid") != self.uid:
            return None
        if (found.get("spec") or {}).get("nodeName") != self._crew.node_name:
            return None
        written = self._written
        if written is not None and _version(written) > _version(found):
            return written  # the cache does not have it yet
        self._written = None
        return found

    def _record(self, obj: Object) -> Pod:
        assert self._key is not None
        if obj is self._written:
            return from_object(Pod, obj)
        found = self._crew.pods.record(Pod, self._key)
        assert found is not None
        return found

    def _remember(self, pod: Pod, view: PodView, now: float) -> Moments:
        moments = self._moments
        if moments is None:
            moments = endings.first_moments(pod, now=now, wall=self._crew.store.clock())
        self._moments = endings.next_moments(
            moments,
            pod,
            now=now,
            grace_seconds=grace_seconds(pod),
            has_ended=has_ended(pod, view),
        )
        return self._moments

    def _admit(self, obj: Object, pod: Pod, view: PodView) -> bool:
        """Whether the node takes it; what has begun here is taken already."""
        has_begun = bool(view.sandboxes) or pods.is_finished(pod) or pods.is_deleted(pod)
        refusal = self._crew.admit(self.uid, obj, pod)
        if has_begun or pod.status.start_time is not None or refusal is None:
            self._is_admitted = True
            return True
        if self._writes.is_busy:
            return False
        self._crew.tell(pod, "Warning", refusal.reason, refusal.message)
        status = rejected(
            pod,
            refusal.reason,
            refusal.message,
            host_ip=self._crew.host_ip,
            wall=self._crew.store.clock(),
        )
        self._write(obj, pod, status)
        return False

    # ----------------------------------------------------------------- what is to be done

    async def _attempt(self, pod: Pod, view: PodView, action: Action) -> None:
        try:
            await self._do(pod, view, action)
        except StartError as error:
            name = action.name if isinstance(action, StartContainer) else SANDBOX
            self._failures[name] = restarts.failed(
                self._failures.get(name), error.reason, error.message, now=self._crew.clock.now()
            )
        except (RefusedError, ApiError, OSError) as error:
            logger.warning("%s of pod %s: %s", action.key, self.uid, error)
            await self._crew.clock.sleep(RETRY_SECONDS)
        except Exception:
            logger.exception("%s of pod %s failed", action.key, self.uid)
            await self._crew.clock.sleep(RETRY_SECONDS)
        else:
            if isinstance(action, StartContainer):
                self._failures.pop(action.name, None)
            elif isinstance(action, RunSandbox):
                self._failures.pop(SANDBOX, None)

    async def _do(self, pod: Pod, view: PodView, action: Action) -> None:
        crew = self._crew
        match action:
            case RunSandbox():
                await crew.operations.run_sandbox(pod, action, self._used_addresses)
            case StopSandbox(sandbox_id=sandbox_id):
                await crew.runtime.stop_sandbox(sandbox_id)
            case RemoveSandbox(sandbox_id=sandbox_id):
                await crew.operations.remove_sandbox(view, sandbox_id)
            case StartContainer():
                await crew.operations.start_container(
                    pod,
                    view,
                    action,
                    turn=self._turn,
                    on_pre_stop=self._ongoing.pre_stopped.add,
                )
            case RunPreStop():
                await crew.operations.run_pre_stop(pod, view, action)
            case StopContainer():
                await crew.operations.stop_container(pod, view, action)
            case RemoveContainer(container_id=container_id):
                await crew.operations.remove_container(view, container_id)
            case RemoveVolumes():
                await crew.folders.remove_volumes(self.uid)
                self.has_volumes = False
            case RemoveFiles():
                await crew.folders.remove(self.uid)
                self.has_volumes = self._has_files = False

    def _used_addresses(self) -> set[str]:
        return {
            sandbox.address
            for view in self._crew.observer.all.values()
            for sandbox in view.sandboxes
            if sandbox.is_ready and sandbox.address
        }

    def _next_look(self, planned: Plan, pod: Pod, moments: Moments, now: float) -> float | None:
        moments_due = [planned.wake_at, self._minor_due]
        if not planned.is_ended:
            moments_due.append(endings.active_until(moments, pod))
            # The reason of a pull that failed is told for a while, then that it waits.
            moments_due += [
                one.shown_until
                for one in self._failures.values()
                if one.is_pull and one.shown_until > now
            ]
        due = [one for one in moments_due if one is not None]
        return max(min(due) - now, PAUSE_SECONDS) if due else None

    # --------------------------------------------------------------------- what is told

    def _tell_status(self, obj: Object, situation: Situation, planned: Plan) -> bool:
        """Whether there is something to tell still."""
        pod, view = situation.pod, situation.view
        if pods.is_finished(pod) and not view.containers:
            self._minor_due = None
            return False  # all has been told
        self._read_messages(view)
        status = pod_status(
            situation,
            host_ip=self._crew.host_ip,
            wall=self._crew.store.clock(),
            is_over=planned.is_over,
            scheme=self._crew.scheme,
            messages=self._messages,
        )
        if status != pod.status and self._can_wait(pod, status, situation.now):
            return True
        self._minor_due = None
        if status == pod.status:
            return False
        if not self._writes.is_busy:
            self._tell_waiting(pod, status)
            self._write(obj, pod, status)
        return True

    def _can_wait(self, pod: Pod, status: PodStatus, now: float) -> bool:
        """Whether a status is nothing that decides anything, and is told a little later."""
        after = msgspec.structs.replace(pod, status=status)
        is_major = (pod.status.phase or "Pending") != status.phase or (
            pods.is_ready(pod) != pods.is_ready(after)
        )
        if is_major:
            return False
        if self._minor_due is None:
            self._minor_due = now + MINOR_SECONDS
        return now < self._minor_due

    def _read_messages(self, view: PodView) -> None:
        sandboxes = {one.id: one for one in view.sandboxes}
        ended = {one.id: one for one in view.containers if one.state == "exited"}
        self._messages = {
            one: self._messages[one]
            if one in self._messages
            else message_of(container, sandboxes.get(container.sandbox_id))
            for one, container in ended.items()
        }

    def _tell_waiting(self, pod: Pod, status: PodStatus) -> None:
        for kind, reason, message in waiting_events(pod, status):
            self._crew.tell(pod, kind, reason, message)

    def _write(self, obj: Object, pod: Pod, status: PodStatus) -> None:
        """Only what is changed of it; a phase that has become terminal meanwhile stays."""
        after = msgspec.structs.replace(pod, status=status)
        meta = pod.metadata

        def change(current: Object) -> Object:
            phase = (current.get("status") or {}).get("phase")
            if phase in ("Succeeded", "Failed") and phase != status.phase:
                return current
            return carry(current, pod, after)

        async def write() -> None:
            self._written = await self._crew.store.update(
                self._crew.kinds.pods,
                meta.namespace,
                meta.name,
                change,
                uid=self.uid,
                known=obj,
            )

        self._writes.begin(write)

    def _delete(self, pod: Pod) -> None:
        """Nothing of it runs any more: its object may go. What finalizers hold stays."""
        meta = pod.metadata
        if not meta.deletion_grace_period_seconds:
            return
        options = DeleteOptions(grace_period_seconds=0, uid=self.uid)

        async def write() -> None:
            pods_of = self._crew.kinds.pods
            await self._crew.store.delete(pods_of, meta.namespace, meta.name, options=options)

        self._writes.begin(write)

    # ------------------------------------------------------------------------- its end

    def _clean_up(self) -> float | None:
        """Of a pod that has no object any more: by force, or long ago, or as it should."""
        crew = self._crew
        view, now = crew.observer.view(self.uid), crew.clock.now()
        pod = self.pod or orphans.pod_of(self.uid, view)
        moments = self._moments
        if moments is None or moments.kill_at is None:
            kill_at = now + (orphans.grace_of(view) if self.pod is None else grace_seconds(pod))
            moments = self._moments = Moments(began=now, kill_at=kill_at)
        ending = endings.ending_of(moments)
        assert ending is not None
        planned = endings.wind_down(pod, view, ending, now, self._ongoing.pre_stopped)
        crew.prober.forget(self.uid)
        self._ongoing.carry_out(pod, view, planned.actions, is_ended=True)
        if view.sandboxes or self._ongoing.actions or self._writes.is_busy:
            return self._next_look(planned, pod, moments, now)
        if self._has_files:
            self._ongoing.carry_out(pod, view, (RemoveFiles(),), is_ended=True)
            return None
        crew.sources.forget(self.uid)
        crew.operations.addresses.release(self.uid)
        self.is_done = True
        return None


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion") or 0)
