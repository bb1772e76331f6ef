"""One container of a shim: how it is started, what of it runs, how it has ended."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from controlplane.node.runtime.shim import processes, records, rootfs, spawning
from controlplane.node.runtime.shim.cgroups import Bounds, Group
from controlplane.node.runtime.shim.log_file import LogFile
from controlplane.node.runtime.shim.log_lines import Stream
from controlplane.node.runtime.shim.records import Launch, Pod, State
from controlplane.node.runtime.shim.streams import Output
from controlplane.node.runtime.shim.terminals import open_terminal

# Exit code of what could not be run at all, as containerd has it.
START_ERROR_CODE = 128
_KILL_AGAIN_SECONDS = 1.0
_KILLED_CODE = 128 + signal.SIGKILL


@dataclass
class Command:
    """A program that was started, the container's own or another in it.

    report  the pipe by which it tells of its start; -1: it runs, or has ended
    reaped  pid of the shim's child that ends when it has ended
    pid     of the program
    """

    report: int
    reaped: int
    pid: int = 0
    failure: tuple[int, str] | None = None
    _told: bytes = b""

    @property
    def is_up(self) -> bool:
        """Its program runs, or has run."""
        return self.report < 0 and self.failure is None

    def read_report(self) -> bool:
        """Take what it has told; whether it has told all."""
        try:
            data = os.read(self.report, 4096)
        except BlockingIOError:
            return False
        *lines, self._told = (self._told + data).split(b"\n")
        for line in lines:
            if self.failure is not None:
                break  # it ended with that
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "pid":
                self.pid = int(rest)
            else:
                self.failure = (int(word), rest)
        if data:
            return False
        os.close(self.report)
        self.report = -1
        return True


class Container:
    """Raises OSError where it cannot be started; nothing has changed then.

    stdin   the shim's end of its stdin, or of its terminal; -1: it has none
    """

    def __init__(self, pod: Pod, container_id: str) -> None:
        self.id = container_id
        self.folder = Path(records.CONTAINERS, container_id).absolute()
        self.launch = _read_launch(self.folder)
        self.state = State()
        self.command: Command | None = None
        self.output: Output | None = None
        self.stdin = -1
        self.deadline = 0.0
        self.is_killed = False
        self.killed_for: tuple[str, str] | None = None
        self._pod = pod
        self._group = Group(pod.cgroups, container_id)
        self._bounded: frozenset[str] = frozenset()

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self.command is not None and not self.state.finished_at

    def start(self) -> Command:
        """Start it; whether that works is told by the command's report."""
        root = self.folder / records.ROOT_FOLDER
        if self._pod.has_root and not root.exists():
            rootfs.lay_out(root)
        launch = self.launch
        bounds = Bounds(launch.cpu_shares, launch.cpu_nanocores, launch.memory_bytes, launch.pids)
        log = LogFile(Path(launch.log_path))
        try:
            self._bounded = self._group.create(bounds)
            state = replace(self.state, started_at=time.time())
            self.write(state)
            stdio, sources, self.stdin = _pipes(launch)
            self.output = Output(sources, log)
            self.command = self._spawn(launch, launch.command, stdio, inside=0)
        except OSError:
            log.close() if self.output is None else self.output.close()
            self.close_stdin()
            self._group.remove()
            (self.folder / records.STATE).unlink(missing_ok=True)
            raise
        self.state = state
        return self.command

    def execute(self, command: list[str], stdio: spawning.Stdio) -> Command:
        """Start another command in it. Takes the descriptors of `stdio`."""
        assert self.command is not None
        launch = self.launch
        if stdio.terminal:
            environment = {"TERM": "xterm"} | launch.environment
            launch = replace(launch, environment=environment)
        return self._spawn(launch, command, stdio, inside=self.command.pid)

    @property
    def root(self) -> Path:
        """Its root folder, from here."""
        assert self.command is not None
        return Path("/proc", str(self.command.pid), "root")

    def _spawn(
        self, launch: Launch, command: list[str], stdio: spawning.Stdio, *, inside: int
    ) -> Command:
        where = spawning.Surroundings(
            pod=self._pod,
            launch=launch,
            folder=self.folder,
            group=self._group,
            bounded=self._bounded,
            inside=inside,
            shim=os.getpid(),
        )
        told, tells = os.pipe2(os.O_CLOEXEC)
        try:
            reaped = spawning.fork(lambda: spawning.run(where, command, stdio, tells))
        except OSError:
            os.close(told)
            raise
        finally:
            for descriptor in {tells, stdio.stdin, stdio.stdout, stdio.stderr}:
                os.close(descriptor)
        os.set_blocking(told, False)
        return Command(report=told, reaped=reaped)

    def write(self, state: State) -> None:
        """Raises OSError."""
        records.write(self.folder / records.STATE, records.encode(state))

    def stop(self, deadline: float) -> None:
        """Its stop signal now, and SIGKILL at `deadline` (monotonic seconds)."""
        assert self.command is not None
        first = not self.deadline
        self.deadline = min(self.deadline, deadline) if self.deadline else deadline
        if first and self.command.is_up and deadline > time.monotonic():
            processes.send_signal(self.command.pid, self.launch.stop_signal)

    def kill(self) -> None:
        """SIGKILL to all of it; to be done again at its deadline, if it is still there: what was
        only being started may have escaped."""
        command = self.command
        if command is None or self.state.finished_at:
            return
        self.is_killed = True
        self.deadline = time.monotonic() + _KILL_AGAIN_SECONDS
        self._group.kill()
        if self._pod.has_namespaces:
            if command.report >= 0:
                processes.send_signal(command.reaped, signal.SIGKILL)
            if command.pid:
                # The first of a pid namespace takes all others of it along.
                below = processes.descendants(command.pid)
                processes.send_signal(command.pid, signal.SIGKILL)
                for pid in below:
                    processes.send_signal(pid, signal.SIGKILL)
            return
        # The keeper adopts all of them, sees its command end, and ends.
        processes.kill_descendants(command.reaped)

    def ended(self, code: int) -> None:
        """Its program has ended with a code, and its output was closed: tell why."""
        assert self.command is not None
        self.output = None
        self.close_stdin()
        self.state = self._judged(code)
        self.remove_group()

    def _judged(self, code: int) -> State:
        assert self.command is not None
        ended = replace(self.state, finished_at=time.time(), exit_code=code)
        if self.command.failure is not None:
            message = self.command.failure[1]
            return replace(ended, exit_code=START_ERROR_CODE, reason="StartError", message=message)
        if self.killed_for is not None:
            reason, message = self.killed_for
            return replace(ended, exit_code=_KILLED_CODE, reason=reason, message=message)
        if code == _KILLED_CODE and self._group.out_of_memory_kills():
            return replace(ended, reason="OOMKilled")
        return replace(ended, reason="Error" if code else "Completed")

    def close_stdin(self) -> None:
        """It reads no more."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def remove_group(self) -> bool:
        """Whether nothing of it is left."""
        with suppress(OSError):
            return self._group.remove()
        return False

    @property
    def is_watched(self) -> bool:
        """Whether it has bounds that nobody but the shim keeps."""
        launch = self.launch
        watches_pids = launch.pids and not self._pod.has_user_namespace
        return self.is_running and (
            bool(launch.memory_bytes and "memory" not in self._bounded)
            or bool(watches_pids and "pids" not in self._bounded)
        )

    def watch(self, seen: processes.Snapshot) -> None:
        """Kill it when it is beyond such a bound."""
        pids, launch = self._pids(seen), self.launch
        spent = seen.spent(pids)
        memory_max = launch.memory_bytes if "memory" not in self._bounded else 0
        pids_max = launch.pids if "pids" not in self._bounded else 0
        # What they share counts several times in what is quickly read.
        is_greedy = memory_max and spent.memory > memory_max
        if is_greedy and processes.proportional_memory(pids) > memory_max:
            self.killed_for = ("OOMKilled", f"it used more than {memory_max} bytes of memory")
            self.kill()
        elif pids_max and spent.pids > pids_max:
            self.killed_for = ("Error", f"it had more than {pids_max} processes")
            self.kill()

    def spent(self, seen: processes.Snapshot) -> processes.Spent:
        """What it uses."""
        return self._group.spent() or seen.spent(self._pids(seen))

    def _pids(self, seen: processes.Snapshot) -> list[int]:
        command = self.command
        if command is None or self.state.finished_at:
            return []
        if self._pod.has_namespaces:
            return [command.pid, *seen.descendants(command.pid)]
        return seen.descendants(command.reaped)


def _read_launch(folder: Path) -> Launch:
    try:
        return records.decode(Launch, (folder / records.LAUNCH).read_bytes())
    except ValueError as error:
        raise OSError(f"{folder.name} cannot be read: {error}") from error


def _pipes(launch: Launch) -> tuple[spawning.Stdio, dict[int, Stream], int]:
    """The child's ends, the shim's ends of what it writes, and of what it reads (-1: nothing)."""
    if launch.has_tty:
        terminal, child = open_terminal()
        stdio = spawning.Stdio(stdin=child, stdout=child, stderr=child, terminal=True)
        writes = os.dup(terminal) if launch.has_stdin else -1
        return stdio, {terminal: "stdout"}, writes
    reads, writes = os.pipe2(os.O_CLOEXEC) if launch.has_stdin else (open_nothing(), -1)
    (out, child_out), (errors, child_errors) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    stdio = spawning.Stdio(stdin=reads, stdout=child_out, stderr=child_errors, terminal=False)
    return stdio, {out: "stdout", errors: "stderr"}, writes


def open_nothing() -> int:
    """A descriptor from which nothing can be read."""
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
