"""The whole control plane, seed by seed."""

import argparse
import time

from controlplane.simulation import report, scenario
from controlplane.simulation.report import Report
from kvstore.testing.simulation import seeds
from kvstore.testing.simulation.seeds import Outcome, Say

SEEDS_FOR_EVERYTHING = 200
"""In so many seeds everything that can go wrong must have happened at least once."""

_COMMAND = "python -m controlplane.simulation"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=_COMMAND,
        description="The whole control plane in a simulation: partitions, crashes, invariants.",
    )
    seeds.add_flags(made, seeds=20)
    return made


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held."""
    if options.seed is not None:
        return _run_one(options.seed, options.jobs, say)
    started = time.monotonic()
    outcomes = seeds.run_many(hold, options, _COMMAND, say)
    if outcomes is None:
        return 1
    reports = [one.report for one in outcomes if one.report is not None]
    sums = report.total(reports)
    say(report.summary(sums))
    missing = report.never_happened(sums)
    if missing:
        say(f"never: {', '.join(missing)}")
    seconds = time.monotonic() - started
    what = f"{len(reports)} of {len(outcomes)} seeds held all promises"
    say(f"{what} ({seconds:.0f} s, {len(outcomes) / seconds:.2f} seeds/s)")
    is_idle = bool(missing) and len(reports) >= SEEDS_FOR_EVERYTHING
    return 1 if len(reports) < len(outcomes) or is_idle else 0


def hold(seed: int) -> Outcome[Report]:
    """Run one seed. Any error is a failure of it."""
    return seeds.tried(seed, scenario.run)


def _run_one(seed: int, jobs: int, say: Say) -> int:
    (outcome,) = seeds.run_all(hold, [seed], jobs)
    if outcome.report is None:
        say(outcome.details + outcome.told(_COMMAND))
        return 1
    say(report.summary(outcome.report))
    say(f"trace hash {outcome.report.trace_hash}")
    return 0
