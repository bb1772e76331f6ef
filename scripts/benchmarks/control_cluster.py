"""A whole cluster as `cluster up` starts it, in a folder of its own, and its processes."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.http_client import Site
from cluster import control
from cluster.topology import ClusterFile

HEALTHY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
NODES_SECONDS_MAX = 300.0
_POLL_SECONDS = 0.1
_NODES_POLL_SECONDS = 1.0  # each look at five thousand nodes is work for those who are measured
LAUNCHER, MEMBERS, AGENTS = "launcher", "store members", "agents"


class ClusterStartError(Exception):
    """The cluster ended, or was not healthy in time; with the end of its log."""


class Cluster(msgspec.Struct, frozen=True):
    """Where it is, as administrator."""

    folder: Path
    site: Site
    launcher_pid: int

    async def pids(self) -> dict[str, list[int]]:
        """Its processes by what they are; those of one kind stand together."""
        status = await control.request(self.folder, {"do": "status"})
        found: dict[str, list[int]] = {
            MEMBERS: [member["pid"] for member in status["members"]],
            LAUNCHER: [self.launcher_pid],
        }
        for component in status["components"]:
            is_agent = str(component["address"]).endswith(":10250")
            kind = AGENTS if is_agent else str(component["name"])
            found.setdefault(kind, []).append(component["pid"])
        return found

    async def have_hollow(self, count: int) -> None:
        """Return once so many hollow nodes may be given pods; there are no others.

        Raises TimeoutError.
        """
        await control.request(self.folder, {"do": "hollow", "nodes": count})
        connection = await self.site.connect()
        request = self.site.request("GET", "/api/v1/nodes")
        try:
            async with asyncio.timeout(NODES_SECONDS_MAX):
                while True:
                    if schedulable((await connection.ask(request)).body) >= count:
                        return
                    await asyncio.sleep(_NODES_POLL_SECONDS)
        finally:
            connection.close()


def schedulable(nodes: bytes) -> int:
    """How many nodes of a list are ready and have no taint."""
    return sum(map(_is_schedulable, json.loads(nodes)["items"]))


def _is_schedulable(node: dict[str, object]) -> bool:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    assert isinstance(spec, dict)
    assert isinstance(status, dict)
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return conditions.get("Ready") == "True" and not spec.get("taints")


@contextlib.contextmanager
def running(folder: Path, *, members: int, nodes: int) -> Iterator[Cluster]:
    """From `healthy` to the end. Raises ClusterStartError."""
    data, log_path = folder / "data", folder / "cluster.log"
    command = [sys.executable, "-m", "cluster", "up", f"--data={data}"]
    command += [f"--members={members}", f"--nodes={nodes}"]
    with log_path.open("wb") as log:
        # Ctrl-C is for the benchmark, which ends the cluster in its own order.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _until_healthy(process, log_path)
        yield Cluster(data, _site(data), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()  # which takes all that it has started with it
            process.wait()


def _until_healthy(process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS_MAX
    while True:
        text = log_path.read_text(errors="replace")
        if "healthy" in text.splitlines():
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise ClusterStartError(f"the cluster is not healthy:\n{text[-2_000:]}")
        time.sleep(_POLL_SECONDS)


def _site(data: Path) -> Site:
    known = msgspec.json.decode((data / "cluster.json").read_bytes(), type=ClusterFile)
    certificates = data / "certificates"
    context = ssl.create_default_context(cafile=certificates / "ca.crt")
    context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
    return Site("127.0.0.1", known.api_port, context)
