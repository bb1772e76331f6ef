"""`python -m controlplane apiserver|controllers|scheduler …`: one component, in the foreground."""
"""`python -m controlplane agent|apiserver|controllers …`: one component, in the foreground."""
"""`python -m controlplane apiserver|controllers|proxy …`: one component, in the foreground."""

import argparse
import asyncio
import gc
import importlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import uvloop

from controlplane.apiserver import assembly, settings
from controlplane.controllers import manager
from controlplane.flags import SettingsError
from controlplane.scheduler import settings as scheduler
from controlplane.node import component as node
from controlplane.network import proxy

logger = logging.getLogger(__name__)


class Component(msgspec.Struct, frozen=True):
    """A word of the command line, its flags, and what runs until it is cancelled."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    settings_of: Callable[[argparse.Namespace], Any]
    run: Callable[[Any], Awaitable[None]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: ended by a signal; 1: ended by itself, as the log says; 2: the command line
    cannot be used.
    """
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    words = parser.add_subparsers(dest="component", required=True)
    for word, component in COMPONENTS.items():
        component.add_flags(words.add_parser(word, help=component.help))
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    component = COMPONENTS[options.component]
    try:
        work = component.run(component.settings_of(options))
        return uvloop.run(_until_signal(options.component, work))
    except SettingsError as error:
        print(f"controlplane {options.component}: {error}", file=sys.stderr)
        return 2


async def _until_signal(name: str, work: Awaitable[None]) -> int:
    """Until SIGTERM or SIGINT; the exit status, which is another when it ends without.

    Raises SettingsError: some settings show only when they are used that they cannot be.
    """
    running = asyncio.ensure_future(work)
    is_told = asyncio.Event()

    def end() -> None:
        is_told.set()
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        if is_told.is_set():
            return 0
        logger.critical("%s ends: it was cancelled from within", name, exc_info=True)
    except SettingsError:
        raise
    except Exception as error:
        logger.critical("%s ends: %s", name, "; ".join(_causes(error)), exc_info=True)
    else:
        logger.critical("%s ends, though nobody told it to", name)
    return 1


def _causes(error: BaseException) -> list[str]:
    """What is at the bottom of a group."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in error.exceptions for cause in _causes(one)]
    return [f"{type(error).__name__}: {error}"]


# Objects are trees: their last reader frees them. So young collections are rare, full ones nearly
# never, and what is there when serving begins (schemas of all kinds) is never walked again.
_GC_THRESHOLDS = (50_000, 50, 1_000)


async def _apiserver(chosen: settings.Settings) -> None:
    gc.set_threshold(*_GC_THRESHOLDS)

    def announce(url: str) -> None:
        gc.collect()
        gc.freeze()
        print(f"serving {url}", flush=True)

    async with chosen.store.connect() as client:
        await assembly.Assembly(chosen, client).run(announce)


async def _controllers(chosen: manager.Settings) -> None:
    await manager.run(chosen, lambda identity: print(f"leading {identity}", flush=True))


async def _scheduler(chosen: scheduler.Settings) -> None:
    # It comes with numpy, which no other component needs to load.
    process = importlib.import_module("controlplane.scheduler.process")
    await process.run(chosen, lambda identity: print(f"leading {identity}", flush=True))
async def _agent(chosen: node.Settings) -> None:
    await node.run(chosen, lambda where: print(f"serving {where}", flush=True))
async def _proxy(chosen: proxy.Settings) -> None:
    await proxy.run(chosen, lambda what: print(f"proxying {what}", flush=True))


COMPONENTS = {
    "agent": Component("runs the pods of one node", node.add_flags, node.settings_of, _agent),
    "apiserver": Component(
        "Kubernetes' API over the store", settings.add_flags, settings.settings_of, _apiserver
    ),
    "controllers": Component(
        "what keeps objects as they should be; one process leads",
        manager.add_flags,
        manager.settings_of,
        _controllers,
    ),
    "scheduler": Component(
        "what gives pods their nodes; one process leads",
        scheduler.add_flags,
        scheduler.settings_of,
        _scheduler,
    ),
    "proxy": Component(
        "the addresses of services, and their names: one process on each machine",
        proxy.add_flags,
        proxy.settings_of,
        _proxy,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
