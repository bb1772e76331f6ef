"""The network between simulated processes: delay, loss, cuts, stalls, reconnections.

One link per ordered pair of processes, in order as TCP is. A frame arrives whole and at most
once, or not at all: what `PeerTransport` promises and no more. Each may be lost alone. When a
connection is replaced by a new one, what is still under way on the old one is lost: the production
transport aborts it, so nothing of it can come late or twice. (That the core bears repeated and
overtaking messages all the same is shown by the schedules in tests/kvstore/raft.)
"""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from kvstore.testing.simulation.process import Process
from kvstore.testing.simulation.worst import Worst

Link = tuple[int, int]
"""Sender and receiver."""

_DELAY_SECONDS_MAX = 0.002  # of a network without faults
_SPACING_SECONDS = 1e-6


class Witness(Protocol):
    """Sees what travels; must not change anything."""

    def travelled(
        self, link: Link, data: bytes, *, sent_at: float, at: float, is_lost: bool
    ) -> None:
        """A message has arrived, or was lost."""


class Network:
    """All links. `trace` sees everything that arrives."""

    def __init__(
        self, random: Random, *, loss: float = 0.0, witness: Witness | None = None
    ) -> None:
        """`loss`: share of frames that vanish without any fault."""
        self.loss = Worst(loss)
        self.delay_seconds_max = Worst(_DELAY_SECONDS_MAX)
        self.processes: dict[int, Process] = {}
        """The lives under way of those processes that can stand still or die."""
        self.trace = hashlib.sha256()
        self.delivered = 0
        self.lost = 0
        self._witness = witness
        self._random = random
        self._cut: Counter[Link] = Counter()
        self._arrivals: dict[Link, float] = {}  # latest arrival per link
        self._connections: Counter[Link] = Counter()  # how often each was made anew
        self._stalls: Counter[Link] = Counter()
        self._held: dict[Link, deque[Callable[[], None]]] = {}  # arrivals, while a link stalls

    def cut(self, link: Link) -> None:
        """Nothing gets through any more; cuts add up."""
        self._cut[link] += 1

    def mend(self, link: Link) -> None:
        """Undo one cut."""
        self._cut[link] -= 1
        if not self._cut[link]:
            del self._cut[link]

    def is_cut(self, link: Link) -> bool:
        """Tell whether the way from its first to its second process is cut."""
        return link in self._cut

    def stall(self, link: Link) -> None:
        """Hold what is under way, as TCP does that sends again and again; stalls add up."""
        self._stalls[link] += 1
        self._held.setdefault(link, deque())

    def release(self, link: Link) -> None:
        """Undo one stall; behind the last one all that was held arrives, in its order."""
        self._stalls[link] -= 1
        if not self._stalls[link]:
            del self._stalls[link]
            asyncio.get_running_loop().call_soon(self._catch_up, link)

    def _catch_up(self, link: Link) -> None:
        if link in self._stalls or link not in self._held:
            return  # it stalls again, or it has caught up already
        held = self._held[link]
        if not held:
            del self._held[link]
            return
        asyncio.get_running_loop().call_soon(self._catch_up, link)
        held.popleft()()

    def reconnect(self, link: Link) -> None:
        """A new connection replaces the old one: what is under way is lost."""
        self._connections[link] += 1

    def connections(self, link: Link) -> int:
        """How often the connection was made anew."""
        return self._connections[link]

    def delay_seconds(self) -> float:
        """How long one message travels."""
        return self._random.random() * self.delay_seconds_max.now

    def deliver(
        self, link: Link, data: bytes, arrive: Callable[[], None], lose: Callable[[], None]
    ) -> None:
        """Let `arrive` run after a delay, behind all that was sent before; or `lose`.

        A receiver that stands still gets it once it goes on.
        """
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        if link in self._cut or self._random.random() < self.loss.now:
            self._lost(link, data, sent_at)
            loop.call_soon(lose)
            return
        # Strictly later than what was sent before: timers of one moment run in any order.
        earliest = self._arrivals.get(link, 0.0) + _SPACING_SECONDS
        at = max(sent_at + self.delay_seconds(), earliest)
        self._arrivals[link] = at
        connection = self._connections[link]

        def run() -> None:
            held = self._held.get(link)
            if held is None:
                pass_on()
            else:
                held.append(pass_on)

        def pass_on() -> None:
            if link in self._cut or self._connections[link] != connection:
                self._lost(link, data, sent_at)
                lose()
                return
            self.delivered += 1
            self.note(f"{at:.9f} {link}", data)
            receiver = self.processes.get(link[1])
            if receiver is None:
                arrive()
            else:
                receiver.run(arrive, lose)
            if self._witness is not None:
                self._witness.travelled(link, data, sent_at=sent_at, at=at, is_lost=False)

        loop.call_at(at, run)

    def note(self, text: str, data: bytes = b"") -> None:
        """Add something that happened to the trace."""
        self.trace.update(b"%b\0%b" % (text.encode(), data))

    def _lost(self, link: Link, data: bytes, sent_at: float) -> None:
        self.lost += 1
        if self._witness is not None:
            at = asyncio.get_running_loop().time()
            self._witness.travelled(link, data, sent_at=sent_at, at=at, is_lost=True)
