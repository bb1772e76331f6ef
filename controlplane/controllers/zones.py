"""How many nodes of each zone are away, and how fast pods may be evicted there. PURE.

Where many nodes are away at once it is seldom the nodes: the network between them and us may be
cut, and moving everything would make it worse. So a zone is the slower the worse it fares, and
when nobody is there any more nothing is moved at all.

Source: Kubernetes' documentation, "Nodes" ("Rate limits on eviction"); kube-behaviour 6.3.
"""

from collections.abc import Mapping

import msgspec

RATE_PER_SECOND = 0.1  # 6.3: nodes of a zone that are tainted
SECONDARY_RATE_PER_SECOND = 0.01  # … of a large one that is partly away
UNHEALTHY_SHARE = 0.55  # of a zone: from there on it is partly away …
UNHEALTHY_NODES_MIN = 3  # … when it is as many as these
LARGE_NODES = 50  # a zone with more is a large one

REGION_LABEL, ZONE_LABEL = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
EXCLUDED_LABEL = "node.kubernetes.io/exclude-disruption"
"""Nodes with it do not count."""


class Zone(msgspec.Struct):
    """tainted_at: when a node was last tainted, in seconds of the caller's clock; None: never"""

    nodes: int = 0
    away: int = 0
    tainted_at: float | None = None

    @property
    def is_away(self) -> bool:
        """Nobody is there."""
        return self.nodes > 0 and self.away == self.nodes

    @property
    def rate_per_second(self) -> float:
        """How many nodes may be tainted, as long as some zone is not away."""
        is_partly = self.away >= UNHEALTHY_NODES_MIN and self.away / self.nodes >= UNHEALTHY_SHARE
        if self.is_away or not is_partly:
            return RATE_PER_SECOND
        return SECONDARY_RATE_PER_SECOND if self.nodes > LARGE_NODES else 0.0


class Zones:
    """All nodes by zone. Whoever asks must have told of every node first."""

    def __init__(self) -> None:
        self._zones: dict[str, Zone] = {}
        self._nodes: dict[str, tuple[str, bool]] = {}

    def see(self, name: str, zone: str, *, is_ready: bool) -> None:
        """A node is in this zone, and ready or not."""
        before = self._nodes.get(name)
        if before == (zone, is_ready):
            return
        self._leave(name)
        self._nodes[name] = (zone, is_ready)
        found = self._zones.setdefault(zone, Zone())
        found.nodes += 1
        found.away += not is_ready
        if before is not None:
            self._sweep(before[0])

    def forget(self, name: str) -> None:
        """A node is gone, or does not count."""
        before = self._nodes.get(name)
        if before is not None:
            self._leave(name)
            self._sweep(before[0])

    def _leave(self, name: str) -> None:
        before = self._nodes.pop(name, None)
        if before is not None:
            zone, was_ready = before
            self._zones[zone].nodes -= 1
            self._zones[zone].away -= not was_ready

    def _sweep(self, zone: str) -> None:
        """A zone in which there is no node is none."""
        if not self._zones[zone].nodes:
            del self._zones[zone]

    @property
    def are_all_away(self) -> bool:
        """6.3: then nothing is evicted."""
        return bool(self._zones) and all(zone.is_away for zone in self._zones.values())

    def take(self, zone: str, now: float) -> float | None:
        """Taint a node of a zone, if it is time: 0.0; else the seconds to wait.

        None: not as long as the zones are as they are. `now`: in seconds of the caller's clock
        """
        found = self._zones.get(zone, Zone())
        rate = 0.0 if self.are_all_away else found.rate_per_second
        if not rate:
            return None
        if found.tainted_at is not None and now < found.tainted_at + 1 / rate:
            return found.tainted_at + 1 / rate - now
        found.tainted_at = now
        return 0.0

    def give_back(self, zone: str) -> None:
        """The node that was to be tainted was not."""
        if zone in self._zones:
            self._zones[zone].tainted_at = None


def zone_of(labels: Mapping[str, str]) -> str:
    """Of a node; all without labels are of one zone."""
    return f"{labels.get(REGION_LABEL, '')}/{labels.get(ZONE_LABEL, '')}"
