"""Carries a schedule out, by SIGKILL."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from cluster.chaos import victims
from cluster.chaos.schedule import Kill
from cluster.chaos.victims import PodProcess
from cluster.chaos.wounds import PROCESS, SHIM, ZYGOTE, Wound, Wounds

_POLL_SECONDS = 0.1
# For a victim that is not there: it is being started again, or there is no pod.
_PATIENCE_SECONDS = 30.0


class Killer:
    """Of the cluster in a data folder."""

    def __init__(self, folder: Path, wounds: Wounds, dice: random.Random) -> None:
        self._folder = folder
        self._wounds = wounds
        self._dice = dice

    async def run(self, kills: Iterable[Kill]) -> None:
        """Each at its time, in a task of its own: nobody waits for who is not there yet."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for kill in kills:
                await asyncio.sleep(begun + kill.at - time.monotonic())
                tasks.create_task(self._kill(kill.victim))

    async def _kill(self, victim: str) -> None:
        """As soon as it is there; what does not come within so long is left out."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            wound = await self._found(victim)
            if wound is not None:
                try:
                    os.kill(wound.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self._wounds.add(wound)
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _found(self, victim: str) -> Wound | None:
        now = time.time()
        if victim == PROCESS:
            return _of_pod(victim, victims.a_process(self._folder, self._dice), now)
        if victim == SHIM:
            return _of_pod(victim, victims.a_shim(self._folder, self._dice), now)
        if victim == ZYGOTE:
            found = sorted(victims.zygotes(self._folder).items())
            if not found:
                return None
            node, pid = self._dice.choice(found)
            return Wound(victim, node, now, pid)
        pid_ = (await victims.component_pids(self._folder)).get(victim)
        return None if pid_ is None else Wound(victim, victim, now, pid_)


def _of_pod(victim: str, found: PodProcess | None, now: float) -> Wound | None:
    if found is None:
        return None
    return Wound(victim, found.uid, now, found.pid, found.containers)
