"""Stores of the machinery: one member of ours and Debian's etcd, through the same suite."""

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.objects import ObjectStore
from kvstore.client import Client, connect
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses

_PROGRAMS = {"keelson": KEELSON, "etcd": ETCD}
_numbers = itertools.count(1)


@pytest.fixture(scope="package", params=list(_PROGRAMS))
def member(request: pytest.FixtureRequest) -> Iterator[ClusterProcesses]:
    """One member for all tests; each keeps to a namespace of its own."""
    wanted = request.config.getoption("--target")
    if wanted not in (None, request.param):
        pytest.skip(f"only {wanted} is asked for")
    program = _PROGRAMS[request.param]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed (Debian: etcd-server)")
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    flags = ("--experimental-watch-progress-notify-interval=1s",)
    with (
        tempfile.TemporaryDirectory(prefix="controlplane-", dir=memory) as folder,
        ClusterProcesses(program, Path(folder), flags=flags) as cluster,
    ):
        yield cluster
        cluster.kill()


@pytest.fixture
async def client(member: ClusterProcesses) -> AsyncIterator[Client]:
    async with connect(member.endpoints) as connected:
        yield connected


@pytest.fixture
def store(client: Client) -> ObjectStore:
    return ObjectStore(client)


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"case-{next(_numbers)}"
