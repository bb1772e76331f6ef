"""System calls of Linux that Python 3.11 has no name for. Each raises OSError as `os` does.

Numbers and meanings: the man pages of section 2, and `include/uapi/linux` of the kernel.
"""

import ctypes
import errno
import os
import platform
import signal

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

_MNT_DETACH = 2
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RESOLVE_AGAIN_MAX = 64

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

# The same on every architecture; those that are older are not.
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.unshare.argtypes = [ctypes.c_int]
_libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _call(number: int, what: str, *arguments: int | bytes | ctypes.c_void_p) -> int:
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide), what)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def set_namespace(descriptor: int) -> None:
    """Enter the namespace that a file of /proc/PID/ns stands for."""
    _checked(_libc.setns(descriptor, 0), "setns")


def set_hostname(name: str) -> None:
    """Of the UTS namespace."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), "sethostname")


def mount(kind: str, target: str, flags: int = 0, options: str = "") -> None:
    """A new file system of a kind (`proc`, `tmpfs` …); kind "": only change how `target` is."""
    name = kind.encode() or None
    told = f"mount {kind or 'flags'} at {target}"
    _checked(_libc.mount(name, target.encode(), name, flags, options.encode() or None), told)


def unmount(target: str) -> None:
    """Now from the tree; for those who still use it, when they are done."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH), f"umount {target}")


def open_beneath(folder: int, path: str) -> int:
    """A descriptor (O_PATH) of what is at a path below an open folder. EXDEV where a link leads
    out of it, whatever is done to the path meanwhile."""
    how = _OpenHow(
        flags=os.O_PATH | os.O_CLOEXEC, resolve=_RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
    )
    pointer = ctypes.cast(ctypes.pointer(how), ctypes.c_void_p)
    for _ in range(_RESOLVE_AGAIN_MAX):
        try:
            told = os.fsencode(path)
            return _call(_OPENAT2, f"openat2 {path}", folder, told, pointer, ctypes.sizeof(how))
        except BlockingIOError:
            continue  # somebody renames folders just now
    raise OSError(errno.EXDEV, "it is changed all the time", path)


def copy_mount(path: str, *, is_read_only: bool, below: str = "") -> int:
    """A file or folder with all that is mounted below it, as a descriptor for `attach_mount`.

    below  a path from there on, which must not lead out of it
    """
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if below:
            folder, opened = opened, -1
            try:
                opened = open_beneath(folder, below)
            finally:
                os.close(folder)
        flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | _AT_EMPTY_PATH | os.O_CLOEXEC
        copied = _call(_OPEN_TREE, f"open_tree {path}", opened, b"", flags)
    finally:
        if opened >= 0:
            os.close(opened)
    if is_read_only:
        try:
            _set_read_only(copied, path, _AT_RECURSIVE)
        except OSError:
            os.close(copied)
            raise
    return copied


def _set_read_only(descriptor: int, path: str, depth: int) -> None:
    """Only adds a flag: what the kernel has locked in a user namespace stays as it is."""
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    size = ctypes.sizeof(attributes)
    pointer = ctypes.cast(ctypes.pointer(attributes), ctypes.c_void_p)
    flags = _AT_EMPTY_PATH | depth
    _call(_MOUNT_SETATTR, f"mount_setattr {path}", descriptor, b"", flags, pointer, size)


def attach_mount(copied: int, target: str) -> None:
    """Show what `copy_mount` gave at `target`, and close the descriptor."""
    try:
        what, flags = f"move_mount {target}", _MOVE_MOUNT_F_EMPTY_PATH
        _call(_MOVE_MOUNT, what, copied, b"", _AT_FDCWD, target.encode(), flags)
    finally:
        os.close(copied)


def make_read_only(path: str) -> None:
    """What is mounted at `path`; what is mounted below it stays as it is."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _set_read_only(descriptor, path, 0)
    finally:
        os.close(descriptor)


def enter_root(folder: str) -> None:
    """Make a mount point the root, and let go of the old root."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"the number of pivot_root on {platform.machine()} is not known")
    os.chdir(folder)
    # Both at one place: the old root lies above the new one until it is taken away.
    _call(number, f"pivot_root {folder}", b".", b".")
    unmount(".")
    os.chdir("/")


def die_with_parent(by: signal.Signals) -> None:
    """Be sent a signal when the parent ends. Changing the user undoes it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0), "prctl PDEATHSIG")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose parent ends."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl CHILD_SUBREAPER")


def forbid_new_privileges() -> None:
    """No program that is run from now on gets more than this process has."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl NO_NEW_PRIVS")


def bound_capabilities(kept: frozenset[int]) -> None:
    """Take from all programs that are run from now on the capabilities that are not kept."""
    for number in range(64):
        if number in kept:
            continue
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            break  # past the last that the kernel knows
