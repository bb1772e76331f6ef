"""What the rigs need of a machine, and how to say that it lacks."""

import os
import shutil
from collections.abc import Iterable

_PACKAGES = {
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "strace": "strace",
}


def missing(programs: Iterable[str]) -> str:
    """Why a rig that needs root and these programs cannot be used here; empty when it can."""
    if os.geteuid() != 0:
        return "only root can build this rig"
    for program in programs:
        if shutil.which(program) is None:
            package = _PACKAGES.get(program, program)
            return f"{program} is not installed: apt-get install {package}"
    return ""


class RigError(Exception):
    """The machine did not do what a rig asked of it; nothing of the rig is left behind."""
