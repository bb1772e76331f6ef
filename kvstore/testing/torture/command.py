"""`python -m kvstore.testing torture`: the command line, and what is told of a run."""

import argparse
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from kvstore.errors import ConfigError
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import ETCD, KEELSON, MemberStartError
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture import report
from kvstore.testing.torture import run as torture
from kvstore.testing.torture.catalog import FAULTS
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.run import Outcome, Plan
from kvstore.testing.torture.scene import UNSYNCED_KEELSON, Need, missing_for

_PROGRAMS = {"ours": KEELSON, "etcd": ETCD}
_ROUNDS = 20

Say = Callable[[str], None]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `torture`."""
    parser = commands.add_parser("torture", help="faults under load, on real members")
    parser.add_argument(
        "--faults",
        metavar="NAME[,NAME…]",
        help="which (default: kill; with --minutes: all that the machine allows)",
    )
    parser.add_argument("--list", action="store_true", help="name the faults, and run none")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--rounds", type=_positive, help=f"how many (default: {_ROUNDS})")
    length.add_argument("--minutes", type=_positive_float, help="as many rounds as fit")
    parser.add_argument("--hold", type=_positive_float, metavar="SECONDS", help="of lasting faults")
    parser.add_argument(
        "--clients", type=_positive, default=8, help="with histories (default %(default)s)"
    )
    parser.add_argument(
        "--writers",
        type=int,
        default=16,
        help="outstanding puts besides, around each fault (default %(default)s)",
    )
    parser.add_argument(
        "--snapshot-count",
        type=_positive,
        default=1_000,
        help="the members' flag (default %(default)s)",
    )
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


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held; 1: one did not; 2: the command line or the machine does
    not allow it; 130: interrupted. With --remove-sync 0: writes were lost, and it was seen.
    """
    if options.list:
        for name, fault in FAULTS.items():
            say(_listed(name, fault))
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    status = _play(options, folder / "cluster", say)
    if status in (0, 2) and not options.folder:
        shutil.rmtree(folder)
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
        what = "as it must be without a sync" if options.remove_sync else "a promise is broken"
        say(f"{what}: {error}")
        return 0 if options.remove_sync else 1
    if options.remove_sync:
        say("nothing was lost without a sync: the torture would not notice")
        return 1
    return _tell(outcome, is_strict=options.strict, say=say)


def _tell(outcome: Outcome, *, is_strict: bool, say: Say) -> int:
    say(report.table(outcome.rounds, outcome.not_run))
    say(outcome.verdict.told)
    if any(one.point for one in outcome.rounds):
        say(report.points(outcome.rounds))
    for told in outcome.broken:
        say(f"a bound is broken: {told}")
    return int(is_strict and bool(outcome.broken))


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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more, please")
    return number


def _positive_float(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("more than 0, please")
    return number
