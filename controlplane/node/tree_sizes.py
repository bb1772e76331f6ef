"""How much of the disk trees take, measured again and again without harm to anybody else.

A walk of a large tree takes seconds. So they are walked one after another in a thread of their
own, which leaves the interpreter to the loop for half of the time; a tree that takes long is
walked seldom; and who asks is told what was found last, if a walk is not done soon.
"""

import asyncio
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from controlplane.node.folders import Run, at_once
from controlplane.node.trees import TreeSize, tree_size

AGAIN_SECONDS = 5.0
"""So old may be what is told."""
PART_MAX = 20
"""A tree is walked for no more than a 20th of the time."""
PATIENCE_SECONDS = 2.0
KNOWN_MAX = 4_096


class _Known(msgspec.Struct):
    """due: when it is measured again, of the monotonic clock; None: it is being measured"""

    size: TreeSize = TreeSize()
    due: float | None = None


class TreeSizes:
    """Of one node. `run`: `at_once` where there are no threads. Close it."""

    def __init__(self, run: Run | None = None) -> None:
        self._is_at_once = run is at_once
        self._known: dict[Path, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tree sizes")

    async def measure(self, folders: Collection[Path]) -> dict[Path, TreeSize]:
        """Of each; what is not known soon is what was known before, at first nothing."""
        begun = {self._begin(one) for one in folders if self._is_due(one)}
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_SECONDS)
        return {one: self._known[one].size for one in folders if one in self._known}

    def close(self) -> None:
        """Measure no more; a walk that is under way ends soon."""
        self._is_closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _is_due(self, folder: Path) -> bool:
        known = self._known.get(folder)
        if known is None:
            return True
        return known.due is not None and time.monotonic() >= known.due

    def _begin(self, folder: Path) -> asyncio.Task[None]:
        known = self._known.pop(folder, None) or _Known()
        known.due = None
        self._known[folder] = known  # as the newest
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        task = asyncio.create_task(self._measure(folder, known), name=f"size of {folder}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _measure(self, folder: Path, known: _Known) -> None:
        if self._is_at_once:
            known.size, known.due = tree_size(folder), 0.0
            return
        loop = asyncio.get_running_loop()
        with suppress(RuntimeError):  # it is closed
            known.size, took = await loop.run_in_executor(self._thread, self._walk, folder)
            known.due = time.monotonic() + max(AGAIN_SECONDS, took * PART_MAX)

    def _walk(self, folder: Path) -> tuple[TreeSize, float]:
        began = rested = time.monotonic()

        def goes_on() -> bool:
            nonlocal rested
            self._is_closed.wait(time.monotonic() - rested)
            rested = time.monotonic()
            return not self._is_closed.is_set()

        return tree_size(folder, goes_on=goes_on), time.monotonic() - began
