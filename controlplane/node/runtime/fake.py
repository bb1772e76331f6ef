"""A runtime that only remembers: for simulations, for nodes that are hollow, and for tests.

It keeps the words of `interface.py`: containers run until they are told otherwise, by a caller or
by their `Script`; an agent that ends and begins anew with the same object finds all of it again.
Nothing is run, and no file is written.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping

import msgspec

from controlplane.node.runtime.interface import (
    Container,
    ContainerConfig,
    ExecResult,
    Image,
    RefusedError,
    RuntimeVersion,
    Sandbox,
    SandboxConfig,
    Session,
    Usage,
)
from kvstore.seams import Clock

KILLED = 128 + 9
TERMINATED = 128 + 15

Answer = Callable[[tuple[str, ...]], ExecResult]


def _succeed(command: tuple[str, ...]) -> ExecResult:
    return ExecResult(0, b"", b"")


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one attempt of a container.

    start_seconds  how long its start takes
    run_seconds    until it ends by itself; None: never
    exit_code      with which it does
    stop_seconds   from its stop signal to its end; None: it takes no notice
    refusal        why it cannot be created: (reason, message)
    answer         what a command in it returns
    answer_seconds how long that takes
    """

    start_seconds: float = 0.0
    run_seconds: float | None = None
    exit_code: int = 0
    stop_seconds: float | None = 0.0
    refusal: tuple[str, str] | None = None
    answer: Answer = _succeed
    answer_seconds: float = 0.0


def _runs(sandbox: SandboxConfig, container: ContainerConfig) -> Script:
    return Script()


class FakeRuntime:
    """Sandboxes and containers in memory.

    script  says of each attempt what becomes of it
    images  names that cannot be had -> why; any other can
    """

    def __init__(
        self,
        clock: Clock,
        wall: Callable[[], float],
        *,
        script: Callable[[SandboxConfig, ContainerConfig], Script] = _runs,
    ) -> None:
        """`wall`: seconds since 1970."""
        self.images: dict[str, tuple[str, str]] = {}
        self._clock = clock
        self._wall = wall
        self._script = script
        self._numbers = itertools.count(1)
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}
        self._scripts: dict[str, Script] = {}
        self._pulled: set[str] = set()
        self._ends: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()

    # ------------------------------------------------------------ what tests tell it

    def end(self, container_id: str, exit_code: int = 0, reason: str = "") -> None:
        """A container that runs ends by itself."""
        container = self._containers.get(container_id)
        if container is None or container.state != "running":
            return
        self._containers[container_id] = msgspec.structs.replace(
            container,
            state="exited",
            exit_code=exit_code,
            reason=reason or ("Error" if exit_code else "Completed"),
            finished_at=self._wall(),
        )
        self._ends[container_id].set()
        self._news.set()

    def lose_sandbox(self, sandbox_id: str) -> None:
        """A sandbox dies, and all that runs in it."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self._sandboxes[sandbox_id] = msgspec.structs.replace(sandbox, is_ready=False)
        for container in self._of(sandbox_id):
            self.end(container.id, KILLED)
        self._news.set()

    # --------------------------------------------------------------------- sandboxes

    async def version(self) -> RuntimeVersion:
        """Who it is."""
        return RuntimeVersion(name="fake", version="1", isolation="fake")

    async def run_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox; its id."""
        for one in self._sandboxes.values():
            if (one.config.uid, one.config.attempt) == (config.uid, config.attempt):
                raise RefusedError("CreatePodSandboxError", f"sandbox {one.id} is there already")
        sandbox_id = self._id("sandbox")
        self._sandboxes[sandbox_id] = Sandbox(
            id=sandbox_id,
            config=config,
            is_ready=True,
            address=config.address,
            created_at=self._wall(),
        )
        self._news.set()
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in it, and give back its address."""
        self.lose_sandbox(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """… and forget it with all its containers."""
        self.lose_sandbox(sandbox_id)
        for container in self._of(sandbox_id):
            self._forget(container.id)
        self._sandboxes.pop(sandbox_id, None)
        self._news.set()

    async def list_sandboxes(self) -> list[Sandbox]:
        """All that there are."""
        return list(self._sandboxes.values())

    # -------------------------------------------------------------------- containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container; its id. Raises RefusedError."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None or not sandbox.is_ready:
            raise RefusedError("NotFound", f"there is no sandbox {sandbox_id} that is ready")
        script = self._script(sandbox.config, config)
        if script.refusal is not None:
            raise RefusedError(*script.refusal)
        container_id = self._id("container")
        self._containers[container_id] = Container(
            id=container_id,
            sandbox_id=sandbox_id,
            config=config,
            state="created",
            image_id=f"fake://{config.image}",
            created_at=self._wall(),
        )
        self._scripts[container_id] = script
        self._ends[container_id] = asyncio.Event()
        self._news.set()
        return container_id

    async def start_container(self, container_id: str) -> None:
        """Run its command. Raises RefusedError `NotFound`."""
        script = self._script_of(container_id)
        if script.start_seconds:
            await self._clock.sleep(script.start_seconds)
        container = self._containers.get(container_id)
        if container is None:
            raise RefusedError("NotFound", f"there is no container {container_id}")
        if container.state != "created":
            return
        self._containers[container_id] = msgspec.structs.replace(
            container, state="running", started_at=self._wall()
        )
        if script.run_seconds is not None:
            ended = lambda: self.end(container_id, script.exit_code)  # noqa: E731
            self._clock.call_later(script.run_seconds, ended)
        self._news.set()

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """As if with a signal, and another after so long; return at its end."""
        container = self._containers.get(container_id)
        if container is None or container.state != "running":
            return
        needed = self._scripts[container_id].stop_seconds
        code = KILLED if needed is None or needed > grace_seconds else TERMINATED
        wait = grace_seconds if code == KILLED or needed is None else needed
        timer = self._clock.call_later(wait, lambda: self.end(container_id, code))
        try:
            await self._ends[container_id].wait()
        finally:
            timer.cancel()

    async def remove_container(self, container_id: str) -> None:
        """Kill it if it runs, and forget it."""
        self.end(container_id, KILLED)
        self._forget(container_id)
        self._news.set()

    async def list_containers(self) -> list[Container]:
        """All that there are, of all sandboxes."""
        return list(self._containers.values())

    # ----------------------------------------------------------------------- streams

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], timeout_seconds: float
    ) -> ExecResult:
        """What its script answers. Raises RefusedError, TimeoutError."""
        script = self._script_of(container_id)
        if self._containers[container_id].state != "running":
            raise RefusedError("NotFound", f"container {container_id} does not run")
        if script.answer_seconds > timeout_seconds:
            await self._clock.sleep(timeout_seconds)
            raise TimeoutError
        if script.answer_seconds:
            await self._clock.sleep(script.answer_seconds)
        return script.answer(command)

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, has_stdin: bool, has_tty: bool
    ) -> Session:
        """Raises RefusedError: nothing runs here that a stream could be of."""
        raise RefusedError("Unimplemented", "a container of this node runs no command")

    async def attach(self, container_id: str, *, has_stdin: bool) -> Session:
        """Raises RefusedError: nothing runs here that a stream could be of."""
        raise RefusedError("Unimplemented", "a container of this node writes nothing")

    async def connect(
        self, sandbox_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises RefusedError: nothing listens here."""
        raise RefusedError("Unimplemented", "a pod of this node listens on no port")

    async def reopen_log(self, container_id: str) -> None:
        """There is none."""
        self._script_of(container_id)

    # ------------------------------------------------------------------ all the rest

    async def usage(self) -> Mapping[str, Usage]:
        """Of each container that runs: nothing."""
        now = self._wall()
        running = (one for one in self._containers.values() if one.state == "running")
        return {one.id: Usage(at=now) for one in running}

    async def pull_image(self, name: str) -> Image:
        """Have an image here. Raises RefusedError for those of `images`."""
        if name in self.images:
            raise RefusedError(*self.images[name])
        self._pulled.add(name)
        return Image(id=f"fake://{name}", name=name)

    async def image(self, name: str) -> Image | None:
        """One that was pulled."""
        return Image(id=f"fake://{name}", name=name) if name in self._pulled else None

    async def changed(self) -> None:
        """Return when something was changed since it was last asked."""
        await self._news.wait()
        self._news.clear()

    def _id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers):08d}"

    def _of(self, sandbox_id: str) -> list[Container]:
        return [one for one in self._containers.values() if one.sandbox_id == sandbox_id]

    def _script_of(self, container_id: str) -> Script:
        script = self._scripts.get(container_id)
        if script is None:
            raise RefusedError("NotFound", f"there is no container {container_id}")
        return script

    def _forget(self, container_id: str) -> None:
        self._containers.pop(container_id, None)
        self._scripts.pop(container_id, None)
        ended = self._ends.pop(container_id, None)
        if ended is not None:
            ended.set()
