"""`controlplane controllers`: all controllers in one process, of which one in the cluster leads.

Others wait, and take over when it releases its Lease or does not renew it for 15 s. What a former
leader writes late the store refuses (`leader_election.py`).
"""

import argparse
import logging
import os
import socket
import uuid
from collections.abc import Callable

import msgspec

from controlplane import controller, flags
from controlplane.api import addresses
from controlplane.api.registry import Registry
from controlplane.controllers import CONTROLLERS
from controlplane.controllers.context import ENDED_PODS_MAX, Context
from controlplane.encryption import Encryption
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError, StoreSettings
from controlplane.leader_election import LeaderElector, LeadershipLostError
from controlplane.objects import ObjectStore
from controlplane.tokens import Key, Tokens

LEASE = "kube-controller-manager"
COMPONENT = "controllers"

logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """authority    PEM for kube-root-ca.crt; empty: none is written
    token_keys   the first signs tokens that Secrets keep; empty: they get none
    ended_pods_max  see `Context`
    """

    store: StoreSettings
    identity: str
    authority: str = ""
    token_keys: tuple[Key, ...] = ()
    encryption_keys: tuple[tuple[str, bytes], ...] = ()
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


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    key_file = options.service_account_private_key_file
    return Settings(
        store=flags.store_of(options),
        identity=options.identity or f"{socket.gethostname()}_{uuid.uuid4()}",
        authority=_authority(options.root_ca_file),
        token_keys=flags.token_keys([key_file]) if key_file else (),
        encryption_keys=flags.encryption_keys(options.encryption_provider_config),
        ended_pods_max=options.terminated_pod_gc_threshold,
    )


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

        async def lead(guarded: ObjectStore) -> None:
            announce(settings.identity)
            await work(settings, guarded)

        while True:
            try:
                await LeaderElector(store, LEASE, settings.identity).run(lead)
            except LeadershipLostError:
                logger.warning("%s leads no longer", settings.identity)


async def work(settings: Settings, store: ObjectStore) -> None:
    """Run all controllers until cancelled."""
    async with EventRecorder(store, COMPONENT, host=os.uname().nodename) as recorder:
        context = Context(
            registry=Registry.builtin(),
            recorder=recorder,
            authority=settings.authority,
            tokens=_tokens(settings),
            ended_pods_max=settings.ended_pods_max,
        )
        await controller.run([make(context) for make in CONTROLLERS], store)


def _tokens(settings: Settings) -> Tokens | None:
    """Tokens of Secrets name neither issuer nor audience of their cluster."""
    return Tokens(settings.token_keys, issuer="", audiences=()) if settings.token_keys else None
