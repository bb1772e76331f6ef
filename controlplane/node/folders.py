"""Where a node keeps what its pods have on its disk.

ROOT/agent.lock                           whoever is its agent holds it
ROOT/pods/UID/volumes/KIND/NAME/…         what containers mount
ROOT/pods/UID/containers/NAME/ATTEMPT     the termination message of a container
ROOT/logs/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from controlplane.api.types.core_v1 import Pod
from controlplane.node.memory_volumes import unmount_below
from controlplane.node.trees import remove_tree

AGENT_LOCK = "agent.lock"
VOLUMES = "volumes"
EMPTY_DIR = "kubernetes.io~empty-dir"

_UID = re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9.-]{1,253}", re.ASCII)
MESSAGE_BYTES_MAX = 4_096

Run = Callable[..., Awaitable[Any]]
"""`asyncio.to_thread`, or what calls at once where there are no threads."""


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """A `Run` for simulations."""
    return function(*arguments)


class Folders:
    """`run` does what may take long: removing a tree."""

    def __init__(self, root: Path, run: Run = asyncio.to_thread) -> None:
        self.root = root
        self.run = run

    def prepare(self) -> None:
        """Nobody else on this machine reads what pods have here: Secrets are among it. OSError."""
        for name in ("pods", "logs"):
            folder = self.root / name
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def pod(self, uid: str) -> Path:
        """ValueError for a uid that is no name of a folder: strangers write objects, too."""
        if not _UID.fullmatch(uid):
            raise ValueError(f"{uid!r} is no uid")
        return self.root / "pods" / uid

    def volume(self, uid: str, kind: str, name: str) -> Path:
        """`kind`: of the volume, as the kubelet names its plugin. ValueError as above."""
        return self.pod(uid) / VOLUMES / kind / _plain(name)

    def message(self, uid: str, container: str, attempt: int) -> Path:
        """ValueError as above."""
        return self.pod(uid) / "containers" / _plain(container) / str(attempt)

    def logs(self, pod: Pod) -> Path:
        """ValueError as above."""
        meta = pod.metadata
        self.pod(meta.uid)
        return self.root / "logs" / f"{_plain(meta.namespace)}_{_plain(meta.name)}_{meta.uid}"

    def uids(self) -> list[str]:
        """Of all pods that have something here, in an order that does not depend on the disk."""
        found = {one.name for one in (self.root / "pods").glob("*")}
        found |= {one.name.rpartition("_")[2] for one in (self.root / "logs").glob("*_*")}
        return sorted(name for name in found if _UID.fullmatch(name))

    async def remove(self, uid: str) -> None:
        """All that a pod had. OSError; links are removed, never followed.

        Its own folder goes last: whoever is killed meanwhile leaves what is found by its uid.
        """
        folder = self.pod(uid)
        logs = self.root / "logs"
        found = [one for one in (*logs.glob(f"*_{uid}"), folder) if one.exists()]
        for one in found:
            await self.run(_remove, one)

    async def remove_volumes(self, uid: str) -> None:
        """… of its volumes only. OSError."""
        await self.run(_remove, self.pod(uid) / VOLUMES)

    def forget_secrets(self) -> None:
        """Volumes that were made of objects or are in memory, of all pods, none of which runs:
        whoever comes next makes them anew.

        Blocks. OSError.
        """
        unmount_below(self.root / "pods")
        for volumes in (self.root / "pods").glob(f"*/{VOLUMES}"):
            for kind in volumes.iterdir():
                if kind.name != EMPTY_DIR:
                    remove_tree(kind)


def _remove(folder: Path) -> None:
    """What is mounted in it goes first: what cannot be unmounted is not emptied."""
    unmount_below(folder)
    remove_tree(folder)


def _plain(name: str) -> str:
    if not _PLAIN.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{name!r} is no name")
    return name
