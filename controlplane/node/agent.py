"""The agent of one node: its pods run as their objects say, and their objects say how they run.

    kinds, informers = Kinds.of(registry), Informers(store)
    feed = PodFeed(informers, kinds.pods)
    agent = Agent(store, informers, feed, kinds, runtime, machine, recorder, settings)
    async with recorder, informers:
        await agent.run()

It knows the store through `ObjectStore`, and what runs containers through `Runtime`. When it ends
the pods go on; whichever agent comes next finds them.
"""

import asyncio
import contextlib
import logging
import random as dice
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec

from controlplane.api import pods as pod_facts
from controlplane.api.errors import ApiError
from controlplane.api.resolv_conf import resolv_conf
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.node import fitting, node_status
from controlplane.node.eviction_signals import DEFAULT_THRESHOLDS, Thresholds
from controlplane.node.evictions import ROUND_SECONDS, TRANSITION_SECONDS, Evictions
from controlplane.node.fitting import Rejection
from controlplane.node.folders import Folders, Run
from controlplane.node.handlers import Handlers
from controlplane.node.heartbeat import Heartbeat
from controlplane.node.log_rotation import LogRotation
from controlplane.node.machine import Machine
from controlplane.node.node_status import PODS_MAX, Facts, Identity
from controlplane.node.observer import Observer
from controlplane.node.operations import Operations, Surroundings
from controlplane.node.pod_feed import PodFeed
from controlplane.node.pod_worker import Crew, PodWorker
from controlplane.node.prober import Ask, Prober, Remark
from controlplane.node.runtime.interface import Runtime, RuntimeVersion
from controlplane.node.sources import Kinds, Sources
from controlplane.node.tree_sizes import TreeSizes
from controlplane.node.volume_files import VolumeError
from controlplane.node.volumes import NoVolumes, Volumes
from controlplane.objects import ObjectStore
from controlplane.tokens import Tokens
from controlplane.workqueue import Backoff, WorkQueue
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

WRITES_MAX = 16  # at once
RETRY_FIRST_SECONDS = 0.05
RETRY_SECONDS_MAX = 10.0
UPKEEP_SECONDS = 10.0
REFRESH_ROUNDS = 6
"""Files of ConfigMaps and Secrets are looked at every so many rounds: each minute."""

logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one node.

    address        of the node, under which others reach it
    root           below which it keeps what its pods have on disk
    pod_block      its pod CIDR where no controller gives it one
    labels         more of them
    cluster_dns    addresses of the cluster's DNS; none: pods have what the host has
    pids_per_container  0: any number
    eviction_hard       with less left of the machine, pods are evicted
    pressure_seconds    that a pressure is told for when it is over
    monitor_seconds     between looks at what is left
    is_hollow      what it runs reads and writes no files: no volumes are made, no logs rotated. It
                   brings its `pod_block` with it, and has many like it in its process
    """

    name: str
    address: str
    root: Path
    pod_block: str = ""
    labels: Mapping[str, str] = {}
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    pods_max: int = PODS_MAX
    pids_per_container: int = 0
    eviction_hard: Thresholds = DEFAULT_THRESHOLDS
    pressure_seconds: float = TRANSITION_SECONDS
    monitor_seconds: float = ROUND_SECONDS
    is_hollow: bool = False


class Seams(msgspec.Struct, frozen=True, kw_only=True):
    """What simulations put in the place of the world.

    ask  answers probes
    run  does what may take long beside the loop
    """

    clock: Clock | None = None
    random: Random | None = None
    ask: Ask | None = None
    run: Run = asyncio.to_thread


class Agent:
    """Of one node; agents of one process share `informers` and `feed`.

    port        of the server that streams logs and commands, once it serves; it is told to the
                cluster
    registered  set once the Node object is there
    """

    def __init__(
        self,
        store: ObjectStore,
        informers: Informers,
        feed: PodFeed,
        kinds: Kinds,
        runtime: Runtime,
        machine: Machine,
        recorder: EventRecorder,
        settings: Settings,
        *,
        tokens: Tokens | None = None,
        seams: Seams = Seams(),  # noqa: B008 - it is frozen
    ) -> None:
        self.runtime = runtime
        self.settings = settings
        self.port = 0
        self.registered = asyncio.Event()
        self._store = store
        self._feed = feed
        self._kinds = kinds
        self._recorder = recorder
        self._seams = seams
        self._clock: Clock = seams.clock or AsyncioClock()
        self._random: Random = seams.random or dice.Random()
        self._queue: WorkQueue[str] = WorkQueue(
            self._clock, backoff=Backoff(RETRY_FIRST_SECONDS, RETRY_SECONDS_MAX)
        )
        self._workers: dict[str, PodWorker] = {}
        self._keys: dict[str, Key] = {}
        self._taken: dict[str, Mapping[str, Fraction]] = {}
        self._version = RuntimeVersion(name="unknown", version="", isolation="unknown")
        self._folders = Folders(settings.root, seams.run)
        self._sources = Sources(store, informers, kinds, tokens, self._clock.now)
        self._volumes = self._made_volumes()
        self._observer = Observer(runtime, self._clock, store.clock, self._queue.add)
        self._rotation = LogRotation(runtime, store.clock)
        self._sizes = TreeSizes(seams.run)
        self._evictions = self._made_evictions(machine)
        self._nodes = informers.of(kinds.nodes) if settings.is_hollow else None
        facts = machine.facts()
        self._heartbeat = self._heart(facts)
        self._allocatable = node_status.allocatable(
            facts, settings.pods_max, settings.eviction_hard
        )

    def _made_volumes(self) -> Volumes:
        kind = NoVolumes if self.settings.is_hollow else Volumes
        return kind(
            self._folders,
            self._sources,
            host_ip=self.settings.address,
            allocatable=lambda: self._allocatable,
            may_mount=lambda: self._version.isolation.startswith("namespaces"),
        )

    def _made_evictions(self, machine: Machine) -> Evictions:
        return Evictions(
            machine,
            self.runtime,
            self._observer,
            self._folders,
            self._volumes,
            self._sizes,
            self._clock,
            thresholds=self.settings.eviction_hard,
            round_seconds=self.settings.monitor_seconds,
            transition_seconds=self.settings.pressure_seconds,
            workers=lambda: list(self._workers.values()),
            on_change=lambda: self._heartbeat.tell_soon(),  # noqa: PLW0108 - it comes later
        )

    def _heart(self, facts: Facts) -> Heartbeat:
        return Heartbeat(
            self._store,
            self._kinds.nodes,
            facts,
            self._clock,
            self._random,
            identity=self._identity,
            pressures=lambda: self._evictions.pressures,
            faults=lambda: [self._observer.fault(), self._network_fault()],
            labels=self.settings.labels,
            pod_block=self.settings.pod_block if self.settings.is_hollow else "",
            known=self._known_node,
        )

    async def run(self) -> None:
        """Until cancelled. Raises OSError where its folder cannot be used."""
        self._folders.prepare()
        self._version = await self.runtime.version()
        handlers = Handlers(self.runtime, self._clock)
        prober = Prober(
            self._seams.ask or handlers.probe,
            self._clock,
            self._store.clock,
            self._random,
            on_change=self._queue.add,
            on_remark=self._tell_remark,
        )
        crew = self._crew(handlers, prober)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._observer.run(), name="observer of the runtime")
                self._evictions.observe()
                await self._heartbeat.register()
                self.registered.set()
                tasks.create_task(self._heartbeat.run(), name="heartbeat of the node")
                await self._feed.informer.until_synced()
                await self._observer.refresh()
                self._begin()
                tasks.create_task(self._keep_up(), name="upkeep of the node")
                tasks.create_task(self._evictions.run(), name="evictions of the node")
                await self._work(crew)
        finally:
            self._feed.unsubscribe(self.settings.name)
            self._queue.close()
            prober.close()
            self._sizes.close()
            await asyncio.gather(*(one.close() for one in self._workers.values()))

    def _known_node(self) -> Object | None:
        """Of a hollow node: where many share a process, one cache spares each its reads."""
        if self._nodes is None:
            return None
        return self._nodes.indexer.get(Key("", self.settings.name))

    def _crew(self, handlers: Handlers, prober: Prober) -> Crew:
        operations = Operations(
            self.runtime,
            self._clock,
            self._folders,
            self._sources,
            self._volumes,
            handlers,
            Surroundings(
                host_ip=self.settings.address,
                allocatable=lambda: self._allocatable,
                pod_block=self._pod_block,
                resolv_conf=self._resolv_conf,
                cluster_domain=self.settings.cluster_domain,
                isolation=self._version.isolation,
                pids=self.settings.pids_per_container,
            ),
            self._tell,
        )
        return Crew(
            store=self._store,
            kinds=self._kinds,
            pods=self._feed.informer,
            node_name=self.settings.name,
            host_ip=self.settings.address,
            scheme=self._version.name,
            clock=self._clock,
            runtime=self.runtime,
            observer=self._observer,
            operations=operations,
            prober=prober,
            sources=self._sources,
            folders=self._folders,
            tell=self._tell,
            admit=self._admit,
            again=self._queue.add,
            writes=asyncio.Semaphore(WRITES_MAX),
        )

    # ---------------------------------------------------------------------------- pods

    def _begin(self) -> None:
        """With all that there is: in the store, in the runtime, and on disk."""
        self._feed.subscribe(self.settings.name, self._on_pod)
        for uid in (*self._observer.all, *self._folders.uids()):
            self._queue.add(uid)
        for uid, key in self._keys.items():  # what runs here has its place before anything new
            obj = self._feed.informer.indexer.get(key)
            with contextlib.suppress(ValueError, AttributeError, TypeError):  # a stranger's
                if obj is not None and (obj.get("status") or {}).get("startTime"):
                    self._taken[uid] = fitting.amounts_of(obj)

    def _on_pod(self, key: Key, uid: str) -> None:
        self._keys[uid] = key
        self._queue.add(uid)

    async def _work(self, crew: Crew) -> None:
        while True:
            uid = await self._queue.get()
            try:
                self._look(uid, crew)
            finally:
                self._queue.done(uid)
            await self._clock.sleep(0)  # a look waits for nothing: others must have their turn

    def _look(self, uid: str, crew: Crew) -> None:
        """Whatever fails is tried again; it must end neither the agent nor other pods."""
        worker = self._workers.get(uid)
        if worker is None:
            worker = self._workers[uid] = PodWorker(uid, self._keys.get(uid), crew)
        try:
            again = worker.look()
        except Exception:
            logger.exception("pod %s: a look failed", uid)
            self._queue.add_failed(uid)
            return
        self._queue.forget(uid)
        if again is not None:
            self._queue.add_after(uid, again)
        if worker.is_done:
            self._workers.pop(uid, None)
            self._keys.pop(uid, None)
            self._taken.pop(uid, None)

    def _admit(self, uid: str, obj: Object, pod: Pod) -> Rejection | None:
        wanted = fitting.amounts_of(obj)
        others = [one for other, one in self._taken.items() if other != uid and self._holds(other)]
        refusal = fitting.rejection_of(wanted, others, self._allocatable)
        if refusal is None:
            self._taken[uid] = wanted
        return refusal or self._evictions.refusal(pod)

    def _holds(self, uid: str) -> bool:
        """Whether a pod still has what it was given."""
        worker = self._workers.get(uid)
        return worker is None or worker.pod is None or not pod_facts.is_finished(worker.pod)

    # -------------------------------------------------------------------------- upkeep

    async def _keep_up(self) -> None:
        """Logs that grow, objects that change."""
        rounds = 0
        while True:
            await self._clock.sleep(UPKEEP_SECONDS * (1 + self._random.random() / 10))
            rounds += 1
            if not self.settings.is_hollow:
                await self._rotate_logs()
            for worker in list(self._workers.values()):
                is_due = rounds % REFRESH_ROUNDS == 0
                if is_due and worker.pod is not None and pod_facts.is_active(worker.pod):
                    await self._keep_up_volumes(worker, worker.pod)

    async def _rotate_logs(self) -> None:
        for view in list(self._observer.all.values()):
            sandboxes = {one.id: one for one in view.sandboxes}
            for container in view.running():
                await self._rotation.rotate(sandboxes[container.sandbox_id], container)

    async def _keep_up_volumes(self, worker: PodWorker, pod: Pod) -> None:
        try:
            if self._observer.view(worker.uid).sandboxes:
                await self._volumes.refresh(pod)
        except VolumeError as error:
            self._tell(pod, "Warning", "FailedMount", str(error))
        except ApiError as error:
            logger.info("volumes of pod %s: %s", worker.uid, error)
        except Exception:  # of one pod: it must not end the agent of all
            logger.exception("volumes of pod %s cannot be kept up", worker.uid)

    # ----------------------------------------------------------------------- the node

    def _identity(self) -> Identity:
        version = self._version
        return Identity(
            name=self.settings.name,
            address=self.settings.address,
            runtime=f"{version.name}://{version.version}",
            isolation=version.isolation,
            port=self.port,
            pods_max=self.settings.pods_max,
            thresholds=self.settings.eviction_hard,
        )

    def _pod_block(self) -> str:
        return self._heartbeat.pod_block or self.settings.pod_block

    def _network_fault(self) -> str:
        if self._heartbeat.node is None or self._pod_block():
            return ""
        return (
            "container runtime network not ready: NetworkReady=false "
            "reason:NetworkPluginNotReady message:the node has no pod CIDR yet"
        )

    def _resolv_conf(self, pod: Pod) -> str:
        try:
            host_text = Path("/etc/resolv.conf").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            host_text = ""
        return resolv_conf(
            pod.spec.dns_policy,
            pod.spec.dns_config,
            pod.metadata.namespace,
            self.settings.cluster_dns,
            self.settings.cluster_domain,
            host_text,
            is_host_network=pod.spec.host_network,
        )

    # -------------------------------------------------------------------------- events

    def _tell(
        self, pod: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        meta = pod.metadata
        if not meta.name:
            return
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
        }
        self._recorder.record(about, kind, reason, message)

    def _tell_remark(self, found: Remark) -> None:
        worker = self._workers.get(found.uid)
        if worker is not None and worker.pod is not None:
            self._tell(worker.pod, "Warning", found.reason, found.message)
