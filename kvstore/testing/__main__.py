"""`python -m kvstore.testing`: simulate, torture processes, fuzz the front, check histories."""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from kvstore.errors import KvError
from kvstore.testing import (
    check_command,
    controls,
    fuzz_http2,
    fuzz_peers,
    history_file,
    snapshot_rounds,
)
from kvstore.testing.linearizability import STATES_MAX
from kvstore.testing.simulation import command as simulation
from kvstore.testing.torture import command as torture


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: every promise held (with --remove-sync: every seed lost writes)."""
    options = _parser().parse_args(arguments)
    say = partial(print, flush=True)
    if options.command == "simulate":
        return simulation.run(options, say)
    if options.command == "controls":
        return controls.run(options, say)
    if options.command == "check":
        return _check(options)
    if options.command == "fuzz-http2":
        return _fuzz(options)
    if options.command == "fuzz-peers":
        return fuzz_peers.run(options, say)
    if options.command == "snapshots":
        return snapshot_rounds.run(options, say)
    return torture.run(options, say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kvstore.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    simulation.add_parser(commands)
    controls.add_parser(commands)
    torture.add_parser(commands)
    fuzz_peers.add_parser(commands)
    snapshot_rounds.add_parser(commands)
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


if __name__ == "__main__":
    sys.exit(main())
