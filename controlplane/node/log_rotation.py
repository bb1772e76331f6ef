"""Keeps the logs of containers from filling the node's disk.

Source of the numbers: kube-behaviour 10.7 (10 MiB, 5 files, as Kubernetes' nodes have them).
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controlplane.node.log_files import files_of
from controlplane.node.runtime.interface import Container, RefusedError, Runtime, Sandbox

BYTES_MAX = 10 * 1024 * 1024
FILES_MAX = 5
STAMP = "%Y%m%d-%H%M%S"

logger = logging.getLogger(__name__)


def surplus(name: str, names: Iterable[str], files_max: int = FILES_MAX) -> list[str]:
    """Rotated logs of `name` that must go, so that with a new one there are `files_max`. Pure.

    Names end with when they were rotated, so the oldest come first.
    """
    rotated = sorted(one for one in names if one.startswith(f"{name}."))
    return rotated[: max(len(rotated) - (files_max - 1), 0)]


def next_stamp(name: str, names: Iterable[str], wall: float) -> str:
    """Of a log of `name` that is rotated now: later than all before, for they are read in the order
    of their stamps, also when the clock was set back. Pure. wall: seconds since 1970
    """
    moment = datetime.fromtimestamp(int(wall), UTC)
    for one in names:
        if not one.startswith(f"{name}."):
            continue
        with suppress(ValueError):  # none of ours
            before = datetime.strptime(one[len(name) + 1 :], STAMP).replace(tzinfo=UTC)
            moment = max(moment, before + timedelta(seconds=1))
    return moment.strftime(STAMP)


class LogRotation:
    """Of one node. `wall`: seconds since 1970."""

    def __init__(self, runtime: Runtime, wall: Callable[[], float]) -> None:
        self._runtime = runtime
        self._wall = wall

    async def rotate(self, sandbox: Sandbox, container: Container) -> bool:
        """Begin a new file where one has grown too long; whether it did so."""
        path = Path(sandbox.config.log_folder) / container.config.log_path
        try:
            if path.is_symlink():
                return False
            if not path.exists() and files_of(path):
                # An agent was killed after it had put the log aside: it is written there still.
                await self._runtime.reopen_log(container.id)
                return True
            if path.stat().st_size < BYTES_MAX:
                return False
            names = [one.name for one in path.parent.iterdir()]
            rotated = path.with_name(f"{path.name}.{next_stamp(path.name, names, self._wall())}")
            path.rename(rotated)
            await self._reopen(container, path, rotated)
            names = [one.name for one in path.parent.iterdir()]
            for name in surplus(path.name, names):
                (path.parent / name).unlink(missing_ok=True)
        except FileNotFoundError:
            return False  # it has written nothing, or is gone
        except (OSError, RefusedError) as error:
            logger.warning("log of container %s: %s", container.id, error)
            return False
        return True

    async def _reopen(self, container: Container, path: Path, rotated: Path) -> None:
        """What writes on in the old file must find it under its old name."""
        try:
            await self._runtime.reopen_log(container.id)
        except RefusedError:
            _undo(path, rotated)
            raise


def _undo(path: Path, rotated: Path) -> None:
    if not path.exists():
        rotated.rename(path)
