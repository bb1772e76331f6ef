"""`cluster down`: asks the launcher to stop everything. Pods outlive one that was killed: they are
ended all the same."""

import argparse
import asyncio
from pathlib import Path

from cluster import control, data_folder, folder_lock, pods
from cluster.errors import HeldError, NotRunningError


def run(options: argparse.Namespace) -> int:
    """Exit status 0: nothing runs any more. Raises NotRunningError, LaunchError, OSError."""
    folder: Path = options.data
    try:
        answer = asyncio.run(control.request(folder, {"do": "down"}))
    except NotRunningError as error:
        _end_what_is_left(folder, error)
        print("stopped", flush=True)
        return 0
    print(answer["done"], flush=True)
    folder_lock.wait_until_free(folder)  # so that `up` may follow
    return 0


def _end_what_is_left(folder: Path, unanswered: NotRunningError) -> None:
    """Of a launcher that is no more. One that only does not answer keeps what it has."""
    if not data_folder.is_one(folder):
        raise unanswered
    try:
        with folder_lock.exclusive(folder):
            asyncio.run(pods.end_all(folder))
    except HeldError:
        raise unanswered from None
