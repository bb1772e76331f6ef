"""The story: what is done to a running cluster, and how long each wound takes to heal.

A step does something and waits for what its users would wait for; clients ask the Service all the
while. Nothing is simulated: processes are ended by SIGKILL, and the launcher, the controllers and
the agents bring back what they keep.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from cluster.demo import manifests
from cluster.demo.api import Api
from cluster.demo.traffic import Traffic
from cluster.namespaces import until
from cluster.processes import pids_with
from cluster.workloads import is_ready

STEP_SECONDS_MAX = 120.0
# What nobody is supposed to notice: an update, a roll-back, a drained node.
QUIET_STEPS = ("roll an update", "roll back", "drain a node")


class Told(msgspec.Struct, frozen=True):
    """What came of a step.

    seconds  until it was healed
    requests, failed, why  of clients meanwhile; `why` some failed
    """

    name: str
    seconds: float
    requests: int
    failed: int
    remark: str = ""
    why: str = ""


Pids = Callable[[], Awaitable[dict[str, int]]]
"""Process ids by the names of `cluster status`; `leader` is the store's leader as well."""
Step = Callable[[], Awaitable[str]]


class Story:
    """On a cluster that is healthy. `tell` is given each step when it is over."""

    def __init__(self, api: Api, pids: Pids, tell: Callable[[Told], None]) -> None:
        self._api = api
        self._pids = pids
        self._tell = tell
        self._told: list[Told] = []

    async def run(self) -> list[Told]:
        """All steps. Raises TimeoutError when a wound does not heal."""
        await self._api.delete_all()
        try:
            await self._step("deploy 3 replicas", self._deploy, None)
            url = f"http://{await self._api.cluster_ip()}:{manifests.PORT}/"
            async with Traffic(url) as traffic:
                await self._step("ask the service", partial(self._ask, traffic), traffic)
                for name, step in self._steps().items():
                    await self._step(name, step, traffic)
        finally:
            await self._api.delete_all()
        return self._told

    def _steps(self) -> dict[str, Step]:
        killed: dict[str, Step] = {
            f"kill {name}": partial(self._kill, name, healed)
            for name, healed in (
                ("scheduler", self._is_placed),
                ("controllers", self._is_replaced),
                ("leader", self._is_written),
                ("apiserver", self._is_written),
            )
        }
        return {
            "roll an update": partial(self._update, "v2"),
            "roll back": self._roll_back,
            "kill a pod's process": self._kill_process,
            "kill a node agent": self._kill_agent,
            **killed,
            "drain a node": self._drain,
        }

    async def _step(self, name: str, step: Step, traffic: Traffic | None) -> None:
        done, failures = (traffic.done, traffic.failures.copy()) if traffic else (0, Counter[str]())
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(STEP_SECONDS_MAX):
                remark = await step()
        except TimeoutError:
            raise TimeoutError(f"{name}: not healed after {STEP_SECONDS_MAX:.0f} s") from None
        seconds = time.monotonic() - began_at
        if traffic is not None:
            done, failures = traffic.done - done, traffic.failures - failures
        failed = failures.total()
        self._told.append(Told(name, seconds, done + failed, failed, remark, ", ".join(failures)))
        self._tell(self._told[-1])

    # ------------------------------------------------------------------------ steps

    async def _deploy(self) -> str:
        await self._api.apply(manifests.namespace())
        await self._api.apply(manifests.service())
        await self._api.apply(manifests.deployment("v1"))
        await self._until(self._api.is_settled)
        nodes = sorted({str(pod["spec"]["nodeName"]) for pod in await self._api.pods()})
        return f"on {', '.join(nodes)}"

    async def _ask(self, traffic: Traffic) -> str:
        await traffic.until_answered()
        return f"http://{await self._api.cluster_ip()}:{manifests.PORT}/"

    async def _update(self, version: str) -> str:
        await self._api.apply(manifests.deployment(version))
        await self._until(self._api.is_settled)
        return f"to {version}"

    async def _roll_back(self) -> str:
        await self._api.roll_back(manifests.NAME)
        await self._until(self._api.is_settled)
        return ""

    async def _kill_process(self) -> str:
        """Of one container, as if it had crashed; its agent starts it again."""
        pod = await self._one()
        name, status = str(pod["metadata"]["name"]), pod["status"]["containerStatuses"][0]
        pids = pids_with("POD_IP", str(pod["status"]["podIP"]))
        assert pids, f"no process of {name} is to be seen in /proc"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        async def is_back() -> bool:
            for one in await self._api.pods():
                if one["metadata"]["name"] == name and is_ready(one):
                    now = one["status"]["containerStatuses"][0]
                    return bool(now["restartCount"] > status["restartCount"])
            return False

        await self._until(is_back)
        return f"of {name}, pid {pids[0]}"

    async def _kill_agent(self) -> str:
        """Its pods run on; healed when it is heard of again."""
        node = str((await self._one())["spec"]["nodeName"])
        before = await self._api.lease_renewed_at(node)
        await self._kill_pid(node)

        async def is_heard() -> bool:
            return await self._api.lease_renewed_at(node) > before

        await self._until(is_heard)
        return node

    async def _kill(self, name: str, healed: Callable[[], Awaitable[None]]) -> str:
        remark = await self._kill_pid(name)
        await healed()
        return remark

    async def _kill_pid(self, name: str) -> str:
        pid = (await self._pids())[name]
        os.kill(pid, signal.SIGKILL)
        return f"pid {pid}"

    async def _is_placed(self) -> None:
        """One more replica gets a node, and serves."""
        await self._api.scale_to(manifests.REPLICAS + 1)
        await self._until(self._api.is_settled)
        await self._api.scale_to(manifests.REPLICAS)
        await self._until(self._api.is_settled)

    async def _is_replaced(self) -> None:
        """A pod that is deleted is made anew."""
        gone = str((await self._one())["metadata"]["name"])
        await self._api.delete_pod(gone)

        async def is_replaced() -> bool:
            ready = [one for one in await self._api.pods() if is_ready(one)]
            names = {str(one["metadata"]["name"]) for one in ready}
            return gone not in names and len(names) == manifests.REPLICAS

        await self._until(is_replaced)

    async def _is_written(self) -> None:
        """A write is answered."""

        async def is_written() -> bool:
            await self._api.write()
            return True

        await self._until(is_written)

    async def _drain(self) -> str:
        node = str((await self._one())["spec"]["nodeName"])
        await self._api.cordon(node, is_cordoned=True)
        try:
            for pod in await self._api.pods():
                if pod["spec"]["nodeName"] == node:
                    await self._api.evict(str(pod["metadata"]["name"]))

            async def is_empty() -> bool:
                pods = await self._api.pods()
                ready = [one for one in pods if is_ready(one)]
                away = all(one["spec"].get("nodeName") != node for one in pods)
                return away and len(ready) == manifests.REPLICAS

            await self._until(is_empty)
        finally:
            await self._api.cordon(node, is_cordoned=False)
        return node

    async def _one(self) -> dict[str, Any]:
        """A pod that serves."""
        return next(one for one in await self._api.pods() if is_ready(one))

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await until(condition, STEP_SECONDS_MAX)


def faults_of(told: list[Told]) -> list[str]:
    """What should not have been: requests that were lost where none may be. Pure."""
    return [
        f"{one.failed} of {one.requests} requests failed while we did: {one.name}: {one.why}"
        for one in told
        if one.name in QUIET_STEPS and one.failed
    ]
