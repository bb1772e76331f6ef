"""`python -m kvstore.testing simulate`: seeds, in as many processes as there are cores.

A failing seed prints the one line that repeats it; `--story` draws what happened in one.
"""

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kvstore.testing.history import LostWriteError
from kvstore.testing.simulation import report, scenario, seeds, story
from kvstore.testing.simulation.recorder import StoryRecorder
from kvstore.testing.simulation.report import Report
from kvstore.testing.simulation.seeds import Outcome, Say

SEEDS_FOR_EVERYTHING = 300
"""In so many seeds everything that can go wrong must have happened at least once."""

_COMMAND = "python -m kvstore.testing simulate"


class NothingLostError(Exception):
    """The negative control has kept everything: the simulation would not notice a missing sync."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `simulate`."""
    parser = commands.add_parser("simulate", help="run seeds of the simulation")
    seeds.add_flags(parser, seeds=100)
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
    started = time.monotonic()
    function: Callable[[int], Outcome[Any]] = lose_power if options.remove_sync else hold
    outcomes = seeds.run_many(function, options, _command(options.remove_sync), say)
    if outcomes is None:
        return 1
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    seconds = time.monotonic() - started
    what = "lost acknowledged writes without a sync" if options.remove_sync else "held all promises"
    missing = _sum_up(outcomes, say) if not options.remove_sync else []
    count = len(outcomes)
    rate = count / seconds
    say(f"{count - failed} of {count} seeds {what} ({seconds:.0f} s, {rate:.2f} seeds/s)")
    return 1 if failed or missing else 0


def hold(seed: int, recorder: StoryRecorder | None = None) -> Outcome[Report]:
    """Run one seed. Any error is a failure of it."""
    logging.getLogger("kvstore").setLevel(logging.ERROR)  # members complain a lot about faults
    return seeds.tried(seed, partial(scenario.run, recorder=recorder))


def lose_power(seed: int) -> Outcome[None]:
    """The negative control of one seed: not to lose anything is its failure."""
    logging.getLogger("kvstore").setLevel(logging.ERROR)
    return seeds.tried(seed, _lose_power)


def _lose_power(seed: int) -> None:
    try:
        scenario.run(seed, scenario.Plan(is_sync_removed=True))
    except LostWriteError:
        return
    raise NothingLostError("it lost nothing: the simulation would not notice")


def _command(is_control: bool) -> str:
    """What repeats a seed."""
    return f"{_COMMAND} --remove-sync" if is_control else _COMMAND


def _sum_up(outcomes: Sequence[Outcome[Report]], say: Say) -> list[str]:
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
    outcome: Outcome[Any]
    if is_control:
        outcome = lose_power(seed)
    elif path is None:
        outcome = hold(seed)
    else:
        outcome = _tell(seed, path)
        say(f"the story is in {path}")
    if outcome.failure:
        say(outcome.details + outcome.told(_command(is_control)))
        return 1
    if outcome.report is not None:
        say(report.summary(outcome.report))
        say(f"trace hash {outcome.report.trace_hash}")
    return 0


def _tell(seed: int, path: Path) -> Outcome[Report]:
    recorder = StoryRecorder()
    outcome = hold(seed, recorder)
    path.write_text(story.render(recorder.story(f"Simulation of seed {seed}")))
    return outcome
