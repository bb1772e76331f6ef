"""What the runtime has of one pod. PURE."""

from collections.abc import Iterable, Mapping

import msgspec

from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import ContainerStatus, LifecycleHandler, Pod
from controlplane.node.actions import Action, StartContainer
from controlplane.node.runtime.interface import Container, Sandbox


class PodView(msgspec.Struct, frozen=True):
    """Both newest first."""

    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The one that counts."""
        return self.sandboxes[0] if self.sandboxes else None

    def begun(self, name: str) -> tuple[Container, ...]:
        """The attempts of a container that are known still. What was made and not started is none:
        it counts no restart, and nothing was lost with it.
        """
        return tuple(
            one for one in self.containers if one.config.name == name and one.state != "created"
        )

    def latest(self, name: str) -> Container | None:
        """Its last attempt, in whichever sandbox."""
        return next(iter(self.begun(name)), None)

    def current(self, name: str) -> Container | None:
        """What the sandbox that counts has of it: its last attempt, or one that is to be."""
        sandbox = self.sandbox
        found = (one for one in self.containers if one.config.name == name)
        return next((one for one in found if sandbox and one.sandbox_id == sandbox.id), None)

    def running(self) -> list[Container]:
        """All that have not ended, in whichever sandbox."""
        return [one for one in self.containers if one.state == "running"]

    def container(self, container_id: str) -> Container | None:
        """One attempt."""
        return next((one for one in self.containers if one.id == container_id), None)


NOTHING = PodView()


def views(sandboxes: Iterable[Sandbox], containers: Iterable[Container]) -> dict[str, PodView]:
    """By uid of the pod. A container whose sandbox is not told is nobody's."""
    pods: dict[str, list[Sandbox]] = {}
    owners: dict[str, str] = {}
    for sandbox in sandboxes:
        pods.setdefault(sandbox.config.uid, []).append(sandbox)
        owners[sandbox.id] = sandbox.config.uid
    held: dict[str, list[Container]] = {uid: [] for uid in pods}
    for container in containers:
        uid = owners.get(container.sandbox_id)
        if uid is not None:
            held[uid].append(container)
    return {
        uid: PodView(
            tuple(sorted(found, key=_age_of_sandbox, reverse=True)),
            tuple(sorted(held[uid], key=_age_of_container, reverse=True)),
        )
        for uid, found in pods.items()
    }


def _age_of_sandbox(sandbox: Sandbox) -> tuple[int, float, str]:
    return sandbox.config.attempt, sandbox.created_at, sandbox.id


def _age_of_container(container: Container) -> tuple[int, float, str]:
    """Attempts count on over sandboxes; a clock that was set back changes nothing."""
    return container.config.attempt, container.created_at, container.id


def is_sidecar(container: Spec) -> bool:
    """An init container that runs as long as its pod (10.3)."""
    return container.restart_policy == "Always"


def sidecars(pod: Pod) -> list[Spec]:
    """In the order of their start."""
    return [one for one in pod.spec.init_containers if is_sidecar(one)]


def specs(pod: Pod) -> Mapping[str, Spec]:
    """All containers of a pod but the ephemeral ones, by name."""
    return {one.name: one for one in (*pod.spec.init_containers, *pod.spec.containers)}


def until_hooked(pod: Pod, view: PodView, ongoing: Iterable[Action]) -> PodView:
    """As it counts while starts are under way: a container is made, and does not run, until its
    postStart hook is done. The kubelet waits for the hook before it looks at anything of the pod.

    What is planned for one that is only made waits for its start to end, so it harms none that
    runs already.
    """
    sandbox, known = view.sandbox, specs(pod)
    hooked = {
        (one.name, one.attempt, one.sandbox_id)
        for one in ongoing
        if isinstance(one, StartContainer) and one.name in known and post_start_of(known[one.name])
    }
    # Where the sandbox has died, what ran in it is to be stopped whatever its hook does.
    if not hooked or sandbox is None or not sandbox.is_ready:
        return view
    return PodView(
        view.sandboxes,
        tuple(
            msgspec.structs.replace(one, state="created")
            if one.state == "running"
            and (one.config.name, one.config.attempt, one.sandbox_id) in hooked
            else one
            for one in view.containers
        ),
    )


def post_start_of(spec: Spec) -> LifecycleHandler | None:
    """The hook that its start waits for."""
    return spec.lifecycle.post_start if spec.lifecycle is not None else None


def told_status(pod: Pod, name: str) -> ContainerStatus | None:
    """What the object says of a container so far."""
    status = pod.status
    found = (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
    return next((one for one in found if one.name == name), None)


def was_lost(pod: Pod, view: PodView, name: str) -> bool:
    """It was started once, and the runtime knows nothing of it any more: as after a reboot."""
    told = told_status(pod, name)
    return told is not None and bool(told.container_id) and view.latest(name) is None
