"""`controlplane scheduler` as a process. Numbers are rows of kube-behaviour.md."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.__main__ import main
from controlplane.leader_election import LEASES
from controlplane.scheduler.process import LEASE
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.scheduler.conftest import Cluster, until
from tests.controlplane.scheduler.objects import node, pod

ENDED_SECONDS_MAX = 30


class Candidate:
    """A process `controlplane scheduler`."""

    def __init__(self, member: ClusterProcesses, folder: Path, identity: str) -> None:
        self.identity = identity
        self._log = folder / f"{identity}.log"
        command = [
            *(sys.executable, "-m", "controlplane", "scheduler"),
            f"--store-endpoints={','.join(member.endpoints)}",
            f"--identity={identity}",
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def leads(self) -> bool:
        assert self.process.poll() is None, self.log
        return f"leading {self.identity}\n" in self.log

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, ENDED_SECONDS_MAX)


@pytest.fixture
def candidates(member: ClusterProcesses) -> Iterator[list[Candidate]]:
    made: list[Candidate] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


async def test_one_leads_and_is_followed_when_it_ends(
    cluster: Cluster,
    namespace: str,
    member: ClusterProcesses,
    candidates: list[Candidate],
    tmp_path: Path,
) -> None:
    """3.6: the Lease kube-scheduler, released on a clean exit. 7.2: pods get nodes by both."""
    async with cluster.nodes(node(f"{namespace}-n")):
        candidates.append(first := Candidate(member, tmp_path, f"{namespace}-first"))
        await until(first.leads)
        await cluster.create("pods", pod("a", namespace=namespace))
        await until(lambda: cluster.node_of(namespace, "a"))
        candidates.append(second := Candidate(member, tmp_path, f"{namespace}-second"))
        assert await first.end(signal.SIGTERM) == 0
        await until(second.leads)
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
