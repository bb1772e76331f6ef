"""What goes wrong besides the store: processes die, stand still, are cut off; clocks jump; machines
lose what they run.

What goes wrong with members, their disks and the network among them is `kvstore`'s.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from controlplane.simulation.nodes import Node
from controlplane.simulation.world import Component, Life, World
from kvstore.testing.simulation.network import Link

SECONDS_MAX = 20.0
LONG_SECONDS = 35.0  # outlasts leases of leaders and of nodes
JUMP_SECONDS_MAX = 40.0
_LONG_SHARE = 0.15


class Fault(Protocol):
    """Something that goes wrong for a while."""

    @property
    def kind(self) -> str:
        """What it is counted as."""

    def begin(self) -> None:
        """Now."""

    def end(self) -> None:
        """Undo it, whatever became of it meanwhile."""


class Crash:
    """Processes are killed, and started again at the end."""

    def __init__(self, kind: str, components: Sequence[Component]) -> None:
        self.kind = kind
        self._components = components

    def begin(self) -> None:
        """See `Fault`."""
        for component in self._components:
            component.kill()

    def end(self) -> None:
        """See `Fault`."""
        for component in self._components:
            component.start()


class Pause:
    """SIGSTOP, then SIGCONT, if it is the same process still."""

    kind = "process stands still"

    def __init__(self, life: Life) -> None:
        self._life = life

    def begin(self) -> None:
        """See `Fault`."""
        self._life.process.pause()

    def end(self) -> None:
        """See `Fault`."""
        self._life.process.resume()


class Cut:
    """A process loses members: its connections break, or, `is_silent`, nothing tells it so."""

    def __init__(self, world: World, links: Sequence[Link], *, is_silent: bool) -> None:
        self.kind = "silent cut" if is_silent else "cut"
        self._network = world.cluster.network
        self._links = links
        self._is_silent = is_silent

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            (self._network.stall if self._is_silent else self._network.cut)(link)

    def end(self) -> None:
        """See `Fault`."""
        for link in self._links:
            (self._network.release if self._is_silent else self._network.mend)(link)


class ClockJump:
    """The wall clock of a machine is wrong."""

    kind = "clock jump"

    def __init__(self, component: Component, seconds: float) -> None:
        self._component = component
        self._seconds = seconds

    def begin(self) -> None:
        """See `Fault`."""
        self._component.skew_seconds += self._seconds

    def end(self) -> None:
        """See `Fault`."""
        self._component.skew_seconds -= self._seconds


class Outage:
    """A machine loses power: all that ran there is gone, and its agent with it."""

    kind = "node loses power"

    def __init__(self, node: Node) -> None:
        self._node = node

    def begin(self) -> None:
        """See `Fault`."""
        self._node.agent.kill()
        self._node.lose_all()

    def end(self) -> None:
        """See `Fault`."""
        self._node.agent.start()


class Accident:
    """One container, or one sandbox, of a node ends by itself."""

    kind = "container ends"

    def __init__(self, random: Random, node: Node) -> None:
        self._random = random
        self._node = node

    def begin(self) -> None:
        """See `Fault`."""
        self._node.end_one(self._random)

    def end(self) -> None:
        """See `Fault`."""


def draw(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    """Any of them, about anybody who lives."""
    kinds = list(_DRAWS)
    (kind,) = random.choices(kinds, [_DRAWS[kind] for kind in kinds])
    return kind(random, world, nodes)


def seconds(random: Random) -> float:
    """Mostly short, so that there are many; some longer than any lease."""
    if random.random() < _LONG_SHARE:
        return LONG_SECONDS * (0.5 + random.random())
    return float(random.random() ** 2) * SECONDS_MAX


async def suffer(random: Random, fault: Fault) -> None:
    """Let it begin, and end at its time, or when it is cancelled."""
    fault.begin()
    try:
        await asyncio.sleep(seconds(random))
    finally:
        fault.end()


def _crash(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    return Crash("process dies", [random.choice(world.components)])


def _crash_all(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    return Crash("all processes die", world.components)


def _alive(random: Random, world: World) -> tuple[Component, Life] | None:
    alive = list(world.alive())
    return random.choice(alive) if alive else None


def _pause(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    victim = _alive(random, world)
    return Pause(victim[1]) if victim else _crash(random, world, nodes)


def _cut(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    victim = _alive(random, world)
    if victim is None:
        return _crash(random, world, nodes)
    member = random.randrange(len(world.cluster.members)) if random.random() < 0.5 else None
    links = world.links(victim[1], member)
    if random.random() < 0.3:
        links = links[::2] if random.random() < 0.5 else links[1::2]  # one way only
    return Cut(world, links, is_silent=random.random() < 0.5)


def _jump(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    return ClockJump(random.choice(world.components), (2 * random.random() - 1) * JUMP_SECONDS_MAX)


def _outage(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    return Outage(random.choice(nodes))


def _accident(random: Random, world: World, nodes: Sequence[Node]) -> Fault:
    return Accident(random, random.choice(nodes))


# How often each comes, relative to the others.
_DRAWS: dict[Callable[[Random, World, Sequence[Node]], Fault], int] = {
    _crash: 8,
    _crash_all: 1,
    _pause: 4,
    _cut: 8,
    _jump: 2,
    _outage: 2,
    _accident: 4,
}
