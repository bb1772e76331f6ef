"""What a property test draws of a cluster and of what goes wrong in it: data that prints as code.

Data and what it refuses. How faults are made is `injection`'s, how they are drawn `strategies`'.
"""

import math
from typing import Literal

import msgspec

from kvstore.server.points import POINTS

MEMBERS_MAX = 7  # beyond, etcd advises against it
LOSS_MAX = 0.3  # of frames, all the time; with many more no election ends
PASSES_MAX = 100

Target = int | Literal["leader"]
"""A member by its position, or whoever leads at the moment (if nobody does, the first).

Positions are counted round, so that any schedule fits any cluster: of three members, 4 is the
second.
"""


class Topology(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A cluster as it begins.

    members         how many found it
    seed            of all dice: delays, elections, clocks, disks
    loss            share of frames that vanish without any fault
    snapshot_count  applied entries between two snapshots; 0: the default policy

    Raises ValueError for a cluster that cannot be.
    """

    members: int = 3
    seed: int = 0
    loss: float = 0.0
    snapshot_count: int = 0

    def __post_init__(self) -> None:
        _require(1 <= self.members <= MEMBERS_MAX, f"`members` must be 1 to {MEMBERS_MAX}")
        _require(self.seed >= 0, "`seed` must not be negative")
        _require(0 <= self.loss <= LOSS_MAX, f"`loss` must be 0 to {LOSS_MAX}")
        _require(self.snapshot_count >= 0, "`snapshot_count` must not be negative")


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """A member loses power, and starts again at the end."""

    member: Target

    def __post_init__(self) -> None:
        _require_target(self.member)


class PowerCut(msgspec.Struct, frozen=True, kw_only=True):
    """All members lose power, and start again at the end."""


class CrashAtPoint(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A member loses power when it passes an I/O point, if it does so in time.

    point   one of `kvstore.server.points.POINTS`
    passes  at which pass of it from now
    others  how many members lose power with it, those at the next positions
    """

    member: Target
    point: str
    passes: int = 1
    others: int = 0

    def __post_init__(self) -> None:
        _require_target(self.member)
        _require(self.point in POINTS, f"`point` must be one of {', '.join(POINTS)}")
        _require(1 <= self.passes <= PASSES_MAX, f"`passes` must be 1 to {PASSES_MAX}")
        _require(0 <= self.others < MEMBERS_MAX, f"`others` must be 0 to {MEMBERS_MAX - 1}")


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A member stands still, as between SIGSTOP and SIGCONT."""

    member: Target

    def __post_init__(self) -> None:
        _require_target(self.member)


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """A member neither hears the others nor is heard by them; clients reach it."""

    member: Target

    def __post_init__(self) -> None:
        _require_target(self.member)


class CutOneWay(msgspec.Struct, frozen=True, kw_only=True):
    """A member is not heard by the others ("out"), or does not hear them ("in")."""

    member: Target
    way: Literal["out", "in"]

    def __post_init__(self) -> None:
        _require_target(self.member)
        _require(self.way in ("out", "in"), '`way` must be "out" or "in"')


class CutBetween(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A member and the one at the next position lose each other; all others see both.

    is_one_way  only the second does not hear the first
    """

    member: Target
    is_one_way: bool = False

    def __post_init__(self) -> None:
        _require_target(self.member)


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The smaller half of the cluster, a member and those at the next positions, is cut off."""

    member: Target

    def __post_init__(self) -> None:
        _require_target(self.member)


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A share of all frames vanishes."""

    share: float

    def __post_init__(self) -> None:
        _require(0 <= self.share <= 1, "`share` must be 0 to 1")


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A frame travels for up to so many seconds, each for its own time."""

    seconds_max: float

    def __post_init__(self) -> None:
        _require_seconds("seconds_max", self.seconds_max)


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """What a member sends to the others ("out"), or they to it ("in"), arrives at the end only."""

    member: Target
    way: Literal["out", "in"]

    def __post_init__(self) -> None:
        _require_target(self.member)
        _require(self.way in ("out", "in"), '`way` must be "out" or "in"')


class ContestedElection(msgspec.Struct, frozen=True, kw_only=True):
    """Two campaign at once, and the voter that decides dies; see `simulation.contest`.

    seed  of its luck
    """

    seed: int = 0


class LastCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A quorum loses power right after it has acknowledged; see `simulation.last_copy`.

    seed  of its luck
    """

    seed: int = 0


class LateAck(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement waits for the disk until another leads; see `simulation.late_ack`.

    seed  of its luck
    """

    seed: int = 0


class Reconnections(msgspec.Struct, frozen=True, kw_only=True):
    """A member's connections are made anew at the beginning and at the end."""

    member: Target

    def __post_init__(self) -> None:
        _require_target(self.member)


class SlowDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A member's syncs take so many seconds each."""

    member: Target
    sync_seconds: float

    def __post_init__(self) -> None:
        _require_target(self.member)
        _require_seconds("sync_seconds", self.sync_seconds)


class BrokenDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A member's n-th sync from now fails, which ends it; it starts again at the end."""

    member: Target
    syncs_until_error: int

    def __post_init__(self) -> None:
        _require_target(self.member)
        is_counted = 1 <= self.syncs_until_error <= PASSES_MAX
        _require(is_counted, f"`syncs_until_error` must be 1 to {PASSES_MAX}")


class MembershipChanges(msgspec.Struct, frozen=True, kw_only=True):
    """An operator adds, promotes and removes members, one after the other (but for a cluster of
    one, which stays alone)."""


Fault = (
    Crash
    | PowerCut
    | CrashAtPoint
    | Pause
    | CutOff
    | CutOneWay
    | CutBetween
    | Split
    | Loss
    | Delay
    | Stall
    | ContestedElection
    | LastCopy
    | LateAck
    | Reconnections
    | SlowDisk
    | BrokenDisk
    | MembershipChanges
)
"""What can go wrong. It says nothing about when."""


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and its time, in simulated seconds since the cluster first served.

    Raises ValueError for a time that cannot be.
    """

    at_seconds: float
    for_seconds: float
    fault: Fault

    def __post_init__(self) -> None:
        _require_seconds("at_seconds", self.at_seconds)
        _require_seconds("for_seconds", self.for_seconds)
        _require(isinstance(self.fault, Fault), f"`fault` must be one, not {self.fault!r}")


Schedule = tuple[Episode, ...]
"""All that goes wrong in one run; episodes may overlap, in any order."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _require_target(member: Target) -> None:
    is_target = member == "leader" or (isinstance(member, int) and member >= 0)
    _require(is_target, f'`member` must be a position (0 = the first) or "leader", not {member!r}')


def _require_seconds(name: str, seconds: float) -> None:
    _require(math.isfinite(seconds) and seconds >= 0, f"`{name}` must be a time, not {seconds}")
