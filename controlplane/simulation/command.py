"""Seeds, in as many processes as there are cores. A failing seed prints the line that repeats it.

The processes are fresh ones with one order of hashes: the code under test goes through sets of
texts here and there, and a seed must repeat exactly.
"""

import argparse
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec

from controlplane.simulation import report, scenario
from controlplane.simulation.report import Report

SEEDS_FOR_EVERYTHING = 200
"""In so many seeds everything that can go wrong must have happened at least once."""

_HASHES = "PYTHONHASHSEED"

Say = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True):
    """Of one seed: its report, or how it failed."""

    seed: int
    report: Report | None = None
    failure: str = ""
    details: str = ""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m controlplane.simulation",
        description="The whole control plane in a simulation: partitions, crashes, invariants.",
    )
    made.add_argument("--seed", type=int, help="one seed, with its trace hash")
    made.add_argument("--first-seed", type=int, default=1)
    made.add_argument("--seeds", type=int, default=20, help="how many (default %(default)s)")
    made.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: one per core)",
    )
    made.add_argument(
        "--until-failure", action="store_true", help="end with the first seed that fails"
    )
    return made


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held."""
    if options.seed is not None:
        return _run_one(options.seed, options.jobs, say)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    started = time.monotonic()
    outcomes = []
    for outcome in _run_all(seeds, options.jobs):
        outcomes.append(outcome)
        if outcome.failure:
            say(_failure(outcome))
            if options.until_failure:
                return 1
    reports = [one.report for one in outcomes if one.report is not None]
    sums = report.total(reports)
    say(report.summary(sums))
    missing = report.never_happened(sums)
    if missing:
        say(f"never: {', '.join(missing)}")
    seconds = time.monotonic() - started
    what = f"{len(reports)} of {len(seeds)} seeds held all promises"
    say(f"{what} ({seconds:.0f} s, {len(seeds) / seconds:.2f} seeds/s)")
    is_idle = bool(missing) and len(reports) >= SEEDS_FOR_EVERYTHING
    return 1 if len(reports) < len(seeds) or is_idle else 0


def hold(seed: int) -> Outcome:
    """Run one seed. Any error is a failure of it."""
    try:
        return Outcome(seed, scenario.run(seed))
    except Exception as error:  # noqa: BLE001 (the seed's top: it is reported with its seed)
        details = "".join(traceback.format_exception(error))
        return Outcome(seed, failure=f"{type(error).__name__}: {error}", details=details)


def _failure(outcome: Outcome) -> str:
    again = f"python -m controlplane.simulation --seed {outcome.seed}"
    return f"seed {outcome.seed}: {outcome.failure}\n  repeat: {again}"


def _run_all(seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds. One job: here, in whatever order hashes have."""
    if jobs <= 1:
        yield from map(hold, seeds)
        return
    # Not forked: a child would inherit the locks and threads of whoever calls us.
    pool = ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn"))
    before = os.environ.get(_HASHES)
    os.environ[_HASHES] = "0"  # workers are started with it
    try:
        yield from pool.map(hold, seeds)
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ[_HASHES]
        else:
            os.environ[_HASHES] = before


def _run_one(seed: int, jobs: int, say: Say) -> int:
    (outcome,) = _run_all([seed], jobs)
    if outcome.report is None:
        say(outcome.details + _failure(outcome))
        return 1
    say(report.summary(outcome.report))
    say(f"trace hash {outcome.report.trace_hash}")
    return 0
