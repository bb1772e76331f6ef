"""`controlplane scheduler`: gives pods their nodes; of several processes one leads.

Others wait, and take over when it releases its Lease or does not renew it for 15 s. What a former
leader writes late the store refuses (`leader_election.py`).
"""

import logging
import os
import random
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from controlplane.api.registry import Registry
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError
from controlplane.informer import Informers
from controlplane.leader_election import LeaderElector
from controlplane.objects import ObjectStore
from controlplane.scheduler.configuration import (
    DEFAULT,
    Configuration,
    ConfigurationError,
    configuration_of,
)
from controlplane.scheduler.framework import Plugin
from controlplane.scheduler.scheduler import Scheduler
from controlplane.scheduler.settings import Settings, add_flags, settings_of

__all__ = ["add_flags", "run", "settings_of"]

LEASE = "kube-scheduler"
PLUGINS = "keelson.scheduler"
"""The group of entry points by which plug-ins of others are found: name -> class."""

logger = logging.getLogger(__name__)


def configuration(settings: Settings) -> Configuration:
    """Raises SettingsError."""
    if settings.configuration is None:
        return DEFAULT
    try:
        return configuration_of(settings.configuration, plugins(entry_points(group=PLUGINS)))
    except ConfigurationError as error:
        raise SettingsError(f"{settings.path}: {error}") from None


def plugins(found: Iterable[EntryPoint]) -> dict[str, Plugin]:
    """Plug-ins of others, each under the name of its entry point. Raises SettingsError."""
    made: dict[str, Plugin] = {}
    for one in found:
        try:
            plugin = one.load()()
        except Exception as error:
            logger.exception("plug-in %s", one.name)
            raise SettingsError(f"plug-in {one.name} cannot be made: {error!r}") from None
        if not isinstance(plugin, Plugin) or plugin.name != one.name:
            raise SettingsError(f"{one.value} is no plug-in of the name {one.name}")
        made[one.name] = plugin
    return made


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Be a candidate until cancelled; `announce` is told each time that this one leads.

    Raises SettingsError for a configuration that cannot be used.
    """
    chosen = configuration(settings)
    async with settings.store.connect() as client:
        store = ObjectStore(client)
        elector = LeaderElector(store, LEASE, settings.identity)
        await elector.stand(partial(work, chosen), announce)


async def work(configuration: Configuration, store: ObjectStore) -> None:
    """Schedule until cancelled."""
    async with AsyncExitStack() as stack:
        recorders = {}
        for name in configuration.profiles:
            recorder = EventRecorder(store, name, host=os.uname().nodename)
            recorders[name] = await stack.enter_async_context(recorder)
        informers = await stack.enter_async_context(Informers(store))
        scheduler = Scheduler(
            store,
            informers,
            Registry.builtin(),
            configuration,
            recorders,
            dice=random.Random(),
        )
        await scheduler.run()
