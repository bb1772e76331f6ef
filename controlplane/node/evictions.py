"""Keeps a node from running out of what its pods share: tells of it, takes no more, evicts.

Every round looks first for pods that use more than they may, then at what is left of the machine.
When that is too little, what pods that have ended left behind goes, and if that does not help one
pod a round, whose room must be free again before the next one goes. What to do is in
`eviction_signals` and `eviction_plan`. Source: Kubernetes' documentation, "Node-pressure Eviction".
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from controlplane.api import pods
from controlplane.api.types.core_v1 import Pod
from controlplane.node import eviction_plan, eviction_signals
from controlplane.node.eviction_plan import Candidate, ContainerUse, PodUse
from controlplane.node.eviction_signals import Pressures, Starved, Thresholds
from controlplane.node.fitting import Rejection
from controlplane.node.folders import Folders
from controlplane.node.machine import Machine
from controlplane.node.observer import Observer
from controlplane.node.pod_worker import PodWorker
from controlplane.node.runtime.interface import RefusedError, Runtime, Usage
from controlplane.node.tree_sizes import TreeSizes
from controlplane.node.trees import TreeSize
from controlplane.node.volumes import Volumes
from kvstore.seams import Clock

ROUND_SECONDS = 10.0
TRANSITION_SECONDS = 300.0
"""A pressure that is over is told for so long, so that pods do not come and go with it."""
CLEANING_SECONDS_MAX = 30.0
"""So long the next pod waits for the room of the one before."""

logger = logging.getLogger(__name__)


class Evictions:
    """Of one node.

    workers             of its pods
    transition_seconds  see TRANSITION_SECONDS
    on_change           called when the pressures are others
    """

    def __init__(
        self,
        machine: Machine,
        runtime: Runtime,
        observer: Observer,
        folders: Folders,
        volumes: Volumes,
        sizes: TreeSizes,
        clock: Clock,
        *,
        thresholds: Thresholds,
        round_seconds: float,
        transition_seconds: float,
        workers: Callable[[], Iterable[PodWorker]],
        on_change: Callable[[], None],
    ) -> None:
        self.pressures = Pressures()
        """Told of the node, and kept from new pods."""
        self._machine = machine
        self._runtime = runtime
        self._observer = observer
        self._folders = folders
        self._volumes = volumes
        self._sizes = sizes
        self._clock = clock
        self._thresholds = thresholds
        self._round_seconds = round_seconds
        self._transition_seconds = transition_seconds
        self._on_change = on_change
        self._workers = workers
        self._felt: dict[str, float] = {}
        self._last: tuple[PodWorker, float] | None = None

    def refusal(self, pod: Pod) -> Rejection | None:
        """Why the node takes no such pod now."""
        return eviction_plan.refusal(pod, self.pressures)

    async def run(self) -> None:
        """Until cancelled. What fails is tried again in the next round."""
        while True:
            try:
                await self._round()
            except (RefusedError, OSError) as error:
                logger.warning("what pods use cannot be found out: %s", error)
            except Exception:
                logger.exception("what pods use cannot be found out")
            await self._clock.sleep(self._round_seconds)

    def observe(self) -> list[Starved]:
        """What is scarce now."""
        try:
            load = self._machine.load()
        except OSError as error:
            logger.warning("what is left of the machine cannot be found out: %s", error)
            return []
        found = eviction_signals.starved(self._thresholds, load)
        now, felt = self._clock.now(), eviction_signals.pressures_of(found)
        for name in Pressures.__struct_fields__:
            if getattr(felt, name):
                self._felt[name] = now
        self._felt = {
            name: at for name, at in self._felt.items() if now - at < self._transition_seconds
        }
        lasting = dict.fromkeys(self._felt, True)
        before = self.pressures
        self.pressures = Pressures(**{**msgspec.structs.asdict(felt), **lasting})
        if self.pressures != before:
            self._on_change()
        return found

    async def _round(self) -> None:
        found = self.observe()
        if await self._evict_greedy() or not found:
            return
        logger.warning("the node is low on %s", ", ".join(one.resource for one in found))
        if self._is_cleaning():
            return
        reclaimed = [one for one in self._workers() if one.reclaim()]
        if not reclaimed:
            await self._evict_one(found[0])

    async def _evict_greedy(self) -> bool:
        """Pods that use more than they may: all of them, for no neighbour can help it."""
        bounded = [one for one in self._running() if eviction_plan.is_bounded(one.pod)]
        has_evicted = False
        for worker, candidate in await self._candidates(bounded):
            why = eviction_plan.excess(candidate)
            if why:
                worker.evict(why)
                has_evicted = True
        return has_evicted

    async def _evict_one(self, scarce: Starved) -> None:
        found = await self._candidates(self._running())
        chosen = eviction_plan.victim((one for _, one in found), scarce)
        for worker, candidate in found:
            if candidate is chosen:
                worker.evict(eviction_plan.message_of(candidate, scarce), is_disrupted=True)
                self._last = worker, self._clock.now()

    def _is_cleaning(self) -> bool:
        """Whether the last one that went is still giving back what it had."""
        if self._last is None:
            return False
        worker, at = self._last
        if worker.has_volumes and self._clock.now() - at < CLEANING_SECONDS_MAX:
            return True
        self._last = None
        return False

    def _running(self) -> list["_Running"]:
        return [
            _Running(one, one.pod)
            for one in self._workers()
            if one.pod is not None and pods.is_active(one.pod) and not one.is_ending
        ]

    async def _candidates(self, wanted: list["_Running"]) -> list[tuple[PodWorker, Candidate]]:
        if not wanted:
            return []
        usage = await self._runtime.usage()
        trees = {one.worker.uid: self._trees(one.pod) for one in wanted}
        sizes = await self._sizes.measure([path for each in trees.values() for path in each])
        found = []
        for one in wanted:
            use = self._use(one, usage, trees[one.worker.uid], sizes)
            found.append((one.worker, Candidate(pod=one.pod, use=use)))
        return found

    def _trees(self, pod: Pod) -> dict[Path, tuple[str, str]]:
        """What to measure: volumes and logs, with the name of each."""
        try:
            logs = self._folders.logs(pod)
            names = eviction_plan.local_volumes(pod)
            found = {
                self._volumes.folder(pod, one): ("volume", one.name)
                for one in pod.spec.volumes
                if one.name in names and not self._volumes.is_in_memory(pod, one)
            }
        except ValueError:  # a stranger's: none of it could be made
            return {}
        specs = (*pod.spec.containers, *pod.spec.init_containers)
        return found | {logs / one.name: ("logs", one.name) for one in specs}

    def _use(
        self,
        running: "_Running",
        usage: Mapping[str, Usage],
        trees: Mapping[Path, tuple[str, str]],
        sizes: Mapping[Path, TreeSize],
    ) -> PodUse:
        volumes: dict[str, int] = {}
        logs: dict[str, int] = {}
        for path, (kind, name) in trees.items():
            told = logs if kind == "logs" else volumes
            told[name] = sizes.get(path, TreeSize()).bytes
        containers = {}
        for one in self._observer.view(running.worker.uid).running():
            name, used = one.config.name, usage.get(one.id, Usage(at=0.0))
            containers[name] = ContainerUse(
                disk=used.disk + logs.get(name, 0), memory=used.memory, pids=used.pids
            )
        inodes = sum(sizes.get(path, TreeSize()).inodes for path in trees)
        return PodUse(volumes=volumes, containers=containers, inodes=inodes)


class _Running(msgspec.Struct, frozen=True):
    worker: PodWorker
    pod: Pod
