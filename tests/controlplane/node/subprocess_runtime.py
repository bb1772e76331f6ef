"""A runtime that is no more than processes, terminals and files: what runs is real, what keeps it
apart is not there. Only what a node's server asks of a runtime does anything.
"""

import asyncio
import fcntl
import os
import pty
import signal
import socket
import struct
import termios
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

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


class ProcessSession:
    """A process and its pipes, or its terminal."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: asyncio.StreamWriter | None,
        output: asyncio.StreamReader,
        errors: asyncio.StreamReader | None,
        terminal: int | None,
    ) -> None:
        self.process = process
        self.stdin = stdin
        self.output = output
        self.errors = errors
        self._terminal = terminal

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        code = await self.process.wait()
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            for reader in (self.output, self.errors):
                while reader is not None and await reader.read(1 << 20):
                    pass  # asyncio waits for a process until its pipes have ended
            await self.process.wait()


class Attached:
    """What a container writes from now on."""

    def __init__(self, container: "Running", *, has_stdin: bool) -> None:
        self._container = container
        self.stdin = container.process.stdin if has_stdin else None
        self.output = asyncio.StreamReader()
        self.errors: asyncio.StreamReader | None = None
        container.attached.append(self.output)

    def resize(self, columns: int, rows: int) -> None:
        pass

    async def wait(self) -> int:
        return await self._container.process.wait()

    async def close(self) -> None:
        self._container.attached.remove(self.output)


class Running:
    """A container's process, whose output goes to its log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.attached: list[asyncio.StreamReader] = []
        self.writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            with self.log.open("ab") as file:
                file.write(entry(line))
            for reader in self.attached:
                reader.feed_data(line)
        for reader in self.attached:
            reader.feed_eof()
        await self.process.wait()


def entry(line: bytes, stream: str = "stdout", at: float | None = None) -> bytes:
    """A line as a runtime logs it."""
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    told = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
    text, is_whole = line.removesuffix(b"\n"), line.endswith(b"\n")
    return f"{told} {stream} {'F' if is_whole else 'P'} ".encode() + text + b"\n"


class SubprocessRuntime:
    """Has the containers that tests give it; `close` ends all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}
        self._running: dict[str, Running] = {}
        self.sessions: list[ProcessSession] = []

    async def close(self) -> None:
        for running in self._running.values():
            if running.process.returncode is None:
                os.killpg(running.process.pid, signal.SIGKILL)
            await running.writing
        for session in self.sessions:
            await session.close()

    async def run_sandbox(self, config: SandboxConfig) -> str:
        number = f"sandbox-{len(self._sandboxes)}"
        _make(Path(config.log_folder))
        self._sandboxes[number] = Sandbox(
            id=number, config=config, is_ready=True, address="127.0.0.1", created_at=time.time()
        )
        return number

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        number = f"container-{len(self._containers)}"
        self._containers[number] = Container(
            id=number,
            sandbox_id=sandbox_id,
            config=config,
            state="created",
            created_at=time.time(),
        )
        return number

    async def start_container(self, container_id: str) -> None:
        container = self._containers[container_id]
        config = container.config
        log = Path(self._sandboxes[container.sandbox_id].config.log_folder) / config.log_path
        _make(log.parent)
        log.touch()
        process = await asyncio.create_subprocess_exec(
            *config.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._running[container_id] = Running(process, log)
        self._set(container_id, state="running", started_at=time.time())

    def running(self, container_id: str) -> Running:
        """The process of a container that was started."""
        return self._running[container_id]

    async def ended(self, container_id: str) -> None:
        """Wait until a container has ended, and all of its log is written."""
        running = self._running[container_id]
        await running.writing
        code = running.process.returncode or 0
        self._set(container_id, state="exited", finished_at=time.time(), exit_code=code)

    def _set(self, container_id: str, **fields: object) -> None:
        before = self._containers[container_id]
        self._containers[container_id] = msgspec.structs.replace(before, **fields)

    async def list_sandboxes(self) -> list[Sandbox]:
        return list(self._sandboxes.values())

    async def list_containers(self) -> list[Container]:
        return list(self._containers.values())

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, has_stdin: bool, has_tty: bool
    ) -> Session:
        try:
            session = await (_on_terminal(command) if has_tty else _on_pipes(command, has_stdin))
        except FileNotFoundError:
            why = f'exec: "{command[0]}": executable file not found in $PATH'
            raise RefusedError("StartError", why) from None
        self.sessions.append(session)
        return session

    async def attach(self, container_id: str, *, has_stdin: bool) -> Session:
        return Attached(self._running[container_id], has_stdin=has_stdin)

    async def connect(
        self, sandbox_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)

    async def usage(self) -> Mapping[str, Usage]:
        found = {}
        for number, running in self._running.items():
            if self._containers[number].state == "running":
                found[number] = _usage(running.process.pid)
        return found

    # What a node's server never asks for.

    async def version(self) -> RuntimeVersion:
        return RuntimeVersion(name="subprocess", version="0", isolation="process")

    async def stop_sandbox(self, sandbox_id: str) -> None:
        raise NotImplementedError

    async def remove_sandbox(self, sandbox_id: str) -> None:
        raise NotImplementedError

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        raise NotImplementedError

    async def remove_container(self, container_id: str) -> None:
        raise NotImplementedError

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], timeout_seconds: float
    ) -> ExecResult:
        raise NotImplementedError

    async def reopen_log(self, container_id: str) -> None:
        raise NotImplementedError

    async def pull_image(self, name: str) -> Image:
        raise NotImplementedError

    async def image(self, name: str) -> Image | None:
        raise NotImplementedError

    async def changed(self) -> None:
        raise NotImplementedError


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _usage(pid: int) -> Usage:
    stat = Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()
    seconds = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return Usage(at=time.time(), cpu_seconds=seconds, memory=int(stat[21]) * 4096)


async def _on_pipes(command: tuple[str, ...], has_stdin: bool) -> ProcessSession:
    nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe if has_stdin else nothing,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    assert process.stdout is not None
    return ProcessSession(process, process.stdin, process.stdout, process.stderr, None)


async def _on_terminal(command: tuple[str, ...]) -> ProcessSession:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *("setsid", "--ctty", *command),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    loop = asyncio.get_running_loop()
    output = asyncio.StreamReader()
    reading = os.fdopen(ours, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: _TerminalProtocol(output), reading)
    writing = os.fdopen(os.dup(ours), "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), writing
    )
    stdin = asyncio.StreamWriter(transport, protocol, None, loop)
    return ProcessSession(process, stdin, output, None, ours)


class _TerminalProtocol(asyncio.StreamReaderProtocol):
    def connection_lost(self, exc: Exception | None) -> None:
        """A terminal that nobody has open any more cannot be read: EIO is its end."""
        super().connection_lost(None)
