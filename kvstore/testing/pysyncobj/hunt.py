"""Seeds in a row until PySyncObj is caught: what the suite of faults is worth.

Only broken promises about what is stored count. That it does not serve any more, or raises, is a
finding too, but no catch.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from kvstore.testing.pysyncobj import scenario
from kvstore.testing.pysyncobj.scenario import Plan, Report


class Catch(NamedTuple):
    """The first seed that has caught it."""

    seed: int
    text: str
    """The finding."""
    seconds: float
    """Real ones, for all seeds up to this one."""


def first_caught(first_seed: int, seeds: int, plan: Plan | None = None) -> Catch | None:
    """Run `seeds` seeds from `first_seed` on, up to the first that catches it; None = none does."""
    started = time.monotonic()
    for report in reports(first_seed, seeds, plan):
        finding = report.finding
        if finding is not None and finding.is_safety:
            text = f"{finding.kind}: {finding.text}"
            return Catch(report.seed, text, time.monotonic() - started)
    return None


def reports(first_seed: int, seeds: int, plan: Plan | None = None) -> Iterator[Report]:
    """All seeds, one after the other."""
    for seed in range(first_seed, first_seed + seeds):
        yield scenario.run(seed, plan)
