"""`python -m controlplane agent|apiserver|controllers|…`: one component, in the foreground."""

import argparse
import asyncio
import gc
import importlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import uvloop

from controlplane.flags import SettingsError

# Objects are trees: their last reader frees them. So young collections are rare, full ones nearly
# never, and what is there when work begins (schemas of all kinds) is never walked again.
_GC_THRESHOLDS = (50_000, 50, 1_000)

logger = logging.getLogger(__name__)


class Component(msgspec.Struct, frozen=True):
    """A word of the command line.

    module  has `add_flags`, `settings_of`, and `run`, which goes on until it is cancelled. It is
            loaded for its own component only: none carries what just others need
    verb    said on standard output, with what `run` announces, once it does its work
    """

    help: str
    module: str
    verb: str


COMPONENTS = {
    "agent": Component("runs the pods of one node", "controlplane.node.component", "serving"),
    "apiserver": Component(
        "Kubernetes' API over the store", "controlplane.apiserver.component", "serving"
    ),
    "controllers": Component(
        "what keeps objects as they should be; one process leads",
        "controlplane.controllers.manager",
        "leading",
    ),
    "hollow": Component(
        "nodes that only say that they run pods", "controlplane.node.hollow", "being"
    ),
    "proxy": Component(
        "the addresses of services, and their names: one process on each machine",
        "controlplane.network.proxy",
        "proxying",
    ),
    "scheduler": Component(
        "what gives pods their nodes; one process leads",
        "controlplane.scheduler.process",
        "leading",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: ended by a signal; 1: ended by itself, as the log says; 2: the command line
    cannot be used.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    known = parser.add_subparsers(dest="component", required=True)
    parsers = {word: known.add_parser(word, help=one.help) for word, one in COMPONENTS.items()}
    wanted = words[0] if words and words[0] in COMPONENTS else ""
    if not wanted:
        parser.parse_args(words)  # which tells what there is, and ends
    component = COMPONENTS[wanted]
    module = importlib.import_module(component.module)
    module.add_flags(parsers[wanted])
    options = parser.parse_args(words)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        work = module.run(module.settings_of(options), _announcer(component))
        return uvloop.run(_until_signal(wanted, work))
    except SettingsError as error:
        print(f"controlplane {wanted}: {error}", file=sys.stderr)
        return 2


def _announcer(component: Component) -> Callable[[str], None]:
    def announce(what: str) -> None:
        gc.collect()
        gc.freeze()
        print(f"{component.verb} {what}", flush=True)

    return announce


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


if __name__ == "__main__":
    sys.exit(main())
