"""`python -m kvstore.testing`: simulate seeds, torture real processes."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kvstore.testing import torture
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation import scenario


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: every promise held (with --remove-sync: the loss was caught)."""
    options = _parser().parse_args(arguments)
    if options.command == "simulate":
        return _simulate(options)
    return _torture(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kvstore.testing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    simulate = commands.add_parser("simulate", help="run seeds of the simulation")
    simulate.add_argument("--seed", type=int, help="one seed, with its trace hash")
    simulate.add_argument("--first-seed", type=int, default=1)
    simulate.add_argument("--seeds", type=int, default=100, help="how many (default %(default)s)")
    simulate.add_argument(
        "--remove-sync",
        action="store_true",
        help="negative control: the WAL is never made durable; every seed must lose writes",
    )
    torment = commands.add_parser("torture", help="kill real members under load")
    torment.add_argument("--faults", choices=("kill", "kill-all"), default="kill")
    torment.add_argument("--rounds", type=int, default=20)
    torment.add_argument("--writers", type=int, default=64)
    torment.add_argument("--folder", type=Path, help="data folder (default: a temporary one)")
    return parser


def _simulate(options: argparse.Namespace) -> int:
    plan = scenario.Plan(is_sync_removed=options.remove_sync)
    first = options.first_seed if options.seed is None else options.seed
    count = options.seeds if options.seed is None else 1
    failures = caught = 0
    started = time.monotonic()
    for seed in range(first, first + count):
        try:
            report = scenario.run(seed, plan)
        except ViolationError as violation:
            caught += 1
            if not options.remove_sync:
                failures += 1
                print(
                    f"seed {seed}: {violation}\n  repeat: python -m kvstore.testing simulate "
                    f"--seed {seed}",
                    flush=True,
                )
            continue
        if options.seed is not None:
            print(report)
    seconds = time.monotonic() - started
    if options.remove_sync:
        print(
            f"{caught} of {count} seeds without a sync lost acknowledged writes ({seconds:.0f} s)"
        )
        return 0 if caught else 1
    print(f"{count - failures} of {count} seeds held every promise ({seconds:.0f} s)")
    return 1 if failures else 0


def _torture(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        folder = options.folder or Path(temporary) / "cluster"
        try:
            report = torture.run(
                folder, faults=options.faults, rounds=options.rounds, writers=options.writers
            )
        except ViolationError as violation:
            print(f"a promise is broken: {violation}", file=sys.stderr)
            return 1
    print(report.summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
