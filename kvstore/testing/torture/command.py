"""`python -m kvstore.testing torture`: the command line, and what is told of a run."""

import argparse
import contextlib
import math
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from kvstore.errors import ConfigError
from kvstore.testing.history import LostWriteError, ViolationError
from kvstore.testing.processes import ETCD, KEELSON, MemberStartError
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture import report
from kvstore.testing.torture import run as torture
from kvstore.testing.torture.catalog import FAULTS
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.large_values import PADDING
from kvstore.testing.torture.run import HISTORY_FILE, Outcome, Plan
from kvstore.testing.torture.scene import UNSYNCED_KEELSON, Need, missing_for

_PADDING = re.compile(re.escape(PADDING.decode()) + "{64,}")  # of large values, in words
_PROGRAMS = {"ours": KEELSON, "etcd": ETCD}
_ROUNDS = 20
_ROUNDS_MAX = 1_000_000
# Enough for a round; and what is recorded is kept in memory until it is judged: some 40 MB a minute
# of the default load on a small machine, so up to 5 GB.
_MINUTES = (0.1, 120.0)
_HOLD_SECONDS = (0.01, 3_600.0)
_CLIENTS_MAX = 1_000  # each a coroutine of this one process, with a history of its own
_WRITERS_MAX = 10_000
_SNAPSHOT_COUNT_MAX = 1_000_000_000

Say = Callable[[str], None]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `torture`."""
    parser = commands.add_parser("torture", help="faults under load, on real members")
    parser.add_argument(
        "--faults",
        metavar="NAME[,NAME…]",
        help="which, all of which the machine must allow (default: kill; with --minutes: those "
        "that it allows)",
    )
    parser.add_argument("--list", action="store_true", help="name the faults, and run none")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--rounds", type=_whole(1, _ROUNDS_MAX), help=f"how many (default: {_ROUNDS})"
    )
    length.add_argument(
        "--minutes",
        type=_real(*_MINUTES),
        help=f"as many rounds as fit; {_MINUTES[1]:g} at most, for all that clients are told "
        "is kept in memory until it is judged",
    )
    parser.add_argument(
        "--hold", type=_real(*_HOLD_SECONDS), metavar="SECONDS", help="of lasting faults"
    )
    _add_load(parser)
    parser.add_argument("--seed", type=int, default=1, help="of what faults strike when and whom")
    parser.add_argument(
        "--members",
        choices=tuple(_PROGRAMS),
        default="ours",
        help="etcd's: how soon it serves again on the same machine",
    )
    parser.add_argument(
        "--remove-sync",
        action="store_true",
        help="negative control: power cuts, and members whose syncs do nothing, must lose writes",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail also when a bound of time is not kept: how long a fault may keep it from "
        f"serving, {report.MEDIAN_SECONDS_MAX} s in the median; new terms; lag",
    )
    parser.add_argument(
        "--folder", type=Path, help="data and history (default: a temporary one, kept on failure)"
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    """Who works on the cluster, and how hard it works itself."""
    parser.add_argument(
        "--clients",
        type=_whole(1, _CLIENTS_MAX),
        default=8,
        help="with histories (default %(default)s)",
    )
    parser.add_argument(
        "--writers",
        type=_whole(0, _WRITERS_MAX),
        default=16,
        help="outstanding puts besides, around each fault (default %(default)s)",
    )
    parser.add_argument(
        "--snapshot-count",
        type=_whole(1, _SNAPSHOT_COUNT_MAX),
        default=1_000,
        help="the members' flag (default %(default)s)",
    )


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held; 1: one did not, or a fault never happened; 2: the command
    line or the machine does not allow it; 130: interrupted. With --remove-sync 0: writes were lost,
    and it was seen.
    """
    if options.list:
        for name, fault in FAULTS.items():
            say(_listed(name, fault))
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    status = _play(options, folder / "cluster", say)
    has_begun = (folder / "cluster" / HISTORY_FILE).exists()
    if not options.folder and (status == 0 or (status == 2 and not has_begun)):
        shutil.rmtree(folder, ignore_errors=True)  # where a rig resisted, something is mounted
    else:
        say(f"logs and history: {folder / 'cluster'}")
    return status


def _play(options: argparse.Namespace, folder: Path, say: Say) -> int:
    try:
        with _terminable():
            outcome = torture.run(folder, _plan(options), say)
    except KeyboardInterrupt:
        say("interrupted: nothing was judged")
        return 130
    except (ConfigError, RigError) as error:
        say(str(error))
        return 2
    except (ViolationError, MemberStartError) as error:
        status, told = judged(error, is_control=options.remove_sync)
        say(told)
        return status
    if options.remove_sync:
        say("nothing was lost without a sync: the torture would not notice")
        return 1
    return _tell(outcome, is_strict=options.strict, say=say)


def judged(error: ViolationError | MemberStartError, *, is_control: bool) -> tuple[int, str]:
    """Exit status and words for a run that ended so. `is_control`: it was to lose writes.

    Whatever else goes wrong without a sync does not prove that a lost write would be noticed.
    """
    if is_control and isinstance(error, LostWriteError):
        return 0, f"as it must be without a sync: {error}"
    return 1, f"a promise is broken: {_PADDING.sub('…', str(error))}"


def _tell(outcome: Outcome, *, is_strict: bool, say: Say) -> int:
    say(report.table(outcome.rounds, outcome.not_run))
    say(outcome.verdict.told)
    if any(one.point for one in outcome.rounds):
        known = {point for one in outcome.rounds for point in FAULTS[one.fault].points}
        say(report.points(outcome.rounds, known))
    for told in outcome.broken:
        say(f"a bound is broken: {told}")
    for name in outcome.unproven:
        say(f"{name}: nothing shows in any of its rounds that it happened")
    return int(bool(outcome.unproven) or (is_strict and bool(outcome.broken)))


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: members, namespaces and disks are taken down."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plan(options: argparse.Namespace) -> Plan:
    rounds = options.rounds
    program = _PROGRAMS[options.members]
    faults = _chosen(options.faults, is_all=options.minutes is not None)
    if options.remove_sync:
        faults, program = (FAULTS["power-cut"],), UNSYNCED_KEELSON
    foreign = [fault.name for fault in faults if Need.SMALL_SEGMENTS in fault.needs]
    if foreign and program == ETCD:
        raise ConfigError(f"{foreign[0]} is for our members only: name others by --faults")
    if options.minutes is None and rounds is None:
        rounds = _ROUNDS
    return Plan(
        faults=faults,
        is_control=options.remove_sync,
        must_run=options.faults is not None or options.minutes is None,
        rounds=rounds,
        seconds=(options.minutes or 0.0) * 60.0,
        clients=options.clients,
        writers=options.writers,
        seed=options.seed,
        hold_seconds=options.hold,
        snapshot_count=options.snapshot_count,
        program=program,
    )


def _chosen(names: str | None, *, is_all: bool) -> tuple[type[Fault], ...]:
    if names is None:
        return tuple(FAULTS.values()) if is_all else (FAULTS["kill"],)
    chosen = [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in FAULTS]
    if unknown:
        raise ConfigError(f"there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    return tuple(FAULTS[name] for name in dict.fromkeys(chosen))


def _listed(name: str, fault: type[Fault]) -> str:
    assert fault.__doc__ is not None
    why = "; ".join(filter(None, map(missing_for, fault.needs)))
    cannot = f" (not here: {why})" if why else ""
    return f"{name:<17}{fault.__doc__.splitlines()[0]}{cannot}"


def _whole(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument."""

    def parse(text: str) -> int:
        number = int(text) if text.strip().lstrip("+-").isdecimal() else least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least} to {most}")
        return number

    return parse


def _real(least: float, most: float) -> Callable[[str], float]:
    """The type of an argument."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a number from {least:g} to {most:g}")
        return number

    return parse
