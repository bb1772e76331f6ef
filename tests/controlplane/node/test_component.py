"""The command line of an agent."""

import argparse
import asyncio
from pathlib import Path
from typing import cast

import msgspec
import pytest

from controlplane.api.registry import Registry
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError
from controlplane.informer import Informers
from controlplane.network import descriptors
from controlplane.network.descriptors import Descriptors
from controlplane.network.host_ports import HostPorts
from controlplane.node import agent as agents
from controlplane.node import component
from controlplane.node.pod_feed import PodFeed
from controlplane.node.sources import Kinds
from controlplane.objects import ObjectStore

NODE = agents.Settings(name="n", address="127.0.0.1", root=Path("/x"))
RECORDER = cast("EventRecorder", None)
STORE = "--store-endpoints=http://127.0.0.1:2379"


def settings(*arguments: str) -> component.Settings:
    parser = argparse.ArgumentParser()
    component.add_flags(parser)
    return component.settings_of(parser.parse_args([STORE, "--root-dir=/x", *arguments]))


def test_defaults() -> None:
    found = settings("--node-name=n")
    assert (found.runtime, found.port) == ("process", 10250)
    assert (found.node.name, found.node.address, found.node.pods_max) == ("n", "127.0.0.1", 110)
    assert found.node.cluster_domain == "cluster.local"


def test_all_that_can_be_said() -> None:
    found = settings(
        "--node-name=n",
        "--node-ip=127.0.0.9",
        "--labels=disk=fast,example.com/zone=a,empty=",
        "--cluster-dns=10.96.0.10",
        "--pod-cidr=10.1.0.0/24",
        "--runtime=fake",
        "--max-pods=7",
    )
    assert found.node.labels == {"disk": "fast", "example.com/zone": "a", "empty": ""}
    assert found.node.cluster_dns == ("10.96.0.10",)
    assert found.node.pod_block == "10.1.0.0/24"
    assert found.node.pods_max == 7


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--node-name=No_Name", "--node-name: 'No_Name' is no name of a Node"),
        ("--node-ip=x", "--node-ip: 'x' is no IP address"),
        ("--node-ip=192.0.2.1", "can be reached by others"),
        ("--labels=x", "--labels: 'x' is no label"),
        ("--labels=a=b c", "is no label"),
        ("--pod-cidr=10.1.0.1/24", "--pod-cidr: 10.1.0.1/24 has host bits set"),
        ("--cluster-dns=dns", "--cluster-dns: 'dns' is no IP address"),
        ("--max-pods=-1", "--max-pods: -1 is less than 0"),
        ("--tls-cert-file=/x", "go together"),
    ],
)
def test_what_cannot_be_used(argument: str, told: str) -> None:
    with pytest.raises(SettingsError, match=None) as error:
        settings("--node-name=n", argument)
    assert told in str(error.value)


def test_two_agents_do_not_share_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"
    with component._locked(root), pytest.raises(SettingsError, match="another agent uses it"):
        component._locked(root).__enter__()
    with component._locked(root):
        pass


def _feed() -> PodFeed:
    """Of pods that nobody tells of."""
    return PodFeed(Informers(cast("ObjectStore", None)), Kinds.of(Registry.builtin()).pods)


async def test_agent_ends_when_its_host_ports_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(HostPorts, "run", fail)
    with pytest.raises(ExceptionGroup) as error:
        async with component._host_ports(NODE, _feed(), RECORDER):
            await asyncio.wait_for(asyncio.Event().wait(), 10)
    assert error.group_contains(ZeroDivisionError)


async def test_clients_of_host_ports_leave_descriptors_for_each_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reserved: list[int] = []

    def of_process(count: int) -> Descriptors:
        reserved.append(count)
        return Descriptors(100)

    monkeypatch.setattr(descriptors, "of_process", of_process)
    for pods_max in (10, 20):
        node = msgspec.structs.replace(NODE, pods_max=pods_max)
        async with component._host_ports(node, _feed(), RECORDER):
            await asyncio.sleep(0)
    few, many = reserved
    assert few > descriptors.RESERVED
    assert many - few == 10 * component.DESCRIPTORS_PER_POD


async def test_host_ports_end_with_the_agent() -> None:
    async with component._host_ports(NODE, _feed(), RECORDER):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
