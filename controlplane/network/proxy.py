"""`controlplane proxy`: the service proxy and the DNS server of a machine, in one process.

What it serves it knows from the store; while the store is away it serves what it knew last.
"""

import argparse
import asyncio
import logging
import os
import random
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import msgspec

from controlplane import flags
from controlplane.api import resolv_conf
from controlplane.api.registry import Registry
from controlplane.api.types.core_v1 import Node, Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError, StoreSettings
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.network import descriptors, nodes, plan
from controlplane.network.dns.forwarder import Forwarder
from controlplane.network.dns.messages import BadMessageError, name_of
from controlplane.network.dns.server import PORT, DnsServer, Resolver
from controlplane.network.dns.zone import Zone
from controlplane.network.feed import Feed
from controlplane.network.health import Health, HealthPorts, health_of
from controlplane.network.nodes import Nodes
from controlplane.network.plan import NOT_LISTENING, Backend, Place
from controlplane.network.sockets import Seams
from controlplane.network.table import Table
from controlplane.network.userspace import Userspace
from controlplane.objects import ObjectStore
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Random

COMPONENT = "kube-proxy"
NOT_CHECKING = "FailedToStartServiceHealthcheck"

Tell = Callable[[Key, str, str], None]
"""Told what people must know of a service: reason and message of an event."""

logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """nodes        names of those on this machine; none: all are
    cluster_dns  where DNS listens; empty: nowhere
    upstreams    resolvers of names that are not the cluster's
    """

    store: StoreSettings
    nodes: frozenset[str] = frozenset()
    node_port_ranges: tuple[IPv4Network | IPv6Network, ...] = ()
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"
    dns_port: int = PORT
    upstreams: tuple[str, ...] = ()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane proxy`."""
    flags.add_store_flags(parser)
    add = parser.add_argument
    told = "a node of this machine (may be repeated); default: all nodes are"
    add("--node-name", action="append", default=[], metavar="NAME", help=told)
    told = "where node ports are; default: on the nodes' internal addresses"
    add("--nodeport-addresses", default="", metavar="CIDR[,CIDR…]", help=told)
    told = "address of the cluster's DNS server; default: there is none"
    add("--cluster-dns", default="", metavar="IP", help=told)
    add("--cluster-domain", default="cluster.local", metavar="NAME", help="of services and pods")
    told = "resolvers of other names; default: /etc/resolv.conf"
    add("--resolv-conf", default="/etc/resolv.conf", metavar="FILE", help=told)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    try:
        ranges = tuple(nodes.ranges_of(options.nodeport_addresses))
    except ValueError as error:
        raise SettingsError(f"--nodeport-addresses: {error}") from None
    if options.cluster_dns:
        try:
            ip_address(options.cluster_dns)
        except ValueError as error:
            raise SettingsError(f"--cluster-dns: {error}") from None
    domain = options.cluster_domain.strip(".")
    try:
        is_name = bool(name_of(domain))
    except BadMessageError:
        is_name = False
    if not is_name:
        raise SettingsError(f"--cluster-domain: {options.cluster_domain!r} is no name")
    return Settings(
        store=flags.store_of(options),
        nodes=frozenset(options.node_name),
        node_port_ranges=ranges,
        cluster_dns=options.cluster_dns,
        cluster_domain=domain,
        upstreams=upstreams_of(Path(options.resolv_conf), options.cluster_dns),
    )


def upstreams_of(path: Path, own: str) -> tuple[str, ...]:
    """The host's resolvers, without ourselves: a question would go round for ever."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        logger.warning("%s: %s: other names than the cluster's are refused", path, error.strerror)
        return ()
    return tuple(one for one in resolv_conf.parse(text).nameservers if one != own)


class ServiceProxy:
    """The listeners of all services, as they are told."""

    def __init__(self, settings: Settings, seams: Seams, dice: Random, tell: Tell) -> None:
        self._nodes = Nodes(settings.nodes, settings.node_port_ranges)
        self._machine = self._nodes.machine()
        self._table = Table()
        self._tell = tell
        self.userspace = Userspace(seams, dice, self._not_open)
        self._health = HealthPorts(seams, self._not_checking)

    def on_node(self, name: str, node: Node | None) -> bool:
        """Whether services need another look."""
        if not self._nodes.put(name, node):
            return False
        self._machine = self._nodes.machine()
        return True

    def on_service(
        self, key: Key, service: Service | None, slices: Sequence[EndpointSlice]
    ) -> None:
        """A service as it is now; at the return new connections go by it."""
        if service is None:
            self.userspace.apply(self._table.put(key, "", {}))
            self._health.put(key, None, ())
            return
        wanted = plan.wanted(service, slices, self._machine)
        created = service.metadata.creation_timestamp or ""
        self.userspace.apply(self._table.put(key, created, wanted))
        health = health_of(service, slices, self._machine)
        self._health.put(key, health, self._machine.node_port_addresses)

    def close(self) -> None:
        """Listen on nothing any more."""
        self.userspace.close()
        self._health.close()

    def _not_open(self, place: Place, backend: Backend, reason: str) -> None:
        message = f"can't open port {place}, skipping it: {reason}"
        self._tell(backend.port.owner, NOT_LISTENING, message)

    def _not_checking(self, health: Health, reason: str) -> None:
        what = f"{str(health.service)!r} on port {health.port}"
        self._tell(health.service, NOT_CHECKING, f"failed to start healthcheck {what}: {reason}")


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until cancelled; `announce` is called once when everything known is served."""
    async with settings.store.connect() as client:
        store = ObjectStore(client)
        async with EventRecorder(store, COMPONENT, host=os.uname().nodename) as recorder:
            await work(settings, store, recorder, announce)


async def work(
    settings: Settings,
    store: ObjectStore,
    recorder: EventRecorder,
    announce: Callable[[str], None],
) -> None:
    """As `run`, on a store."""
    clock, dice = AsyncioClock(), random.SystemRandom()
    async with Informers(store) as informers, asyncio.TaskGroup() as tasks:
        registry = Registry.builtin()

        def tell(key: Key, reason: str, message: str) -> None:
            logger.warning("service %s: %s", key, message)
            service = feed.service(key)
            if service is not None:
                recorder.record(service, "Warning", reason, message)

        seams = Seams(clock, descriptors.of_process(), tasks.create_task)
        proxy = ServiceProxy(settings, seams, random.Random(), tell)
        subscribers = [proxy.on_service]
        resolver = Resolver(
            Zone(settings.cluster_domain), Forwarder(settings.upstreams, dice), dice
        )
        if settings.cluster_dns:
            subscribers.append(resolver.on_service)
            server = DnsServer(
                resolver,
                clock,
                lambda why: logger.error("DNS cannot listen, go on without it: %s", why),
                address=settings.cluster_dns,
                port=settings.dns_port,
            )
            tasks.create_task(server.run(), name="dns")
        feed = Feed(informers, registry, subscribers)
        feed.watch_nodes(proxy.on_node)

        def on_current() -> None:
            resolver.is_current = True
            announce(f"{len(proxy.userspace.open_places())} places")

        try:
            await feed.run(on_current)
        finally:
            proxy.close()
