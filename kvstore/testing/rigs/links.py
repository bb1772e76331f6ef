"""One direction of one link: what becomes of a frame. Pure; the dice are the caller's."""

import msgspec

from kvstore.errors import ConfigError
from kvstore.seams import Random

_SECONDS_MAX = 60.0


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a direction: shares are in [0, 1], each frame has its own luck."""

    cut: bool = False
    loss: float = 0.0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    duplication: float = 0.0

    def check(self) -> None:
        """Raises ConfigError for what no link can do."""
        for name, share in (("loss", self.loss), ("duplication", self.duplication)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}: give a share from 0 to 1")
        for name, seconds in (("delay", self.delay_seconds), ("jitter", self.jitter_seconds)):
            if not 0 <= seconds <= _SECONDS_MAX:
                raise ConfigError(f"{name} is {seconds} s: give 0 to {_SECONDS_MAX:g} s")

    def delays(self, dice: Random) -> tuple[float, ...]:
        """When a frame leaves, in seconds from now: never, once or twice."""
        if self.cut or (self.loss and dice.random() < self.loss):
            return ()
        if self.duplication and dice.random() < self.duplication:
            return (self._delay(dice), self._delay(dice))
        return (self._delay(dice),)

    def _delay(self, dice: Random) -> float:
        return self.delay_seconds + self.jitter_seconds * dice.random()


class Counts(msgspec.Struct):
    """How many frames of a direction did not fare as on a good link."""

    dropped: int = 0
    delayed: int = 0
    doubled: int = 0

    def add(self, delays: tuple[float, ...]) -> None:
        """One more frame: what `Faults.delays` says of it."""
        self.dropped += not delays
        self.delayed += any(delays)
        self.doubled += len(delays) > 1

    def plus(self, other: "Counts", times: int = 1) -> "Counts":
        """Of both; `times` -1: of this without the other."""
        return Counts(
            dropped=self.dropped + times * other.dropped,
            delayed=self.delayed + times * other.delayed,
            doubled=self.doubled + times * other.doubled,
        )


GOOD = Faults()
"""A link as it should be."""


class Change(msgspec.Struct, frozen=True):
    """What the switch is told: directions and their faults from now on; all others are good."""

    faults: dict[int, dict[int, Faults]]
    """Source → target → faults, by the number of the port."""


class Answer(msgspec.Struct, frozen=True):
    """What the switch says once a change is in effect."""

    counts: dict[int, dict[int, Counts]]
    """Source → target → what became of frames since the start, by the number of the port."""
