"""What the rigs need of a machine, and how to say that it lacks."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_PACKAGES = {
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "nsenter": "util-linux",
    "strace": "strace",
}


# From <linux/capability.h>; root of a container may lack them.
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}


def missing(needs: Iterable[str]) -> str:
    """Why a rig that needs root, and these programs and `/dev/…` files, cannot be used here.

    Empty when it can.
    """
    if os.geteuid() != 0:
        return "only root can build this rig"
    held = _capabilities()
    for name, bit in _CAPABILITIES.items():
        if not held >> bit & 1:
            return f"root lacks {name} here, as in most containers"
    for need in needs:
        if need.startswith("/") and not Path(need).exists():
            return f"there is no {need} here, as in most containers"
        if not need.startswith("/") and shutil.which(need) is None:
            return f"{need} is not installed: apt-get install {_PACKAGES.get(need, need)}"
    return ""


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


class RigError(Exception):
    """The machine did not do what a rig asked of it; nothing of the rig is left behind."""
