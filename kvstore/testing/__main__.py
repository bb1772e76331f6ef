"""`python -m kvstore.testing`: simulate, torture processes, fuzz the front, check histories."""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from kvstore.errors import KvError
from kvstore.testing import check_command, controls, fuzz_http2, history_file, torture
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import STATES_MAX
from kvstore.testing.processes import ETCD, KEELSON
from kvstore.testing.simulation import command as simulation

_PROGRAMS = {"ours": KEELSON, "etcd": ETCD}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: every promise held (with --remove-sync: every seed lost writes)."""
    options = _parser().parse_args(arguments)
    if options.command == "simulate":
        return simulation.run(options, partial(print, flush=True))
    if options.command == "controls":
        return _control(options)
    if options.command == "check":
        return _check(options)
    if options.command == "fuzz-http2":
        return _fuzz(options)
    return _torture(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kvstore.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    simulation.add_parser(commands)
    controls.add_parser(commands)
    torment = commands.add_parser("torture", help="kill real members under load")
    torment.add_argument("--faults", choices=("kill", "kill-all"), default="kill")
    torment.add_argument("--rounds", type=int, default=20)
    torment.add_argument("--writers", type=int, default=64)
    torment.add_argument(
        "--members",
        choices=tuple(_PROGRAMS),
        default="ours",
        help="etcd's: how soon it serves again on the same machine",
    )
    torment.add_argument("--folder", type=Path, help="data folder (default: a temporary one)")
    check = commands.add_parser("check", help="is a recorded history linearizable?")
    check.add_argument(
        "history", type=Path, help="JSON Lines, as kvstore.testing.history_file tells"
    )
    check.add_argument(
        "--states", type=int, default=STATES_MAX, help="budget (default %(default)s)"
    )
    fuzz = commands.add_parser("fuzz-http2", help="hostile clients against the front's pure half")
    fuzz.add_argument("--seed", type=int, default=1)
    fuzz.add_argument("--inputs", type=int, default=1_000_000)
    return parser


def _control(options: argparse.Namespace) -> int:
    try:
        return controls.run(options, partial(print, flush=True))
    except KvError as error:
        print(error, file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> int:
    try:
        recording = history_file.read(options.history)
    except (KvError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    is_passed, text = check_command.judge(recording, states_max=options.states)
    print(text)
    return 0 if is_passed else 1


def _fuzz(options: argparse.Namespace) -> int:
    """What escapes is a finding: its traceback, and how to repeat it."""
    started = time.monotonic()
    again = f"python -m kvstore.testing fuzz-http2 --seed {options.seed} --inputs {options.inputs}"
    try:
        report = fuzz_http2.run(options.seed, options.inputs)
    except Exception:
        print(f"repeat: {again}", file=sys.stderr)
        raise
    print(f"{report} ({time.monotonic() - started:.0f} s)")
    return 0


def _torture(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        folder = options.folder or Path(temporary) / "cluster"
        try:
            report = torture.run(
                folder,
                faults=options.faults,
                rounds=options.rounds,
                writers=options.writers,
                program=_PROGRAMS[options.members],
            )
        except ViolationError as violation:
            print(f"a promise is broken: {violation}", file=sys.stderr)
            return 1
    print(report.summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
