"""What this machine lets us keep pods apart by: found out by doing it, once, when a zygote starts.

process                 a folder and process groups of their own
namespaces              own processes, mounts, hostname, shared memory (Linux 5.12)
namespaces+rootfs       … and a root folder of their own
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from controlplane.node.runtime.shim import identity, rootfs, spawning, syscalls

Isolation = Literal["process", "namespaces", "namespaces+rootfs"]
LEVELS: tuple[Isolation, ...] = ("process", "namespaces", "namespaces+rootfs")
_DRAFT = "probe-"
_SHARED_MEMORY_OPTIONS = "mode=1777,size=64m"


class Isolated(NamedTuple):
    """has_user_namespace  by the rights of a user namespace, not by our own"""

    level: Isolation
    has_user_namespace: bool


def leave_for_pod(*, has_user_namespace: bool) -> None:
    """Make the namespaces of a pod; the next fork is the first process in them. Raises OSError."""
    if has_user_namespace:
        identity.enter_user_namespace(0, 0)
    syscalls.unshare(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
    )


def furnish_pod() -> None:
    """What the first process of a pod mounts. Volumes that are mounted on the host later are seen
    here too, but nothing from here there. Raises OSError."""
    syscalls.mount("", "/", syscalls.MS_REC | syscalls.MS_SLAVE)
    rootfs.mount_proc("/proc", masks=False)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", "/dev/shm", flags, _SHARED_MEMORY_OPTIONS)


def probe(folder: Path, most: Isolation) -> Isolated:
    """The best that works here, and no better than `most`; drafts are made below `folder`."""
    for rest in folder.glob(f"{_DRAFT}*"):  # of one that was killed while it tried
        shutil.rmtree(rest, ignore_errors=True)
    for level in reversed(LEVELS[1 : LEVELS.index(most) + 1]):
        for has_user_namespace in (False, True):
            draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
            try:
                if _works(draft, level, has_user_namespace=has_user_namespace):
                    return Isolated(level, has_user_namespace)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return Isolated("process", has_user_namespace=False)


def _works(draft: Path, level: Isolation, *, has_user_namespace: bool) -> bool:
    def pod() -> None:
        leave_for_pod(has_user_namespace=has_user_namespace)
        _expect(first_process)

    def first_process() -> None:
        furnish_pod()
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        syscalls.mount("", "/", syscalls.MS_REC | syscalls.MS_PRIVATE)
        _expect(container)

    def container() -> None:
        if level == "namespaces+rootfs":
            rootfs.lay_out(draft / "rootfs")
            rootfs.enter(draft / "rootfs", [], [], masks=True, is_root_read_only=False)
        else:
            rootfs.place_all([rootfs.Mount(str(draft), str(draft), is_read_only=True)])
            rootfs.mount_proc("/proc", masks=True)
        if has_user_namespace:
            identity.enter_user_namespace(0, 0)

    return _succeeds(pod)


def _expect(step: spawning.Step) -> None:
    if not _succeeds(step):
        raise OSError("a step of the probe has failed")


def _succeeds(step: spawning.Step) -> bool:
    """Whether a step raises nothing, in a fork."""

    def child() -> None:
        try:
            step()
        except OSError:
            os._exit(1)
        os._exit(0)

    return os.waitpid(spawning.fork(child), 0)[1] == 0
