"""`python -m kvstore.testing controls`: whatever is known to be broken must be caught.

A test suite that lets planted bugs pass proves nothing about the code without them. Each bug of
`planted/` is put into a copy of the package, and `simulate` runs there, with its usual workload and
faults, until a seed fails; PySyncObj meets the same. The code as it is must survive the same seeds.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from kvstore.errors import KvError
from kvstore.testing import planting
from kvstore.testing.planting import Patch

Say = Callable[[str], None]

PYSYNCOBJ = "pysyncobj"
_UNMODIFIED = "our code as it is"
_FAILURE = re.compile(r"^seed (\d+): (.*)$", re.MULTILINE)
_BROKEN_PROMISES = ("ViolationError", "LostWriteError")
_SECONDS = 300.0  # one control may take so long, and so much more per seed
_SECONDS_PER_SEED = 20.0
_WHAT_WIDTH = 100


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Of one control. `seed`: the first that failed; None = none did."""

    name: str
    seed: int | None
    seconds: float
    what: str


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `controls`."""
    names = [PYSYNCOBJ, *(patch.name for patch in planting.find_all())]
    parser = commands.add_parser("controls", help="is what is known to be broken caught?")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument(
        "--seeds", type=int, default=1000, help="within how many (default %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument("--planted-only", action="store_true", help="leave out our code as it is")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=names, help=f"one of {', '.join(names)}"
    )


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every control was caught, and the code as it is survived."""
    say(f"{'control':<24}{'seed':>10}{'after':>8}{'seconds':>9}  what was seen")
    is_good = True
    for name, control in _controls(options):
        try:
            result = control()
        except KvError as error:
            say(f"{name:<24}{'error':>10}{'':>17}  {error}")
            is_good = False
        else:
            say(_row(result, options.first_seed))
            is_good = is_good and (result.seed is None) == (name == _UNMODIFIED)
    return 0 if is_good else 1


def _controls(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Result]]]:
    for patch in planting.find_all():
        if not options.only or patch.name in options.only:
            yield patch.name, partial(_run_planted, patch, options)
    if not options.only or PYSYNCOBJ in options.only:
        yield PYSYNCOBJ, partial(_run_pysyncobj, options)
    if not options.only and not options.planted_only:
        yield _UNMODIFIED, partial(_run_unmodified, options)


def _run_planted(patch: Patch, options: argparse.Namespace) -> Result:
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        planting.plant(patch, Path(folder))
        result, _ = _simulate(patch.name, options, folder=folder)
    if result.seed is not None and not result.what.startswith(_BROKEN_PROMISES):
        raise KvError(f"no promise is broken, it does not even run: {result.what}")
    return result


def _run_pysyncobj(options: argparse.Namespace) -> Result:
    # In a process of its own: it needs a package that the store does without.
    command = ["kvstore.testing.pysyncobj", "--until-caught", *_seeds_of(options)]
    result, _ = _run(PYSYNCOBJ, command, options, folder=None)
    return result


def _run_unmodified(options: argparse.Namespace) -> Result:
    result, is_passed = _simulate(_UNMODIFIED, options, folder=None)
    if result.seed is None and not is_passed:
        raise KvError(f"no seed failed, and it did not pass: {result.what}")
    return result


def _simulate(name: str, options: argparse.Namespace, *, folder: str | None) -> tuple[Result, bool]:
    """Run `simulate` with the package in `folder` (None: as it is) until a seed fails."""
    command = ["kvstore.testing", "simulate", "--until-failure", f"--jobs={options.jobs}"]
    return _run(name, command + _seeds_of(options), options, folder=folder)


def _seeds_of(options: argparse.Namespace) -> list[str]:
    return [f"--first-seed={options.first_seed}", f"--seeds={options.seeds}"]


def _run(
    name: str, module: list[str], options: argparse.Namespace, *, folder: str | None
) -> tuple[Result, bool]:
    """The result, and whether the exit status was 0. Raises KvError when it ends by itself."""
    environment = dict(os.environ)
    if folder is not None:
        environment["PYTHONPATH"] = folder
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS + _SECONDS_PER_SEED * options.seeds,
        )
    except subprocess.TimeoutExpired as error:
        raise KvError(f"it does not end within {error.timeout:.0f} s") from None
    seconds = time.monotonic() - started
    found = _FAILURE.search(done.stdout)
    if found is not None:
        return Result(name=name, seed=int(found[1]), seconds=seconds, what=found[2]), False
    if done.stderr or not done.stdout:
        raise KvError(f"it ended by itself:\n{done.stdout}{done.stderr}")
    what = _last_line(done.stdout)
    return Result(name=name, seed=None, seconds=seconds, what=what), done.returncode == 0


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


def _row(result: Result, first_seed: int) -> str:
    seed, after = "-", "-"
    if result.seed is not None:
        seed, after = str(result.seed), str(result.seed - first_seed + 1)
    what = result.what[:_WHAT_WIDTH]
    return f"{result.name:<24}{seed:>10}{after:>8}{result.seconds:>9.1f}  {what}"
