"""`cluster`: a local cluster from the command line."""

import argparse
import asyncio
import importlib
import json
import math
import sys
from pathlib import Path

from cluster import control, output
from cluster.components import HOLLOW_MAX
from cluster.errors import LaunchError, NotRunningError
from cluster.network import NODES_MAX
from cluster.statuses import ComponentStatus, MemberStatus
from cluster.topology import MEMBERS_MAX
from controlplane.ctl.errors import CtlError

_MODULES = {
    "up": "cluster.up",
    "down": "cluster.down",
    "demo": "cluster.demo.command",
    "chaos": "cluster.chaos.command",
}
"""Of the commands that do more than ask a launcher; each has `run`, and is loaded for itself only,
or who just asks would wait for what he does not need."""


_INTERRUPTED = 130  # what a shell makes of an end by SIGINT


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it did what it says."""
    options = _parser().parse_args(arguments)
    options.data = Path(options.data).absolute()
    try:
        if module := _MODULES.get(options.command):
            done: int = importlib.import_module(module).run(options)
            return done
        return asyncio.run(_ask(options))
    except (LaunchError, NotRunningError, CtlError, OSError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # what was begun has been given up as it wanted to be
        print("cluster: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and stay in front until Ctrl-C")
    up.add_argument("--store-only", action="store_true", help="the store without control plane")
    up.add_argument("--members", type=_member_count, help="store members (default 3)")
    up.add_argument("--nodes", type=_node_count, help="node agents (default 3)")
    up.add_argument("--tls", action="store_true", help="mutual TLS for --store-only too")
    commands.add_parser("status", help="what each process says of itself").add_argument(
        "--json", action="store_true"
    )
    commands.add_parser("add-member", help="one more member, which catches up and votes")
    commands.add_parser("hollow", help="have nodes that only say that they run pods").add_argument(
        "--nodes", type=_hollow_count, required=True, help="how many; 0: none"
    )
    commands.add_parser("demo", help="breaks what can break, and prints how soon it healed")
    raging = commands.add_parser("chaos", help="kills at random, while pods come and go")
    raging.add_argument("--minutes", type=_minutes, default=10.0, help="how long (%(default)s)")
    raging.add_argument("--seed", type=int, help="to have the same kills again")
    commands.add_parser("down", help="stop everything, and the launcher")
    for name, text in (
        ("kill", "SIGKILL a member or component; it stays down until `start`"),
        ("start", "start a member or component again"),
        ("pause", "SIGSTOP a member or component"),
        ("resume", "let a paused process go on"),
        ("remove-member", "take a member out of the cluster for good"),
    ):
        commands.add_parser(name, help=text).add_argument("name", metavar="NAME")
    for each in commands.choices.values():
        each.add_argument("--data", default="./.cluster", help="data folder (%(default)s)")
    return parser


def _member_count(text: str) -> int:
    count = _whole(text)
    if not 1 <= count <= MEMBERS_MAX:
        raise argparse.ArgumentTypeError(f"a cluster has 1 to {MEMBERS_MAX} members")
    return count


def _node_count(text: str) -> int:
    count = _whole(text)
    if not 0 <= count <= NODES_MAX:
        raise argparse.ArgumentTypeError(f"a cluster on one machine has 0 to {NODES_MAX} nodes")
    return count


def _hollow_count(text: str) -> int:
    count = _whole(text)
    if not 0 <= count <= HOLLOW_MAX:
        raise argparse.ArgumentTypeError(f"0 to {HOLLOW_MAX} hollow nodes")
    return count


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _minutes(text: str) -> float:
    """Some: for none at all it would say that all had healed, for NaN it would never end."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes, like 10 or 0.5")
    return minutes


async def _ask(options: argparse.Namespace) -> int:
    message = {
        "do": options.command,
        "name": getattr(options, "name", None),
        "nodes": getattr(options, "nodes", None),
    }
    answer = await control.request(options.data, message)
    if "error" in answer:
        print(f"cluster: {answer['error']}", file=sys.stderr)
        return 1
    if options.command != "status":
        print(answer["done"], flush=True)
    elif options.json:
        print(json.dumps([*answer["members"], *answer["components"]], indent=2))
    else:
        members = [MemberStatus(**member) for member in answer["members"]]
        control_plane = [ComponentStatus(**component) for component in answer["components"]]
        print(output.tables(members, control_plane))
    return 0


if __name__ == "__main__":
    sys.exit(main())
