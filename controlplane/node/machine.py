"""The machine that an agent runs on: what it is, and what is left of it."""

import os
import platform
from pathlib import Path
from typing import Protocol

from controlplane.node.eviction_signals import Load
from controlplane.node.node_status import Facts


class Machine(Protocol):
    """One that runs, or one that is imagined."""

    def facts(self) -> Facts:
        """What it is."""

    def load(self) -> Load:
        """What is left of it now. Raises OSError."""


class Host:
    """This one.

    root      whose file system holds what pods write
    hostname  of the node: pods are spread by it, and one machine may have several nodes
    """

    def __init__(self, root: Path, *, hostname: str) -> None:
        self._root = root
        self._hostname = hostname

    def facts(self) -> Facts:
        """What it is."""
        found = os.uname()
        machine_id = _text("/etc/machine-id")
        return Facts(
            hostname=self._hostname,
            cpus=len(os.sched_getaffinity(0)),
            memory=_meminfo().get("MemTotal", 0),
            disk=_disk(self._root).disk,
            machine=found.machine,
            kernel=found.release,
            os_image=_os_image(),
            machine_id=machine_id,
            system_uuid=_text("/sys/class/dmi/id/product_uuid") or machine_id,
            boot_id=_text("/proc/sys/kernel/random/boot_id"),
        )

    def load(self) -> Load:
        """What is left of it now. Raises OSError."""
        disk = _disk(self._root)
        memory = _meminfo()
        running = _text("/proc/loadavg").split()
        tasks = running[3].partition("/")[2] if len(running) > 3 else ""
        return Load(
            memory_available=memory.get("MemAvailable", 0),
            memory=memory.get("MemTotal", 0),
            disk=disk.disk,
            disk_available=disk.disk_available,
            inodes=disk.inodes,
            inodes_free=disk.inodes_free,
            pids=_number(tasks),
            pids_max=_number(_text("/proc/sys/kernel/pid_max")),
        )


class Hollow:
    """One that is imagined, for nodes that run nothing."""

    def __init__(self, hostname: str, *, cpus: int = 32, memory: int = 256 << 30) -> None:
        """`memory` in bytes."""
        self._facts = Facts(
            hostname=hostname,
            cpus=cpus,
            memory=memory,
            disk=1 << 40,
            os_image="hollow",
            machine_id=hostname,
            system_uuid=hostname,
        )

    def facts(self) -> Facts:
        """What it is."""
        return self._facts

    def load(self) -> Load:
        """Nothing is used."""
        facts = self._facts
        return Load(memory_available=facts.memory, disk=facts.disk, disk_available=facts.disk)


def _disk(root: Path) -> Load:
    found = os.statvfs(root)
    return Load(
        memory_available=0,
        disk=found.f_blocks * found.f_frsize,
        disk_available=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def _meminfo() -> dict[str, int]:
    """In bytes."""
    found = {}
    for line in _text("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        found[name] = _number(rest.split()[0] if rest.split() else "") * 1024
    return found


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
