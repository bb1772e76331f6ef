"""The host ports of a node's pods: each is a place that leads to its pod alone.

The agent of the node has them, which hears of its pods anyhow. Source: Kubernetes' API reference of
ContainerPort; where it leaves it open, as the CNI plug-in `portmap`. Not served: SCTP.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import msgspec

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import ContainerPort, Pod
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.network import descriptors
from controlplane.network.plan import PROTOCOLS, Backend, Endpoint, Place, Port, Wanted
from controlplane.network.sockets import Seams
from controlplane.network.table import Table
from controlplane.network.userspace import Userspace
from kvstore.seams import Clock, Random

Tell = Callable[[Key, str], None]
"""Told of a pod one of whose ports cannot be opened, and why."""

_PORT_MAX = 65_535

logger = logging.getLogger(__name__)


def wanted(pod: Pod, address: str) -> Wanted:
    """The places of a pod. Pure.

    address  of its node: where a port is that names no other

    Before it runs there are none: nobody would answer. Raises ValueError where an address is none,
    as a stranger may write it past the API server.
    """
    found: dict[Place, Backend] = {}
    for port in _served(pod):
        if not _is_possible(port):
            continue
        protocol = port.protocol or "TCP"
        is_anywhere = not port.host_ip or ip_address(port.host_ip).is_unspecified
        place = Place(address if is_anywhere else port.host_ip, port.host_port, protocol)
        owner = Key(pod.metadata.namespace, pod.metadata.name)
        endpoint = Endpoint(pod.status.pod_ip, port.container_port)
        found[place] = Backend(port=Port(owner, port.name, protocol), endpoints=(endpoint,))
    return found


def impossible(pod: Pod) -> list[ContainerPort]:
    """What would be among the places of a pod if there were such ports. Pure."""
    return [port for port in _served(pod) if not _is_possible(port)]


def _served(pod: Pod) -> Iterator[ContainerPort]:
    spec, status = pod.spec, pod.status
    if spec.host_network or status.phase != "Running" or not status.pod_ip:
        return
    sidecars = [one for one in spec.init_containers if one.restart_policy == "Always"]
    for one in (*sidecars, *spec.containers):
        for port in one.ports:
            if port.host_port and (port.protocol or "TCP") in PROTOCOLS:
                yield port


def _is_possible(port: ContainerPort) -> bool:
    """A stranger may write past the API server what is no port: it keeps no other from a place."""
    return 0 < port.host_port <= _PORT_MAX and 0 < port.container_port <= _PORT_MAX


class HostPorts:
    """Of one node, whose pods are among those of `pods`.

    reserved  descriptors of the process that clients of host ports leave to all else in it
    """

    def __init__(
        self,
        pods: Informer[Object],
        *,
        node_name: str,
        address: str,
        tell: Tell,
        reserved: int = descriptors.RESERVED,
    ) -> None:
        self._pods = pods
        self._node_name = node_name
        self._address = address
        self._tell = tell
        self._reserved = reserved
        self._table = Table()

    async def run(self, clock: Clock, dice: Random) -> None:
        """Listen until cancelled; connections end then, too."""
        async with asyncio.TaskGroup() as tasks:
            seams = Seams(clock, descriptors.of_process(self._reserved), tasks.create_task)
            userspace = Userspace(seams, dice, self._not_open)

            def on_change(key: Key, old: Object | None, new: Object | None) -> None:
                created = str(new["metadata"].get("creationTimestamp", "")) if new else ""
                userspace.apply(self._table.put(key, created, self._wanted(key, new)))

            self._pods.add_handler(on_change)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._pods.remove_handler(on_change)
                userspace.close()

    def _wanted(self, key: Key, obj: Object | None) -> Wanted:
        """Of a pod that nobody can read, or that has an address that is none: nothing."""
        if obj is None or (obj.get("spec") or {}).get("nodeName") != self._node_name:
            return {}
        try:
            pod = self._pods.record(Pod, key)
            if pod is None:
                return {}
            for port in impossible(pod):
                numbers = (port.host_port, port.container_port)
                logger.warning("host ports of %s: %d to %d is none, skipping it", key, *numbers)
            return wanted(pod, self._address)
        except (msgspec.ValidationError, ValueError) as error:
            logger.warning("host ports of %s: %s", key, error)
            return {}

    def _not_open(self, place: Place, backend: Backend, reason: str) -> None:
        self._tell(backend.port.owner, f"can't open host port {place}, skipping it: {reason}")
