"""`python -m controlplane apiserver …`: one component, in the foreground."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from controlplane.apiserver import assembly, settings
from controlplane.apiserver.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: ended by a signal; 2: the command line cannot be used."""
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    components = parser.add_subparsers(dest="component", required=True)
    settings.add_flags(components.add_parser("apiserver", help="Kubernetes' API over the store"))
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        chosen = settings.settings_of(options)
    except SettingsError as error:
        print(f"controlplane apiserver: {error}", file=sys.stderr)
        return 2
    uvloop.run(_apiserver(chosen))
    return 0


async def _apiserver(chosen: settings.Settings) -> None:
    """Until SIGTERM or SIGINT."""
    async with assembly.connected(chosen) as client:
        running = asyncio.create_task(
            assembly.Assembly(chosen, client).run(lambda url: print(f"serving {url}", flush=True))
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    sys.exit(main())
