"""What faults are about: members of any store that have a simulated disk and network.

Ours is one; another store that is to be put to the same faults is another.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from kvstore.raft.types import Role
from kvstore.testing.simulation.disk import SimulatedFiles
from kvstore.testing.simulation.network import Network
from kvstore.testing.simulation.process import Process


class Victim(Protocol):
    """A member over all its lives."""

    member_id: int
    is_joining: bool
    """It was added to the running cluster, and somebody else starts it until it has begun."""
    is_removed: bool
    """It was removed for good, and is not started again."""
    files: SimulatedFiles
    """Its disk, which outlives it."""
    process: Process
    """Its life under way."""
    traps: "list[Trap]"

    @property
    def is_alive(self) -> bool:
        """Tell whether it was started and has not died since."""

    @property
    def role(self) -> Role | None:
        """In its life now, if it has begun."""

    def start(self) -> None:
        """Begin a life."""

    def crash(self, cause: str = "") -> None:
        """Power off."""

    def campaign(self) -> None:
        """Its election timeout has run out, as bad luck wants it."""

    def be_patient(self) -> None:
        """Its dice have given the longest election timeout."""


class Victims(Protocol):
    """A cluster of them."""

    @property
    def network(self) -> Network:
        """What joins them."""

    @property
    def members(self) -> Sequence[Victim]:
        """Those that were not removed, dead or alive."""

    def leader(self) -> Victim | None:
        """Whoever leads now, as far as can be told."""


class Trap(msgspec.Struct, eq=False):
    """Kills its member when it passes a point for the `count`-th time from now."""

    point: str
    count: int = 1
    others: "tuple[Victim, ...]" = ()
    """Those that lose power at the same moment."""
    snapped: asyncio.Event | None = None
    """Set when it has happened."""
