"""The shim of a pod: parent of its containers' processes, for as long as they live.

One loop, which never waits for anything but all of its descriptors at once. Where there are pid
namespaces it is the first process of the pod's: when it is killed, the kernel kills the pod.

Requests on `shim.sock` (`wire.py`; C: a container's id, S: its State):
    {"op": "watch"}                  -> {"ok": {}}, then {"states": {C: S}} now and at each change
    {"op": "start", "container": C}  -> {"ok": S} as soon as it runs, or could not be run
    {"op": "stop", "container": C, "grace_seconds": N}   -> {"ok": S} when it has ended
    {"op": "remove", "container": C} -> {"ok": {}} when it was killed and forgotten
    {"op": "exec", "container": C, "command": […], "stdin": B, "tty": B}
                                     -> {"ok": {}} with descriptors, {"exit_code": N} at its end;
                                        hanging up kills it
    {"op": "attach", "container": C, "stdin": B}         … hanging up only leaves it
    {"op": "reopen_log", "container": C}                 -> {"ok": {}}
    {"op": "usage"}                  -> {"ok": {C: [CPU SECONDS, BYTES, PIDS]}}
    {"op": "terminate"}              -> {"ok": {}} when all was killed; the shim ends
"""

import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from controlplane.node.runtime.shim import (
    isolation,
    processes,
    records,
    spawning,
    syscalls,
    wire,
)
from controlplane.node.runtime.shim.connections import Connection, RequestError
from controlplane.node.runtime.shim.container import Command, Container
from controlplane.node.runtime.shim.sessions import Sessions

_CONNECTIONS_MAX = 512
_WATCH_SECONDS = 0.1
# Of our own, in its log.
_FAULTS_TOLD_MAX = 100
_RETRY_SECONDS = 1.0
# How often it looks whether its folder is still there: without, nobody could ever find it.
_FOLDER_SECONDS = 30.0


class Shim:
    """Of the pod whose folder is the current one. Raises OSError when it cannot be."""

    def __init__(self, pod: records.Pod) -> None:
        self._pod = pod
        self._containers: dict[str, Container] = {}
        self._connections: dict[int, Connection] = {}
        self._watchers: list[Connection] = []
        self._waiting: dict[str, list[tuple[Connection, Callable[[], wire.Message]]]] = {}
        self._statuses: dict[int, int] = {}
        self._unwritten: set[str] = set()
        self._removing: set[str] = set()
        self._terminating: list[Connection] = []
        self._faults = 0
        self._watches_at = self._writes_at = 0.0
        self._is_terminating = False
        self._is_ending = False
        self._looks_at = time.monotonic() + _FOLDER_SECONDS
        self._sessions = Sessions(pod)
        self._furnish()
        self._wakes, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._listener = wire.listen(records.SHIM_SOCKET)

    def _furnish(self) -> None:
        if not self._pod.has_namespaces:
            syscalls.adopt_orphans()
            return
        isolation.furnish_pod()
        if self._pod.hostname and not self._pod.is_host_network:
            syscalls.set_hostname(self._pod.hostname)
        for name, value in self._pod.sysctls.items():
            Path("/proc/sys", name.replace(".", "/")).write_text(value)

    def serve(self) -> None:
        """Until told to terminate."""
        while not self._is_ending:
            ready = self._wait()
            if self._wakes in ready:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
            self._reap()
            if self._listener.fileno() in ready:
                self._accept()
            for connection in [c for d, c in self._connections.items() if d in ready]:
                self._receive(connection)
            for container in list(self._containers.values()):
                self._pump(container, ready)
            self._sessions.flush()
            self._keep_time()
            self._hang_up()
            self._finish()

    def _wait(self) -> set[int]:
        """Descriptors for which there is something to do."""
        now = time.monotonic()
        poll = select.poll()
        for descriptor in (self._wakes, self._listener.fileno(), *self._connections):
            poll.register(descriptor, select.POLLIN)
        for container in self._containers.values():
            if container.output is not None:
                for descriptor in container.output.sources(now):
                    poll.register(descriptor, select.POLLIN)
                for attachment in container.output.attachments.values():
                    for descriptor in attachment.pending():
                        poll.register(descriptor, select.POLLOUT)
        for descriptor in self._sessions.pending():
            poll.register(descriptor, select.POLLOUT)
        for command in self._commands():
            if command.report >= 0:
                poll.register(command.report, select.POLLIN)
        milliseconds = int(self._seconds_to_wait(now) * 1000) + 1
        return {descriptor for descriptor, _ in poll.poll(milliseconds)}

    def _commands(self) -> list[Command]:
        own = [c.command for c in self._containers.values() if c.command is not None]
        return own + self._sessions.commands()

    def _seconds_to_wait(self, now: float) -> float:
        waits = [_FOLDER_SECONDS]
        for container in self._containers.values():
            if container.is_watched:
                waits.append(_WATCH_SECONDS)
            if container.is_running and container.deadline:
                waits.append(max(container.deadline - now, _WATCH_SECONDS / 10))
            if container.output is not None and container.output.is_waiting:
                waits.append(_RETRY_SECONDS)
        if self._unwritten:
            waits.append(_RETRY_SECONDS)
        return min(waits)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # nobody more, or out of descriptors: who waits is served when one is free
            if len(self._connections) >= _CONNECTIONS_MAX:
                sock.close()
                continue
            connection = Connection(sock)
            self._connections[connection.descriptor] = connection

    def _receive(self, connection: Connection) -> None:
        request = connection.receive()
        if request is None:
            return
        try:
            self._do(request, connection)
        except RequestError as refused:
            connection.refuse(refused)
        except OSError as error:
            connection.refuse(RequestError("RunContainerError", str(error)))
        except Exception as error:  # noqa: BLE001 (the pod would end with its shim)
            if self._faults < _FAULTS_TOLD_MAX:
                traceback.print_exc()
            self._faults += 1
            connection.refuse(RequestError("RunContainerError", f"a fault of the shim: {error!r}"))

    def _do(self, request: wire.Message, connection: Connection) -> None:
        match request:
            case {"op": "watch"}:
                connection.answer({})
                self._watchers.append(connection)
                states = {c.id: asdict(c.state) for c in self._containers.values()}
                connection.tell({"states": states})
            case {"container": str(name)}:
                self._do_to(name, request, connection)
            case {"op": "usage"}:
                running = [c for c in self._containers.values() if c.is_running]
                seen = processes.Snapshot()
                connection.answer({c.id: list(c.spent(seen)) for c in running})
            case {"op": "terminate"}:
                self._terminate(connection)
            case _:
                raise RequestError("Unknown", f"unknown request {request.get('op')!r}")

    def _do_to(self, name: str, request: wire.Message, connection: Connection) -> None:
        match request:
            case {"op": "start"}:
                self._start(name, connection)
            case {"op": "stop", "grace_seconds": float() | int() as grace}:
                self._stop(name, float(grace), connection)
            case {"op": "remove"}:
                self._remove(name, connection)
            case {"op": "exec", "command": list(command)}:
                container = self._running(name)
                self._sessions.execute(container, command, request, connection)
            case {"op": "attach", "stdin": bool(stdin)}:
                self._sessions.attach(self._running(name), connection, stdin=stdin)
            case {"op": "reopen_log"}:
                output = self._running(name).output
                if output is not None:
                    output.log.reopen()
                connection.answer({})
            case _:
                raise RequestError("Unknown", f"unknown request {request.get('op')!r}")

    def _running(self, name: str) -> Container:
        container = self._containers.get(name)
        if container is None or not container.is_running:
            raise RequestError("NotRunning", f"container {name} does not run")
        return container

    def _start(self, name: str, connection: Connection) -> None:
        if self._is_terminating:
            raise RequestError("NotRunning", "the pod is being stopped")
        container = self._containers.get(name)
        if container is None:
            container = Container(self._pod, name)
            container.start()
            self._containers[name] = container
        started = container
        if container.command is not None and container.command.report < 0:
            connection.answer(asdict(container.state))
            return
        self._await(name, connection, lambda: asdict(started.state))

    def _stop(self, name: str, grace_seconds: float, connection: Connection) -> None:
        container = self._containers.get(name)
        if container is None or not container.is_running:
            state = records.State() if container is None else container.state
            connection.answer(asdict(state))
            return
        stopped = container
        self._await(f"{name} ended", connection, lambda: asdict(stopped.state))
        container.stop(time.monotonic() + grace_seconds)
        if grace_seconds <= 0:
            container.kill()

    def _remove(self, name: str, connection: Connection) -> None:
        container = self._containers.get(name)
        if container is not None and container.is_running:
            self._removing.add(name)
            self._await(f"{name} ended", connection, dict)
            container.kill()
            return
        self._forget(name)
        connection.answer({})

    def _forget(self, name: str) -> None:
        container = self._containers.pop(name, None)
        self._unwritten.discard(name)
        self._removing.discard(name)
        if container is not None:
            container.remove_group()

    def _await(
        self, event: str, connection: Connection, answer: Callable[[], wire.Message]
    ) -> None:
        self._waiting.setdefault(event, []).append((connection, answer))

    def _happened(self, event: str) -> None:
        for connection, answer in self._waiting.pop(event, ()):
            connection.answer(answer())

    def _pump(self, container: Container, ready: set[int]) -> None:
        output = container.output
        if output is None:
            return
        for descriptor in output.sources(time.monotonic()):
            if descriptor in ready:
                output.pump(descriptor)
        for attachment in list(output.attachments.values()):
            if not ready.isdisjoint(attachment.pending()):
                attachment.flush()

    def _reap(self) -> None:
        """See which children have ended, and what that means."""
        for command in self._commands():
            self._read_report(command)
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._statuses[pid] = status
        if self._statuses:
            self._see_ends()

    def _see_ends(self) -> None:
        for container in list(self._containers.values()):
            if container.is_running and container.command is not None:
                code = self._code_of(container.command)
                if code is not None:
                    self._ended(container, code)
        for session in self._sessions.executed():
            code = self._code_of(session.command)
            if code is not None:
                self._sessions.ended(session, code)
                if not self._pod.has_namespaces:
                    self._kill_strays()
        if all(command.report < 0 for command in self._commands()):
            # Ushers, and what containers have left behind: nobody waits for them.
            self._statuses.clear()

    def _read_report(self, command: Command) -> None:
        if command.report < 0 or not command.read_report():
            return
        self._sessions.started(command)
        for container in self._containers.values():
            if container.command is command and command.failure is None:
                self._started(container)

    def _started(self, container: Container) -> None:
        assert container.command is not None
        if container.deadline:  # it was told to stop before it was there to be told
            processes.send_signal(container.command.pid, container.launch.stop_signal)
        if container.is_killed or self._is_terminating:
            container.kill()
        self._publish(container)
        self._happened(container.id)

    def _code_of(self, command: Command) -> int | None:
        """The exit code of a command that has ended."""
        if command.report >= 0:
            return None
        adopted = self._pod.has_namespaces and command.pid
        status = self._statuses.pop(command.pid if adopted else command.reaped, None)
        return None if status is None else spawning.exit_code(status)

    def _ended(self, container: Container, code: int) -> None:
        if not self._pod.has_namespaces:
            self._kill_strays()
        if container.output is not None:
            self._sessions.linger(container.output.close())
        container.ended(code)
        self._sessions.container_ended(container)
        self._write(container)
        self._publish(container)
        if container.id in self._removing:
            self._forget(container.id)
        self._happened(container.id)
        self._happened(f"{container.id} ended")

    def _kill_strays(self) -> None:
        """Children of ours that are nobody's: their keeper was killed."""
        known = {command.reaped for command in self._commands()}
        for pid in processes.children(os.getpid()):
            if pid not in known:
                processes.send_signal(pid, signal.SIGSTOP)
                for below in reversed(processes.descendants(pid)):
                    processes.send_signal(below, signal.SIGKILL)
                processes.send_signal(pid, signal.SIGKILL)

    def _write(self, container: Container) -> None:
        """Its end, to be found when the shim is gone too; on a full disk again and again."""
        self._unwritten.discard(container.id)
        try:
            container.write(container.state)
        except FileNotFoundError:
            return  # its folder was removed: nobody asks any more
        except OSError:
            self._unwritten.add(container.id)

    def _publish(self, container: Container) -> None:
        for watcher in self._watchers:
            watcher.tell({"states": {container.id: asdict(container.state)}})

    def _keep_time(self) -> None:
        now = time.monotonic()
        for container in self._containers.values():
            if container.is_running and container.deadline and now >= container.deadline:
                container.kill()
        if now >= self._watches_at:
            self._watches_at = now + _WATCH_SECONDS
            watched = [c for c in self._containers.values() if c.is_watched]
            if watched:
                seen = processes.Snapshot()
                for container in watched:
                    container.watch(seen)
        if self._unwritten and now >= self._writes_at:
            self._writes_at = now + _RETRY_SECONDS
            for name in sorted(self._unwritten):
                self._write(self._containers[name])
        if now >= self._looks_at:
            self._looks_at = now + _FOLDER_SECONDS
            if not Path(records.SHIM).exists():
                self._terminate()

    def _hang_up(self) -> None:
        """Let go of connections that the other side has closed."""
        for descriptor, connection in list(self._connections.items()):
            if connection.is_open:
                continue
            del self._connections[descriptor]
            self._watchers = [each for each in self._watchers if each is not connection]
            for waiting in self._waiting.values():
                waiting[:] = [each for each in waiting if each[0] is not connection]
            self._sessions.left(connection)
            connection.close()

    def _terminate(self, *asked_by: Connection) -> None:
        self._is_terminating = True
        self._terminating.extend(asked_by)
        for container in self._containers.values():
            container.kill()

    def _finish(self) -> None:
        if self._is_terminating and not any(c.is_running for c in self._containers.values()):
            for connection in self._terminating:
                connection.answer({})
            self._is_ending = True
