"""What a run plays on: members, and what their network, disks and clocks run on.

Built for what the chosen faults need, nothing more: members on loopback with their data in one
folder, or each with a network namespace, a disk, a clock of its own.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from enum import Enum
from pathlib import Path
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import ConfigError
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import (
    DIES_WITH_STARTER,
    ETCD,
    KEELSON,
    ClusterProcesses,
    MemberProcess,
    MemberStartError,
)
from kvstore.testing.rigs import clocks, disks, networks
from kvstore.testing.rigs.clocks import JumpingClock
from kvstore.testing.rigs.disks import PowerDisk
from kvstore.testing.rigs.networks import Networks
from kvstore.testing.rigs.requirements import missing

MEMBERS = 3
SERVING_SECONDS_MAX = 60.0
CLIENTS = "clients"
_POLL_SECONDS = 0.02
DISK_FAILED = "Input/output error"  # a member's last words when a sync has failed
SMALL_KEELSON = (sys.executable, "-m", "kvstore.testing.torture.small_member")
UNSYNCED_KEELSON = (sys.executable, "-m", "kvstore.testing.torture.unsynced_member")
_PAUSED_SECONDS_MAX = 10.0
_DISK_BYTES = 1024 * 1024 * 1024  # WAL segments of 64 MiB, a few snapshots; the image is sparse


class Need(Enum):
    """Something of the machine that a fault cannot do without."""

    NETWORKS = "networks"
    DISKS = "disks"
    SYNCS = "syncs"
    CLOCK = "clock"
    SMALL_SEGMENTS = "small segments"


def require_setpriv() -> None:
    """Raise ConfigError without it: members would outlive a run that is killed."""
    if shutil.which(DIES_WITH_STARTER[0]) is None:
        raise ConfigError(
            f"{DIES_WITH_STARTER[0]} is not installed: members end by it when the run is killed "
            "(apt-get install util-linux)"
        )


def missing_for(need: Need) -> str:
    """Why it cannot be had here; empty when it can."""
    match need:
        case Need.NETWORKS:
            return missing(networks.PROGRAMS)
        case Need.DISKS:
            return missing(disks.POWER_PROGRAMS)
        case Need.SYNCS:
            return missing(disks.SYNC_PROGRAMS)
        case Need.CLOCK:
            return clocks.missing()
        case Need.SMALL_SEGMENTS:
            return ""


class Slot(msgspec.Struct, kw_only=True):
    """A place where a member runs: another one may take it later, with the same client port."""

    name: str
    member: MemberProcess
    disk: PowerDisk | None = None


class Scene:
    """A running cluster, for faults to play on."""

    def __init__(
        self,
        cluster: ClusterProcesses,
        slots: Sequence[Slot],
        *,
        seed: int,
        network: Networks | None,
        clock: JumpingClock | None,
        undoing: contextlib.ExitStack,
    ) -> None:
        self.cluster = cluster
        self.slots = tuple(slots)
        self.seed = seed
        self.random = Random(seed)
        self._network = network
        self._clock = clock
        self.undoing = undoing
        """What must be undone when a fault is cut short, by an error or an interrupt."""
        self._turns: Counter[str] = Counter()

    @property
    def network(self) -> Networks:
        """For faults that need NETWORKS. Links go by the names of slots, and `CLIENTS`."""
        assert self._network is not None
        return self._network

    @property
    def clock(self) -> JumpingClock:
        """For faults that need CLOCK: the one of all members."""
        assert self._clock is not None
        return self._clock

    @property
    def members(self) -> list[MemberProcess]:
        """All members, running or not."""
        return [slot.member for slot in self.slots]

    def turn(self, name: str) -> int:
        """How often it was asked for before: for what is done in turn over all rounds."""
        self._turns[name] += 1
        return self._turns[name] - 1

    def slot_of(self, member: MemberProcess) -> Slot:
        """Where a member runs."""
        return next(slot for slot in self.slots if slot.member is member)

    async def leader(self) -> MemberProcess:
        """Wait for the leader. Raises ViolationError when none comes."""
        try:
            async with asyncio.timeout(SERVING_SECONDS_MAX):
                while True:
                    leader = await asyncio.to_thread(self.cluster.leader)
                    if leader is not None:
                        return leader
        except TimeoutError:
            raise ViolationError(f"no leader for {SERVING_SECONDS_MAX} s") from None

    async def follower(self, leader: MemberProcess | None = None) -> MemberProcess:
        """One that is not the leader (None: whoever leads now)."""
        leader = leader or await self.leader()
        return self.random.choice([member for member in self.members if member is not leader])

    async def stepped_down(self, member: MemberProcess) -> float:
        """Seconds until a member no longer takes itself for the leader. ViolationError: never."""
        begun = time.monotonic()
        while True:
            status = await asyncio.to_thread(member.status)
            seconds = time.monotonic() - begun
            if status is not None and status.leader != status.header.member_id:
                return seconds
            if seconds > SERVING_SECONDS_MAX:
                raise ViolationError(f"{member.name} takes itself for the leader after {seconds} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def term(self) -> int:
        """The newest term that a member knows."""
        statuses = await asyncio.gather(
            *(asyncio.to_thread(m.status) for m in self.members if m.is_running)
        )
        return max((status.raftTerm for status in statuses if status is not None), default=0)

    def start(self, member: MemberProcess) -> None:
        """Start a member that was stopped or killed, or whose end was taken.

        In this thread: a member lives no longer than the thread that has started it.
        """
        self.require_alive()
        self.cluster.start_member(member)

    def join(self, member: MemberProcess) -> None:
        """Start a member that the cluster knows already, among those that are here."""
        self.require_alive()
        self.cluster.join(member)

    async def stop(self, member: MemberProcess) -> None:
        """SIGTERM a member: a leader hands its leadership over first.

        Raises ViolationError when it had ended before, or does not end well.
        """
        self.require_alive()
        status = await asyncio.to_thread(member.stop)
        # etcd hands the signal on to itself when it is done.
        well = -signal.SIGTERM if member.program == ETCD else 0
        if status != well:
            raise _ended_wrongly(member, status, f"to end with status {well} after SIGTERM")

    def kill(self, member: MemberProcess) -> None:
        """SIGKILL a member. Raises ViolationError when it had ended before."""
        self.require_alive()
        _require_killed(member, member.kill())

    def kill_all(self) -> None:
        """SIGKILL every member at once. Raises ViolationError when one had ended before."""
        self.require_alive()
        for member, status in zip(self.members, self.cluster.kill(), strict=True):
            _require_killed(member, status)

    def kill_without_disk(self, members: Sequence[MemberProcess]) -> None:
        """SIGKILL members whose disk has just failed, as they know or do not know yet.

        Raises ViolationError when one has ended of anything else.
        """
        for member in members:
            if member.is_running:
                member.signal(signal.SIGKILL)
        for member in members:
            status = member.kill()
            if status != -signal.SIGKILL and not (status == 1 and DISK_FAILED in member.log()):
                raise _ended_wrongly(member, status, f"to end of SIGKILL or {DISK_FAILED!r}")

    def take_end(self, member: MemberProcess, *, status: int, words: str) -> None:
        """A member has ended by itself as its fault wanted it, with such words in its log.

        Raises ViolationError when it runs, or has ended otherwise.
        """
        wanted = f"to end with status {status} and {words!r} in its log"
        found = member.exit_status
        if found is None:
            raise ViolationError(f"{member.name} runs; it ought {wanted}")
        if found != status or words not in member.log():
            raise _ended_wrongly(member, found, wanted)
        member.kill()

    def require_alive(self) -> None:
        """Raise ViolationError about a member that has ended although nobody wanted it to."""
        for member in self.members:
            if member.exit_status is not None:
                raise _ended_wrongly(member, member.exit_status, "to go on")

    async def pause(self, member: MemberProcess) -> None:
        """SIGSTOP a member, and wait until it stands still. Raises ViolationError: never."""
        self.require_alive()
        member.pause()
        deadline = time.monotonic() + _PAUSED_SECONDS_MAX
        while not member.is_paused:
            if time.monotonic() > deadline:
                raise ViolationError(f"{member.name} goes on {_PAUSED_SECONDS_MAX} s after SIGSTOP")
            await asyncio.sleep(_POLL_SECONDS)

    async def serves(self, member: MemberProcess) -> bool:
        """Wait until a member serves; False when it has ended by itself."""
        try:
            await asyncio.to_thread(
                self.cluster.wait_ready, [member], timeout_seconds=SERVING_SECONDS_MAX
            )
        except MemberStartError:
            if member.exit_status is None:
                raise
            return False
        return True

    async def ended(self, member: MemberProcess, *, seconds_max: float) -> bool:
        """Wait until a process has ended by itself; False when it has not in time."""
        return await asyncio.to_thread(member.ends_within, seconds_max)

    async def wait_ready(self) -> None:
        """Wait until every member serves, under one leader."""
        await asyncio.to_thread(self.cluster.wait_ready, timeout_seconds=SERVING_SECONDS_MAX)

    def connect(self) -> client.Client:
        """A client for changes of the membership and the like; the caller closes it."""
        return client.connect(self.cluster.endpoints)


@contextlib.contextmanager
def built(
    folder: Path, program: Sequence[str], flags: Sequence[str], needs: Set[Need], seed: int
) -> Iterator[Scene]:
    """A fresh cluster in `folder`, on rigs as needed; everything is removed at the end.

    From then on the calling thread, and whatever it starts, reaches the members' addresses only.
    Members die with the calling thread. Raises RigError and MemberStartError.
    """
    with contextlib.ExitStack() as stack:
        if Need.SMALL_SEGMENTS in needs and program == KEELSON:
            program = SMALL_KEELSON
        cluster = ClusterProcesses(program, folder, count=MEMBERS, flags=flags)
        slots = [Slot(name=member.name, member=member) for member in cluster.members]
        for slot in slots:
            slot.member.command_prefix = DIES_WITH_STARTER
        network = clock = None
        if Need.NETWORKS in needs:
            network = stack.enter_context(Networks([*(slot.name for slot in slots), CLIENTS]))
            for slot in slots:
                slot.member.address = network.address_of(slot.name)
                slot.member.command_prefix += tuple(network.command_prefix(slot.name))
        if Need.DISKS in needs:
            for slot in slots:
                disk_folder = folder / f"{slot.name}.disk"
                slot.disk = stack.enter_context(PowerDisk(disk_folder, _DISK_BYTES))
                slot.member.data_folder = slot.disk.path / slot.member.data_folder.name
        if Need.CLOCK in needs:
            clock = JumpingClock(folder)
        if network is not None:
            stack.enter_context(network.entered(CLIENTS))
        stack.callback(cluster.kill)
        undoing = stack.enter_context(contextlib.ExitStack())
        cluster.start()
        yield Scene(cluster, slots, seed=seed, network=network, clock=clock, undoing=undoing)


def _require_killed(member: MemberProcess, status: int) -> None:
    if status != -signal.SIGKILL:
        raise _ended_wrongly(member, status, "to be killed by SIGKILL")


def _ended_wrongly(member: MemberProcess, status: int, wanted: str) -> ViolationError:
    return ViolationError(
        f"{member.name} has ended with status {status}; it ought {wanted}:\n{member.log_tail()}"
    )
