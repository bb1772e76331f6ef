"""`python -m kvstore.testing simulate`: seeds, in as many processes as there are cores.

A failing seed prints the one line that repeats it; `--story` draws what happened in one.
"""

import argparse
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec

from kvstore.testing.history import LostWriteError
from kvstore.testing.simulation import report, scenario, story
from kvstore.testing.simulation.recorder import StoryRecorder
from kvstore.testing.simulation.report import Report

SEEDS_FOR_EVERYTHING = 300
"""In so many seeds everything that can go wrong must have happened at least once."""

Say = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True):
    """Of one seed: its report, or how it failed."""

    seed: int
    report: Report | None = None
    failure: str = ""
    details: str = ""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `simulate`."""
    parser = commands.add_parser("simulate", help="run seeds of the simulation")
    parser.add_argument("--seed", type=int, help="one seed, with its trace hash")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default %(default)s)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: one per core)",
    )
    parser.add_argument(
        "--until-failure", action="store_true", help="end with the first seed that fails"
    )
    parser.add_argument(
        "--story", type=Path, metavar="FILE.html", help="with --seed: a timeline to read"
    )
    parser.add_argument(
        "--remove-sync",
        action="store_true",
        help="negative control: the WAL is never made durable; every seed must lose writes",
    )


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held (with --remove-sync: every seed lost writes)."""
    if options.seed is not None:
        return _run_one(options.seed, options.remove_sync, options.story, say)
    if options.story is not None:
        say("--story draws one seed: give it with --seed")
        return 2
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    started = time.monotonic()
    function = lose_power if options.remove_sync else hold
    outcomes = []
    for outcome in _run_all(function, seeds, options.jobs):
        outcomes.append(outcome)
        if outcome.failure:
            say(_failure(outcome, is_control=options.remove_sync))
            if options.until_failure:
                return 1
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    seconds = time.monotonic() - started
    what = "lost acknowledged writes without a sync" if options.remove_sync else "held all promises"
    missing = _sum_up(outcomes, say) if not options.remove_sync else []
    rate = len(seeds) / seconds
    say(f"{len(seeds) - failed} of {len(seeds)} seeds {what} ({seconds:.0f} s, {rate:.2f} seeds/s)")
    return 1 if failed or missing else 0


def hold(seed: int, recorder: StoryRecorder | None = None) -> Outcome:
    """Run one seed. Any error is a failure of it."""
    logging.getLogger("kvstore").setLevel(logging.ERROR)  # members complain a lot about faults
    try:
        return Outcome(seed, scenario.run(seed, recorder=recorder))
    except Exception as error:  # noqa: BLE001 (the seed's top: it is reported with its seed)
        return _failed(seed, error)


def lose_power(seed: int) -> Outcome:
    """The negative control of one seed: not to lose anything is its failure."""
    logging.getLogger("kvstore").setLevel(logging.ERROR)
    try:
        scenario.run(seed, scenario.Plan(is_sync_removed=True))
    except LostWriteError:
        return Outcome(seed)
    except Exception as error:  # noqa: BLE001 (as in `hold`)
        return _failed(seed, error)
    return Outcome(seed, failure="it lost nothing: the simulation would not notice")


def _failed(seed: int, error: Exception) -> Outcome:
    details = "".join(traceback.format_exception(error))
    return Outcome(seed, failure=f"{type(error).__name__}: {error}", details=details)


def _failure(outcome: Outcome, *, is_control: bool) -> str:
    again = f"python -m kvstore.testing simulate --seed {outcome.seed}"
    again += " --remove-sync" if is_control else ""
    return f"seed {outcome.seed}: {outcome.failure}\n  repeat: {again}"


def _run_all(
    function: Callable[[int], Outcome], seeds: Sequence[int], jobs: int
) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if jobs <= 1 or len(seeds) <= 1:
        yield from map(function, seeds)
        return
    # Not forked: a child would inherit the locks and threads of whoever calls us.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        yield from pool.map(function, seeds)
    finally:
        pool.shutdown(cancel_futures=True)


def _sum_up(outcomes: Sequence[Outcome], say: Say) -> list[str]:
    """Say what the runs did; returns what they should have done and did not."""
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    sums = report.total(reports)
    say(report.summary(sums))
    missing = report.never_happened(sums)
    if missing:
        say(f"never: {', '.join(missing)}")
    return missing if len(reports) >= SEEDS_FOR_EVERYTHING else []


def _run_one(seed: int, is_control: bool, path: Path | None, say: Say) -> int:
    """One seed, in words, and as a story if `path` says where to."""
    if is_control:
        outcome = lose_power(seed)
    elif path is None:
        outcome = hold(seed)
    else:
        outcome = _tell(seed, path)
        say(f"the story is in {path}")
    if outcome.failure:
        say(outcome.details + _failure(outcome, is_control=is_control))
        return 1
    if outcome.report is not None:
        say(report.summary(outcome.report))
        say(f"trace hash {outcome.report.trace_hash}")
    return 0


def _tell(seed: int, path: Path) -> Outcome:
    recorder = StoryRecorder()
    outcome = hold(seed, recorder)
    path.write_text(story.render(recorder.story(f"Simulation of seed {seed}")))
    return outcome
