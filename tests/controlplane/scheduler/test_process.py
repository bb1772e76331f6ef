"""`controlplane scheduler` as a process. Numbers are rows of kube-behaviour.md."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.__main__ import main
from controlplane.leader_election import LEASES
from controlplane.scheduler.process import LEASE
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.candidates import Start, candidates
from tests.controlplane.scheduler.conftest import Cluster, until
from tests.controlplane.scheduler.objects import node, pod


@pytest.fixture
def start(member: ClusterProcesses, namespace: str, tmp_path: Path) -> Iterator[Start]:
    with candidates("scheduler", member.endpoints, tmp_path, namespace) as starting:
        yield starting


async def test_one_leads_and_is_followed_when_it_ends(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    """3.6: the Lease kube-scheduler, released on a clean exit. 7.2: pods get nodes by both."""
    async with cluster.nodes(node(f"{namespace}-n")):
        first = start("first")
        await until(first.has_led)
        await cluster.create("pods", pod("a", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "a"))
        second = start("second")
        assert await first.end(signal.SIGTERM) == 0
        await until(second.has_led)
        lease = await cluster.store.get(LEASES, "kube-system", LEASE)
        assert lease["spec"]["holderIdentity"] == second.identity
        await cluster.create("pods", pod("b", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "b"))
        assert await second.end(signal.SIGTERM) == 0


def test_configuration_that_cannot_be_used_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text("profiles: [{schedulerName: a}, {schedulerName: a}]")
    assert main(["scheduler", "--store-endpoints=127.0.0.1:1", f"--config={file}"]) == 2
    told = capsys.readouterr().err
    assert told == f"controlplane scheduler: {file}: two profiles are named 'a'\n"
