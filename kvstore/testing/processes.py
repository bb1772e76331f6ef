"""Real member processes: start, wait until ready, kill -9, freeze, restart.

For tests that look at the system from outside: Debian's etcd and our own member take the same
flags, so one class runs either. Blocking on purpose (process control has no event loop to share).
It signals only processes that it started itself, and knows nothing of the server's inside: the
only question it asks a member is etcd's `Status`.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from kvstore.pb import rpc_pb2

ETCD = ("etcd",)
KEELSON = (sys.executable, "-m", "kvstore")

_DICE = random.SystemRandom()  # tests that seed the others would all choose the same ports
START_ATTEMPTS_MAX = 5  # another process may take a port between our probe and the member's bind
READY_SECONDS_MAX = 180.0  # a cold start of three members on a crowded machine
STOP_SECONDS_MAX = 10.0  # SIGTERM: the member hands leadership over and syncs
POLL_SECONDS = 0.02
_PORTS = range(10_240, 32_000)  # below Linux's ephemeral range: outgoing connections don't collide
_LOOPBACK = "127.0.0.1"
_PAUSED_STATE = "T"  # of /proc/…/stat, see proc(5)

# A `command_prefix`: a member that is started with it dies with the *thread* that has started it,
# whatever that one dies of. (setpriv execs, so the process id stays the member's own.)
DIES_WITH_STARTER = ("setpriv", "--pdeathsig", "KILL", "--")


class MemberStartError(Exception):
    """A member ended, or did not become ready, while it was being started."""


class MemberProcess:
    """One member: a command line, a data folder, a log file and, while it runs, a process.

    On loopback as it is; `address`, `command_prefix` (a program that runs the member inside
    something, in the same process), `environment` (on top of ours) and `data_folder` may be set
    before a start.
    """

    def __init__(self, program: Sequence[str], name: str, folder: Path) -> None:
        self.program = tuple(program)
        self.name = name
        self.data_folder = folder / f"{name}.data"
        self.log_path = folder / f"{name}.log"
        self.address = _LOOPBACK
        self.command_prefix: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self.client_port = 0
        self.peer_port = 0
        self.flags: tuple[str, ...] = ()
        self.is_joining = False  # a running cluster, instead of founding one
        self._process: subprocess.Popen[bytes] | None = None
        self._life_begins_at = 0  # where in its log

    @property
    def endpoint(self) -> str:
        """Where clients reach it, `host:port`."""
        return f"{self.address}:{self.client_port}"

    @property
    def client_url(self) -> str:
        """Where clients reach it, as a URL."""
        return f"http://{self.endpoint}"

    @property
    def peer_url(self) -> str:
        """Where other members reach it, as a URL."""
        return f"http://{self.address}:{self.peer_port}"

    @property
    def pid(self) -> int:
        """Process id; only while it runs."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True from `start` until the process has ended, also while it is paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it has ended by itself, negative: by that signal. None: it runs, or it was ended by
        `kill` or `stop`."""
        return None if self._process is None else self._process.poll()

    @property
    def is_paused(self) -> bool:
        """True once the kernel has stopped it; only while it runs."""
        text = Path(f"/proc/{self.pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == _PAUSED_STATE

    def command(self, initial_cluster: str) -> list[str]:
        """The whole command line, flags as etcd spells them."""
        return [
            *self.command_prefix,
            *self.program,
            f"--name={self.name}",
            f"--data-dir={self.data_folder}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={initial_cluster}",
            f"--initial-cluster-state={'existing' if self.is_joining else 'new'}",
            *self.flags,
        ]

    def start(self, initial_cluster: str) -> None:
        """Start the process; a data folder that exists is used as it is."""
        assert not self.is_running, f"{self.name} already runs as {self.pid}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        with self.log_path.open("ab") as log:
            self._life_begins_at = log.tell()
            self._process = subprocess.Popen(
                self.command(initial_cluster),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, **self.environment},
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(number)

    def kill(self) -> int:
        """SIGKILL, and wait until the process is gone; the exit status.

        -SIGKILL, unless it had ended by itself before (0: there was no process).
        """
        if self._process is None:
            return 0
        self._process.kill()
        status = self._process.wait()
        self._process = None
        return status

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, silent for everyone else."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM and wait (SIGKILL when it takes too long); the exit status, also of a process
        that had ended by itself before (0: there was no process)."""
        if self._process is None:
            return 0
        self.resume()  # a paused process would never see the SIGTERM
        self._process.terminate()
        try:
            status = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def ends_within(self, seconds: float) -> bool:
        """Wait until it has ended by itself; False when it still runs then."""
        assert self._process is not None, f"{self.name} is not running"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def log(self) -> str:
        """What it has written since its last start."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._life_begins_at)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log, for error messages."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def status(self, timeout_seconds: float = 1.0) -> rpc_pb2.StatusResponse | None:
        """etcd's Status of this member, or None while it does not answer."""
        if not _accepts_connections(self.address, self.client_port):
            return None  # spares grpc's reconnect back-off
        with grpc.insecure_channel(self.endpoint) as channel:
            ask = channel.unary_unary(
                "/etcdserverpb.Maintenance/Status",
                request_serializer=rpc_pb2.StatusRequest.SerializeToString,
                response_deserializer=rpc_pb2.StatusResponse.FromString,
            )
            try:
                return ask(rpc_pb2.StatusRequest(), timeout=timeout_seconds)
            except grpc.RpcError:
                return None


class ClusterProcesses:
    """N members of one program that form one cluster; a context manager that stops them all."""

    def __init__(
        self,
        program: Sequence[str],
        folder: Path,
        *,
        count: int = 1,
        flags: Sequence[str] = (),
        name_prefix: str = "m",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        names = [f"{name_prefix}{number}" for number in range(1, count + 1)]
        self.members = [MemberProcess(program, name, folder) for name in names]
        self._first_flags: dict[str, str] = {}  # name → the initial cluster of its first start
        for member in self.members:
            member.flags = (f"--initial-cluster-token={folder.name}", *flags)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of each member, for clients."""
        return [member.endpoint for member in self.members]

    @property
    def initial_cluster(self) -> str:
        """The value of `--initial-cluster`."""
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def start(self) -> None:
        """Choose ports, start every member of a new cluster and wait until all are ready."""
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            self._choose_ports()
            self._first_flags = {member.name: self.initial_cluster for member in self.members}
            for member in self.members:
                member.start(self.initial_cluster)
            try:
                self.wait_ready()
            except MemberStartError:
                port_taken = any(map(_port_was_taken, self.members))
                self.stop()
                if not port_taken or attempt == START_ATTEMPTS_MAX:
                    raise
            else:
                return

    def start_member(self, member: MemberProcess) -> None:
        """Start a member that was killed or stopped: its old ports, data folder and flags."""
        member.start(self._first_flags.setdefault(member.name, self.initial_cluster))

    def new_member(self, name: str) -> MemberProcess:
        """A further member with ports of its own: add its peer URL to the cluster, then `join`."""
        model = self.members[0]
        member = MemberProcess(model.program, name, self.folder)
        member.flags, member.is_joining = model.flags, True
        with contextlib.ExitStack() as held:
            ports = _free_ports(held)
            member.client_port, member.peer_port = next(ports), next(ports)
        return member

    def join(self, member: MemberProcess) -> None:
        """Start a member that the cluster knows already, among those that are here."""
        self.members.append(member)
        self.start_member(member)

    def leave(self, member: MemberProcess) -> None:
        """Forget a member that was removed; it is killed if it still runs."""
        self.members.remove(member)
        member.kill()

    def wait_ready(
        self,
        members: Sequence[MemberProcess] | None = None,
        *,
        timeout_seconds: float = READY_SECONDS_MAX,
    ) -> None:
        """Return once these members (default: all) answer and agree on a leader."""
        waiting = list(self.members if members is None else members)
        deadline = time.monotonic() + timeout_seconds
        while not self._are_ready(waiting):
            for member in waiting:
                if not member.is_running:
                    raise MemberStartError(f"{member.name} ended:\n{member.log_tail()}")
            if time.monotonic() > deadline:
                tails = "\n".join(f"{member.name}:\n{member.log_tail(5)}" for member in waiting)
                raise MemberStartError(f"not ready in {timeout_seconds} s:\n{tails}")
            time.sleep(POLL_SECONDS)

    def leader(self) -> MemberProcess | None:
        """The running member that takes itself for the leader (of the highest term), if any."""
        leaders: list[tuple[int, MemberProcess]] = []
        for member in self.members:
            status = member.status() if member.is_running else None
            if status is not None and status.leader == status.header.member_id != 0:
                leaders.append((status.raftTerm, member))
        return max(leaders, key=lambda pair: pair[0], default=(0, None))[1]

    def stop(self) -> None:
        """End every member that runs, the last signal being SIGKILL if need be."""
        for member in self.members:
            if member.is_running:
                member.signal(signal.SIGCONT)
                member.signal(signal.SIGTERM)
        for member in self.members:
            member.stop()

    def kill(self) -> list[int]:
        """SIGKILL every member at once: fast, and the data folders stay as a crash leaves them.

        The exit status of each, as `MemberProcess.kill` tells it.
        """
        for member in self.members:
            if member.is_running:
                member.signal(signal.SIGKILL)
        return [member.kill() for member in self.members]

    def _are_ready(self, members: Sequence[MemberProcess]) -> bool:
        statuses = [member.status() for member in members]
        leaders = {0 if status is None else status.leader for status in statuses}
        return len(leaders) == 1 and leaders != {0} and all(map(_serves_reads, members))

    def _choose_ports(self) -> None:
        with contextlib.ExitStack() as held:
            ports = _free_ports(held)
            for member in self.members:
                member.client_port, member.peer_port = next(ports), next(ports)


def _port_was_taken(member: MemberProcess) -> bool:
    return not member.is_running and "address already in use" in member.log_tail().lower()


def _serves_reads(member: MemberProcess) -> bool:
    """A linearizable read works, so the leader has committed an entry of its term."""
    with grpc.insecure_channel(member.endpoint) as channel:
        read = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=rpc_pb2.RangeRequest.SerializeToString,
            response_deserializer=rpc_pb2.RangeResponse.FromString,
        )
        try:
            read(rpc_pb2.RangeRequest(key=b"\0", count_only=True), timeout=1)
        except grpc.RpcError:
            return False
    return True


def _accepts_connections(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def _free_ports(held: contextlib.ExitStack) -> Iterator[int]:
    """Ports that are free now; bound until `held` closes, so that no two are equal."""
    while True:
        probe = held.enter_context(socket.socket())
        port = _DICE.choice(_PORTS)
        with contextlib.suppress(OSError):
            probe.bind((_LOOPBACK, port))
            yield port
