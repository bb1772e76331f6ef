"""What the story tells, line by line. PURE."""

from collections.abc import Sequence

from cluster.demo.story import Told

_WIDTH = 24
HEADER = f"{'STEP':<{_WIDTH}}{'HEALED AFTER':>13}{'REQUESTS':>10}{'FAILED':>8}  "


def line(told: Told) -> str:
    """A row of the table."""
    counts = f"{told.requests:>10,}{told.failed:>8,}" if told.requests else f"{'-':>10}{'-':>8}"
    return f"{told.name:<{_WIDTH}}{told.seconds:>11.2f} s{counts}  {told.remark}".rstrip()


def ending(faults: Sequence[str]) -> str:
    """The last lines."""
    return "\n".join(faults) if faults else "everything healed, and no update lost a request"
