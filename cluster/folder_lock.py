"""Who holds a data folder: one launcher at a time."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import HeldError, LaunchError


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the data folder: two launchers must not run the same members.

    Raises HeldError where one does, LaunchError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "cluster.lock").open("w")
    except OSError as error:
        raise unusable(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldError(
                f"a cluster runs in {folder} already: `cluster status --data {folder}` shows it, "
                f"`cluster down --data {folder}` stops it"
            ) from error
        yield


def wait_until_free(folder: Path) -> None:
    """Return once no launcher holds the data folder; it blocks."""
    with contextlib.suppress(FileNotFoundError), (folder / "cluster.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def unusable(folder: Path, error: OSError) -> LaunchError:
    """What is told of a data folder that cannot be written."""
    return LaunchError(
        f"cannot write in {folder}: {error.strerror or error}: make room, or take another --data"
    )
