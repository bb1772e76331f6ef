"""A private root folder for a container: programs of the host, nothing else of it.

The programs (`/usr`, `/opt`, the Python that runs us) are the host's and cannot be written; of
`/etc` only what programs need; everything else is a folder of the container's own. Runs in the
child, in its own mount namespace, before the command.

Mounts that the pod asks for are made only after the new root was entered: whatever links their
paths meet lead to places inside.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from controlplane.node.runtime.shim import syscalls

_PROGRAMS = ("usr", "opt")
_LINKS_OR_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "group"),
    *("host.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime"),
    *("magic", "mime.types", "nsswitch.conf", "os-release", "passwd", "pki/ca-trust"),
    *("profile", "protocols", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo"),
    "timezone",
)
_FOLDERS = (
    *("dev", "etc", "home", "media", "mnt", "proc", "root", "run", "srv", "sys", "tmp", "var"),
    *("var/cache", "var/lib", "var/log", "var/spool", "var/tmp"),
)
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
# As runc has them: what a root user could harm the host by, and what tells of the host.
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("kcore", "keys", "timer_list", "sched_debug")
# Nothing but mount points is ever written there.
_COVER_OPTIONS = "mode=755,size=1m"


class Mount(NamedTuple):
    """What is shown at a path of the container. below: a path from `source` on, never out of it"""

    target: str
    source: str
    is_read_only: bool
    below: str = ""

    def copy(self) -> int:
        """A descriptor for `attach_mount`. Raises OSError."""
        return syscalls.copy_mount(self.source, is_read_only=self.is_read_only, below=self.below)


def in_order(mounts: Iterable[Mount]) -> list[Mount]:
    """Outer ones first, or they would cover the inner ones. PURE."""
    return sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))


def lay_out(root: Path) -> None:
    """The folders of a new root, before anything is mounted. Raises OSError, and none is left."""
    try:
        _make_folders(root)
    except OSError:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _make_folders(root: Path) -> None:
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    for name in _FOLDERS:
        (root / name).mkdir()
    for name, mode in (("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)):
        (root / name).chmod(mode)
    (root / "var/run").symlink_to("/run")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")


def enter(
    root: Path,
    mounts: Sequence[Mount],
    binds: Sequence[str],
    *,
    masks: bool,
    is_root_read_only: bool,
) -> None:
    """Make it the root of this process, with all mounts. Raises OSError.

    masks  whether parts of /proc and /sys are kept from being written
    """
    copied = [(mount.target, mount.copy()) for mount in in_order(mounts)]
    syscalls.attach_mount(syscalls.copy_mount(str(root), is_read_only=False), str(root))
    _show_programs(root)
    for path in sorted(binds):
        _show(root, path)
    _make_devices(root / "dev")
    # A new one may only be made while the old one is in sight.
    mount_proc(str(root / "proc"), masks=masks)
    syscalls.attach_mount(syscalls.copy_mount("/sys", is_read_only=masks), str(root / "sys"))
    syscalls.enter_root(str(root))
    for target, tree in copied:
        _place(target, tree, may_write=True)
    if is_root_read_only:
        syscalls.make_read_only("/")


def mount_proc(target: str, *, masks: bool) -> None:
    """The processes of this pid namespace."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", target, flags)
    if not masks:
        return
    for name in _PROC_READ_ONLY:
        path = f"{target}/{name}"
        if Path(path).exists():
            syscalls.attach_mount(syscalls.copy_mount(path, is_read_only=True), path)
    for name in _PROC_HIDDEN:
        path = f"{target}/{name}"
        if Path(path).exists():
            syscalls.attach_mount(syscalls.copy_mount("/dev/null", is_read_only=True), path)


def _show_programs(root: Path) -> None:
    for name in _LINKS_OR_FOLDERS:
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.is_dir():
            _show(root, str(source))
    for name in _PROGRAMS:
        _show(root, f"/{name}")
    for name in _ETC:
        source = Path("/etc", name)
        if source.is_symlink() and "/" not in name:
            (root / "etc" / name).symlink_to(source.readlink())
        elif source.exists():
            _show(root, str(source))


def _show(root: Path, path: str) -> None:
    """What the host has at a path, at the same path, read-only."""
    if not Path(path).exists():
        return
    target = Path(f"{root}{path}")
    tree = syscalls.copy_mount(path, is_read_only=True)
    if not target.exists():
        _make_mount_point(target, is_folder=Path(path).is_dir())
    syscalls.attach_mount(tree, str(target))


def _make_mount_point(target: Path, *, is_folder: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        target.mkdir(exist_ok=True)
    else:
        target.touch(exist_ok=True)


def _make_devices(folder: Path) -> None:
    flags = syscalls.MS_NOSUID
    syscalls.mount("tmpfs", str(folder), flags, "mode=755,size=64k")
    for name in _DEVICES:
        (folder / name).touch()
        device = syscalls.copy_mount(f"/dev/{name}", is_read_only=False)
        syscalls.attach_mount(device, str(folder / name))
    for name in ("pts", "shm"):
        (folder / name).mkdir()
    flags |= syscalls.MS_NOEXEC
    syscalls.mount("devpts", str(folder / "pts"), flags, "newinstance,ptmxmode=0666,mode=0620")
    # The containers of a pod share it, as they share their other means of speaking.
    shared = syscalls.copy_mount("/dev/shm", is_read_only=False)
    syscalls.attach_mount(shared, str(folder / "shm"))
    (folder / "ptmx").symlink_to("pts/ptmx")
    (folder / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (folder / name).symlink_to(f"/proc/self/fd/{number}")


def place_all(mounts: Sequence[Mount]) -> None:
    """Attach mounts in a mount namespace that has the host's root, and change nothing of it."""
    for mount in in_order(mounts):
        _place(mount.target, mount.copy(), may_write=False)


def _place(target: str, tree: int, *, may_write: bool) -> None:
    """Attach a mount at a path of this root; make the place for it where there is none."""
    path = Path(target)
    if not path.exists():
        is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        try:
            if not may_write:
                raise PermissionError(target)
            _make_mount_point(path, is_folder=is_folder)
        except OSError:
            # Below something that cannot be written: cover the innermost folder that is there
            # with one that looks the same and has room.
            _cover(next(parent for parent in path.parents if parent.is_dir()), path, is_folder)
    syscalls.attach_mount(tree, target)


def _cover(folder: Path, target: Path, is_folder: bool) -> None:
    """Show everything of a folder anew in a folder of our own, and the way to `target` besides."""
    if folder == Path("/"):
        raise FileNotFoundError(errno.ENOENT, "this node has no place to mount it", str(target))
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    shown = [
        (entry.path, entry.is_dir(), syscalls.copy_mount(entry.path, is_read_only=False))
        for entry in entries
        if not entry.is_symlink()
    ]
    links = [(entry.path, Path(entry.path).readlink()) for entry in entries if entry.is_symlink()]
    syscalls.mount("tmpfs", str(folder), syscalls.MS_NOSUID | syscalls.MS_NODEV, _COVER_OPTIONS)
    for path, is_entry_folder, tree in shown:
        _make_mount_point(Path(path), is_folder=is_entry_folder)
        syscalls.attach_mount(tree, path)
    for path, link in links:
        Path(path).symlink_to(link)
    _make_mount_point(target, is_folder=is_folder)
