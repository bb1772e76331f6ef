"""What is scarce on a node. Numbers are rows of kube-behaviour.md."""

from fractions import Fraction

import msgspec
import pytest

from controlplane.node import eviction_signals
from controlplane.node.eviction_signals import DEFAULT_THRESHOLDS, Load, Pressures, Starved

GIB = 1 << 30
LOAD = Load(
    memory_available=GIB,
    memory=4 * GIB,
    disk=100,
    disk_available=50,
    inodes=100,
    inodes_free=50,
)


@pytest.mark.parametrize(
    ("change", "felt"),
    [
        ({}, Pressures()),
        ({"memory_available": (100 << 20) - 1}, Pressures(memory=True)),
        ({"memory_available": 100 << 20}, Pressures()),
        ({"memory_available": 0, "memory": 0}, Pressures()),
        ({"disk_available": 9}, Pressures(disk=True)),
        ({"disk_available": 10}, Pressures()),
        ({"inodes_free": 4}, Pressures(disk=True)),
        ({"inodes_free": 0, "inodes": 0}, Pressures()),
        ({"pids": 96, "pids_max": 100}, Pressures(pids=True)),
    ],
)
def test_default_thresholds(change: dict[str, int], felt: Pressures) -> None:
    """6.4: memory.available < 100Mi, nodefs 10 %, inodes 5 %. What nobody knows is not scarce."""
    load = msgspec.structs.replace(LOAD, **change)
    found = eviction_signals.starved(DEFAULT_THRESHOLDS, load)
    assert eviction_signals.pressures_of(found) == felt


def test_amounts_and_order() -> None:
    """Memory is given back first."""
    thresholds = eviction_signals.thresholds_of("nodefs.available<60,memory.available<50%")
    assert eviction_signals.starved(thresholds, LOAD) == [
        Starved(resource="memory", threshold=2 * GIB, available=GIB),
        Starved(resource="ephemeral-storage", threshold=60, available=50),
    ]
    assert eviction_signals.kept_back(thresholds, "memory.available", 8 * GIB) == 4 * GIB
    assert eviction_signals.kept_back(thresholds, "pid.available", 100) == 0


@pytest.mark.parametrize("text", ["", " ", "nodefs.available<0%", "nodefs.available<100%"])
def test_never(text: str) -> None:
    thresholds = eviction_signals.thresholds_of(text)
    empty = msgspec.structs.replace(LOAD, disk_available=0)
    assert eviction_signals.starved(thresholds, empty) == []


def test_images_have_no_file_system_here() -> None:
    (one,) = eviction_signals.thresholds_of("imagefs.available<15%")
    assert one.part == Fraction(15, 100)
    assert eviction_signals.starved((one,), msgspec.structs.replace(LOAD, disk_available=0)) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nodefs.available", "invalid eviction threshold syntax nodefs.available"),
        ("nodefs.available>5%", "expected <signal><operator><value>"),
        ("disk.available<5%", "unsupported eviction signal disk.available"),
        ("pid.available<5,pid.available<6", "duplicate eviction threshold pid.available"),
        ("nodefs.available<101%", "no more than 100%"),
        ("nodefs.available<-5", "must be positive"),
        ("nodefs.available<five", "quantities must match|unable to parse quantity"),
    ],
)
def test_bad_thresholds(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        eviction_signals.thresholds_of(text)
