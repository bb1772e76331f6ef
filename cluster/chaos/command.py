"""`cluster chaos`: kills, and works on, for some minutes; then waits until all has healed."""

import argparse
import asyncio
import contextlib
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from cluster import control
from cluster.chaos import manifests, report, settled
from cluster.chaos.killer import Killer
from cluster.chaos.lanes import Lane, run_all
from cluster.chaos.onlookers import Healing, Pods
from cluster.chaos.patience import Patience
from cluster.chaos.schedule import schedule
from cluster.chaos.wounds import PROCESS, SHIM, ZYGOTE, Wounds
from cluster.components import APISERVER, CONTROLLERS, PROXY, SCHEDULER
from cluster.namespaces import POLL_SECONDS, Namespace
from controlplane.ctl import kubeconfig
from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError

_HEAL_SECONDS_MAX = 180.0
_DEPLOYMENT_LANES, _JOB_LANES = 4, 4
_LEASES = {CONTROLLERS: "kube-controller-manager", SCHEDULER: "kube-scheduler"}
_WITHOUT_LEASE = (APISERVER, PROXY)


def run(options: argparse.Namespace) -> int:
    """Exit status 0: all has healed, and no user was refused.

    Raises NotRunningError, CtlError, StatusError.
    """
    return asyncio.run(_run(options.data, options.minutes, options.seed))


async def _run(folder: Path, minutes: float, seed: int | None) -> int:
    await control.require_healthy(folder)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    print(f"chaos for {minutes:g} minutes, seed {seed}", flush=True)
    access = kubeconfig.load(folder / "kubeconfig", None)
    async with ApiClient(access, lambda _warning: None) as client:
        chaos = await _Chaos.begun(folder, client, random.Random(seed))
        began_at = time.monotonic()
        try:
            faults = await chaos.rage(minutes * 60)
            took = (time.monotonic() - began_at) / 60
            faults += await chaos.settle()
        except BaseExceptionGroup as group:  # as when the launcher has ended
            raise _first(group) from None
        print(chaos.told(took))
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    print(f"\nnow judge it: {report.audit(str(folder))}", flush=True)
    return 1 if faults else 0


class _Chaos:
    """One run on a cluster that is healthy. members: names of the store's."""

    def __init__(
        self,
        folder: Path,
        client: ApiClient,
        dice: random.Random,
        members: list[str],
        others: list[str],
    ) -> None:
        self._dice = dice
        self._members = frozenset(members)
        self._victims = [*members, *others, PROCESS, SHIM, ZYGOTE]
        self._patience = Patience()
        self._namespace = Namespace(client, manifests.NAMESPACE, manifests.MANAGER)
        nodes = {name: name for name in others if name not in (*_LEASES, *_WITHOUT_LEASE)}
        self._wounds = Wounds(_LEASES | nodes)
        self._pods = Pods(client, self._namespace)
        self._healing = Healing(folder, client, self._wounds, self._pods)
        self._killer = Killer(folder, self._wounds, _own(dice))
        self._lanes = [self._lane("Deployment", f"d{n}") for n in range(1, _DEPLOYMENT_LANES + 1)]
        self._lanes += [self._lane("Job", f"j{n}") for n in range(1, _JOB_LANES + 1)]

    @classmethod
    async def begun(cls, folder: Path, client: ApiClient, dice: random.Random) -> "_Chaos":
        """On what `folder` runs; nothing is left of a chaos before."""
        answer = await control.request(folder, {"do": "status"})
        members = [row["name"] for row in answer["members"]]
        others = [row["name"] for row in answer["components"]]
        made = cls(folder, client, dice, members, others)
        await made._namespace.delete_all()
        await made._namespace.apply(manifests.namespace())
        return made

    async def rage(self, seconds: float) -> list[str]:
        """Kill and work for so long; return when users have ended what they had begun."""
        over = asyncio.Event()
        kills = schedule(self._victims, self._members, seconds, _own(self._dice))
        async with _beside(self._pods.follow(), self._healing.watch()):
            users = asyncio.create_task(run_all(self._lanes, over))
            await self._killer.run(kills)
            over.set()
            faults = await users
        return faults + [f"{times} times: {told}" for told, times in self._patience.odd.items()]

    def _lane(self, kind: str, prefix: str) -> Lane:
        return Lane(self._namespace, self._patience, kind, prefix, _own(self._dice))

    async def settle(self) -> list[str]:
        """Wait until all is as its users want it; else what is not."""
        late = ["nothing could be asked"]
        async with _beside(self._pods.follow(), self._healing.watch()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEAL_SECONDS_MAX):
                    while late:
                        with contextlib.suppress(CtlError, StatusError):
                            late = await self._late()
                        await asyncio.sleep(POLL_SECONDS)
        return late

    async def _late(self) -> list[str]:
        """A zygote need not be there before there is a pod to start."""
        objects = {kind: await self._namespace.all(kind) for kind in settled.KINDS}
        unhealed = [told for told in self._wounds.told() if not told.startswith(ZYGOTE)]
        return [*unhealed, *settled.late(objects)]

    def told(self, minutes: float) -> str:
        """The table, and the counts."""
        jobs = sum(lane.lives for lane in self._lanes if lane.kind == "Job")
        kills = self._wounds.kills.total()
        rows = report.table(self._victims, self._wounds)
        return f"{rows}\n\n{report.counts(kills, len(self._pods.uids), jobs, minutes)}"


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _own(dice: random.Random) -> random.Random:
    """Dice for somebody who throws when he comes to it: the others' stay as they are."""
    return random.Random(dice.getrandbits(64))


@contextlib.asynccontextmanager
async def _beside(*others: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run them meanwhile. What one of them raises comes out of here."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(other) for other in others]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
