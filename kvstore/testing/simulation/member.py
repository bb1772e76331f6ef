"""One simulated member over all its lives: the disk stays, all else dies with a crash.

A life is the production `Member` on simulated seams. It ends by a power cut: at any time, at a
chosen I/O point, or because the disk refused and the process ended itself.
"""

import asyncio
from collections.abc import Callable
from random import Random

import msgspec

from kvstore.errors import ConfigError, DiskError, MemberRemovedError, OperatorError
from kvstore.raft.core import Raft
from kvstore.raft.types import Role
from kvstore.server import config
from kvstore.server.bootstrap import bootstrap, cluster_spec
from kvstore.server.log_window import LogWindow
from kvstore.server.member import Member, Seams
from kvstore.server.points import point_of
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.disk import SimulatedCrash, SimulatedFiles
from kvstore.testing.simulation.life_files import LifeFiles
from kvstore.testing.simulation.process import Process
from kvstore.testing.simulation.rpc import Listener
from kvstore.testing.simulation.transport import SimulatedIntroducer, SimulatedTransport, Wire
from kvstore.testing.simulation.victims import Trap

_SYNC_SECONDS = (0.0005, 0.02)  # on a disk without faults; each has its own time
_CLOCK_SKEW_MAX = 0.01  # clocks of real machines differ by far less
_SEGMENT_BYTES = 4 * 1024  # small, so that a run sees many segments
_LOG_ENTRIES = 12  # kept for followers that lag; few, so that they need snapshots
_APPEND_BYTES = (1, 256, 1024 * 1024)  # one entry, a few, or all: what fits into one append


class Host:
    """What a member needs of its cluster, and what it tells it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def died(self, member: "SimulatedMember", cause: str) -> None:
        """A life has ended: "" = at a random moment, else an I/O point or "disk failure"."""

    def failed(self, member: "SimulatedMember", failure: BaseException) -> None:
        """A life has ended as none may."""

    def observe(self, member: "SimulatedMember") -> None:
        """It has applied a batch, or sees another leader."""

    def ticked(self, member: "SimulatedMember") -> None:
        """One tick of its core has passed."""


class ShortLogWindow(LogWindow):
    """Keeps so few entries in memory that a follower which lags a little needs a snapshot."""

    def compact(self, raft: Raft, applied: int) -> None:
        """See `LogWindow.compact`."""
        super().compact(raft, applied)
        raft.compact(min([applied - _LOG_ENTRIES, *self._holds.values()]))


class SimulatedMember:
    """The member of one data folder."""

    def __init__(
        self, host: Host, settings: config.Settings, random: Random, member_id: int = 0
    ) -> None:
        """`member_id`: of one that is to join; a founder's follows from its settings."""
        self.member_id = member_id or cluster_spec(settings).member_id
        self.is_joining = bool(member_id)
        """It was added to the running cluster, and is started by `join` until it has begun."""
        self.is_removed = False
        self.name = settings.name
        host.wire.urls[settings.initial_advertise_peer_urls[0]] = self.member_id
        sync_seconds = random.uniform(*_SYNC_SECONDS)  # when nothing is wrong with the disk
        self.files = SimulatedFiles(
            Random(random.getrandbits(64)), SimulatedClock(), sync_seconds=sync_seconds
        )
        self.files.hook = lambda operation, path: self._pass(point_of(operation, path))
        self._append_bytes_max = random.choice(_APPEND_BYTES)
        self.process = Process()
        self.member: Member | None = None
        self.listener: Listener | None = None
        self.traps: list[Trap] = []
        self.points_passed: dict[str, int] = {}
        self.installs = 0
        """Snapshots of a leader that took the place of its state."""
        self._host = host
        self._settings = settings
        self._random = random
        self._transport: SimulatedTransport | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Tell whether it was started and has not died since."""
        return self._life is not None

    def start(self) -> None:
        """Begin a life."""
        assert self._life is None, "it lives already"
        assert not self.is_removed, "it was removed for good"
        self.process = Process()
        skew = (self._random.random() - 0.5) * 2 * _CLOCK_SKEW_MAX
        offset = self._random.random() * 1000
        clock = SimulatedClock(rate=1 + skew, offset=offset, process=self.process)
        self.files.clock = clock
        self._host.wire.network.processes[self.member_id] = self.process
        self._life = asyncio.ensure_future(self._live(clock, self.files.life))

    def join(self, initial_cluster: str) -> None:
        """Begin a life as one that joins those that are in the cluster now."""
        urls = {}
        for pair in initial_cluster.split(","):
            name, _, url = pair.partition("=")
            urls[name] = (url,)
        self._settings = msgspec.structs.replace(self._settings, initial_cluster=urls)
        self.start()

    @property
    def role(self) -> Role | None:
        """In its life now, if it has begun."""
        return None if self.member is None else self.member.node.raft.role

    def campaign(self) -> None:
        """Its election timeout has run out, as bad luck wants it."""
        if self.member is not None and self.process.is_running:
            self.member.node.raft.campaign()
            self.member.node.wake()

    def be_patient(self) -> None:
        """Its dice have given the longest election timeout."""
        if self.member is not None:
            state = self.member.node.raft.state
            state.election_timeout_ticks = 2 * state.config.election_ticks - 1

    def let_go(self) -> None:
        """It is a member no more: it ends, by itself or now."""
        self.is_removed = True
        if self.is_alive:
            self.crash("removed")

    def crash(self, cause: str = "") -> None:
        """Power off: what was not synced may be lost, everything in memory is."""
        assert self._life is not None, "it is dead already"
        network = self._host.wire.network
        network.note(f"crash {self.member_id:x} {cause}")
        life, self._life = self._life, None
        listener, self.listener, self.member = self.listener, None, None
        del network.processes[self.member_id]
        self.process.die()
        if self._transport is not None:
            self._transport.abort()
        self.files.crash()
        life.cancel()
        if listener is not None:
            listener.die()
        self._host.died(self, cause)

    def _pass(self, point: str) -> None:
        """It is about to pass an I/O point: here is where traps snap."""
        self.points_passed[point] = self.points_passed.get(point, 0) + 1
        for trap in self.traps:
            if trap.point == point:
                trap.count -= 1
                if trap.count == 0 and self.is_alive:
                    self.crash(point)
                    for other in trap.others:
                        if other.is_alive:
                            other.crash()
                    if trap.snapped is not None:
                        trap.snapped.set()
                    raise SimulatedCrash

    async def _live(self, clock: SimulatedClock, life: int) -> None:
        """The process's top."""
        try:
            await self._run(clock)
            raise AssertionError("a member has ended by itself")
        except BaseException as failure:  # noqa: BLE001 (the scenario reports it)
            if self.files.life != life or isinstance(failure, asyncio.CancelledError):
                return  # whatever a dead process says; or the whole run is over
            if self.files.has_failed and _is_only(failure, DiskError):
                self.crash("disk failure")
            elif _is_only(failure, MemberRemovedError):
                self.let_go()
            elif self.is_joining and _is_only(failure, ConfigError):
                self.crash("not joined")  # nobody answered; it is started again
            else:
                self._host.failed(self, failure)

    async def _run(self, clock: SimulatedClock) -> None:
        introducer = SimulatedIntroducer(self._host.wire, self.member_id, self.process)
        files = LifeFiles(self.files)
        boot = await bootstrap(files, self._settings, introducer)
        self.is_joining = False
        assert boot.spec.member_id == self.member_id
        transport = SimulatedTransport(self._host.wire, self.member_id, self.process, self._pass)
        self._transport = transport
        seams = Seams(clock, files, transport, Random(self._random.getrandbits(64)))
        async with asyncio.TaskGroup() as tasks:
            member = Member(self._settings, boot.spec, seams, tasks, segment_bytes=_SEGMENT_BYTES)
            self._look_at(member)
            self.member, self.listener = member, Listener(member.services, self.process)
            await member.run()

    def _look_at(self, member: Member) -> None:
        node, is_current = member.node, self._is_current(self.files.life)
        node.log_window = ShortLogWindow(())
        state = node.raft.state
        state.config = msgspec.structs.replace(
            state.config, append_bytes_max=self._append_bytes_max
        )
        machine = node.machine

        def observe() -> None:
            nonlocal machine
            if not is_current():
                raise SimulatedCrash
            if node.machine is not machine:
                machine = node.machine
                self.installs += 1
            self._host.observe(self)

        node.on_applied.append(observe)
        node.on_leader_change.append(observe)
        node.on_tick.append(lambda _: self._host.ticked(self))

    def _is_current(self, life: int) -> Callable[[], bool]:
        return lambda: self.files.life == life


def _is_only(failure: BaseException, kind: type[OperatorError]) -> bool:
    """Tell whether nothing but this has ended a process."""
    if isinstance(failure, BaseExceptionGroup):
        return failure.split(kind)[1] is None
    return isinstance(failure, kind)
