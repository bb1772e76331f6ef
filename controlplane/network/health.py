"""Health check node ports: load balancers ask there whether this machine has endpoints of a service
whose external traffic policy is Local (5.1).

Source: Kubernetes' documentation, "Create an External Load Balancer" (preserving the client source
IP); answers as kube-proxy gives them: 200 where there is a local endpoint, 503 where there is none.

A port that cannot be opened is told, and tried again ever later.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.indexer import Key
from controlplane.network.plan import LOCAL, Machine, Place, is_ready
from controlplane.network.sockets import Seams, bound, retry_seconds, why

BACKLOG = 64
CONNECTIONS_MAX = 64  # of a port at once: nobody keeps descriptors from others
REQUEST_BYTES_MAX = 8192
SECONDS_MAX = 5.0  # of one question and its answer

logger = logging.getLogger(__name__)


class Health(msgspec.Struct, frozen=True):
    """What is said at `port` of a service. `count`: its ready endpoints here."""

    port: int
    service: Key
    count: int


def health_of(service: Service, slices: Sequence[EndpointSlice], machine: Machine) -> Health | None:
    """None: the service has no such port. Pure."""
    spec, metadata = service.spec, service.metadata
    is_checked = spec.type == "LoadBalancer" and spec.external_traffic_policy == LOCAL
    if not is_checked or not spec.health_check_node_port:
        return None
    here = {
        endpoint.addresses[0]
        for one in slices
        for endpoint in one.endpoints
        if endpoint.addresses and is_ready(endpoint)
        if machine.nodes is None or endpoint.node_name in machine.nodes
    }
    key = Key(metadata.namespace, metadata.name)
    return Health(spec.health_check_node_port, key, len(here))


def answer(health: Health) -> bytes:
    """What an HTTP client is told. Pure."""
    status = "200 OK" if health.count else "503 Service Unavailable"
    service = {"namespace": health.service.namespace, "name": health.service.name}
    body = json.dumps({"service": service, "localEndpoints": health.count}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class HealthPorts:
    """The ports of all services that have one; a port is open while its service wants it."""

    def __init__(self, seams: Seams, on_failure: Callable[[Health, str], None]) -> None:
        """on_failure  told once of a port that cannot be opened, and why"""
        self._seams = seams
        self._on_failure = on_failure
        self._ports: dict[Key, _HealthPort] = {}

    def put(self, key: Key, health: Health | None, addresses: Iterable[str]) -> None:
        """What is said of a service from now on; None: nothing any more.

        addresses  of this machine's node ports
        """
        found = self._ports.get(key)
        wanted = tuple(addresses)
        if found is not None and health is not None and found.is_at(health.port, wanted):
            found.health = health
            return
        if found is not None:
            del self._ports[key]
            found.close()
        if health is not None:
            port = self._ports[key] = _HealthPort(health, wanted, self._seams)
            self._try(key, port, tries=0)

    def close(self) -> None:
        """Close all."""
        for port in self._ports.values():
            port.close()
        self._ports.clear()

    def _try(self, key: Key, port: "_HealthPort", tries: int) -> None:
        """Open a port, unless it is wanted no longer."""
        if self._ports.get(key) is not port:
            return
        try:
            port.open()
        except OSError as error:
            if tries == 0:
                place = Place("", port.health.port, "TCP")
                self._on_failure(port.health, why(place, error))
            again = partial(self._try, key, port, tries + 1)
            self._seams.clock.call_later(retry_seconds(tries), again)


class _HealthPort:
    """One port, at all addresses. `health` may be another at any time."""

    def __init__(self, health: Health, addresses: tuple[str, ...], seams: Seams) -> None:
        self.health = health
        self._addresses = addresses
        self._seams = seams
        self._sockets: list[socket.socket] = []
        self._connections = 0

    def open(self) -> None:
        """Listen at all addresses, or at none. Raises OSError."""
        try:
            for address in self._addresses:
                self._listen(address)
        except BaseException:
            self.close()
            raise

    def is_at(self, port: int, addresses: tuple[str, ...]) -> bool:
        """Whether it is where it should be."""
        return (self.health.port, self._addresses) == (port, addresses)

    def close(self) -> None:
        """Listen no more."""
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
            each.close()
        self._sockets.clear()

    def _listen(self, address: str) -> None:
        opened = bound(Place(address, self.health.port, "TCP"), socket.SOCK_STREAM)
        self._sockets.append(opened)
        opened.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(opened.fileno(), self._accept, opened)

    def _accept(self, opened: socket.socket) -> None:
        """One in a turn of the loop."""
        try:
            client, _ = opened.accept()
        except OSError:  # it has left again
            return
        if self._connections >= CONNECTIONS_MAX:
            client.close()
            return
        client.setblocking(False)
        self._connections += 1
        self._seams.spawn(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SECONDS_MAX):
                asked = b""
                while b"\r\n\r\n" not in asked and len(asked) < REQUEST_BYTES_MAX:
                    more = await loop.sock_recv(client, REQUEST_BYTES_MAX)
                    if not more:
                        return
                    asked += more
                await loop.sock_sendall(client, answer(self.health))
        except OSError as error:
            logger.debug("a health check was not answered: %r", error)
        finally:
            self._connections -= 1
            client.close()
