"""A wall clock that jumps, for the processes that run under it; their monotonic clock does not."""

from pathlib import Path


def missing() -> str:
    """Why no clock can be made to jump here; empty when it can."""
    raise NotImplementedError


class JumpingClock:
    """The wall clock of the processes that were started with `environment()`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where the file goes that says how far the clock is off."""

    def environment(self) -> dict[str, str]:
        """Variables to add to a process's environment at its start."""
        raise NotImplementedError

    def jump(self, seconds: float) -> None:
        """Set the clock to so much after (or, negative, before) the true time; at once."""
