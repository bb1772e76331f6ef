"""Many seeds, in as many processes as there are cores. A failing one prints what repeats it.

What the command lines of all simulations have in common: what a seed runs, and what is told of it,
is their own.

The processes are fresh ones with one order of hashes: code under test goes through sets of texts
here and there, and a seed must repeat exactly.
"""

import argparse
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

import msgspec

_HASHES = "PYTHONHASHSEED"

R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)
Say = Callable[[str], None]


class Outcome(msgspec.Struct, Generic[R], frozen=True):
    """Of one seed: its report, or how it failed."""

    seed: int
    report: R | None = None
    failure: str = ""
    details: str = ""

    def told(self, command: str) -> str:
        """How it failed, with the line that repeats it. `command`: without the seed."""
        return f"seed {self.seed}: {self.failure}\n  repeat: {command} --seed {self.seed}"


def add_flags(parser: argparse.ArgumentParser, *, seeds: int) -> None:
    """Which seeds, and how. `seeds`: so many if nobody says."""
    parser.add_argument("--seed", type=int, help="one seed, with its trace hash")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=seeds, help="how many (default %(default)s)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: one per core)",
    )
    parser.add_argument(
        "--until-failure", action="store_true", help="end with the first seed that fails"
    )


def tried(seed: int, run: Callable[[int], R]) -> Outcome[R]:
    """Run one seed. Any error is a failure of it."""
    try:
        return Outcome(seed, run(seed))
    except Exception as error:  # noqa: BLE001 (the seed's top: it is reported with its seed)
        details = "".join(traceback.format_exception(error))
        return Outcome(seed, failure=f"{type(error).__name__}: {error}", details=details)


def run_all(
    function: Callable[[int], Outcome[R]], seeds: Sequence[int], jobs: int
) -> Iterator[Outcome[R]]:
    """In the order of the seeds. One job: here, in whatever order hashes have."""
    if jobs <= 1:
        yield from map(function, seeds)
        return
    # Not forked: a child would inherit the locks and threads of whoever calls us.
    pool = ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn"))
    before = os.environ.get(_HASHES)
    os.environ[_HASHES] = "0"  # workers are started with it
    try:
        yield from pool.map(function, seeds)
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ[_HASHES]
        else:
            os.environ[_HASHES] = before


def run_many(
    function: Callable[[int], Outcome[R]], options: argparse.Namespace, command: str, say: Say
) -> list[Outcome[R]] | None:
    """Those of the flags, telling each failure; None: it ended with the first one.

    command  repeats a seed, with `--seed` behind it
    """
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    outcomes = []
    for outcome in run_all(function, seeds, options.jobs):
        outcomes.append(outcome)
        if outcome.failure:
            say(outcome.told(command))
            if options.until_failure:
                return None
    return outcomes


def add_up(sums: S, reports: Sequence[S]) -> S:
    """Add all numbers to those of `sums`, also those by name; the largest of each `…_max`."""
    for report in reports:
        for name in report.__struct_fields__:
            mine, its = getattr(sums, name), getattr(report, name)
            if not isinstance(its, str):
                setattr(sums, name, max(mine, its) if name.endswith("_max") else _added(mine, its))
    return sums


def _added(mine: Any, its: Any) -> Any:
    if isinstance(its, dict):
        return {name: mine.get(name, 0) + its.get(name, 0) for name in sorted({*mine, *its})}
    return mine + its
