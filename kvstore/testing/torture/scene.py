"""What a run plays on: members, and what their network, disks and clocks run on.

Built for what the chosen faults need, nothing more: members on loopback with their data in one
folder, or each with a network namespace, a disk, a clock of its own.
"""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from enum import Enum
from pathlib import Path
from random import Random

import msgspec

from kvstore import client
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess
from kvstore.testing.rigs import clocks, disks, networks
from kvstore.testing.rigs.clocks import JumpingClock
from kvstore.testing.rigs.disks import PowerDisk
from kvstore.testing.rigs.networks import Networks
from kvstore.testing.rigs.requirements import missing

MEMBERS = 3
SERVING_SECONDS_MAX = 60.0
CLIENTS = "clients"
_POLL_SECONDS = 0.02
SMALL_KEELSON = (sys.executable, "-m", "kvstore.testing.torture.small_member")
UNSYNCED_KEELSON = (sys.executable, "-m", "kvstore.testing.torture.unsynced_member")
_DISK_BYTES = 512 * 1024 * 1024  # WAL segments of 64 MiB, a few snapshots; the image is sparse


class Need(Enum):
    """Something of the machine that a fault cannot do without."""

    NETWORKS = "networks"
    DISKS = "disks"
    SYNCS = "syncs"
    CLOCK = "clock"
    SMALL_SEGMENTS = "small segments"


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
    ) -> None:
        self.cluster = cluster
        self.slots = tuple(slots)
        self.seed = seed
        self.random = Random(seed)
        self._network = network
        self._clock = clock
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

    async def follower(self) -> MemberProcess:
        """One that is not the leader."""
        leader = await self.leader()
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

    async def start(self, member: MemberProcess) -> None:
        """Start a member that has ended."""
        await asyncio.to_thread(self.cluster.start_member, member)

    async def stop(self, member: MemberProcess) -> None:
        """SIGTERM a member: a leader hands its leadership over first."""
        await asyncio.to_thread(member.stop)

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
    Raises RigError and MemberStartError.
    """
    with contextlib.ExitStack() as stack:
        if Need.SMALL_SEGMENTS in needs and program == KEELSON:
            program = SMALL_KEELSON
        cluster = ClusterProcesses(program, folder, count=MEMBERS, flags=flags)
        slots = [Slot(name=member.name, member=member) for member in cluster.members]
        network = clock = None
        if Need.NETWORKS in needs:
            network = stack.enter_context(Networks([*(slot.name for slot in slots), CLIENTS]))
            for slot in slots:
                slot.member.address = network.address_of(slot.name)
                slot.member.command_prefix = tuple(network.command_prefix(slot.name))
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
        cluster.start()
        yield Scene(cluster, slots, seed=seed, network=network, clock=clock)
