"""Rows of a cluster with many nodes, whose agents are real and run nothing (`cluster hollow`).

One store member, as the bars' cluster has one etcd. All hollow nodes are in one process, renew
their Leases and look after their Node objects as often as Kubernetes' do.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks import control_cluster, control_footprint
from benchmarks.control_bars import Figures
from benchmarks.control_cluster import LAUNCHER, MEMBERS, Cluster
from benchmarks.control_footprint import ALL, CpuMeter
from benchmarks.control_pods import BOUND, RUNNING, Namespace, deployment, pod
from benchmarks.control_report import ControlPlan, Tell

FEW_NODES, MANY_NODES = 500, 5_000
FEW_PODS, MANY_PODS, REPLICAS = 1_000, 2_000, 1_000
CLIENTS = 16  # who make pods
SETTLE_SECONDS = 10.0
_IMAGE = "registry.example/pause:1"
_FEW = f"schedule {FEW_PODS} pods, {FEW_NODES} nodes"
_DEPLOYMENT = f"Deployment of {REPLICAS}, {FEW_NODES} nodes"
_MANY = f"schedule {MANY_PODS} pods, {MANY_NODES} nodes"
_KINDS = (MEMBERS, "apiserver", "controllers", "scheduler", "proxy", "hollow", LAUNCHER, ALL)
_FULL = {f"{MANY_NODES} nodes, {kind}": kind for kind in _KINDS}
NAMES = (_FEW, _DEPLOYMENT, _MANY, *_FULL)


def run(names: Sequence[str], plan: ControlPlan, tell: Tell) -> None:
    """Measure the rows of these names. Raises ClusterStartError, TimeoutError."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        control_cluster.running(Path(folder), members=1, nodes=0) as cluster,
    ):
        uvloop.run(_run(names, cluster, plan, tell))


async def _run(names: Sequence[str], cluster: Cluster, plan: ControlPlan, tell: Tell) -> None:
    site = cluster.site
    if _FEW in names or _DEPLOYMENT in names:
        await cluster.have_hollow(FEW_NODES)
    if _FEW in names:
        async with Namespace.made(site, "few") as namespace:
            tell(_FEW, await scheduled(cluster, namespace, FEW_PODS))
            await namespace.clear()
    if _DEPLOYMENT in names:
        tell(_DEPLOYMENT, await deployed(cluster, REPLICAS))
    if _MANY in names or not _FULL.keys().isdisjoint(names):
        await cluster.have_hollow(MANY_NODES)
        async with Namespace.made(site, "many") as namespace:
            found = await scheduled(cluster, namespace, MANY_PODS)
        if _MANY in names:
            tell(_MANY, found)
    if not _FULL.keys().isdisjoint(names):
        await _tell_footprint(names, cluster, plan, tell)


async def _tell_footprint(
    names: Sequence[str], cluster: Cluster, plan: ControlPlan, tell: Tell
) -> None:
    """Of all processes, with many nodes and pods."""
    pids = await cluster.pids()
    await control_footprint.of(pids, SETTLE_SECONDS)
    found = await control_footprint.of(pids, plan.idle_seconds)
    for name, kind in _FULL.items():
        if name in names:
            tell(name, found[kind])


def _figures(count: int, seconds: float, used: dict[str, float]) -> Figures:
    each = {kind: cpu * 1e6 / count for kind, cpu in used.items() if kind != LAUNCHER}
    return Figures(rate=count / seconds, seconds=seconds, cpu_us=sum(each.values()), cpu_us_of=each)


async def scheduled(cluster: Cluster, namespace: Namespace, count: int) -> Figures:
    """From the first create to a watcher's event of the last binding; CPU until all run."""
    async with (
        namespace.watched(namespace.pods, *BOUND) as bound,
        namespace.watched(namespace.pods, *RUNNING) as running,
    ):
        meter = CpuMeter(await cluster.pids())
        began = time.perf_counter()
        await namespace.make_all([pod(f"p-{n}", _IMAGE) for n in range(count)], CLIENTS)
        await bound.until(count)
        seconds = bound.at[count - 1] - began
        await running.until(count)
        used = meter.seconds()
    return _figures(count, seconds, used)


async def deployed(cluster: Cluster, replicas: int) -> Figures:
    """From its create to a watcher's event that says that all are available."""
    async with Namespace.made(cluster.site, "deployed") as namespace:
        name, mark = "all", f'"availableReplicas":{replicas}'.encode()
        async with namespace.watched(
            namespace.deployments, f"metadata.name={name}", mark
        ) as complete:
            meter = CpuMeter(await cluster.pids())
            began = time.perf_counter()
            await namespace.post(namespace.deployments, deployment(name, replicas, _IMAGE))
            await complete.until(1)
            seconds = complete.at[0] - began
            used = meter.seconds()
        await namespace.clear()
    return _figures(replicas, seconds, used)
