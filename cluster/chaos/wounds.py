"""Who was killed how often, and how long each took to heal. PURE: times are seconds since 1970."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

PROCESS, SHIM, ZYGOTE = "a pod's process", "a pod's shim", "a node's zygote"


class Wound(msgspec.Struct, frozen=True):
    """Something that was killed.

    victim      its row of the table
    subject     what must heal: a component, the uid of a pod, a node
    pid         of what was killed
    containers  of the pod, which must be others
    """

    victim: str
    subject: str
    at: float
    pid: int
    containers: frozenset[str] = frozenset()


class Seen(msgspec.Struct, frozen=True):
    """A look at the cluster.

    components  name to its row of `cluster status`
    renewals    name of a Lease to when its holder was heard of
    pods        by uid
    zygotes     node to the pid of its zygote
    """

    components: Mapping[str, Mapping[str, Any]]
    renewals: Mapping[str, float]
    pods: Mapping[str, Mapping[str, Any]]
    zygotes: Mapping[str, int]


class Wounds:
    """leases: component to the Lease that it renews, of those that do."""

    def __init__(self, leases: Mapping[str, str]) -> None:
        self._leases = leases
        self.open: list[Wound] = []
        self.kills: Counter[str] = Counter()
        self.longest: dict[str, float] = {}

    def add(self, wound: Wound) -> None:
        """Something was killed; who was not healed yet heals from the first time on."""
        self.kills[wound.victim] += 1
        for position, earlier in enumerate(self.open):
            if (earlier.victim, earlier.subject) == (wound.victim, wound.subject):
                since = msgspec.structs.replace(wound, at=earlier.at)
                self.open[position] = since
                return
        self.open.append(wound)

    def look(self, seen: Seen, now: float) -> None:
        """Close what has healed."""
        still = []
        for wound in self.open:
            if not self._is_healed(wound, seen):
                still.append(wound)
                continue
            seconds = now - wound.at
            self.longest[wound.victim] = max(seconds, self.longest.get(wound.victim, 0.0))
        self.open = still

    def _is_healed(self, wound: Wound, seen: Seen) -> bool:
        if wound.victim in (PROCESS, SHIM):
            return is_pod_healed(seen.pods.get(wound.subject), wound.containers)
        if wound.victim == ZYGOTE:
            return seen.zygotes.get(wound.subject, wound.pid) != wound.pid
        row = seen.components.get(wound.subject) or {}
        if row.get("state") != "healthy" or row.get("pid") == wound.pid:
            return False
        lease = self._leases.get(wound.subject)
        return lease is None or seen.renewals.get(lease, 0.0) > wound.at

    def told(self) -> list[str]:
        """What has not healed."""
        return [f"{wound.victim} ({wound.subject}) has not healed" for wound in self.open]


def is_pod_healed(pod: Mapping[str, Any] | None, before: Iterable[str]) -> bool:
    """It is gone, over, about to end, or all of its containers run, and are others."""
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return True
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    containers = status.get("containerStatuses") or ()
    old = set(before)
    return bool(containers) and all(
        "running" in (one.get("state") or {})
        and str(one.get("containerID", "")).rpartition("/")[2] not in old
        for one in containers
    )
