"""`controlplane agent`: the agent of one node, in a process of its own.

It may be killed and started again at any time: what runs on the node goes on, and is found again.
"""

import argparse
import asyncio
import fcntl
import ipaddress
import logging
import os
import platform
import random
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from controlplane import flags, indexer, key_files
from controlplane.api.registry import Registry
from controlplane.encryption import Encryption
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError, StoreSettings
from controlplane.informer import Informers
from controlplane.network.descriptors import RESERVED
from controlplane.network.host_ports import HostPorts
from controlplane.network.plan import NOT_LISTENING
from controlplane.node import agent as agents
from controlplane.node import eviction_signals
from controlplane.node.agent import Agent
from controlplane.node.eviction_signals import Thresholds
from controlplane.node.folders import AGENT_LOCK
from controlplane.node.machine import Hollow, Host, Machine
from controlplane.node.measuring import Measuring
from controlplane.node.node_status import PODS_MAX
from controlplane.node.pod_feed import PodFeed
from controlplane.node.runtime.fake import FakeRuntime
from controlplane.node.runtime.interface import Runtime
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.node.server import NodeServer
from controlplane.node.sources import Kinds
from controlplane.objects import ObjectStore
from controlplane.tokens import Key, Tokens
from kvstore.client.clock import AsyncioClock

COMPONENT = "kubelet"
PORT = 10_250
ISSUER = "https://kubernetes.default.svc"
DESCRIPTORS_PER_POD = 32
"""Of the agent's: connections to the shim, logs, probes and streams of its containers."""
API_SERVER = "kube-apiserver-kubelet-client"
"""The name in the certificate by which the API server asks for streams, as kubeadm has it."""

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_LABEL = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """certificate, key, client_authority  files of the server for streams; empty: plain HTTP, on
                                           loopback only
    port           of that server; 0: any
    clients        common names of the certificates that may ask it
    token_keys     the first signs tokens of pods; empty: pods that need one do not start
    """

    store: StoreSettings
    node: agents.Settings
    runtime: str
    port: int = PORT
    certificate: str = ""
    key: str = ""
    client_authority: str = ""
    clients: tuple[str, ...] = (API_SERVER,)
    token_keys: tuple[Key, ...] = ()
    issuer: str = ISSUER
    audiences: tuple[str, ...] = (ISSUER,)
    encryption_keys: tuple[tuple[str, bytes], ...] = ()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane agent`."""
    flags.add_store_flags(parser)
    add = parser.add_argument
    told = "of the Node object; default: the name of this machine"
    add("--node-name", default="", metavar="NAME", help=told)
    told = "folder of this node: volumes and logs of its pods, and what runs them"
    add("--root-dir", required=True, metavar="FOLDER", help=told)
    told = "what runs containers; fake: nothing does (default %(default)s)"
    add("--runtime", choices=("process", "fake"), default="process", help=told)
    told = "address under which others reach this node (default %(default)s)"
    add("--node-ip", default="127.0.0.1", metavar="ADDRESS", help=told)
    add("--labels", default="", metavar="KEY=VALUE[,…]", help="more labels of the Node object")
    told = "addresses for pods where no controller gives the node some"
    add("--pod-cidr", default="", metavar="CIDR", help=told)
    told = "addresses of the cluster's DNS, for pods"
    add("--cluster-dns", default="", metavar="ADDRESS[,…]", help=told)
    add("--cluster-domain", default="cluster.local", metavar="DOMAIN")
    told = "pods at once (default %(default)s)"
    add("--max-pods", type=int, default=PODS_MAX, metavar="COUNT", help=told)
    told = "processes of a container; 0: any number (default %(default)s)"
    add("--container-pids-limit", type=int, default=0, metavar="COUNT", help=told)
    _add_eviction_flags(parser)
    _add_serving_flags(parser)


def _add_eviction_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    default = eviction_signals.DEFAULT.replace("%", "%%")
    told = f"with less left of the machine pods are evicted; empty: never (default {default})"
    add("--eviction-hard", default=eviction_signals.DEFAULT, metavar="SIGNAL<VALUE[,…]", help=told)
    told = "that a pressure of the node is told for when it is over (default %(default)s)"
    add("--eviction-pressure-transition-period", default="5m0s", metavar="DURATION", help=told)


def _add_serving_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    told = "of the server for logs and commands, at --node-ip; 0: any (default %(default)s)"
    add("--port", type=int, default=PORT, metavar="PORT", help=told)
    told = "certificate of that server, PEM; without it plain HTTP is served, on loopback only"
    add("--tls-cert-file", default="", metavar="FILE", help=told)
    add("--tls-private-key-file", default="", metavar="FILE", help="key of that certificate, PEM")
    told = "authority of the certificates that may ask that server, PEM"
    add("--client-ca-file", default="", metavar="FILE", help=told)
    told = "names (CN) of those certificates (default %(default)s)"
    add("--client-names", default=API_SERVER, metavar="NAME[,…]", help=told)
    told = "private key that signs tokens of service accounts for pods, PEM"
    add("--service-account-private-key-file", default="", metavar="FILE", help=told)
    told = "who issues those tokens (default %(default)s)"
    add("--service-account-issuer", default=ISSUER, metavar="URL", help=told)
    told = "for whom such tokens are; default: the issuer"
    add("--api-audiences", default="", metavar="NAME[,NAME…]", help=told)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    _check_serving(options)
    key_file = options.service_account_private_key_file
    issuer = options.service_account_issuer
    return Settings(
        store=flags.store_of(options),
        node=agents.Settings(
            name=_name(options.node_name or platform.node().lower()),
            address=_address("--node-ip", options.node_ip),
            root=Path(options.root_dir),
            pod_block=_block(options.pod_cidr),
            labels=_labels(options.labels),
            cluster_dns=tuple(
                _address("--cluster-dns", one) for one in _words(options.cluster_dns)
            ),
            cluster_domain=options.cluster_domain,
            pods_max=_count("--max-pods", options.max_pods),
            pids_per_container=_count("--container-pids-limit", options.container_pids_limit),
            eviction_hard=_thresholds(options.eviction_hard),
            pressure_seconds=flags.duration_seconds(
                "--eviction-pressure-transition-period",
                options.eviction_pressure_transition_period,
            ),
        ),
        runtime=options.runtime,
        port=_count("--port", options.port),
        certificate=options.tls_cert_file,
        key=options.tls_private_key_file,
        client_authority=options.client_ca_file,
        clients=_words(options.client_names),
        token_keys=key_files.token_keys([key_file]) if key_file else (),
        issuer=issuer,
        audiences=_words(options.api_audiences) or (issuer,),
        encryption_keys=key_files.encryption_keys(options.encryption_provider_config),
    )


def _check_serving(options: argparse.Namespace) -> None:
    """Whoever reaches the server runs commands in pods: nobody may who shows no certificate."""
    told = (options.tls_cert_file, options.tls_private_key_file, options.client_ca_file)
    if any(told) and not all(told):
        raise SettingsError(
            "--tls-cert-file, --tls-private-key-file and --client-ca-file go together"
        )
    if all(told):
        flags.check_pair("--tls-cert-file and --tls-private-key-file", *told[:2])
        flags.check_authority("--client-ca-file", told[2])
    elif not ipaddress.ip_address(_address("--node-ip", options.node_ip)).is_loopback:
        raise SettingsError(
            f"--node-ip: {options.node_ip} can be reached by others: give --tls-cert-file, "
            "--tls-private-key-file and --client-ca-file"
        )


def _thresholds(text: str) -> Thresholds:
    try:
        return eviction_signals.thresholds_of(text)
    except ValueError as error:
        raise SettingsError(f"--eviction-hard: {error}") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise SettingsError(
            f"--node-name: {text!r} is no name of a Node: lower case letters, digits, - and ."
        )
    return text


def _address(flag: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise SettingsError(f"{flag}: {text!r} is no IP address") from None


def _block(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if text else ""
    except ValueError as error:
        raise SettingsError(f"--pod-cidr: {error}") from None


def _count(flag: str, number: int) -> int:
    if number < 0:
        raise SettingsError(f"{flag}: {number} is less than 0")
    return number


def _labels(text: str) -> Mapping[str, str]:
    found = {}
    for pair in _words(text):
        key, equals, value = pair.partition("=")
        if not equals or not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise SettingsError(f"--labels: {pair!r} is no label like disk=fast")
        found[key] = value
    return found


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Be the agent until cancelled; `announce` is told where streams are served.

    Raises SettingsError.
    """
    root = settings.node.root
    async with AsyncExitStack() as stack:
        stack.enter_context(_locked(root))
        client = await stack.enter_async_context(settings.store.connect())
        store = ObjectStore(client, transform=Encryption(settings.encryption_keys))
        runtime = await stack.enter_async_context(_runtime(settings, store))
        informers = Informers(store)
        kinds = Kinds.of(Registry.builtin())
        feed = PodFeed(informers, kinds.pods)
        recorder = EventRecorder(store, COMPONENT, host=settings.node.name)
        is_hollow = settings.runtime == "fake"
        name = settings.node.name
        machine: Machine = Hollow(name) if is_hollow else Host(root, hostname=name)
        one = Agent(
            store,
            informers,
            feed,
            kinds,
            runtime,
            machine,
            recorder,
            settings.node,
            tokens=_tokens(settings),
        )
        # Before tasks of others run, in whose group an error would come out with all their traces.
        await stack.enter_async_context(_serving(settings, one))
        await stack.enter_async_context(recorder)
        await stack.enter_async_context(informers)
        if not is_hollow:
            await stack.enter_async_context(_host_ports(settings.node, feed, recorder))
        announce(f"{settings.node.name} {settings.node.address}:{one.port}")
        await one.run()


def _tokens(settings: Settings) -> Tokens | None:
    if not settings.token_keys:
        return None
    return Tokens(settings.token_keys, issuer=settings.issuer, audiences=settings.audiences)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Two agents of one folder would start everything twice. Raises SettingsError."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(root / AGENT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"--root-dir {root} cannot be used: {error.strerror}") from None
    try:
        _take(descriptor, root)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(f"--root-dir {root}: another agent uses it") from None


@asynccontextmanager
async def _runtime(settings: Settings, store: ObjectStore) -> AsyncIterator[Runtime]:
    """What runs containers; what it runs goes on at the end."""
    if settings.runtime == "fake":
        yield FakeRuntime(AsyncioClock(), store.clock)
        return
    runtime = ProcessRuntime(settings.node.root / "runtime")
    try:
        yield runtime
    finally:
        await runtime.close()


@asynccontextmanager
async def _serving(settings: Settings, one: Agent) -> AsyncIterator[None]:
    """The server for streams; the cluster is told its port. Raises SettingsError."""
    measuring = Measuring(settings.node.name, one.runtime)
    server = NodeServer(one.runtime, measuring, tls=_tls(settings), clients=settings.clients)
    try:
        one.port = await server.listen(settings.node.address, settings.port)
    except OSError as error:
        raise flags.unservable(
            error,
            settings.node.address,
            settings.port,
            host_flag="--node-ip",
            port_flag="--port",
        ) from None
    task = asyncio.create_task(measuring.run(), name="measuring of the node")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await server.close()


@asynccontextmanager
async def _host_ports(
    node: agents.Settings, feed: PodFeed, recorder: EventRecorder
) -> AsyncIterator[None]:
    """They lead to the node's pods. If they end by an error the agent does, too: nobody would know
    otherwise why they are closed.
    """

    def tell(key: indexer.Key, why: str) -> None:
        logger.warning("pod %s: %s", key, why)
        pod = feed.informer.indexer.get(key)
        if pod is not None:
            recorder.record(pod, "Warning", NOT_LISTENING, why)

    found = HostPorts(
        feed.informer,
        node_name=node.name,
        address=node.address,
        tell=tell,
        reserved=RESERVED + DESCRIPTORS_PER_POD * node.pods_max,
    )
    async with asyncio.TaskGroup() as tasks:
        work = found.run(AsyncioClock(), random.Random())
        task = tasks.create_task(work, name="host ports")
        try:
            yield
        finally:
            task.cancel()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.client_authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(settings.certificate, settings.key)
    return context
