"""`scripts/bench WHAT`: figures of this machine.

store          ours beside Debian's etcd, three members each, one run, ratios; exit status 1 when
               one of them misses its bar (`below`)
restart        kill -9 with many keys and the longest WAL: time until it serves again
stall          the event loop's longest pause while a snapshot is taken under writes
catch-up       a follower is replaced and the new one takes a snapshot under load
slow-watcher   a gigabyte of events past a watcher that never reads
hostile        attacks on the client port, and what honest clients notice
control        the API server's writes, reads, lists, watches and memory; the scheduler's algorithm;
               pods that start; what an idle cluster takes; 500 and 5,000 hollow nodes; beside the
               bars that Kubernetes has set; exit status 1 when one is missed
memory         a member full of keys beside etcd's; connections that only wait
scheduler      decisions a second among many nodes, without a store
"""

import argparse
import importlib
import shutil
import sys
from pathlib import Path

from benchmarks import (
    catch_up,
    control,
    control_report,
    hostile,
    memory,
    observe,
    placement,
    restart,
    slow_watcher,
    stall,
    store,
)
from benchmarks.rows import FULL, QUICK

_WHATS = (
    *("store", "restart", "stall", "catch-up", "slow-watcher", "hostile", "memory", "control"),
    "scheduler",
)


def main() -> int:
    """Print what was asked for."""
    options = _parser().parse_args()
    if options.what == "store":
        return _store(options)
    if options.what == "control":
        return _control(options)
    print(observe.machine(), flush=True)
    match options.what:
        case "restart":
            restart.run(options.keys)
        case "stall":
            stall.run(options.keys, options.runs)
        case "catch-up":
            catch_up.run(options.keys)
        case "hostile":
            hostile.run()
        case "memory":
            memory.run(options.keys)
        case "scheduler":
            placement.run(options.nodes, options.pods)
        case _:
            slow_watcher.run(options.mebibytes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=_WHATS)
    plan = parser.add_mutually_exclusive_group()
    plan.add_argument(
        "--quick",
        dest="plan",
        action="store_const",
        const=QUICK,
        default=QUICK,
        help=f"store: {QUICK.pairs} pairs of {QUICK.seconds:g} s a row; control: "
        f"{control_report.QUICK.seconds:g} s a row; the default",
    )
    plan.add_argument(
        "--full",
        dest="plan",
        action="store_const",
        const=FULL,
        help=f"store: {FULL.pairs} pairs of {FULL.seconds:g} s a row; control: "
        f"{control_report.FULL.seconds:g} s a row",
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="store, control: rows so named")
    parser.add_argument("--json", metavar="FILE", type=Path, help="store, control: all figures")
    parser.add_argument(
        "--plot", metavar="FILE.png", type=Path, help="store: rate and p99 against clients"
    )
    parser.add_argument(
        "--keys", type=int, default=1_000_000, help="restart, stall, catch-up, memory"
    )
    parser.add_argument("--nodes", type=int, default=5_000, help="scheduler")
    parser.add_argument("--pods", type=int, default=5_000, help="scheduler")
    parser.add_argument("--runs", type=int, default=3, help="stall: snapshots")
    parser.add_argument("--mebibytes", type=int, default=1024, help="slow-watcher: events")
    return parser


def _store(options: argparse.Namespace) -> int:
    """Compare; what is missing for it shows before the first measurement, not after the last."""
    choice = store.Choice.named(options.only)
    if not choice:
        return _refuse(f"no row's name contains {options.only!r}")
    if shutil.which("etcd") is None:
        return _refuse("etcd is not installed: there is nothing to compare with")
    try:
        plot = importlib.import_module("benchmarks.plot") if options.plot else None
    except ModuleNotFoundError as error:
        return _refuse(f"--plot needs {error.name}, which is not installed (extra dev)")
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            return _refuse(f"there is no folder {path.parent}")
    machine = observe.machine()
    print(machine, flush=True)
    report = store.run(choice, options.plan, machine)
    if options.json:
        report.write_json(options.json)
    if plot:
        plot.write(report, options.plot)
    return 1 if report.is_below else 0


def _control(options: argparse.Namespace) -> int:
    rows = control.named(options.only)
    if not rows:
        return _refuse(f"no row's name contains {options.only!r}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        return _refuse(f"there is no folder {options.json.parent}")
    machine = observe.machine()
    print(machine, flush=True)
    plan = control_report.FULL if options.plan is FULL else control_report.QUICK
    report = control.run(rows, plan, machine)
    if options.json:
        report.write_json(options.json)
    return 1 if report.is_below else 0


def _refuse(reason: str) -> int:
    print(f"scripts/bench: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
