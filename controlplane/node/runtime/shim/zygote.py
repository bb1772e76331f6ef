"""The zygote of a node: a warm process that forks the shims of pods.

A fork of it costs milliseconds, a new interpreter tens; and the agent, which has threads, must not
fork at all. It adopts whatever a dead shim leaves behind, and kills it. Shims outlive it, and
another zygote takes its place whenever the agent finds none.

Requests on `zygote.sock`, one a connection (`wire.py`):
    {"op": "hello"}                     -> {"ok": {version, pid, isolation, …}}
    {"op": "run", "pod": Pod, "folder": …}   the answer is the shim's: {"ok": {pid}}
    {"op": "quit"}                      end, so that a newer one can start
"""

import fcntl
import gc
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from controlplane.node.runtime.shim import (
    cgroups,
    isolation,
    processes,
    records,
    shim,
    spawning,
    syscalls,
    wire,
)

# Told by `hello`: an agent that needs another one starts it.
VERSION = 2
_REQUEST_SECONDS = 5.0
_NODE_GROUP = "keelson"
_OOM_SCORE_ADJ = -998
_FOLDER_SECONDS = 30.0
_FILES = 65536


class Knowledge(NamedTuple):
    """What the zygote knows of its machine. most: the isolation that it has tried for."""

    most: isolation.Isolation
    isolated: isolation.Isolated
    cgroups: dict[str, str]


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """`ROOT LEVEL`: serve until told to end. 1: another zygote serves already."""
    folder, most = Path(arguments[0]), isolation.LEVELS[isolation.LEVELS.index(arguments[1])]
    os.chdir(folder)
    os.umask(0o022)
    lock = os.open(records.ZYGOTE_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 1
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # only root may: the agent's pods are not to end before the rest
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ))
    # Of a shim: clients, and streams of containers.
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _FILES if most_files == resource.RLIM_INFINITY else min(_FILES, most_files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most_files))
    found = isolation.probe(Path.cwd(), most)
    knows = Knowledge(most, found, cgroups.usable(_NODE_GROUP))
    listener = wire.listen(records.ZYGOTE_SOCKET)
    if os.fork():
        # Now it can be asked; and whoever started it need not be its parent.
        os._exit(0)
    syscalls.adopt_orphans()
    gc.collect()
    gc.freeze()  # or the first collection of each fork would copy all pages
    _Zygote(listener, knows).serve()
    return 0


class _Zygote:
    def __init__(self, listener: socket.socket, knows: Knowledge) -> None:
        self._listener = listener
        self._knows = knows
        self._shims: set[int] = set()
        self._is_ending = False

    def serve(self) -> None:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        listening = self._listener.fileno()
        while not self._is_ending:
            ready = set(select.select([listening, read], [], [], _FOLDER_SECONDS)[0])
            if not ready and not Path(records.ZYGOTE_SOCKET).exists():
                return  # its folder was removed: nobody could ever ask it
            if read in ready:
                os.read(read, 4096)
                self._bury()
            if listening in ready:
                with suppress(BlockingIOError):
                    self._answer(self._listener.accept()[0])

    def _bury(self) -> None:
        """See who has ended. Children that are no shims are what dead shims have left."""
        has_lost = False
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            has_lost = True
            self._shims.discard(pid)
        if not has_lost:
            return
        for pid in processes.children(os.getpid()):
            if pid not in self._shims and processes.is_alive(pid):
                processes.send_signal(pid, signal.SIGSTOP)
                for below in reversed(processes.descendants(pid)):
                    processes.send_signal(below, signal.SIGKILL)
                processes.send_signal(pid, signal.SIGKILL)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                request = _receive(connection)
                match request.get("op"):
                    case "hello":
                        wire.send(connection, {"ok": self._hello()})
                    case "run":
                        self._run(request, connection)
                    case "quit":
                        self._is_ending = True
                        wire.send(connection, {"ok": {}})
                    case unknown:
                        _refuse(connection, f"unknown request {unknown!r}")
            except (OSError, ValueError, KeyError, wire.WireError) as error:
                with suppress(OSError):
                    _refuse(connection, str(error))

    def _hello(self) -> wire.Message:
        level, has_user_namespace = self._knows.isolated
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "most": self._knows.most,
            "isolation": level,
            "has_user_namespace": has_user_namespace,
            "cgroups": self._knows.cgroups,
        }

    def _run(self, request: wire.Message, connection: socket.socket) -> None:
        pod = records.decode(records.Pod, request["pod"])
        folder = Path(request["folder"])
        told, tells = os.pipe2(os.O_CLOEXEC)
        usher = spawning.fork(lambda: _usher(pod, folder, connection, tells))
        os.close(tells)
        # Bounded by what an usher does: three system calls and a small file.
        with os.fdopen(told, "rb") as pipe:
            line = pipe.readline()
        os.waitpid(usher, 0)
        if line:
            self._shims.add(int(line))


def _usher(pod: records.Pod, folder: Path, connection: socket.socket, tells: int) -> None:
    """In a fork: make the namespaces of a pod, and its shim in them."""
    try:
        os.setsid()
        os.chdir(folder)
        if pod.has_namespaces:
            isolation.leave_for_pod(has_user_namespace=pod.has_user_namespace)
        go, goes = os.pipe2(os.O_CLOEXEC)
        pid = spawning.fork(lambda: _become_shim(pod, connection, go))
        identity = records.ShimIdentity(
            pid=pid, start_ticks=processes.start_ticks(pid), boot=processes.boot()
        )
        records.write(Path(records.SHIM), records.encode(identity))
        os.write(tells, f"{pid}\n".encode())
        os.write(goes, b"\n")
    except OSError as error:
        _refuse(connection, f"no pod can be made: {error}")
    os._exit(0)


def _become_shim(pod: records.Pod, connection: socket.socket, go: int) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # only a machine that ends asks so
    # The zygote's lock above all: who holds it keeps the next zygote from starting.
    kept = {0, 1, 2, connection.fileno(), go}
    for opened in list(Path("/proc/self/fd").iterdir()):
        if int(opened.name) not in kept:
            with suppress(OSError):
                os.close(int(opened.name))
    # Nothing comes when the usher could not write down who this is: nobody would ever find it.
    if not os.read(go, 1):
        os._exit(1)
    try:
        log = os.open("shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.dup2(log, 1)
        server = shim.Shim(pod)
        wire.send(connection, {"ok": {}})
    except OSError as error:
        _refuse(connection, f"no pod can be made: {error}")
        os._exit(1)
    connection.close()
    try:
        server.serve()
    except BaseException:  # noqa: BLE001 (a fork has nobody above it)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _receive(connection: socket.socket) -> wire.Message:
    lines = wire.Lines()
    deadline = time.monotonic() + _REQUEST_SECONDS
    while time.monotonic() < deadline:
        data = connection.recv(65536)
        if not data:
            raise wire.WireError("the request ends early")
        messages = lines.feed(data)
        if messages:
            return messages[0]
    raise wire.WireError("the request takes too long")


def _refuse(connection: socket.socket, message: str) -> None:
    wire.send(connection, {"error": ["RunPodSandbox", message]})
