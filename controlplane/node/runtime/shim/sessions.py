"""Commands in a container that runs, and clients that are attached to one: who holds what.

Clients get the other ends of the pipes themselves, so that nothing that they send or do not read
passes through the shim; only what a container writes to its log is copied to who is attached.
"""

import os
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.runtime.shim import processes, spawning, wire
from controlplane.node.runtime.shim.connections import Connection, RequestError
from controlplane.node.runtime.shim.container import (
    Command,
    Container,
    open_nothing,
)
from controlplane.node.runtime.shim.log_lines import Stream
from controlplane.node.runtime.shim.records import Pod
from controlplane.node.runtime.shim.streams import Attachment
from controlplane.node.runtime.shim.terminals import open_terminal

# Of one pod: an agent's probes and people's shells.
_COMMANDS_MAX = 256


@dataclass(frozen=True)
class Executed:
    """A command of `exec`, and who waits for it."""

    container: Container
    command: Command
    connection: Connection
    errors: int


class Sessions:
    """All of a pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._executed: list[Executed] = []
        self._attached: dict[Connection, Container] = {}
        self._lingering: list[Attachment] = []

    def commands(self) -> list[Command]:
        return [executed.command for executed in self._executed]

    def executed(self) -> list[Executed]:
        return list(self._executed)

    def execute(
        self,
        container: Container,
        command: list[str],
        request: wire.Message,
        connection: Connection,
    ) -> None:
        """Run a command, and give its streams to the client. Raises RequestError, OSError."""
        if len(self._executed) >= _COMMANDS_MAX:
            raise RequestError("Unknown", f"{_COMMANDS_MAX} commands run in this pod already")
        if not command or not all(isinstance(word, str) for word in command):
            raise RequestError("Unknown", "no command was given")
        if container.command is None or not container.command.is_up:
            raise RequestError("NotRunning", f"container {container.id} is only being started")
        with ExitStack() as on_failure:
            root = container.root if self._pod.has_root else None
            stdio, given, errors = _open(request, root, on_failure)
            started = container.execute(command, stdio)
            on_failure.pop_all()
        self._executed.append(Executed(container, started, connection, errors))
        connection.answer({}, given)

    def started(self, command: Command) -> None:
        """It runs; but whoever asked for it, or its container, may be gone."""
        for executed in self._executed:
            if executed.command is command and not (
                executed.connection.is_open and executed.container.is_running
            ):
                self._kill(command)

    def ended(self, executed: Executed, code: int) -> None:
        """A command has ended."""
        self._executed.remove(executed)
        failure = executed.command.failure
        if failure is not None:
            code = failure[0]
            os.set_blocking(executed.errors, False)
            with suppress(OSError):  # nobody reads it
                os.write(executed.errors, failure[1].encode() + b"\n")
        os.close(executed.errors)
        executed.connection.tell({"exit_code": code})

    def attach(self, container: Container, connection: Connection, *, stdin: bool) -> None:
        """Give a client what the container writes from now on. Raises OSError."""
        assert container.output is not None
        launch = container.launch
        given = [self._stdin_of(container)] if stdin and container.stdin >= 0 else []
        streams: tuple[Stream, ...] = ("stdout",) if launch.has_tty else ("stdout", "stderr")
        pipes: dict[Stream, int] = {}
        for stream in streams:
            reads, writes = os.pipe2(os.O_CLOEXEC)
            given.append(reads)
            pipes[stream] = writes
        self._attached[connection] = container

        def leave() -> None:
            self.left(connection)
            connection.is_open = False

        container.output.attachments[id(connection)] = Attachment(pipes, leave)
        has_stdin = len(given) > len(streams)
        connection.answer({"has_stdin": has_stdin, "has_tty": launch.has_tty}, given)

    def _stdin_of(self, container: Container) -> int:
        """For a client. Where the first is to be the only one, nobody else keeps it: when that
        client closes it, or leaves, the container reads its end."""
        if container.launch.closes_stdin_once:
            given, container.stdin = container.stdin, -1
            return given
        return os.dup(container.stdin)

    def linger(self, attachments: list[Attachment]) -> None:
        """Of a container that has ended: they are given the rest as far as they read on."""
        self._lingering += attachments

    def pending(self) -> list[int]:
        """Descriptors to wait for until they can be written."""
        return [descriptor for each in self._lingering for descriptor in each.pending()]

    def flush(self) -> None:
        """Give those who linger what they can take."""
        self._lingering = [each for each in self._lingering if not each.end()]

    def container_ended(self, container: Container) -> None:
        """Tell those who are attached; commands in it are killed."""
        code = container.state.exit_code
        for connection, attached in list(self._attached.items()):
            if attached is container:
                del self._attached[connection]
                connection.tell({"exit_code": code})
        for executed in self._executed:
            if executed.container is container:
                self._kill(executed.command)

    def left(self, connection: Connection) -> None:
        """A client has hung up."""
        container = self._attached.pop(connection, None)
        if container is not None and container.output is not None:
            attachment = container.output.attachments.pop(id(connection), None)
            if attachment is not None:
                attachment.close()
        for executed in self._executed:
            if executed.connection is connection:
                self._kill(executed.command)

    def _kill(self, command: Command) -> None:
        if not self._pod.has_namespaces:
            processes.kill_descendants(command.reaped)
        elif command.pid:
            below = processes.descendants(command.pid)
            for pid in (command.pid, *below):
                processes.send_signal(pid, signal.SIGKILL)


def _open(
    request: wire.Message, root: Path | None, on_failure: ExitStack
) -> tuple[spawning.Stdio, list[int], int]:
    """The program's descriptors, the client's, and one for words about a failure.

    The program's are closed by whoever starts it.
    """

    def kept(descriptor: int) -> int:
        on_failure.callback(os.close, descriptor)
        return descriptor

    if request.get("tty"):
        ours, child = open_terminal(root)
        stdio = spawning.Stdio(stdin=child, stdout=child, stderr=child, terminal=True)
        return stdio, [kept(ours)], kept(os.dup(child))
    given = []
    if request.get("stdin"):
        reads, writes = os.pipe2(os.O_CLOEXEC)
        given.append(kept(writes))
    else:
        reads = open_nothing()
    (out, child_out), (err, child_errors) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    stdio = spawning.Stdio(stdin=reads, stdout=child_out, stderr=child_errors, terminal=False)
    return stdio, [*given, kept(out), kept(err)], kept(os.dup(child_errors))
