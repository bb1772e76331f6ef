"""emptyDir volumes whose medium is memory: each a tmpfs of its own, where the node may mount.

A mount is the machine's and not the agent's: it outlives an agent, and whoever comes next finds it
in the kernel's own table. Source: Kubernetes' documentation, "Volumes" (emptyDir); proc(5),
tmpfs(5).
"""

import os
import re
from fractions import Fraction
from pathlib import Path

from controlplane.api import quantity
from controlplane.api.record import tree_of
from controlplane.api.types.core_v1 import Pod, Volume
from controlplane.api.usage import pod_amounts
from controlplane.node.runtime.shim import syscalls

_MOUNTS = Path("/proc/self/mountinfo")
_POINT = 4  # the field of a mount's place
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def is_of_memory(volume: Volume) -> bool:
    """Whether it is to be in memory."""
    return volume.empty_dir is not None and volume.empty_dir.medium == "Memory"


def size_bytes(pod: Pod, volume: Volume, node_memory: str) -> int:
    """The least of what the node has for pods, what all containers of the pod may take, and its
    own limit (Kubernetes, SizeMemoryBackedVolumes); 0: none of them is known.
    """
    source = volume.empty_dir
    limit = source.size_limit if source is not None else None
    bounds = (_amount(node_memory), _pod_limit(pod), _amount(limit))
    return int(min((one for one in bounds if one > 0), default=0))


def mount(folder: Path, *, size: int, group: int | None) -> bool:
    """Whether a folder is memory, from now on or already. One with something in it stays as it
    is: nothing of a container's is put out of sight. OSError: nobody can look into it.
    """
    if folder.is_mount():
        return True
    if any(folder.iterdir()):
        return False
    options = "mode=0777" if group is None else f"mode=2777,gid={group}"
    if size:  # else half of the machine's, as the kernel has it
        options += f",size={size}"
    try:
        syscalls.mount("tmpfs", str(folder), syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    except OSError:  # it may not, or there are too many, or no such group here
        return False
    return True


def unmount_below(folder: Path) -> None:
    """All that is mounted in a folder. OSError: something is still, and the folder must stay."""
    top = os.fsencode(folder.resolve()) + b"/"
    points = [
        _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[_POINT])
        for line in _MOUNTS.read_bytes().splitlines()
    ]
    for point in reversed(points):  # what was mounted last covers what was before it
        if point.startswith(top):
            syscalls.unmount(os.fsdecode(point))


def _pod_limit(pod: Pod) -> Fraction:
    """0: some container has none."""
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    if not all(one.resources.limits.get("memory") for one in containers):
        return Fraction(0)
    try:
        return pod_amounts({"spec": tree_of(pod.spec)}, "limits").get("memory", Fraction(0))
    except ValueError:  # a stranger's, written past validation
        return Fraction(0)


def _amount(text: str | None) -> Fraction:
    try:
        return quantity.parse(text) if text else Fraction(0)
    except ValueError:
        return Fraction(0)
