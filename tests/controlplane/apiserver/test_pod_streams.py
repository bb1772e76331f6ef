"""kubectl's logs, exec, attach, cp and port-forward as a user has them: by WebSocket (the newest)
and by SPDY (the oldest that we serve). kube-behaviour 10.7.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.pods_that_run import Pods, Ran, pods_that_run
from tests.controlplane.node.subprocess_runtime import entry
from tests.e2e.kubectl import programs

SLEEPING = ("sleep", "1000")


@pytest.fixture
async def pods(client: Client, member: ClusterProcesses, tmp_path: Path) -> AsyncIterator[Pods]:
    async with pods_that_run(client, member, tmp_path) as running:
        yield running


@pytest.fixture(params=["newest", "oldest"])
def kubectl(request: pytest.FixtureRequest) -> Path:
    found = programs.found(request.param)
    if found is None:
        pytest.skip(f"there is no kubectl: {request.param}")
    return found


async def test_a_command_has_its_streams_and_its_exit_code(pods: Pods, kubectl: Path) -> None:
    """10.7: exec exit code in Status causes ExitCode."""
    await pods.add("web", {"main": SLEEPING})
    ran = await pods.kubectl(kubectl, "exec", "web", "--", "sh", "-c", "echo a; echo b >&2; exit 7")
    assert ran == Ran(7, b"a\n", "b\ncommand terminated with exit code 7\n")
    given = bytes(range(256)) * 4096
    ran = await pods.kubectl(kubectl, "exec", "-i", "web", "--", "cat", stdin=given)
    assert (ran.status, ran.out == given) == (0, True), ran.err
