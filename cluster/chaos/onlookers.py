"""Looks at a cluster in chaos all the time: which pods there are, and what has healed."""

import asyncio
import contextlib
import datetime
import time
from pathlib import Path
from typing import Any

from cluster import control
from cluster.chaos import victims
from cluster.chaos.wounds import Seen, Wounds
from cluster.namespaces import Namespace
from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError

_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.2
_LEASES = "/apis/coordination.k8s.io/v1/leases"


class Pods:
    """Those of a namespace, by a watch that begins again whenever it is cut.

    now     by uid
    uids    of all that it has ever heard of: some may have come and gone unseen
    """

    def __init__(self, client: ApiClient, namespace: Namespace) -> None:
        self._client = client
        self._path = namespace.path("Pod")
        self.now: dict[str, dict[str, Any]] = {}
        self.uids: set[str] = set()

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(CtlError, StatusError):
                await self._follow_once()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow_once(self) -> None:
        listed = await self._client.get(self._path)
        self.now = {str(pod["metadata"]["uid"]): pod for pod in listed["items"]}
        self.uids |= self.now.keys()
        version = {"resourceVersion": listed["metadata"]["resourceVersion"]}
        async for event in self._client.watch(self._path, version):
            pod = event["object"]
            uid = str(pod["metadata"]["uid"])
            self.uids.add(uid)
            if event["type"] == "DELETED":
                self.now.pop(uid, None)
            else:
                self.now[uid] = pod


class Healing:
    """Closes wounds as they heal."""

    def __init__(self, folder: Path, client: ApiClient, wounds: Wounds, pods: Pods) -> None:
        self._folder = folder
        self._client = client
        self._wounds = wounds
        self._pods = pods

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            if self._wounds.open:
                with contextlib.suppress(CtlError, StatusError):
                    seen = await self._seen()
                    self._wounds.look(seen, time.time())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _seen(self) -> Seen:
        answer, leases, zygotes = await asyncio.gather(
            control.request(self._folder, {"do": "status"}),
            self._client.get(_LEASES),
            asyncio.to_thread(victims.zygotes, self._folder),
        )
        rows = [*answer["members"], *answer["components"]]
        renewals = {lease["metadata"]["name"]: _renewed(lease) for lease in leases["items"]}
        return Seen({row["name"]: row for row in rows}, renewals, self._pods.now, zygotes)


def _renewed(lease: dict[str, Any]) -> float:
    told = (lease.get("spec") or {}).get("renewTime")
    return datetime.datetime.fromisoformat(told).timestamp() if told else 0.0
