"""One life of one PySyncObj member: its code, ticked by the simulated clock.

Ticks come as its own thread would make them: once a period, and at once when something arrives. An
error is logged and forgotten there too, so it does not end the process; one at the start does.
"""

from collections.abc import Callable, Set
from functools import partial
from random import Random
from typing import Protocol

from kvstore.testing.pysyncobj.doors import Doors
from kvstore.testing.pysyncobj.moments import SENT
from kvstore.testing.pysyncobj.program_files import ProgramFiles
from kvstore.testing.pysyncobj.store import Answer, ReplicatedStore
from kvstore.testing.pysyncobj.transport import Member, SimulatedTransport, Wire
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.process import Process, SimulatedCrash

_TICK_SECONDS = 0.05  # PySyncObj's default for its own thread
# What its own work takes, generously: some of its loops end only when the time for them is over,
# and flood the others until then.
_LOOK_SECONDS = 0.0001
_SEND_SECONDS = 0.005

OnAnswer = Callable[[Answer | None, int], None]


class Owner(Protocol):
    """The member that lives this life."""

    def passes(self, moment: str) -> None:
        """It is about to pass a moment; may die there and raise SimulatedCrash."""

    def ended(self, error: Exception) -> None:
        """It could not start."""

    def erred(self, error: Exception) -> None:
        """PySyncObj has raised, and goes on."""


class Life:
    """From the start of a process to its death. See `doors.Surroundings` and `transport.Life`."""

    def __init__(
        self, owner: Owner, doors: Doors, clock: SimulatedClock, process: Process, random: Random
    ) -> None:
        self.store: ReplicatedStore | None = None
        self.files: ProgramFiles
        self.is_over = False
        self._owner = owner
        self._doors = doors
        self._clock = clock
        self._process = process
        self._random = random
        self._seen_at = 0.0
        self._is_deferred = False
        self._transport: SimulatedTransport | None = None

    def now(self) -> float:
        """Monotonic local seconds, a little later with each look."""
        self._seen_at = max(self._clock.now(), self._seen_at + _LOOK_SECONDS)
        return self._seen_at

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._random.random()

    def passes(self, moment: str) -> None:
        """See `Owner.passes`."""
        if self.is_over:
            raise SimulatedCrash
        if moment == SENT:
            self._seen_at += _SEND_SECONDS
        self._owner.passes(moment)

    def begin(
        self,
        files: ProgramFiles,
        wire: Wire,
        member: Member,
        others: Set[Member],
        snapshot_count: int,
    ) -> None:
        """Start PySyncObj, on what it finds on the disk."""
        if self.is_over:
            return
        self.files = files
        try:
            with self._doors.inside(self):
                self.store = ReplicatedStore(
                    member,
                    others,
                    partial(self._make_transport, wire),
                    snapshot_count=snapshot_count,
                )
        except SimulatedCrash:
            assert self.is_over
            return
        except AssertionError:
            raise  # it is ours: the run fails
        except Exception as error:  # noqa: BLE001 (PySyncObj's top: it is a finding)
            self._owner.ended(error)
            return
        if self.is_over:  # it has swallowed its own death
            self.store = None
            return
        self._clock.call_later(_TICK_SECONDS, self._tick)

    def end(self) -> None:
        """Die."""
        self.is_over = True
        self.store = None
        if self._transport is not None:
            self._transport.abort()

    def run(self, callback: Callable[[], None]) -> None:
        """Run PySyncObj's code, unless the life is over."""
        if self.is_over:
            return
        try:
            with self._doors.inside(self):
                callback()
        except SimulatedCrash:
            assert self.is_over
        except AssertionError:
            raise  # it is ours: the run fails
        except Exception as error:  # noqa: BLE001 (as PySyncObj's own thread: it goes on)
            self._owner.erred(error)

    def later(self, callback: Callable[[], None]) -> None:
        """As `run`, once the process may run."""
        self._process.run(partial(self.run, callback))

    def arrived(self, callback: Callable[[], None]) -> None:
        """As `run`, with a tick behind it: something has come for PySyncObj.

        It reads what is there and ticks, and messages take longer to make than to read: so each
        is read alone, but for those that have come while the process stood still.
        """
        self.run(callback)
        self._turn()

    def _make_transport(
        self, wire: Wire, sync_obj: ReplicatedStore, member: Member, others: set[Member]
    ) -> SimulatedTransport:
        self._transport = SimulatedTransport(wire, self, sync_obj, member, others)
        return self._transport

    def _tick(self) -> None:
        if not self.is_over:
            self._clock.call_later(_TICK_SECONDS, self._tick)
            self._turn()

    def _turn(self) -> None:
        """Let PySyncObj do what is due, behind all that has come meanwhile."""
        if self._process.is_running:
            if self.store is not None:
                self.run(self.store.doTick)
        elif not self._is_deferred:
            self._is_deferred = True  # one at a time, or two would wait for each other
            self._process.run(self._go_on)

    def _go_on(self) -> None:
        self._is_deferred = False
        self._turn()
