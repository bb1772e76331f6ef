"""The `process` runtime: the interface of runtimes, by shims.

Every pod has a shim (`controlplane.node.runtime.shim`), and pods outlive the agent: all that is
known of them is in files and in the shims, and a new agent finds it there.
"""

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from controlplane.node.runtime.interface import (
    Container,
    ContainerConfig,
    ExecResult,
    Image,
    Mount,
    RefusedError,
    RuntimeVersion,
    Sandbox,
    SandboxConfig,
    Usage,
)
from controlplane.node.runtime.process.folders import (
    ContainerRecord,
    Folders,
    SandboxRecord,
    unknown_sandbox,
)
from controlplane.node.runtime.process.images import Images, packages
from controlplane.node.runtime.process.launches import Node, launch, refuse_sysctls
from controlplane.node.runtime.process.pods import Pod
from controlplane.node.runtime.process.sessions import ShimSession, open_session
from controlplane.node.runtime.process.zygotes import Abilities, Zygote
from controlplane.node.runtime.shim import records
from controlplane.node.runtime.shim.isolation import Isolation
from controlplane.node.tree_sizes import TreeSizes
from controlplane.node.trees import TreeSize

OUTPUT_BYTES_MAX = 10 * 1024  # of a probe or hook, as the kubelet keeps it
_READ_BYTES = 64 * 1024
# After its SIGKILL a container ends as soon as the kernel lets it.
_KILLED_SECONDS = 60.0
# A command that has ended, while something it has started keeps its output open.
_OUTPUT_SECONDS = 1.0
# All are asked for what is used: one that hangs must not keep evictions from what others use.
_USAGE_SECONDS = 3.0
_HOST_FOLDERS = ("/usr/", "/opt/", "/bin/", "/lib/")
_RESOLV_CONF = "resolv.conf"
_POD_FILES = ("hosts", "hostname", _RESOLV_CONF)

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class ProcessRuntime:
    """A `Runtime`. root: a folder of its own on a local disk.

    isolation  what it tries for; less where the machine does not let it
    Close it: pods go on without it. Raises ValueError for a bad images.toml.
    """

    def __init__(self, root: Path, *, isolation: Isolation = "namespaces+rootfs") -> None:
        self._folders = Folders(root)
        self._images = Images(root / "images.toml")
        self._zygote = Zygote(self._folders.root, isolation)
        self._pods: dict[str, Pod] = {}
        self._sizes = TreeSizes()
        self._attaching = asyncio.Lock()
        self._is_attached = False
        self._change = asyncio.Event()
        self._node = Node(user=os.geteuid(), group=os.getegid(), binds=_binds())

    async def close(self) -> None:
        """Let go of all pods."""
        await self._detach_all()
        self._sizes.close()
        self._is_attached = False

    async def shut_down(self) -> None:
        """End all pods, and what starts them: no process of this root folder is left.

        Raises RefusedError for a pod that cannot be ended, when all others are.
        """
        failed: list[RefusedError] = []
        for sandbox in await self.list_sandboxes():
            try:
                await self.remove_sandbox(sandbox.id)
            except RefusedError as error:
                failed.append(error)
        await self._zygote.quit()
        await self.close()
        if failed:
            raise failed[0]

    async def _attached(self) -> None:
        """Know all that is here from before."""
        if self._is_attached:
            return
        async with self._attaching:
            if self._is_attached:
                return
            await self._on_disk(self._folders.prepare)
            for sandbox_id, record in (await self._on_disk(self._folders.sandboxes)).items():
                self._pods[sandbox_id] = Pod(self._folders, sandbox_id, record, self._change.set)
            try:
                await self._attach_all()
            except BaseException:
                await self._detach_all()
                raise
            self._is_attached = True

    async def _attach_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for pod in self._pods.values():
                    tasks.create_task(pod.attach())
        except* OSError as errors:
            told = f"what runs cannot be found out: {errors.exceptions[0]}"
            raise RefusedError("RuntimeNotReady", told) from errors
        await self._end_unreadable()

    async def _detach_all(self) -> None:
        for pod in self._pods.values():
            await pod.detach()
        self._pods.clear()

    async def _end_unreadable(self) -> None:
        """Whoever's they are: their pods will be started again, and must not run twice.

        Raises RefusedError where that fails: nobody can say then what runs here.
        """
        for sandbox_id in await self._on_disk(self._folders.unreadable_sandboxes):
            _log.error("sandbox %s cannot be read: it is ended", sandbox_id)
            abilities = await self._zygote.abilities()
            pod = Pod(
                self._folders,
                sandbox_id,
                unknown_sandbox(sandbox_id, abilities.cgroups),
                self._change.set,
            )
            await pod.attach()
            await pod.terminate()
            await self._on_disk(partial(self._folders.remove_sandbox, sandbox_id))
        for pod in self._pods.values():
            for container_id in await self._on_disk(
                partial(self._folders.unreadable_containers, pod.id)
            ):
                _log.error("container %s cannot be read: it is ended", container_id)
                await self._remove_container(pod, container_id)

    async def _on_disk(self, work: Callable[[], _T], reason: str = "RuntimeNotReady") -> _T:
        try:
            return await _to_its_end(asyncio.to_thread(work))
        except OSError as error:
            told = f"the runtime cannot use its files below {self._folders.root}: {error}"
            raise RefusedError(reason, told) from error

    async def _ready(self) -> Abilities:
        await self._attached()
        return await self._zygote.abilities()

    async def version(self) -> RuntimeVersion:
        """Who it is."""
        abilities = await self._ready()
        return RuntimeVersion(name="process", version=_version(), isolation=abilities.isolation)

    async def run_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox; its id."""
        abilities = await self._ready()
        sandbox_id = secrets.token_hex(16)
        made = records.Pod(
            id=sandbox_id,
            hostname=config.hostname,
            is_host_network=config.is_host_network,
            shares_processes=config.shares_processes,
            sysctls=dict(config.sysctls),
            isolation=abilities.isolation,
            has_user_namespace=abilities.has_user_namespace,
            cgroups=abilities.cgroups,
        )
        refuse_sysctls(config, made)
        record = SandboxRecord(config=config, created_at=time.time(), pod=made)
        pod = Pod(self._folders, sandbox_id, record, self._change.set)
        # From now on it is told of: whatever fails, or is broken off, it can be removed.
        self._pods[sandbox_id] = pod
        try:
            await self._on_disk(
                lambda: self._folders.create_sandbox(sandbox_id, record), "CreatePodSandboxError"
            )
            await _to_its_end(self._zygote.run(made, self._folders.sandbox(sandbox_id)))
        except RefusedError:
            await pod.attach()
            await self.remove_sandbox(sandbox_id)
            raise
        await pod.attach()
        self._change.set()
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in it."""
        await self._attached()
        pod = self._pods.get(sandbox_id)
        if pod is not None:
            await pod.terminate()

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """… and forget it with all its containers. Their logs stay.

        While its files cannot be removed it is told of: whoever wants it gone comes again.
        """
        await self.stop_sandbox(sandbox_id)
        if sandbox_id in self._pods:
            await self._on_disk(lambda: self._folders.remove_sandbox(sandbox_id))
            self._pods.pop(sandbox_id, None)
            self._change.set()

    async def list_sandboxes(self) -> list[Sandbox]:
        """All that there are."""
        await self._attached()
        return [pod.sandbox() for pod in self._pods.values()]

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container; its id. It does not run yet."""
        await self._attached()
        pod = self._pods.get(sandbox_id)
        if pod is None:
            raise RefusedError("NotFound", f"no sandbox {sandbox_id}")
        image = self._images.find(config.image)
        folder = self._folders.sandbox(sandbox_id)
        sandbox, made = pod.record.config, pod.record.pod

        def create() -> None:
            _find_mounts(config)
            files = _pod_files(folder) if made.has_namespaces else []
            how = launch(config, sandbox, made, image, self._node, files)
            self._folders.create_container(sandbox_id, container_id, record, how)

        container_id = secrets.token_hex(32)
        record = ContainerRecord(config=config, created_at=time.time(), image_id=image.id)
        await self._on_disk(create, "CreateContainerError")
        pod.add(container_id, record)
        self._change.set()
        return container_id

    async def _pod_of(self, container_id: str) -> Pod:
        await self._attached()
        for pod in self._pods.values():
            if container_id in pod.container_ids:
                return pod
        raise RefusedError("NotFound", f"no container {container_id}")

    async def start_container(self, container_id: str) -> None:
        """Run its command. One that is not there ends it at once: exited, `StartError`, 128."""
        pod = await self._pod_of(container_id)
        if not pod.state(container_id).started_at:
            told = await pod.ask({"op": "start", "container": container_id})
            pod.apply(container_id, told)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Its stop signal, and SIGKILL to all of it after so long; return at its end."""
        try:
            pod = await self._pod_of(container_id)
        except RefusedError:
            return
        state = pod.state(container_id)
        if state.finished_at or not state.started_at or not pod.is_ready:
            return
        request = {"op": "stop", "container": container_id, "grace_seconds": grace_seconds}
        told = await pod.ask(request, timeout_seconds=grace_seconds + _KILLED_SECONDS)
        pod.apply(container_id, told)

    async def remove_container(self, container_id: str) -> None:
        """Kill it if it runs, and forget it. Its log stays."""
        try:
            pod = await self._pod_of(container_id)
        except RefusedError:
            return
        await self._remove_container(pod, container_id)

    async def _remove_container(self, pod: Pod, container_id: str) -> None:
        if pod.is_ready:
            request = {"op": "remove", "container": container_id}
            await pod.ask(request, timeout_seconds=_KILLED_SECONDS)
        await self._on_disk(lambda: self._folders.remove_container(pod.id, container_id))
        pod.forget(container_id)
        self._change.set()

    async def list_containers(self) -> list[Container]:
        """All that there are, of all sandboxes."""
        await self._attached()
        return [container for pod in self._pods.values() for container in pod.containers()]

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, has_stdin: bool, has_tty: bool
    ) -> ShimSession:
        """Run a command in a container that runs, with streams."""
        pod = await self._pod_of(container_id)
        request = {"op": "exec", "container": container_id, "command": list(command)}
        call, _ = await pod.open(request | {"stdin": has_stdin, "tty": has_tty})
        return await open_session(call, has_stdin=has_stdin, has_tty=has_tty)

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], timeout_seconds: float
    ) -> ExecResult:
        """… without. TimeoutError: it was killed after so long."""
        session = await self.exec(container_id, command, has_stdin=False, has_tty=False)
        assert session.errors is not None
        reading = [
            asyncio.create_task(_read(reader)) for reader in (session.output, session.errors)
        ]
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await session.wait()
            await asyncio.wait(reading, timeout=_OUTPUT_SECONDS)
        finally:
            await session.close()
        output, errors = await asyncio.gather(*reading)
        return ExecResult(code, output, errors)

    async def attach(self, container_id: str, *, has_stdin: bool) -> ShimSession:
        """What the container itself writes from now on, and its stdin if it has one."""
        pod = await self._pod_of(container_id)
        request = {"op": "attach", "container": container_id, "stdin": has_stdin}
        call, told = await pod.open(request)
        return await open_session(call, has_stdin=told["has_stdin"], has_tty=told["has_tty"])

    async def connect(
        self, sandbox_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a TCP port of the pod (port-forward)."""
        await self._attached()
        pod = self._pods.get(sandbox_id)
        if pod is None:
            raise RefusedError("NotFound", f"no sandbox {sandbox_id}")
        address = pod.record.config.address or "127.0.0.1"
        try:
            return await asyncio.open_connection(address, port)
        except OSError as error:
            told = f"nothing answers on port {port} of {address}: {error.strerror or error}"
            raise RefusedError("ConnectionRefused", told) from error

    async def reopen_log(self, container_id: str) -> None:
        """Its log was renamed: write on in a new file of the old name."""
        pod = await self._pod_of(container_id)
        await pod.ask({"op": "reopen_log", "container": container_id})

    async def usage(self) -> Mapping[str, Usage]:
        """Of each container that runs, by id."""
        await self._attached()
        pods = [pod for pod in self._pods.values() if pod.is_ready]
        told = await asyncio.gather(*map(self._asked, pods))
        roots = {
            name: self._folders.container_root(pod.id, name)
            for pod, each in zip(pods, told, strict=True)
            for name in each
        }
        sizes = await self._sizes.measure(roots.values())
        return {
            name: msgspec.structs.replace(usage, disk=sizes.get(roots[name], TreeSize()).bytes)
            for each in told
            for name, usage in each.items()
        }

    async def _asked(self, pod: Pod) -> dict[str, Usage]:
        """Of its containers, but for the disk."""
        try:
            told = await pod.ask({"op": "usage"}, timeout_seconds=_USAGE_SECONDS)
        except RefusedError:
            return {}
        return {
            name: Usage(at=time.time(), cpu_seconds=cpu_seconds, memory=memory, pids=pids)
            for name, (cpu_seconds, memory, pids) in told.items()
        }

    async def pull_image(self, name: str) -> Image:
        """What a name stands for here: nothing is ever fetched."""
        return self._images.find(name)

    async def image(self, name: str) -> Image | None:
        """An image that is here: every name that `pull_image` would give."""
        try:
            return self._images.find(name)
        except RefusedError:
            return None

    async def changed(self) -> None:
        """Return when something may be otherwise than it was when it was last asked."""
        await self._attached()
        await self._change.wait()
        self._change.clear()


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Also when the caller is cancelled, who hears of it afterwards: nothing is made any more when
    he, or whoever comes after him, looks at what there is to be removed.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody else asks for it
        raise


def _version() -> str:
    try:
        return metadata.version("keelson")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a checkout that nobody has installed


def _find_mounts(config: ContainerConfig) -> None:
    for mount in config.mounts:
        if not Path(mount.host_path).exists():
            told = f"{mount.host_path}, to be mounted at {mount.container_path}, is not there"
            raise RefusedError("CreateContainerError", told)


def _pod_files(folder: Path) -> list[Mount]:
    """What a container sees in /etc of its pod's own; names are looked up as the host does it,
    where the pod says nothing else."""
    found = {name: folder / name for name in _POD_FILES if (folder / name).exists()}
    if _RESOLV_CONF not in found and Path("/etc", _RESOLV_CONF).exists():
        found[_RESOLV_CONF] = Path("/etc", _RESOLV_CONF).resolve()
    return [
        Mount(
            container_path=f"/etc/{name}",
            host_path=str(path),
            is_read_only=not path.is_relative_to(folder),
        )
        for name, path in found.items()
    ]


def _binds() -> tuple[str, ...]:
    """The Python that runs us, and this package: programs of ours run with both."""
    found = {sys.prefix, sys.base_prefix, str(Path(sys.base_prefix).resolve())}
    found.add(str(packages() / "controlplane"))
    return tuple(sorted(path for path in found if not f"{path}/".startswith(_HOST_FOLDERS)))


async def _read(reader: asyncio.StreamReader) -> bytes:
    """All of it; what is beyond the bound is read and thrown away."""
    kept = bytearray()
    while True:
        data = await reader.read(_READ_BYTES)
        if not data:
            return bytes(kept)
        kept += data[: OUTPUT_BYTES_MAX - len(kept)]
