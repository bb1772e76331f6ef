"""A node of its own for the tests of the process runtime: real zygote, shims and containers."""

import asyncio
import itertools
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from controlplane.node.runtime.interface import (
    Container,
    ContainerConfig,
    RefusedError,
    SandboxConfig,
)
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.node.runtime.process.zygotes import Zygote
from controlplane.node.runtime.shim import processes, records
from controlplane.node.runtime.shim.isolation import Isolation

MARK = "KEELSON_TEST"
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.01
_addresses = itertools.count(2)


class Machine:
    """Runtimes over one root folder.

    mark  what every container of this machine has in its environment
    """

    def __init__(self, root: Path, isolation: Isolation) -> None:
        self.root = root
        self.isolation: Isolation = isolation
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.mark = secrets.token_hex(8)
        self.runtime = self.another()

    @property
    def has_namespaces(self) -> bool:
        return self.isolation != "process"

    def another(self) -> ProcessRuntime:
        """As a new agent finds it."""
        return ProcessRuntime(self.root / "run", isolation=self.isolation)

    async def sandbox(self, **fields: object) -> str:
        config = SandboxConfig(
            name="pod",
            namespace="default",
            uid=secrets.token_hex(4),
            hostname="pod-0",
            address=f"127.64.{os.getpid() % 250}.{next(_addresses) % 250}",
            log_folder=str(self.logs),
        )
        return await self.runtime.run_sandbox(msgspec.structs.replace(config, **fields))

    async def create(self, sandbox_id: str, *command: str, **fields: object) -> str:
        name = secrets.token_hex(4)
        config = ContainerConfig(
            name=name,
            attempt=0,
            image="busybox",
            command=command,
            environment={MARK: self.mark},
            log_path=f"{name}/0.log",
        )
        config = msgspec.structs.replace(config, **fields)
        return await self.runtime.create_container(sandbox_id, config)

    async def start(self, sandbox_id: str, *command: str, **fields: object) -> str:
        container_id = await self.create(sandbox_id, *command, **fields)
        await self.runtime.start_container(container_id)
        return container_id

    async def run(self, sandbox_id: str, *command: str, **fields: object) -> tuple[Container, str]:
        """A container that has ended, and what it has written to stdout and stderr."""
        container_id = await self.start(sandbox_id, *command, **fields)
        ended = await self.ended(container_id)
        return ended, self.said(ended)

    async def container(self, container_id: str) -> Container:
        found = await self.runtime.list_containers()
        return next(each for each in found if each.id == container_id)

    async def ended(self, container_id: str) -> Container:
        while (found := await self.container(container_id)).state != "exited":
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.runtime.changed()
        return found

    def log(self, container: Container) -> str:
        return (self.logs / container.config.log_path).read_text()

    def said(self, container: Container) -> str:
        """Without times and streams; parts joined."""
        lines = (line.split(" ", 3) for line in self.log(container).splitlines())
        return "".join(text + ("\n" if tag == "F" else "") for _, _, tag, text in lines)

    async def has_said(self, container_id: str, words: str) -> None:
        container = await self.container(container_id)
        await until(lambda: words in self.said(container))

    def left(self) -> list[int]:
        """Processes of its containers."""
        marked = processes.marked(MARK, self.mark)
        return [pid for pid in marked if processes.is_alive(pid)]

    def folders(self) -> list[Path]:
        """Of its pods."""
        return list((self.root / "run" / records.SANDBOXES).glob("*"))

    async def clear(self) -> None:
        for sandbox in await self.runtime.list_sandboxes():
            await self.runtime.remove_sandbox(sandbox.id)
        await self.runtime.close()


async def until(condition: Callable[[], bool]) -> None:
    """For what nobody tells of: processes that are gone, files that were written."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


@pytest.fixture(scope="module", params=["process", "namespaces+rootfs"])
def root(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Isolation]]:
    """A root folder for the least isolation and for the best; its zygote ends with it."""
    with tempfile.TemporaryDirectory(prefix="runtime-") as folder:
        yield Path(folder), request.param
        asyncio.run(Zygote(Path(folder, "run"), request.param).quit())


@pytest.fixture
async def machine(root: tuple[Path, Isolation]) -> AsyncIterator[Machine]:
    """Empty, and nothing is left of it afterwards."""
    made = Machine(*root)
    found = (await made.runtime.version()).isolation
    if found != made.isolation:
        pytest.skip(f"this machine has no isolation {made.isolation!r}, only {found!r}")
    yield made
    await made.clear()
    await until(lambda: not made.left())


async def refusal(doing: object) -> RefusedError:
    assert asyncio.iscoroutine(doing)
    with pytest.raises(RefusedError) as caught:
        await doing
    return caught.value
