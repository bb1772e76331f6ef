"""`controlplane controllers`: all controllers in one process, of which one in the cluster leads.

Others wait, and take over when it releases its Lease or does not renew it for 15 s. What a former
leader writes late the store refuses (`leader_election.py`).
"""

import argparse
import os
import socket
import uuid
from collections.abc import Callable
from functools import partial

import msgspec

from controlplane import controller, flags, key_files
from controlplane.api import addresses
from controlplane.api.pod_ranges import PodRanges
from controlplane.api.registry import Registry
from controlplane.controllers import CONTROLLERS
from controlplane.controllers.context import ENDED_PODS_MAX, Context
from controlplane.encryption import Encryption
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError, StoreSettings
from controlplane.leader_election import LeaderElector
from controlplane.objects import ObjectStore
from controlplane.tokens import Key, Tokens

LEASE = "kube-controller-manager"
COMPONENT = "controllers"

_NODE_MONITOR = (
    ("monitor-period", "5s", "nodes that are not ready are looked at at least so often"),
    ("monitor-grace-period", "50s", "a node that is not heard of for so long is unreachable"),
    ("startup-grace-period", "1m", "… a new one, of which nothing was said yet"),
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """authority    PEM for kube-root-ca.crt; empty: none is written
    token_keys   the first signs tokens that Secrets keep; empty: they get none
    pod_ranges   of which each node gets one; None: none does
    node_…       as in Context
    ended_pods_max  see `Context`
    """

    store: StoreSettings
    identity: str
    authority: str = ""
    token_keys: tuple[Key, ...] = ()
    encryption_keys: tuple[tuple[str, bytes], ...] = ()
    pod_ranges: PodRanges | None = None
    node_monitor_period_seconds: float = 5.0
    node_monitor_grace_seconds: float = 50.0
    node_startup_grace_seconds: float = 60.0
    ended_pods_max: int = ENDED_PODS_MAX


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane controllers`."""
    flags.add_store_flags(parser)
    add = parser.add_argument
    add("--root-ca-file", default="", metavar="FILE", help="for kube-root-ca.crt")
    add("--service-account-private-key-file", default="", metavar="FILE")
    add(
        "--terminated-pod-gc-threshold",
        type=int,
        default=ENDED_PODS_MAX,
        metavar="COUNT",
        help="pods that have ended and may stay; 0: any number (default: %(default)s)",
    )
    add(
        "--identity", default="", metavar="NAME", help="of this candidate; default: host and a UUID"
    )
    add("--cluster-cidr", default="", metavar="CIDR", help="of the pods; empty: nodes get no range")
    add("--node-cidr-mask-size", type=int, default=24, metavar="BITS", help="of a node's range")
    for name, default, what in _NODE_MONITOR:
        add(f"--node-{name}", default=default, metavar="DURATION", help=what)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    key_file = options.service_account_private_key_file
    return Settings(
        store=flags.store_of(options),
        identity=options.identity or f"{socket.gethostname()}_{uuid.uuid4()}",
        authority=_authority(options.root_ca_file),
        token_keys=key_files.token_keys([key_file]) if key_file else (),
        encryption_keys=key_files.encryption_keys(options.encryption_provider_config),
        pod_ranges=_pod_ranges(options),
        node_monitor_period_seconds=_node_seconds(options, "monitor-period"),
        node_monitor_grace_seconds=_node_seconds(options, "monitor-grace-period"),
        node_startup_grace_seconds=_node_seconds(options, "startup-grace-period"),
        ended_pods_max=options.terminated_pod_gc_threshold,
    )


def _node_seconds(options: argparse.Namespace, name: str) -> float:
    flag = f"--node-{name}"
    seconds = flags.duration_seconds(flag, getattr(options, f"node_{name.replace('-', '_')}"))
    if seconds <= 0:
        raise SettingsError(f"{flag}: must be more than 0")
    return seconds


def _pod_ranges(options: argparse.Namespace) -> PodRanges | None:
    if not options.cluster_cidr:
        return None
    try:
        return PodRanges(options.cluster_cidr, options.node_cidr_mask_size)
    except ValueError as error:
        raise SettingsError(f"--cluster-cidr, --node-cidr-mask-size: {error}") from None


def _authority(path: str) -> str:
    if not path:
        return ""
    try:
        text = flags.read(path).decode()
    except UnicodeDecodeError:
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SettingsError(f"{path} has no certificate in PEM")
    return text


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Be a candidate until cancelled; `announce` is told each time that this one leads."""
    async with settings.store.connect() as client:
        store = ObjectStore(
            client,
            transform=Encryption(settings.encryption_keys),
            releases=addresses.releases,
        )
        elector = LeaderElector(store, LEASE, settings.identity)
        await elector.stand(partial(work, settings), announce)


async def work(settings: Settings, store: ObjectStore) -> None:
    """Run all controllers until cancelled."""
    async with EventRecorder(store, COMPONENT, host=os.uname().nodename) as recorder:
        context = Context(
            registry=Registry.builtin(),
            recorder=recorder,
            authority=settings.authority,
            tokens=_tokens(settings),
            pod_ranges=settings.pod_ranges,
            node_monitor_period_seconds=settings.node_monitor_period_seconds,
            node_monitor_grace_seconds=settings.node_monitor_grace_seconds,
            node_startup_grace_seconds=settings.node_startup_grace_seconds,
            ended_pods_max=settings.ended_pods_max,
        )
        await controller.run([make(context) for make in CONTROLLERS], store)


def _tokens(settings: Settings) -> Tokens | None:
    """Tokens of Secrets name neither issuer nor audience of their cluster."""
    return Tokens(settings.token_keys, issuer="", audiences=()) if settings.token_keys else None
