"""Asks the containers of a node, each probe in a task of its own: one that hangs harms nobody.

What the answers mean is in `probe_results`. Source of times: kube-behaviour 10.5.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import ContainerStatus, Pod, Probe
from controlplane.node import probe_results
from controlplane.node.handlers import Answer, Outcome, Target
from controlplane.node.plan import Health
from controlplane.node.probe_results import Kind, Row, Timing
from controlplane.node.runtime.interface import Container
from controlplane.node.view import PodView, specs, told_status
from kvstore.seams import Clock, Random

logger = logging.getLogger(__name__)

_SAID: dict[Outcome, str] = {
    "warning": "warning",
    "failure": "failed",
    "unknown": "errored and resulted in unknown state",
}

Ask = Callable[[Target, Probe, float], Awaitable[Answer]]


class _Asked:
    """A container that is being asked."""

    def __init__(self, uid: str, spec: Spec, rows: dict[Kind, Row]) -> None:
        self.uid = uid
        self.spec = spec
        self.rows = rows
        self.tasks: dict[Kind, asyncio.Task[None]] = {}
        self.started = asyncio.Event()
        if self.health.is_started:
            self.started.set()

    @property
    def health(self) -> Health:
        return probe_results.health_of(self.spec, self.rows)


class Remark(msgspec.Struct, frozen=True):
    """What a probe has come to that is no plain success, for an event."""

    uid: str
    kind: Kind
    answer: Answer

    @property
    def reason(self) -> str:
        """Of the event."""
        return "ProbeWarning" if self.answer.is_success else "Unhealthy"

    @property
    def message(self) -> str:
        """As the kubelet tells it."""
        said = _SAID[self.answer.outcome]
        return f"{self.kind.capitalize()} probe {said}: {self.answer.message}"


class Prober:
    """The probes of one node.

    on_change  is told the uid of a pod whose health is another
    on_remark  is told of each probe that has not simply succeeded
    """

    def __init__(
        self,
        ask: Ask,
        clock: Clock,
        wall: Callable[[], float],
        random: Random,
        *,
        on_change: Callable[[str], None],
        on_remark: Callable[[Remark], None],
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._wall = wall
        self._random = random
        self._on_change = on_change
        self._on_remark = on_remark
        self._began = clock.now()
        self._asked: dict[str, _Asked] = {}
        self._of_pod: dict[str, set[str]] = {}

    def health(self, uid: str) -> Mapping[str, Health]:
        """Of the containers of a pod that have probes, by id."""
        return {one: self._asked[one].health for one in self._of_pod.get(uid, ())}

    def sync(self, pod: Pod, view: PodView, *, host_ip: str, is_ending: bool) -> None:
        """Ask those that run, and no others. A pod that ends is asked for its readiness only."""
        uid, known = pod.metadata.uid, specs(pod)
        running = {one.id: one for one in view.running() if one.config.name in known}
        for gone in self._of_pod.get(uid, set()) - running.keys():
            self._forget(gone)
        sandbox = view.sandbox
        for container_id, container in running.items():
            spec = known[container.config.name]
            if sandbox is None or not probe_results.probes_of(spec):
                continue
            address = host_ip if pod.spec.host_network else sandbox.address
            target = Target(container_id=container_id, spec=spec, address=address)
            told = told_status(pod, spec.name)
            if told is not None and not told.container_id.endswith(f"://{container_id}"):
                told = None  # of an earlier attempt
            self._sync_container(uid, target, container, told, is_ending=is_ending)

    def forget(self, uid: str) -> None:
        """A pod is gone."""
        for container_id in list(self._of_pod.get(uid, ())):
            self._forget(container_id)

    def close(self) -> None:
        """Ask nobody any more."""
        for uid in list(self._of_pod):
            self.forget(uid)

    def _sync_container(
        self,
        uid: str,
        target: Target,
        container: Container,
        told: ContainerStatus | None,
        *,
        is_ending: bool,
    ) -> None:
        asked = self._asked.get(target.container_id)
        if asked is None:
            if is_ending:
                return
            asked = _Asked(uid, target.spec, probe_results.told_rows(told))
            self._asked[target.container_id] = asked
            self._of_pod.setdefault(uid, set()).add(target.container_id)
            for kind, probe in probe_results.probes_of(target.spec).items():
                if kind == "startup" and asked.started.is_set():
                    continue
                work = self._probe(asked, target, kind, probe, container.started_at)
                task = asyncio.create_task(work, name=f"{kind} probe of {target.container_id}")
                task.add_done_callback(_tell_failure)
                asked.tasks[kind] = task
        elif is_ending:
            for kind in list(asked.tasks):
                if kind != "readiness":
                    asked.tasks.pop(kind).cancel()

    def _forget(self, container_id: str) -> None:
        asked = self._asked.pop(container_id, None)
        if asked is None:
            return
        for task in asked.tasks.values():
            task.cancel()
        held = self._of_pod.get(asked.uid, set())
        held.discard(container_id)
        if not held:
            self._of_pod.pop(asked.uid, None)

    async def _probe(
        self, asked: _Asked, target: Target, kind: Kind, probe: Probe, started_at: float
    ) -> None:
        timing = probe_results.timing_of(probe)
        # The wall clock says how old a container is; one that jumps must not keep a probe away.
        age = max(self._wall() - started_at, 0.0)
        await self._clock.sleep(max(timing.initial_delay_seconds - age, 0.0))
        if self._clock.now() - self._began < timing.period_seconds:
            # All that an agent finds when it begins would be asked at the same moments.
            await self._clock.sleep(self._random.random() * timing.period_seconds)
        if kind != "startup":
            await asked.started.wait()
        while True:
            due = self._clock.now() + timing.period_seconds
            answer = await self._ask(target, probe, timing.timeout_seconds)
            if answer.outcome != "success":
                self._on_remark(Remark(asked.uid, kind, answer))
            if answer.outcome != "unknown":
                self._count(asked, kind, timing, is_success=answer.is_success)
            is_done = kind == "startup" and asked.rows.get(kind, Row()).result is not None
            if is_done or asked.health.failed:
                return  # it is done with, or the container is
            await self._clock.sleep(max(due - self._clock.now(), 0.0))

    def _count(self, asked: _Asked, kind: Kind, timing: Timing, *, is_success: bool) -> None:
        before = asked.health
        row = probe_results.after(asked.rows.get(kind, Row()), timing, is_success=is_success)
        asked.rows[kind] = row
        if kind == "startup" and row.result:
            asked.started.set()
        if asked.health != before:
            self._on_change(asked.uid)


def _tell_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s has ended", task.get_name(), exc_info=task.exception())
