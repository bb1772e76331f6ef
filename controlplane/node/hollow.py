"""`controlplane hollow`: many nodes in one process, whose pods run only as far as anyone is told.

For tests of what many nodes ask of a cluster. The agents are the production ones; what they ask to
run containers only remembers what it was asked for (`runtime/fake.py`).
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from controlplane import flags
from controlplane.api.names import faults_of_name
from controlplane.api.registry import Registry
from controlplane.events import EventRecorder
from controlplane.flags import SettingsError, StoreSettings
from controlplane.informer import Informers
from controlplane.node import agent
from controlplane.node.agent import Agent
from controlplane.node.machine import Hollow
from controlplane.node.pod_feed import PodFeed
from controlplane.node.runtime.fake import FakeRuntime
from controlplane.node.sources import Kinds
from controlplane.objects import ObjectStore
from kvstore.client.clock import AsyncioClock

NODES_MAX = 5_000
STARTS_MAX = 50
"""Nodes that register at once: of thousands each would wait for all others, beyond its patience."""
_BLOCKS = 256  # the second and third octet of their pods' addresses count


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """names  of the nodes: `hollow-1` …"""

    store: StoreSettings
    names: tuple[str, ...]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane hollow`."""
    flags.add_store_flags(parser)
    add = parser.add_argument
    add("--nodes", type=int, required=True, metavar="COUNT", help=f"up to {NODES_MAX}")
    add("--name-prefix", default="hollow-", metavar="TEXT", help="(default %(default)s)")


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    if not 1 <= options.nodes <= NODES_MAX:
        raise SettingsError(f"--nodes: 1 to {NODES_MAX}, not {options.nodes}")
    names = tuple(f"{options.name_prefix}{number}" for number in range(1, options.nodes + 1))
    if faults := faults_of_name(names[-1]):  # the longest: agents write past the API server
        raise SettingsError(f"--name-prefix: {names[-1]!r} is no name of a Node: {faults[0]}")
    return Settings(store=flags.store_of(options), names=names)


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Be those nodes until cancelled."""
    with tempfile.TemporaryDirectory(prefix="hollow-") as folder:
        async with settings.store.connect() as client:
            store = ObjectStore(client)
            informers = Informers(store)
            kinds = Kinds.of(Registry.builtin())
            feed = PodFeed(informers, kinds.pods)
            async with EventRecorder(store, "hollow") as recorder, informers:
                announce(f"{len(settings.names)} nodes")
                async with asyncio.TaskGroup() as tasks:
                    gate = asyncio.Semaphore(STARTS_MAX)
                    for number, name in enumerate(settings.names):
                        one = Agent(
                            store,
                            informers,
                            feed,
                            kinds,
                            FakeRuntime(AsyncioClock(), store.clock),
                            Hollow(name),
                            recorder,
                            agent.Settings(
                                name=name,
                                address="127.0.0.1",
                                root=Path(folder) / name,
                                pod_block=_block(number),
                                is_hollow=True,
                            ),
                        )
                        await gate.acquire()
                        tasks.create_task(one.run(), name=f"agent of {name}")
                        tasks.create_task(_registered(one, gate), name=f"start of {name}")


async def _registered(one: Agent, gate: asyncio.Semaphore) -> None:
    """The next one may begin."""
    await one.registered.wait()
    gate.release()


def _block(number: int) -> str:
    """Of the pods of one node: nothing answers there."""
    return f"10.{128 + number // _BLOCKS}.{number % _BLOCKS}.0/24"
