"""The child's half of a start: from a fork of the shim to the program of a container.

    shim ── fork ── usher ── fork ── command          with pid namespaces: the usher ends at once,
                                                      and the shim adopts the command
    shim ── fork ── keeper ── fork ── command         without: the keeper stays, adopts whatever
                                                      the command leaves behind, and kills it

Only here is a process between two forks; nothing here returns to the shim's loop.
"""

import errno
import fcntl
import os
import resource
import signal
import stat
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from controlplane.node.runtime.shim import identity, processes, rootfs, syscalls
from controlplane.node.runtime.shim.cgroups import Group
from controlplane.node.runtime.shim.records import ROOT_FOLDER, Launch, Pod

NOT_FOUND_CODE = 127
NOT_RUN_CODE = 126
_NICE_STEP = 1.25
_CORE_SHARES = 1024
_NICE_MAX = 19
_SPARE_PROCESSES = 4096


@dataclass(frozen=True, kw_only=True)
class Stdio:
    """Descriptors of the child's ends. terminal: the three are one, and a terminal."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a command is run.

    folder      of its container
    group       its control group
    bounded     what the group already bounds
    inside      pid of the container that runs; 0: this is the container's own command
    shim        pid of the shim
    """

    pod: Pod
    launch: Launch
    folder: Path
    group: Group
    bounded: frozenset[str]
    inside: int = 0
    shim: int


class Report:
    """The pipe by which a child tells how it went: `pid N` lines, then nothing when the program
    runs (the descriptor closes by itself), or `CODE MESSAGE`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pid(self, pid: int) -> None:
        os.write(self._descriptor, f"pid {pid}\n".encode())

    def failed(self, code: int, message: str) -> None:
        line = f"{code} {' '.join(message.splitlines())}"  # a name may have line ends in it
        os.write(self._descriptor, line.encode(errors="replace")[:4000] + b"\n")


def run(where: Surroundings, command: list[str], stdio: Stdio, report_to: int) -> NoReturn:
    """In a fork of the shim: become what runs `command`."""
    report = Report(report_to)
    try:
        _reset_signals()
        if where.pod.has_namespaces:
            _take_bounds(where)
            _usher(where, command, stdio, report)
        else:
            _keep(where, command, stdio, report)
    except BaseException as error:  # noqa: BLE001 (a fork has nobody above it)
        report.failed(NOT_RUN_CODE, _told(error))
    os._exit(NOT_RUN_CODE)


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take_bounds(where: Surroundings) -> None:
    """By its control group, and by the process itself what the group does not do."""
    where.group.join()
    launch = where.launch
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(launch.oom_score_adj))
    if launch.cpu_shares and "cpu" not in where.bounded:
        with suppress(OSError):
            os.nice(niceness(launch.cpu_shares))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def niceness(cpu_shares: int) -> int:
    """How nice a process must be for its weight to be as its shares are; a core's: 0. A step is a
    quarter (sched(7)). PURE."""
    nice, weight = 0, float(_CORE_SHARES)
    while weight > cpu_shares and nice < _NICE_MAX:
        nice, weight = nice + 1, weight / _NICE_STEP
    return nice


def _usher(where: Surroundings, command: list[str], stdio: Stdio, report: Report) -> None:
    """Enter or make the namespaces; a child of this is in them."""
    if where.inside:
        user = _enter(where)
    else:
        _leave(where)
        user = -1
    pid = os.fork()
    if pid:
        report.pid(pid)
        os._exit(0)
    # Told by the usher's end, not by its report: then the shim is this process' parent.
    if user >= 0:
        syscalls.set_namespace(user)
    if not where.inside:
        _furnish(where)
    _become(where, command, stdio, report)


def _enter(where: Surroundings) -> int:
    """The namespaces of the container; descriptor of its user namespace, or -1."""
    folder = Path("/proc", str(where.inside), "ns")
    names = ["mnt", "pid"] + ["user"] * where.pod.has_user_namespace
    opened = [os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC) for name in names]
    syscalls.set_namespace(opened[1])
    syscalls.set_namespace(opened[0])
    return opened[2] if where.pod.has_user_namespace else -1


def _leave(where: Surroundings) -> None:
    flags = syscalls.CLONE_NEWNS
    if not where.pod.shares_processes:
        flags |= syscalls.CLONE_NEWPID
    syscalls.unshare(flags)
    syscalls.mount("", "/", syscalls.MS_REC | syscalls.MS_PRIVATE)


def _furnish(where: Surroundings) -> None:
    """The file system of a container, in its own mount namespace."""
    launch = where.launch
    mounts = [rootfs.Mount(*mount) for mount in launch.mounts]
    masks = not launch.is_privileged
    if where.pod.has_root:
        rootfs.enter(
            where.folder / ROOT_FOLDER,
            mounts,
            launch.binds,
            masks=masks,
            is_root_read_only=launch.is_root_read_only,
        )
    else:
        rootfs.place_all(mounts)
        rootfs.mount_proc("/proc", masks=masks)
    if where.pod.has_user_namespace:
        identity.enter_user_namespace(launch.user or 0, launch.group or 0)


def _keep(where: Surroundings, command: list[str], stdio: Stdio, report: Report) -> None:
    """Stay as the parent of all that the command leaves behind. Ends as the command does."""
    syscalls.adopt_orphans()
    signal.signal(signal.SIGTERM, _end_all)
    syscalls.die_with_parent(signal.SIGTERM)
    if os.getppid() != where.shim:
        os._exit(NOT_RUN_CODE)  # it has ended before it was asked to tell of its end
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _take_bounds(where)  # the keeper is none of the container
        _become(where, command, stdio, report, keeper)
    report.pid(pid)
    for descriptor in range(3):
        os.close(descriptor)
    os.closerange(3, _descriptors_max())
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            processes.kill_descendants(keeper)
            os._exit(exit_code(status))


def _end_all(_number: int, _frame: object) -> None:
    processes.kill_descendants(os.getpid())
    os._exit(128 + signal.SIGKILL)


def exit_code(status: int) -> int:
    """Of a status of waitpid; 128 + the signal for one that a signal ended. PURE."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(
    where: Surroundings, command: list[str], stdio: Stdio, report: Report, keeper: int = 0
) -> NoReturn:
    """The last steps, in the process that becomes the program."""
    try:
        _take_stdio(stdio, where)
        _drop_rights(where)
        if keeper:
            # After the user was changed, which undoes it; and the keeper may be gone already.
            syscalls.die_with_parent(signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(128 + signal.SIGKILL)
        _enter_working_folder(where)
        _execute(command, where.launch.environment)
    except FileNotFoundError as error:
        report.failed(NOT_FOUND_CODE, _told(error))
        os._exit(NOT_FOUND_CODE)
    except BaseException as error:  # noqa: BLE001 (a fork has nobody above it)
        report.failed(NOT_RUN_CODE, _told(error))
        os._exit(NOT_RUN_CODE)


def _drop_rights(where: Surroundings) -> None:
    launch = where.launch
    if launch.capabilities is not None:
        syscalls.bound_capabilities(frozenset(launch.capabilities))
    if not launch.is_privileged:
        syscalls.forbid_new_privileges()
    if launch.pids and "pids" not in where.bounded:
        # In a user namespace of its own only its own processes count, otherwise all of the user:
        # there this only keeps a bomb small until the shim has seen it.
        spare = 0 if where.pod.has_user_namespace else _SPARE_PROCESSES
        identity.bound_processes(launch.pids + spare)
    if not where.pod.has_user_namespace:
        identity.become(launch.user, launch.group, launch.supplemental_groups)


def _take_stdio(stdio: Stdio, where: Surroundings) -> None:
    os.setsid()
    if where.launch.user and not where.pod.has_user_namespace and os.geteuid() == 0:
        # Programs open /dev/stdout, and may only when it is theirs.
        for descriptor in {stdio.stdin, stdio.stdout, stdio.stderr}:
            if stdio.terminal or stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.fchown(descriptor, where.launch.user, -1)
    for number, descriptor in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
        os.dup2(descriptor, number)  # the lower ones are taken by the shim: they never coincide
    if stdio.terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _enter_working_folder(where: Surroundings) -> None:
    folder = where.launch.working_folder or "/"
    if where.pod.has_root and not where.inside:
        with suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)


def _execute(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Run a program, looked for as a shell does. Raises OSError with words for people."""
    name = command[0]
    if "/" in name:
        candidates = [name]
    else:
        folders = environment.get("PATH", "").split(":")
        candidates = [f"{folder}/{name}" for folder in folders if folder]
    denied: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, command, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            denied = denied or error
    told = f'exec: "{name}"'
    if denied is not None:
        raise OSError(denied.errno, os.strerror(denied.errno or 0).lower(), told)
    if "/" in name:
        raise FileNotFoundError(errno.ENOENT, "no such file or directory", told)
    raise FileNotFoundError(errno.ENOENT, "executable file not found in $PATH", told)


def _descriptors_max() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


Step = Callable[[], object]


def fork(child: Step) -> int:
    """A child that runs `child`, and ends; its parent gets its pid."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        # What comes from now on is the child's, and none of the parent's business.
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            child()
        finally:
            sys.stderr.flush()
            os._exit(NOT_RUN_CODE)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid
