"""What the processes of a cluster take: memory, and the CPU time of a while."""

import asyncio
from collections.abc import Iterable, Mapping

from benchmarks import observe
from benchmarks.control_bars import Figures

ALL = "all"


async def of(pids: Mapping[str, list[int]], seconds: float) -> dict[str, Figures]:
    """By what they are, over so long; `all`: their sum. Children count for who started them.

    What several processes share of their memory counts for each of them.
    """
    trees, meter = _trees(pids), CpuMeter(pids)
    await asyncio.sleep(seconds)
    found = {
        kind: Figures(mib=sum(map(observe.rss_mib, trees[kind])), cpu_percent=used / seconds * 100)
        for kind, used in meter.seconds().items()
    }
    found[ALL] = Figures(
        mib=sum(one.mib or 0.0 for one in found.values()),
        cpu_percent=sum(one.cpu_percent or 0.0 for one in found.values()),
    )
    return found


class CpuMeter:
    """CPU time of processes and their children since its making."""

    def __init__(self, pids: Mapping[str, list[int]]) -> None:
        self._trees = _trees(pids)
        self._before = {kind: _cpu_seconds(mine) for kind, mine in self._trees.items()}

    def seconds(self) -> dict[str, float]:
        """So far, by what they are."""
        return {kind: _cpu_seconds(mine) - self._before[kind] for kind, mine in self._trees.items()}


def _trees(pids: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {
        kind: [one for pid in mine for one in observe.tree(pid, but=_others(pids, kind))]
        for kind, mine in pids.items()
    }


def _others(pids: Mapping[str, list[int]], kind: str) -> set[int]:
    return {pid for other, theirs in pids.items() if other != kind for pid in theirs}


def _cpu_seconds(pids: Iterable[int]) -> float:
    return sum(map(observe.cpu_seconds, pids))
