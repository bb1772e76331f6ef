"""`controlplane controllers` as processes. Numbers are rows of kube-behaviour.md."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.__main__ import main
from controlplane.controllers import CONTROLLERS, manager
from controlplane.leader_election import LEASES
from controlplane.objects import DeleteOptions, ObjectStore
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.candidates import Start, candidates
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import AUTHORITY, config_map


@pytest.fixture
def start(member: ClusterProcesses, namespace: str, tmp_path: Path) -> Iterator[Start]:
    authority = tmp_path / "ca.crt"
    authority.write_text(AUTHORITY)
    flag = f"--root-ca-file={authority}"
    with candidates("controllers", member.endpoints, tmp_path, namespace, flag) as starting:
        yield starting


async def _holder(store: ObjectStore) -> str:
    lease = await store.get(LEASES, "kube-system", "kube-controller-manager")
    return str(lease["spec"]["holderIdentity"])


async def _has_residents(cluster: Cluster, namespace: str) -> bool:
    return await cluster.names("serviceaccounts", namespace) == {"default"} and await cluster.names(
        "configmaps", namespace
    ) == {"kube-root-ca.crt"}


async def test_leader_that_ends_well_is_followed_at_once(
    cluster: Cluster,
    store: ObjectStore,
    namespace: str,
    start: Start,
) -> None:
    """3.6: release on clean exit (holderIdentity "")."""
    first = start("first")
    await until(first.has_led)
    await cluster.namespace(namespace)
    await until(lambda: _has_residents(cluster, namespace))
    assert await _holder(store) == first.identity
    assert await first.end(signal.SIGTERM) == 0
    assert await _holder(store) == ""
    second = start("second")
    await until(second.has_led)
    await cluster.namespace(f"{namespace}-2")
    await until(lambda: _has_residents(cluster, f"{namespace}-2"))
    assert await second.end(signal.SIGTERM) == 0


async def test_killed_leader_is_followed_and_its_work_done(
    cluster: Cluster,
    store: ObjectStore,
    namespace: str,
    start: Start,
) -> None:
    """3.6, 3.2: nothing is lost but the 15 s of its Lease."""
    first = start("first")
    await until(first.has_led)
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    for number in range(100):
        await cluster.create("configmaps", config_map(namespace, f"c{number}", owner))
    second = start("second")
    options = DeleteOptions(propagation_policy="Foreground")
    await store.delete(cluster.resource("configmaps"), namespace, "owner", options=options)
    await first.end(signal.SIGKILL)
    await until(second.has_led)

    async def is_empty() -> bool:
        return not await cluster.names("configmaps", namespace)

    await until(is_empty)


async def test_paused_leader_does_nothing_when_it_wakes_up_behind_another(
    cluster: Cluster,
    store: ObjectStore,
    namespace: str,
    start: Start,
) -> None:
    """3.6: two candidates never both act (paused process)."""
    first = start("first")
    await until(first.has_led)
    second = start("second")
    first.process.send_signal(signal.SIGSTOP)
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    for number in range(50):
        await cluster.create("configmaps", config_map(namespace, f"c{number}", owner))
    await until(second.has_led)
    fence = await store.client.get("/leaders/kube-system/kube-controller-manager")
    assert fence is not None
    assert fence.value == second.identity.encode()
    # What the first hears as soon as it goes on is work that it would love to do.
    os.kill(first.process.pid, signal.SIGCONT)
    await store.delete(cluster.resource("configmaps"), namespace, "owner")

    async def is_empty() -> bool:
        return not await cluster.names("configmaps", namespace)

    await until(is_empty)

    async def knows() -> bool:
        return f"{first.identity} leads no longer" in first.log

    await until(knows)
    assert first.log.count("leading") == 1
    assert await _holder(store) == second.identity
    again = await store.client.get("/leaders/kube-system/kube-controller-manager")
    assert again is not None
    assert again.mod_revision == fence.mod_revision, "nobody led in between"


def test_command_line_that_cannot_be_used_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    for flag, told in (
        (f"--root-ca-file={tmp_path / 'none'}", "cannot read"),
        (f"--root-ca-file={tmp_path / 'empty'}", "has no certificate in PEM"),
        (f"--service-account-private-key-file={tmp_path / 'empty'}", "is no key"),
        ("--store-cafile=x", "go together"),
        ("--cluster-cidr=ten", "--cluster-cidr, --node-cidr-mask-size: 'ten'"),
        ("--cluster-cidr=10.0.0.0/25", "has no prefix of 24 bits"),
        ("--node-monitor-grace-period=0", "--node-monitor-grace-period: must be more than 0"),
        ("--node-monitor-period=soon", "--node-monitor-period: 'soon' is not a duration"),
    ):
        assert main(["controllers", "--store-endpoints=x:1", flag]) == 2
        assert told in capsys.readouterr().err


def test_what_nobody_says_is_as_in_kubernetes() -> None:
    """6.2, 6.5: how soon a node is unreachable, and how large its range is."""
    parser = argparse.ArgumentParser()
    manager.add_flags(parser)
    settings = manager.settings_of(parser.parse_args(["--store-endpoints=x:1"]))
    assert settings.node_monitor_period_seconds == 5
    assert settings.node_monitor_grace_seconds == 50
    assert settings.node_startup_grace_seconds == 60
    assert settings.pod_ranges is None
    told = ["--store-endpoints=x:1", "--cluster-cidr=10.244.0.0/16"]
    ranges = manager.settings_of(parser.parse_args(told)).pod_ranges
    assert ranges is not None
    assert ranges[1] == "10.244.1.0/24"


def test_each_controller_is_in_the_one_list() -> None:
    modules = {make.__module__.rpartition(".")[2] for make in CONTROLLERS}
    folder = Path(sys.modules["controlplane.controllers"].__path__[0])
    written = {path.stem for path in folder.glob("*.py") if "def controller(" in path.read_text()}
    assert modules == written
