"""One PySyncObj member over all its lives: the disk stays, all else dies with a crash.

It has the surface that faults work on (`simulation.victims`). What cannot happen to it as it does
to ours happens at the moment that matches it: it never syncs, so a slow disk costs it nothing, and
a disk that fails ends the process when it has written, where ours ends when it syncs.
"""

import asyncio
from collections import Counter
from functools import partial
from random import Random
from typing import Protocol

from kvstore.raft.types import Role
from kvstore.testing.pysyncobj.doors import Doors
from kvstore.testing.pysyncobj.life import Life, OnAnswer
from kvstore.testing.pysyncobj.moments import MOMENT_OF, WRITTEN, moment_of
from kvstore.testing.pysyncobj.program_files import ProgramFiles
from kvstore.testing.pysyncobj.store import Answer, ReplicatedStore
from kvstore.testing.pysyncobj.transport import Member, Wire
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.disk import SimulatedCrash, SimulatedFiles
from kvstore.testing.simulation.process import Process
from kvstore.testing.simulation.victims import Trap

_CLOCK_SKEW_MAX = 0.01
_ROLES = (Role.FOLLOWER, Role.CANDIDATE, Role.LEADER)  # in PySyncObj's numbers
_WRITE_BACK_SECONDS = 30.0  # Linux writes back what is that old (vm.dirty_expire_centisecs)


class Host(Protocol):
    """What a member needs of its cluster, and what it tells it."""

    wire: Wire
    doors: Doors
    snapshot_count: int
    is_power_kept: bool
    """A crash is kill -9: what was written is the kernel's, and survives."""

    def died(self, member: "ControlMember", cause: str) -> None:
        """A life has ended."""

    def erred(self, member: "ControlMember", error: Exception, *, is_fatal: bool) -> None:
        """PySyncObj has raised."""


class ControlMember:
    """The member of one data folder."""

    def __init__(self, host: Host, number: int, size: int, random: Random) -> None:
        self.member_id = number
        self.is_removed = False
        self.is_joining = False
        self.files = SimulatedFiles(Random(random.getrandbits(64)), SimulatedClock())
        self.files.hook = lambda operation, path: self.passes(moment_of(operation, path))
        self.process = Process()
        self.traps: list[Trap] = []
        self.passed: Counter[str] = Counter()
        """How often it has passed each moment."""
        self._host = host
        self._random = random
        self._members = frozenset(Member(other) for other in range(1, size + 1))
        self._life: Life | None = None

    @property
    def is_alive(self) -> bool:
        """Tell whether it was started and has not died since."""
        return self._life is not None

    @property
    def role(self) -> Role | None:
        """In its life now, if it has begun."""
        return None if self.store is None else _ROLES[self.store.role_number()]

    @property
    def store(self) -> ReplicatedStore | None:
        """Its copy, while it lives."""
        return self._life.store if self._life is not None else None

    def start(self) -> None:
        """Begin a life."""
        assert self._life is None, "it lives already"
        self.process = Process()
        skew = (self._random.random() - 0.5) * 2 * _CLOCK_SKEW_MAX
        offset = self._random.random() * 1000
        clock = SimulatedClock(rate=1 + skew, offset=offset, process=self.process)
        self.files.clock = clock
        self._host.wire.network.processes[self.member_id] = self.process
        life = Life(
            self, self._host.doors, clock, self.process, Random(self._random.getrandbits(64))
        )
        self._life = life
        member = Member(self.member_id)
        begin = partial(
            life.begin,
            ProgramFiles(self.files),
            self._host.wire,
            member,
            self._members - {member},
            self._host.snapshot_count,
        )
        loop = asyncio.get_running_loop()
        loop.call_soon(self.process.run, begin)
        loop.call_later(_WRITE_BACK_SECONDS * self._random.random(), self._write_back, life)

    def crash(self, cause: str = "") -> None:
        """Power off: what the kernel has not written back may be lost."""
        assert self._life is not None, "it is dead already"
        self._host.wire.network.note(f"crash {self.member_id} {cause}")
        life, self._life = self._life, None
        del self._host.wire.network.processes[self.member_id]
        self.process.die()
        life.end()
        if self._host.is_power_kept:
            self.files.write_back()
        self.files.crash()
        self._host.died(self, cause)

    def campaign(self) -> None:
        """Its election timeout has run out, as bad luck wants it."""
        if self._life is not None and self.store is not None and self.process.is_running:
            self._life.arrived(self.store.campaign)

    def be_patient(self) -> None:
        """Its dice are its own: they are left as they fall."""

    def call(self, name: str, arguments: tuple[object, ...], on_answer: OnAnswer) -> None:
        """What a client asks for."""
        life = self._life
        if life is not None and life.store is not None:
            method = getattr(life.store, name)

            def on_result(answer: Answer | None, reason: int) -> None:
                if not life.is_over:
                    on_answer(answer, reason)

            life.run(partial(method, *arguments, callback=on_result))

    # ------------------------------------------------------------------ what its life tells

    def passes(self, moment: str) -> None:
        """Here is where traps snap."""
        self.passed[moment] += 1
        if moment == WRITTEN:
            self._count_write()
        for trap in self.traps:
            if MOMENT_OF[trap.point] == moment:
                trap.count -= 1
                if trap.count == 0 and self.is_alive:
                    self.crash(trap.point)
                    for other in trap.others:
                        if other.is_alive:
                            other.crash()
                    if trap.snapped is not None:
                        trap.snapped.set()
                    raise SimulatedCrash

    def ended(self, error: Exception) -> None:
        """See `Owner.ended`."""
        self._host.erred(self, error, is_fatal=True)
        self.files.write_back()  # the process has ended, and the kernel goes on
        self.crash("it does not start")

    def erred(self, error: Exception) -> None:
        """See `Owner.erred`."""
        self._host.erred(self, error, is_fatal=False)

    def _count_write(self) -> None:
        if self.files.syncs_until_error is None:
            return
        self.files.syncs_until_error -= 1
        if not self.files.syncs_until_error and self.is_alive:
            self.crash("disk failure")
            raise SimulatedCrash

    def _write_back(self, life: Life) -> None:
        if not life.is_over:
            self.files.write_back()
            loop = asyncio.get_running_loop()
            loop.call_later(_WRITE_BACK_SECONDS, self._write_back, life)
