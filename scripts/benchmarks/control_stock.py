"""Rows of a cluster as `cluster up` starts it: three store members, three nodes that run pods.

First what it takes while nothing is asked of it, then how soon pods run.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks import control_cluster, control_footprint, control_starts
from benchmarks.control_cluster import AGENTS, LAUNCHER, MEMBERS, Cluster
from benchmarks.control_footprint import ALL
from benchmarks.control_report import ControlPlan, Tell

MEMBERS_COUNT, NODES_COUNT = 3, 3
SETTLE_SECONDS = 10.0  # what was to be done after a start is done by then
_KINDS = (MEMBERS, "apiserver", "controllers", "scheduler", "proxy", AGENTS, LAUNCHER, ALL)
_IDLE = {f"idle, {kind}": kind for kind in _KINDS}
_ONE, _BURST = "start pod, 1 at a time", f"start pod, {control_starts.BURST} at once"
NAMES = (*_IDLE, _ONE, _BURST)


def run(names: Sequence[str], plan: ControlPlan, tell: Tell) -> None:
    """Measure the rows of these names. Raises ClusterStartError."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        control_cluster.running(Path(folder), members=MEMBERS_COUNT, nodes=NODES_COUNT) as cluster,
    ):
        uvloop.run(_run(names, cluster, plan, tell))


async def _run(names: Sequence[str], cluster: Cluster, plan: ControlPlan, tell: Tell) -> None:
    if any(name in _IDLE for name in names):
        pids = await cluster.pids()
        await control_footprint.of(pids, SETTLE_SECONDS)
        found = await control_footprint.of(pids, plan.idle_seconds)
        for name, kind in _IDLE.items():
            if name in names:
                tell(name, found[kind])
    if _ONE in names:
        tell(_ONE, await control_starts.one_by_one(cluster.site, plan.starts))
    if _BURST in names:
        tell(_BURST, await control_starts.at_once(cluster.site))
