"""What is used, out of two samples."""

import pytest

from controlplane.node.runtime.interface import (
    Container,
    ContainerConfig,
    Sandbox,
    SandboxConfig,
    Usage,
)
from controlplane.node.stats import Machine, Sample, machine_of, summary

STAT = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 …\n"
MEMINFO = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n"


def sample(at: float, cpu_seconds: float) -> Sample:
    machine = Machine(at=at, cpu_seconds=10 * cpu_seconds, memory_total=100, memory_available=40)
    usage = Usage(at=at, cpu_seconds=cpu_seconds, memory=7, disk=8, pids=2)
    return Sample(machine=machine, usage={"c": usage, "of-nobody": usage})


SANDBOX = Sandbox(
    id="s",
    config=SandboxConfig(name="web", namespace="shop", uid="u", log_folder=""),
    is_ready=True,
    address="",
    created_at=0.0,
)
CONTAINER = Container(
    id="c",
    sandbox_id="s",
    config=ContainerConfig(name="main", attempt=0, image="", log_path=""),
    state="running",
    created_at=0.0,
    started_at=1.0,
)


def test_a_machine() -> None:
    found = machine_of(STAT, MEMINFO, ticks=100, at=5.0)
    assert found == Machine(
        at=5.0, cpu_seconds=1.5, memory_total=1_024_000, memory_available=409_600
    )
    with pytest.raises(ValueError, match="/proc/stat"):
        machine_of("", MEMINFO, ticks=100, at=5.0)


def test_how_fast_cpu_is_used_is_known_from_the_second_sample_on() -> None:
    found = summary("n", sample(100.0, 3.0), None, [SANDBOX], [CONTAINER])
    [container] = found["pods"][0]["containers"]
    assert container["cpu"] == {
        "time": "1970-01-01T00:01:40Z",
        "usageCoreNanoSeconds": 3_000_000_000,
    }
    found = summary("n", sample(110.0, 8.0), sample(100.0, 3.0), [SANDBOX], [CONTAINER])
    [pod] = found["pods"]
    assert pod["podRef"] == {"name": "web", "namespace": "shop", "uid": "u"}
    [container] = pod["containers"]
    assert container["cpu"]["usageNanoCores"] == 500_000_000
    assert container["memory"]["workingSetBytes"] == 7
    assert found["node"]["cpu"]["usageNanoCores"] == 5_000_000_000
    assert found["node"]["memory"]["workingSetBytes"] == 60


def test_a_counter_that_goes_back_says_nothing() -> None:
    """A container that was started again under its id, or a clock that was set."""
    for before in (sample(90.0, 9.0), sample(110.0, 1.0)):
        found = summary("n", sample(100.0, 3.0), before, [SANDBOX], [CONTAINER])
        assert "usageNanoCores" not in found["pods"][0]["containers"][0]["cpu"]
