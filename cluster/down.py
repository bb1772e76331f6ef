"""`cluster down`: asks the launcher to stop everything. Pods outlive one that was killed: they are
ended all the same."""

import argparse
import asyncio
import contextlib
import time
from pathlib import Path

from cluster import control, data_folder, folder_lock, pods
from cluster.errors import HeldError, LaunchError, NotRunningError

BUSY_SECONDS_MAX = 60.0
_AGAIN_SECONDS = 0.1


def run(options: argparse.Namespace) -> int:
    """Exit status 0: nothing runs any more.

    Raises NotRunningError, LaunchError (also where pods may run on), OSError.
    """
    folder: Path = options.data
    deadline = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            answer = asyncio.run(control.request(folder, {"do": "down"}))
        except NotRunningError as error:
            unanswered = error
        else:
            print(answer["done"], flush=True)
            folder_lock.wait_until_free(folder)  # so that `up` may follow
            with contextlib.suppress(HeldError):  # … and does already
                _end_what_is_left(folder)
            return 0
        if not data_folder.is_one(folder):
            raise unanswered
        try:
            _end_what_is_left(folder)
        except HeldError as held:
            # A launcher that begins just now, or ends already, does not listen.
            if time.monotonic() > deadline:
                why = f"{unanswered}; but a launcher holds {folder}: is it stopped? (kill -CONT)"
                raise NotRunningError(why) from held
            time.sleep(_AGAIN_SECONDS)
        else:
            print("stopped", flush=True)
            return 0


def _end_what_is_left(folder: Path) -> None:
    """Of a launcher that is no more. Raises HeldError where there is one, LaunchError where pods
    may run on."""
    with folder_lock.exclusive(folder):
        left = asyncio.run(pods.end_all(folder))
    if left:
        where = ", ".join(map(str, left))
        raise LaunchError(f"pods may run on below {where}: the log says why")
