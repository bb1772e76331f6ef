"""Who a container runs as: users, capabilities, user namespaces.

Where the runtime has no rights of its own, those of a user namespace stand in: the pod has one, in
which the runtime's user is 0, and each container one below it, in which that same user has the
number that the pod asks for. So the container cannot undo what was mounted for it, and the kernel
counts its processes apart from those of others.
"""

import os
import resource
from pathlib import Path

from controlplane.node.runtime.shim import syscalls

_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
# What containerd gives, without MKNOD, for no group bounds which devices could be opened, and
# without NET_RAW, for the network is the host's and everybody's.
_DEFAULT = frozenset(
    (
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP"),
        *("SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    )
)


def capabilities(adds: tuple[str, ...], drops: tuple[str, ...]) -> list[int]:
    """Numbers of what a container may have, from what its pod adds to and drops from the usual.

    Names are as in a pod, `NET_ADMIN` or `ALL`. Raises ValueError for one that there is not. PURE.
    """
    added = {name.removeprefix("CAP_").upper() for name in adds}
    dropped = {name.removeprefix("CAP_").upper() for name in drops}
    for name in sorted(added | dropped):
        if name != "ALL" and name not in _CAPABILITIES:
            raise ValueError(f"unknown capability {name!r}")
    kept = set(_CAPABILITIES) if "ALL" in added else set(_DEFAULT)
    kept = (set() if "ALL" in dropped else kept - dropped) | (added - {"ALL"})
    return sorted(_CAPABILITIES.index(name) for name in kept)


def enter_user_namespace(user: int, group: int) -> None:
    """A new user namespace in which this user has another number. Raises OSError."""
    own_user, own_group = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    maps = (("uid_map", f"{user} {own_user} 1"), ("gid_map", f"{group} {own_group} 1"))
    for name, text in (("setgroups", "deny"), *maps):
        Path("/proc/self", name).write_text(text)


def become(user: int | None, group: int | None, supplemental_groups: list[int]) -> None:
    """Of this process; None: as it is. Raises OSError: there is no right to do so."""
    if os.geteuid() != 0:
        return  # it is the only user that it can be, and whoever asked for another was refused
    if supplemental_groups or user is not None:
        os.setgroups(supplemental_groups)
    if group is not None or user is not None:
        number = group or 0
        os.setresgid(number, number, number)
    if user is not None:
        os.setresuid(user, user, user)


def bound_processes(count: int) -> None:
    """How many processes its user may have, but no more than it may already. In a user namespace
    of its own only its own count."""
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    bounded = count if most == resource.RLIM_INFINITY else min(count, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (bounded, bounded))
