"""The command line of `controlplane scheduler`.

It loads nothing of what schedules, nor numpy: every component reads the flags of all.
"""

import argparse
import socket
import uuid

import msgspec

from controlplane import flags
from controlplane.flags import SettingsError, StoreSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """configuration  a KubeSchedulerConfiguration as YAML has it; None: the default
    path           of the file that it is from
    """

    store: StoreSettings
    identity: str
    configuration: object = None
    path: str = ""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What it may say."""
    flags.add_store_flags(parser)
    add = parser.add_argument
    told = "profiles: a KubeSchedulerConfiguration, YAML; default: one with Kubernetes' plug-ins"
    add("--config", default="", metavar="FILE", help=told)
    add(
        "--identity", default="", metavar="NAME", help="of this candidate; default: host and a UUID"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    return Settings(
        store=flags.store_of(options),
        identity=options.identity or f"{socket.gethostname()}_{uuid.uuid4()}",
        configuration=_tree(options.config) if options.config else None,
        path=options.config,
    )


def _tree(path: str) -> object:
    # Not above: most schedulers are told nothing, and it takes 2 MiB.
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(flags.read(path))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {error}") from None
