"""What node agents leave behind: pods outlive an agent, but not their cluster.

Nor do the Secrets that pods had as files; what they have written themselves stays for them.
"""

import asyncio
import logging
from collections.abc import Collection
from pathlib import Path

from controlplane.node.folders import Folders
from controlplane.node.runtime.interface import RefusedError
from controlplane.node.runtime.process import ProcessRuntime

_logger = logging.getLogger(__name__)


async def end_all(folder: Path, *, but: Collection[str] = ()) -> None:
    """End every pod of every node that a cluster in this data folder has, or had.

    but  names of nodes whose agents run

    Pods of which it cannot be said that they have ended are named in the log.
    """
    found = [one for one in _runtimes(folder) if one.parent.name not in but]
    await asyncio.gather(*map(_end, found))


def _runtimes(folder: Path) -> list[Path]:
    return sorted(folder.glob("n*/runtime"))


async def _end(root: Path) -> None:
    try:
        await ProcessRuntime(root).shut_down()
        await asyncio.to_thread(Folders(root.parent).forget_secrets)
    except (RefusedError, OSError, ValueError) as error:
        _logger.warning("pods below %s may run on: %s", root, error)
