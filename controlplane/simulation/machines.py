"""What nodes really run: the runtimes' truth, against which what the cluster says is judged.

* A pod has one sandbox that is ready, on one node; a container of it runs once.
* A pod that was on a node leaves the store only when nothing of it runs any more, but for those
  that were taken by force because their Node object was deleted.
"""

from collections.abc import Callable, Sequence

from controlplane.node.runtime.fake import FakeRuntime, Script
from controlplane.node.runtime.interface import Container, ContainerConfig, Sandbox, SandboxConfig
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Ledger, Step
from controlplane.simulation.rules import Moment
from kvstore.seams import Clock
from kvstore.testing.history import ViolationError

Fail = Callable[[str], None]


class Machines:
    """All runtimes. `fail` is told what must not be, for an agent would only log it."""

    def __init__(self, fail: Fail) -> None:
        self.fail = fail
        self.runtimes: dict[str, SeenRuntime] = {}
        self.started = 0
        self._forced: set[str] = set()  # nodes whose objects were deleted at some time

    def sandboxes(self, uid: str) -> Sequence[tuple[str, Sandbox]]:
        """Those of a pod that are ready, each with its node."""
        return [
            (node, one) for node, runtime in self.runtimes.items() for one in runtime.ready(uid)
        ]

    def running(self, uid: str) -> Sequence[Container]:
        """Containers of a pod that run, anywhere."""
        return [one for runtime in self.runtimes.values() for one in runtime.running(uid)]

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`: of pods that leave the store."""
        for change in step.changes:
            if change.new is None and change.place == facts.NODES:
                self._forced.add(str(change.either["metadata"]["name"]))
            if change.new is not None or change.place != facts.PODS:
                continue
            if facts.node_of(change.either) in self._forced:
                continue
            running = self.running(facts.uid_of(change.either))
            if running:
                who = f"revision {step.revision}: {facts.called(change.either)} is gone"
                raise ViolationError(f"{who}, and {running[0].id} of it runs")


class SeenRuntime(FakeRuntime):
    """The runtime of one node, whose every start is looked at."""

    def __init__(
        self,
        machines: Machines,
        node: str,
        clock: Clock,
        wall: Callable[[], float],
        script: Callable[[SandboxConfig, ContainerConfig], Script],
    ) -> None:
        super().__init__(clock, wall, script=script)
        self._machines = machines
        self._node = node
        machines.runtimes[node] = self

    def all_sandboxes(self) -> list[Sandbox]:
        """Also those that are not ready any more."""
        return list(self._sandboxes.values())

    def all_containers(self) -> list[Container]:
        """Also those that do not run."""
        return list(self._containers.values())

    def ready(self, uid: str) -> list[Sandbox]:
        """Sandboxes of a pod that are."""
        return [one for one in self._sandboxes.values() if one.config.uid == uid and one.is_ready]

    def running(self, uid: str) -> list[Container]:
        """Containers of a pod that do."""
        return [
            one
            for one in self._containers.values()
            if one.state == "running" and self._sandboxes[one.sandbox_id].config.uid == uid
        ]

    async def run_sandbox(self, config: SandboxConfig) -> str:
        """See `Runtime`."""
        others = self._machines.sandboxes(config.uid)
        if others:
            node, other = others[0]
            self._machines.fail(
                f"a second sandbox of pod {config.namespace}/{config.name} begins on {self._node}:"
                f" {other.id} on {node} is ready"
            )
        return await super().run_sandbox(config)

    async def start_container(self, container_id: str) -> None:
        """See `Runtime`."""
        await super().start_container(container_id)
        container = self._containers.get(container_id)
        if container is None or container.state != "running":
            return
        self._machines.started += 1
        config = self._sandboxes[container.sandbox_id].config
        same = [
            one
            for one in self._machines.running(config.uid)
            if one.config.name == container.config.name
        ]
        if len(same) > 1:
            who = f"container {container.config.name} of pod {config.namespace}/{config.name}"
            self._machines.fail(f"{who} runs twice: {', '.join(one.id for one in same)}")
