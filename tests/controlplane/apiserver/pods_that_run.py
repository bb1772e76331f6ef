"""A cluster of one node whose pods are processes, and a kubectl that may do everything in it."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import yaml

from controlplane.node.measuring import Measuring
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.server import NodeServer, server_tls
from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.conftest import Api, started
from tests.controlplane.node.certificates import Authority
from tests.controlplane.node.subprocess_runtime import SubprocessRuntime

API_SERVER = "kube-apiserver-kubelet-client"
KUBECTL_SECONDS_MAX = 120.0

_numbers = itertools.count(1)


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: bytes
    err: str


class Pods:
    """Makes pods and asks kubectl about them."""

    def __init__(self, api: Api, runtime: SubprocessRuntime, node: str, folder: Path) -> None:
        self.api = api
        self.runtime = runtime
        self.node = node
        self.namespace = ""
        self._folder = folder
        self._sandboxes: dict[str, str] = {}

    async def add(
        self, name: str, containers: Mapping[str, Sequence[str]], *, runs: bool = True
    ) -> None:
        """A pod; its containers run if `runs`."""
        body = {
            "metadata": {"name": name},
            "spec": {
                "nodeName": self.node,
                "containers": [{"name": one, "image": "none"} for one in containers],
            },
        }
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        made = await self.api.good("POST", pods, body)
        config = SandboxConfig(
            name=name,
            namespace=self.namespace,
            uid=made["metadata"]["uid"],
            log_folder=str(self._folder / made["metadata"]["uid"]),
        )
        self._sandboxes[name] = await self.runtime.run_sandbox(config)
        if runs:
            for one, command in containers.items():
                await self.start(name, one, command)
            await self.say(name, {"phase": "Running"})

    async def start(
        self, name: str, container: str, command: Sequence[str], attempt: int = 0
    ) -> str:
        """Run a container of a pod; its id."""
        config = ContainerConfig(
            name=container,
            attempt=attempt,
            image="none",
            command=tuple(command),
            log_path=f"{container}/{attempt}.log",
        )
        number = await self.runtime.create_container(self._sandboxes[name], config)
        await self.runtime.start_container(number)
        return number

    async def say(self, name: str, status: Mapping[str, object]) -> None:
        """What the agent would tell of a pod."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.api.good(
            "PATCH", path, {"status": status}, content_type="application/merge-patch+json"
        )

    async def last_container(self) -> str:
        """The id of the one that was made last."""
        return (await self.runtime.list_containers())[-1].id

    def log(self, container_id: str) -> Path:
        """Where a container's log is written."""
        return self.runtime.running(container_id).log

    async def has_logged(self, container_id: str, ending: bytes) -> None:
        """Wait until a container's log ends so."""
        while not self.log(container_id).read_bytes().endswith(ending):  # noqa: ASYNC110 (a file)
            await asyncio.sleep(0.01)

    def feed(self, container_id: str, data: bytes) -> None:
        """Write to a container's stdin."""
        stdin = self.runtime.running(container_id).process.stdin
        assert stdin is not None
        stdin.write(data)

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self._folder / "kubeconfig"

    async def begin(
        self, program: Path, *words: str, has_stdin: bool = True
    ) -> asyncio.subprocess.Process:
        """A kubectl that is under way."""
        cache = f"--cache-dir={self._folder / 'cache'}"
        return await self._begin([str(program), cache], words, has_stdin=has_stdin)

    async def kubectl(self, program: Path, *words: str, stdin: bytes = b"") -> Ran:
        """What a kubectl has said when it has ended."""
        return await _ended(await self.begin(program, *words, has_stdin=bool(stdin)), stdin)

    async def cpctl(self, *words: str, stdin: bytes = b"") -> Ran:
        """… or our own."""
        command = [sys.executable, "-m", "controlplane.ctl"]
        return await _ended(await self._begin(command, words, has_stdin=bool(stdin)), stdin)

    async def _begin(
        self, command: Sequence[str], words: Sequence[str], *, has_stdin: bool
    ) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command,
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={self.namespace}",
            *words,
            stdin=pipe if has_stdin else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )


async def _ended(process: asyncio.subprocess.Process, stdin: bytes) -> Ran:
    try:
        async with asyncio.timeout(KUBECTL_SECONDS_MAX):
            out, err = await process.communicate(stdin or None)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, out, err.decode())


@asynccontextmanager
async def pods_that_run(
    client: Client, member: ClusterProcesses, folder: Path
) -> AsyncIterator[Pods]:
    """An API server, and a node's server over processes, until the end of the block."""
    authority = Authority(folder)
    own, agents, shown = (authority.issue(name) for name in ("api", "node", API_SERVER))
    runtime = SubprocessRuntime(folder)
    node = f"node-{next(_numbers)}"
    server = NodeServer(
        runtime,
        Measuring(node, runtime),
        tls=server_tls(agents.certificate, agents.key, authority.path),
        clients=[API_SERVER],
    )
    port = await server.listen("127.0.0.1", 0)
    changes = {
        "certificate": own.certificate,
        "key": own.key,
        "agent_certificate": shown.certificate,
        "agent_key": shown.key,
        "agent_authority": authority.path,
    }
    try:
        async with started(client, member, **changes) as api:
            await _add_node(api, node, port)
            pods = Pods(api, runtime, node, folder)
            pods.namespace = await api.new_namespace()
            config = _kubeconfig(api.url, authority.path)
            (folder / "kubeconfig").write_text(yaml.safe_dump(config))
            yield pods
    finally:
        await server.close()
        await runtime.close()


async def _add_node(api: Api, name: str, port: int) -> None:
    await api.good("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    path = f"/api/v1/nodes/{name}/status"
    await api.good("PATCH", path, {"status": status}, content_type="application/merge-patch+json")


def _kubeconfig(url: str, authority: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [
            {"name": "tests", "cluster": {"server": url, "certificate-authority": authority}}
        ],
        "users": [{"name": "tests", "user": {"token": "admin"}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    }
