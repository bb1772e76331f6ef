"""What node agents leave behind: pods outlive an agent, but not their cluster.

Nor do the Secrets that pods had as files; what they have written themselves stays for them.
"""

import asyncio
import logging
import re
from collections.abc import Collection
from pathlib import Path

from controlplane.node.folders import AGENT_LOCK, Folders
from controlplane.node.runtime.interface import RefusedError
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.node.runtime.shim.records import ZYGOTE_LOCK

_NODE = re.compile(r"n[1-9][0-9]*")
_logger = logging.getLogger(__name__)


async def end_all(folder: Path, *, but: Collection[str] = ()) -> list[Path]:
    """End every pod of every node that a cluster in this data folder has, or had.

    but  names of nodes whose agents run

    Returns the folders of nodes of which it cannot be said that all has ended: the log says why.
    """
    found = [one for one in _runtimes(folder) if one.parent.name not in but]
    have_ended = await asyncio.gather(*map(_end, found))
    return [one for one, has_ended in zip(found, have_ended, strict=True) if not has_ended]


def _runtimes(folder: Path) -> list[Path]:
    return sorted(one for one in folder.glob("n*/runtime") if _is_ours(one))


def _is_ours(root: Path) -> bool:
    """Whether a node of ours ever had it: a data folder may hold what others have put there.

    No pod runs without a zygote, and none has files before an agent was there.
    """
    locks = (root / ZYGOTE_LOCK, root.parent / AGENT_LOCK)
    return bool(_NODE.fullmatch(root.parent.name)) and any(one.is_file() for one in locks)


async def _end(root: Path) -> bool:
    try:
        await ProcessRuntime(root).shut_down()
        await asyncio.to_thread(Folders(root.parent).forget_secrets)
    except (RefusedError, OSError, ValueError) as error:
        _logger.warning("pods below %s may run on: %s", root, error)
        return False
    return True
