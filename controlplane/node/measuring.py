"""Measures what is used on a node every few seconds."""

import asyncio
import logging
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

from controlplane.node import stats
from controlplane.node.runtime.interface import RefusedError, Runtime
from controlplane.node.stats import Machine, Sample

EVERY_SECONDS = 10.0
WINDOW_SECONDS = 15.0
"""About so long is the time over which it is told how fast something is used."""
JUMP_SECONDS = 0.5
FRESH_SECONDS = 1.0  # whoever asks again sooner is told the same

_PROC = Path("/proc")

_log = logging.getLogger(__name__)


class Measuring:
    """Of the node `node`; `run` until cancelled."""

    def __init__(self, node: str, runtime: Runtime) -> None:
        self._node = node
        self._runtime = runtime
        self._offset = time.time() - time.monotonic()
        self._samples: deque[Sample] = deque(maxlen=1 + int(WINDOW_SECONDS // FRESH_SECONDS))

    async def run(self) -> None:
        """Measure now and then, so that there is something to compare with."""
        while True:
            try:
                await self._measure()
            except (RefusedError, OSError, ValueError) as error:
                _log.warning("what containers use cannot be measured: %s", error)
            except Exception:  # noqa: BLE001 - nobody would miss it before somebody asks
                _log.exception("what containers use cannot be measured")
            await asyncio.sleep(EVERY_SECONDS)

    async def summary(self) -> dict[str, Any]:
        """What is used now. Raises RefusedError, OSError."""
        now = await self._measure()
        sandboxes = await self._runtime.list_sandboxes()
        containers = await self._runtime.list_containers()
        earlier = [one for one in self._samples if one.machine.at < now.machine.at]
        before = earlier[0] if earlier else None
        return stats.summary(self._node, now, before, sandboxes, containers)

    def _is_clock_set(self) -> bool:
        """Whether the wall clock has gone otherwise than time, since this was asked last."""
        before, self._offset = self._offset, time.time() - time.monotonic()
        return abs(self._offset - before) > JUMP_SECONDS

    async def _measure(self) -> Sample:
        newest = self._samples[-1] if self._samples else None
        if newest is not None and 0 <= time.time() - newest.machine.at < FRESH_SECONDS:
            return newest
        if self._is_clock_set():
            self._samples.clear()  # how fast anything is used cannot be told over a jump
        sample = Sample(machine=_machine(), usage=await self._runtime.usage())
        self._samples.append(sample)
        while self._samples[0].machine.at < sample.machine.at - WINDOW_SECONDS - EVERY_SECONDS:
            self._samples.popleft()
        return sample


def _machine() -> Machine:
    return stats.machine_of(
        (_PROC / "stat").read_text(),
        (_PROC / "meminfo").read_text(),
        ticks=os.sysconf("SC_CLK_TCK"),
        at=time.time(),
    )
