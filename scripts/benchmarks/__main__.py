"""`scripts/bench WHAT`: figures of this machine; nothing here passes or fails.

store          ours beside Debian's etcd, three members each, one run, ratios
restart        kill -9 with many keys and the longest WAL: time until it serves again
stall          the event loop's longest pause while a snapshot is taken under writes
catch-up       a wiped follower takes a snapshot under load
slow-watcher   a gigabyte of events past a watcher that never reads
"""

import argparse
import shutil
import sys

from benchmarks import catch_up, observe, restart, slow_watcher, stall, store


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whats = ("store", "restart", "stall", "catch-up", "slow-watcher")
    parser.add_argument("what", choices=whats)
    parser.add_argument("--pairs", type=int, default=3, help="store: measurements of each load")
    parser.add_argument("--seconds", type=float, default=2.0, help="store: per measurement")
    parser.add_argument("--keys", type=int, default=1_000_000, help="restart, stall, catch-up")
    parser.add_argument("--runs", type=int, default=3, help="stall: snapshots")
    parser.add_argument("--mebibytes", type=int, default=1024, help="slow-watcher: events")
    options = parser.parse_args()
    print(observe.machine(), flush=True)
    match options.what:
        case "store":
            if shutil.which("etcd") is None:
                print("etcd is not installed: there is nothing to compare with", file=sys.stderr)
                return 1
            store.run(options.pairs, options.seconds)
        case "restart":
            restart.run(options.keys)
        case "stall":
            stall.run(options.keys, options.runs)
        case "catch-up":
            catch_up.run(options.keys)
        case _:
            slow_watcher.run(options.mebibytes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
