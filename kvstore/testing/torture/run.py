"""A run: one fault after the other under load, then everything is read back and judged."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec

from kvstore.errors import ConfigError
from kvstore.testing import history_file
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import KEELSON, MemberStartError
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture import readback, report, verdict
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.recorder import Recorder
from kvstore.testing.torture.report import Round
from kvstore.testing.torture.scene import (
    SERVING_SECONDS_MAX,
    Scene,
    built,
    missing_for,
    require_setpriv,
)
from kvstore.testing.torture.verdict import Verdict
from kvstore.testing.torture.workload import PREFIX, Workload

HISTORY_FILE = "history.jsonl"
_ACKNOWLEDGEMENTS_BEFORE = 50  # … of writes, before a fault begins: everybody is at work
_ACKNOWLEDGEMENTS_OF_A_WRITER_BEFORE = 16
_ACKNOWLEDGEMENTS_OF_WRITERS_BEFORE_MAX = 1_024
# Of writes that are committed together the answers come together: a fault that struck just then
# would often find none under way.
_STRIKES_WITHIN_SECONDS = 0.05
_CAUGHT_UP_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.05

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: so many rounds, or as many as fit into `seconds`.

    must_run: all of the faults; otherwise those that the machine allows.
    is_control: writes are to be lost. What else is broken ends the rounds, and then is asked for
        what was lost.
    hold_seconds: how long faults last that last; None: each as long as it is used to.
    """

    faults: tuple[type[Fault], ...]
    must_run: bool = True
    is_control: bool = False
    rounds: int | None = None
    seconds: float = 0.0
    clients: int = 8
    writers: int = 16
    seed: int = 1
    hold_seconds: float | None = None
    snapshot_count: int = 1_000
    program: Sequence[str] = KEELSON


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A run that kept its safety promises. `not_run`: fault → the reason."""

    rounds: tuple[Round, ...]
    not_run: dict[str, str]
    verdict: Verdict

    @property
    def broken(self) -> list[str]:
        """Bounds of time that were not kept."""
        return report.broken(self.rounds)

    @property
    def unproven(self) -> list[str]:
        """Faults of which nothing shows in any round that they happened."""
        return report.unproven(self.rounds)


def run(folder: Path, plan: Plan, say: Say) -> Outcome:
    """Torture a fresh three-member cluster in `folder`, and leave its history there.

    Raises ViolationError when a promise was broken; LostWriteError only once all rounds are over.
    ConfigError when the folder is used, or faults cannot be had here. RigError, MemberStartError;
    a RigError of the end comes after `say` has told the verdict.
    """
    readback.require_etcdctl()
    require_setpriv()
    faults, not_run = possible(plan.faults, must_run=plan.must_run)
    _require_unused(folder)
    flags = [f"--snapshot-count={plan.snapshot_count}"]
    needs = frozenset(need for fault in faults for need in fault.needs)
    judged: Outcome | ViolationError | MemberStartError | None = None
    try:
        with built(folder, plan.program, flags, needs, plan.seed) as scene:
            judged = _judged(folder, _Director(scene, Recorder(), plan, faults, say), not_run)
    except (RigError, OSError) as error:
        if judged is None:
            raise
        say(f"the rigs could not be taken down, the next run tries again: {error}")
        if isinstance(judged, Outcome):
            say(judged.verdict.told)
            raise RigError(str(error)) from error
    assert judged is not None
    if not isinstance(judged, Outcome):
        raise judged
    return judged


def _judged(
    folder: Path, director: "_Director", not_run: dict[str, str]
) -> "Outcome | ViolationError | MemberStartError":
    """Play and judge, while the rigs stand: no trouble with them may cost the verdict."""
    found = None
    try:
        try:
            found = asyncio.run(director.run())
        finally:  # also of a run that was interrupted, or whose rigs broke
            recording = verdict.recording(director.recorder, found)
            history_file.write(folder / HISTORY_FILE, recording)
        judged = verdict.judge(director.recorder, found)
        if director.broken is not None:
            return director.broken
    except (ViolationError, MemberStartError) as error:
        return error
    not_run = {**not_run, **report.without_turn(director.fault_names, director.rounds)}
    return Outcome(rounds=tuple(director.rounds), not_run=not_run, verdict=judged)


def _require_unused(folder: Path) -> None:
    """Members would take what lies there for their own."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: remove it, or name another --folder")


def possible(
    faults: Sequence[type[Fault]], *, must_run: bool = False
) -> tuple[tuple[type[Fault], ...], dict[str, str]]:
    """Those that this machine allows; of the others the reasons.

    Raises ConfigError if it allows none, or not all that must run.
    """
    not_run = {
        fault.name: "; ".join(why)
        for fault in faults
        if (why := [reason for need in fault.needs if (reason := missing_for(need))])
    }
    these = tuple(fault for fault in faults if fault.name not in not_run)
    told = "; ".join(f"{name}: {why}" for name, why in not_run.items())
    if not these:
        raise ConfigError(f"no fault can be had here: {told}")
    if must_run and not_run:
        raise ConfigError(f"not every fault can be had here: {told}")
    return these, not_run


def in_turn(faults: Sequence[type[Fault]], random: Random) -> Iterator[type[Fault]]:
    """All in a random order, then all in another, and so on."""
    while True:
        yield from random.sample(faults, k=len(faults))


def broken(fault: Fault, *, unavailable_seconds: float, terms: int, lag_seconds: float) -> str:
    """The bounds of a fault that were not kept, in words; empty: all were."""
    told = list(fault.broken)
    if unavailable_seconds > fault.unavailable_seconds_max:
        told.append(f"it did not serve within {fault.unavailable_seconds_max} s")
    if fault.terms_max is not None and terms > fault.terms_max:
        told.append(f"{terms} new terms, at most {fault.terms_max} may come of it")
    if fault.catch_up_seconds_max is not None and lag_seconds > fault.catch_up_seconds_max:
        told.append(f"a member had not caught up after {fault.catch_up_seconds_max} s")
    return "; ".join(told)


class _Director:
    def __init__(
        self,
        scene: Scene,
        recorder: Recorder,
        plan: Plan,
        faults: Sequence[type[Fault]],
        say: Say,
    ) -> None:
        self._scene = scene
        self.recorder = recorder
        self._plan = plan
        self._faults = faults
        self._say = say
        self.fault_names = [fault.name for fault in faults]
        self._struck = 0  # faults that surely happened
        self.rounds: list[Round] = []
        self.broken: ViolationError | None = None
        """What ended a control run before its time."""

    async def run(self) -> readback.Readback:
        """All rounds; what the members have at the end."""
        workload = Workload(
            self._scene.cluster.endpoints,
            self.recorder,
            clients=self._plan.clients,
            writers=self._plan.writers,
            seed=self._plan.seed,
            is_control=self._plan.is_control,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(workload.run())
                for fault in self._schedule():
                    await self._round(fault, workload)
                workload.stop()
            self._scene.require_alive()
        except BaseExceptionGroup as group:
            self._take(_first(group))
        try:
            await self._scene.wait_ready()
        except MemberStartError as error:
            raise ViolationError(f"after the last fault: {error}") from error
        return await readback.read_back(self._scene.cluster.endpoints, PREFIX)

    def _take(self, error: BaseException) -> None:
        """Raise it, unless it may be what a control run wants: a loss shows in many ways."""
        is_wanted = self._plan.is_control and self._struck and isinstance(error, ViolationError)
        if not is_wanted:
            raise error
        assert isinstance(error, ViolationError)
        self.broken = error
        self._say(f"it shows already: {error}")

    def _schedule(self) -> Iterator[Fault]:
        """As many as the plan says."""
        ends_at = time.monotonic() + self._plan.seconds
        for number, fault in enumerate(in_turn(self._faults, self._scene.random)):
            if self._plan.rounds is None:
                if time.monotonic() >= ends_at:
                    return
            elif number == self._plan.rounds:
                return
            yield fault()

    async def _round(self, fault: Fault, workload: Workload) -> None:
        """One fault under load. Raises ViolationError when the cluster does not serve again."""
        scene, recorder = self._scene, self.recorder
        try:
            await fault.prepare(scene)
            term = await scene.term()
            workload.open_writers()
            before = _ACKNOWLEDGEMENTS_BEFORE + min(
                _ACKNOWLEDGEMENTS_OF_A_WRITER_BEFORE * self._plan.writers,
                _ACKNOWLEDGEMENTS_OF_WRITERS_BEFORE_MAX,
            )
            await recorder.acknowledged_more(before, seconds_max=SERVING_SECONDS_MAX)
            await asyncio.sleep(scene.random.random() * _STRIKES_WITHIN_SECONDS)
            begun, position = time.monotonic(), len(recorder.acknowledgements)
            count = recorder.count
            await self._strike(fault, workload)
            scene.require_alive()
            lag_seconds = await self._caught_up()
            ended = time.monotonic()
            await scene.wait_ready()
            terms = await scene.term() - term
            await fault.clear(scene)
        except MemberStartError as error:
            raise ViolationError(f"{fault.name} {fault.detail}: {error}") from error
        acknowledgements = recorder.acknowledgements[position:]
        unavailable_seconds = report.unavailable_seconds(acknowledgements, fault.moments)
        one = Round(
            fault=fault.name,
            detail=fault.detail,
            operations=recorder.count - count,
            unavailable_seconds=unavailable_seconds,
            gap_seconds=report.gap_seconds(acknowledgements, begun=begun, ended=ended),
            terms=terms,
            lag_seconds=lag_seconds,
            point=fault.point,
            is_point_reached=fault.is_reached,
            evidence=fault.evidence,
            broken=broken(
                fault,
                unavailable_seconds=unavailable_seconds,
                terms=terms,
                lag_seconds=lag_seconds,
            ),
        )
        self.rounds.append(one)
        self._say(f"round {len(self.rounds)}: {one.told}")

    async def _strike(self, fault: Fault, workload: Workload) -> None:
        """Begin, hold and end; return once a write is acknowledged that was begun after it."""
        harm = self._harm(fault, workload)
        await (_to_its_end(harm) if self._plan.is_control else harm)
        await self.recorder.acknowledged_since(fault.moments[-1], seconds_max=SERVING_SECONDS_MAX)
        workload.close_writers()

    async def _harm(self, fault: Fault, workload: Workload) -> None:
        with workload.watchers.disturbed():
            await self._hold(fault, workload)
        self._struck += bool(fault.evidence)

    async def _hold(self, fault: Fault, workload: Workload) -> None:
        await fault.begin(self._scene)
        if fault.serves_meanwhile:
            await self._served_since(fault)
            workload.close_writers()
        if fault.hold_seconds:
            hold_seconds = self._plan.hold_seconds
            await asyncio.sleep(fault.hold_seconds if hold_seconds is None else hold_seconds)
        fault.moments.append(time.monotonic())
        await fault.end(self._scene)

    async def _served_since(self, fault: Fault) -> None:
        fault.moments.append(time.monotonic())
        await self.recorder.acknowledged_since(fault.moments[-1], seconds_max=SERVING_SECONDS_MAX)

    async def _caught_up(self) -> float:
        """Seconds until every member has applied what any of them has applied now."""
        begun = time.monotonic()
        target = max(await self._applied())
        while min(await self._applied()) < target:
            self._scene.require_alive()
            if time.monotonic() - begun > _CAUGHT_UP_SECONDS_MAX:
                raise ViolationError(
                    f"after {_CAUGHT_UP_SECONDS_MAX} s a member still lags behind: "
                    f"{await self._applied()} of {target}"
                )
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - begun

    async def _applied(self) -> list[int]:
        """The applied index of each member; 0 while it does not answer."""
        statuses = await asyncio.gather(
            *(asyncio.to_thread(member.status) for member in self._scene.members)
        )
        return [0 if status is None else status.raftAppliedIndex for status in statuses]


async def _to_its_end(harm: Coroutine[None, None, None]) -> None:
    """Cancelled, it ends only afterwards: every member runs again, on a disk with power."""
    task = asyncio.ensure_future(harm)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _first(group: BaseExceptionGroup) -> BaseException:
    """The violation among what broke, if there is one; else the first error."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = min(found.exceptions, key=lambda error: not _has_violation(error))
    return found


def _has_violation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_has_violation, error.exceptions))
    return isinstance(error, ViolationError)
