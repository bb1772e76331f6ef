"""Clusters for the client's tests: Debian's etcd, or ours with KEELSON_CLIENT_TARGET=keelson."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kvstore.client import Client
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses
from tests.kvstore.client.channels import CHANNELS, chosen, connect

_PROGRAMS = {"etcd": ETCD, "keelson": KEELSON}
_FLAGS = ("--experimental-watch-progress-notify-interval=1s",)
# A crowded machine may hold a member up for seconds; only the tests' own faults shall count.
_PATIENCE = ("--heartbeat-interval=300", "--election-timeout=3000")


def program() -> tuple[str, ...]:
    """The command that runs a member of the target."""
    target = os.environ.get("KEELSON_CLIENT_TARGET", "etcd")
    chosen = _PROGRAMS[target]
    if shutil.which(chosen[0]) is None:
        pytest.skip(f"{chosen[0]} is not installed (Debian: etcd-server)")
    return tuple(chosen)


def _members(count: int, *flags: str) -> Iterator[ClusterProcesses]:
    """Members whose data is in memory where that is possible: no test here is about the disk."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="keelson-client-", dir=memory) as folder,
        ClusterProcesses(program(), Path(folder), count=count, flags=flags) as cluster,
    ):
        yield cluster
        cluster.kill()  # a clean stop takes etcd ten seconds when others are gone


@pytest.fixture(scope="package")
def single() -> Iterator[ClusterProcesses]:
    """One member for all tests that harm nobody; each keeps to keys of its own."""
    yield from _members(1, *_FLAGS)


@pytest.fixture
def three() -> Iterator[ClusterProcesses]:
    """Three members of one's own, to be killed and paused."""
    yield from _members(3, *_FLAGS, *_PATIENCE)


@pytest.fixture(params=sorted(CHANNELS))
def channel(request: pytest.FixtureRequest) -> Iterator[str]:
    """What the test's `connect` opens."""
    with chosen(request.param):
        yield request.param


@pytest.fixture
async def client(single: ClusterProcesses, channel: str) -> AsyncIterator[Client]:
    async with connect(single.endpoints) as connected:
        yield connected


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses, also as prefix."""
    return f"{request.node.name}/"
