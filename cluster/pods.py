"""What node agents leave behind: pods outlive an agent, but not their cluster."""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from controlplane.node.runtime.interface import RefusedError
from controlplane.node.runtime.process import ProcessRuntime

_logger = logging.getLogger(__name__)


async def end_all(roots: Iterable[Path]) -> None:
    """End every pod below these root folders of agents that have ended.

    Pods of which it cannot be said that they have ended are named in the log.
    """
    await asyncio.gather(*(_end(root / "runtime") for root in roots if root.exists()))


async def _end(root: Path) -> None:
    runtime = ProcessRuntime(root)
    try:
        await runtime.shut_down()
    except RefusedError as error:
        _logger.warning("pods below %s may run on: %s", root, error.message)
        await runtime.close()
