"""Which endpoint a connection goes to. PURE but for what it remembers of clients; dice are given.

Source: Kubernetes' documentation, "Virtual IPs and Service Proxies" (session affinity);
kube-behaviour 5.1, 5.6.
"""

from collections import OrderedDict
from collections.abc import Collection
from ipaddress import ip_address

from controlplane.network.plan import Backend, Endpoint
from kvstore.seams import Random

CLIENTS_MAX = 10_000  # that one port of a service remembers; who came first is forgotten first


class Affinity:
    """Where the clients of a port went last, and when."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, tuple[Endpoint, float]] = OrderedDict()

    def last(self, client: str, since: float) -> Endpoint | None:
        """Where a client went, if that was at `since` or later."""
        endpoint, at = self._clients.get(client, (None, 0.0))
        return endpoint if at >= since else None

    def note(self, client: str, endpoint: Endpoint, now: float) -> None:
        """A client goes there now."""
        self._clients[client] = (endpoint, now)
        self._clients.move_to_end(client)
        if len(self._clients) > CLIENTS_MAX:
            self._clients.popitem(last=False)


class Balancer:
    """The choice of one place."""

    def __init__(self, backend: Backend, affinity: Affinity, dice: Random) -> None:
        self.backend = backend
        self.affinity = affinity
        self._dice = dice

    def choose(self, client: str, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """An endpoint for a new connection; None: there is none (any more).

        client  its address
        now     seconds of a clock that never goes back
        tried   those that did not answer
        """
        endpoints = self.backend.endpoints
        if tried:
            endpoints = tuple(one for one in endpoints if one not in tried)
        if not endpoints:
            return None
        if not self.backend.affinity_seconds:
            return self._any(endpoints)
        chosen = self.affinity.last(client, now - self.backend.affinity_seconds)
        if chosen is None or chosen not in endpoints:
            chosen = self._any(endpoints)
        self.affinity.note(client, chosen, now)
        return chosen

    def is_let_in(self, client: str) -> bool:
        """Whether a client's address is in one of the source ranges."""
        ranges = self.backend.source_ranges
        return not ranges or any(ip_address(client) in network for network in ranges)

    def _any(self, endpoints: tuple[Endpoint, ...]) -> Endpoint:
        return endpoints[self._dice.randrange(0, len(endpoints))]
