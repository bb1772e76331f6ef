"""Users: each takes one object after the other through its life."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from cluster.chaos import lives, manifests
from cluster.chaos.lives import Step
from cluster.chaos.patience import Patience
from cluster.namespaces import Namespace
from cluster.workloads import is_finished, is_rolled_out
from controlplane.ctl.errors import StatusError

_SETTLE_SECONDS_MAX = 15.0
_POLL_SECONDS = 0.3
# What must not come of a life that ends with its object still there.
_LAST = ("delete", "hide")

Life = Callable[[str, random.Random], Sequence[Step]]


class Lane:
    """One user. kind: of its objects, Deployment or Job; lives: how many it has had."""

    def __init__(
        self, namespace: Namespace, patience: Patience, kind: str, prefix: str, dice: random.Random
    ) -> None:
        self._namespace = namespace
        self._patience = patience
        self.kind = kind
        self.lives = 0
        self._prefix = prefix
        self._dice = dice
        self._life: Life = lives.deployment if kind == "Deployment" else lives.job

    async def run(self, over: asyncio.Event) -> None:
        """Until `over`: the last life is lived to its end, but what it has made stays.

        Raises TimeoutError, StatusError.
        """
        while not over.is_set():
            self.lives += 1
            name = f"{self._prefix}-{self.lives}"
            for step in self._life(name, self._dice):
                if not (over.is_set() and step.do in _LAST):
                    await self._do(name, step, over)

    async def _do(self, name: str, step: Step, over: asyncio.Event) -> None:
        space, ask = self._namespace, self._patience.ask
        match step.do:
            case "create" | "expose" if step.obj is not None:
                made = step.obj
                await ask(lambda: space.create(made), fine="AlreadyExists")
            case "delete":
                options = {"propagationPolicy": step.word}
                await ask(lambda: space.delete(self.kind, name, options), fine="NotFound")
            case "hide":
                await ask(lambda: space.delete("Service", name, {}), fine="NotFound")
            case "roll back":
                await ask(lambda: space.roll_back(name))
            case "settle":
                await self._settle(name, over)
            case "rest":
                await asyncio.sleep(step.value)  # a person's pace, who waits for nothing
            case "retype":
                spec = {"spec": {"type": step.word}}
                await ask(lambda: space.merge("Service", name, spec))
            case _:
                await self._patch(name, step)

    async def _patch(self, name: str, step: Step) -> None:
        value = int(step.value)
        patches: dict[str, dict[str, Any]] = {
            "scale": {"spec": {"replicas": value}},
            "update": manifests.updated(value),
            "pause": {"spec": {"paused": True}},
            "resume": {"spec": {"paused": None}},
            "suspend": {"spec": {"suspend": True}},
            "unsuspend": {"spec": {"suspend": False}},
            "parallelism": {"spec": {"parallelism": value}},
        }
        patch = patches[step.do]
        # A Job of which the time is over after its end may be gone already.
        await self._patience.ask(
            lambda: self._namespace.merge(self.kind, name, patch), fine="NotFound"
        )

    async def _settle(self, name: str, over: asyncio.Event) -> None:
        """Wait until it is as it shall be, or for so long; without patience once it is over."""

        async def is_settled() -> bool:
            found = await self._namespace.get(self.kind, name)
            return is_rolled_out(found) if self.kind == "Deployment" else is_finished(found)

        try:
            async with asyncio.timeout(_SETTLE_SECONDS_MAX):
                while not over.is_set():
                    if await self._patience.ask(is_settled, fine="NotFound", otherwise=True):
                        return
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            pass  # its user goes on all the same


async def run_all(lanes: Sequence[Lane], over: asyncio.Event) -> list[str]:
    """Each on its own; what went wrong for whom."""
    ends = await asyncio.gather(*(lane.run(over) for lane in lanes), return_exceptions=True)
    faults = []
    for end in ends:
        if isinstance(end, TimeoutError):
            faults.append("a request of a user was not answered in all its time")
        elif isinstance(end, StatusError):
            faults.append(f"a user was refused: {end}")
        elif isinstance(end, BaseException):
            raise end
    return faults
