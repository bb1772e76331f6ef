"""Does what a plan says: each action is one call here, and takes as long as it takes.

Source of events and their words: Kubernetes' kubelet, as users see it in `kubectl describe`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import EphemeralContainer, LifecycleHandler, Pod
from controlplane.node import container_config, environment
from controlplane.node.actions import RunPreStop, RunSandbox, StartContainer, StopContainer
from controlplane.node.addresses import Addresses, NoAddressError
from controlplane.node.container_config import Making
from controlplane.node.endings import OVERRUN_SECONDS
from controlplane.node.environment import ConfigError, Origin
from controlplane.node.folders import Folders
from controlplane.node.handlers import Handlers, Target
from controlplane.node.plan import grace_seconds
from controlplane.node.remains import remove_remains
from controlplane.node.runtime.interface import (
    ContainerConfig,
    Image,
    Mount,
    RefusedError,
    Runtime,
)
from controlplane.node.sources import Sources
from controlplane.node.view import PodView, post_start_of, specs
from controlplane.node.volume_files import VolumeError
from controlplane.node.volumes import Volumes
from kvstore.seams import Clock

STARTS_MAX = 10  # at once: a node that gets many pods starts some of them soon, not all late
PULLS_MAX = 5
HOOK_SECONDS_MAX = 600.0  # of a postStart hook: one that hangs must not hang for ever
ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

logger = logging.getLogger(__name__)

Tell = Callable[[Pod, Literal["Normal", "Warning"], str, str], None]


class StartError(Exception):
    """A sandbox or container could not be started. `reason`: for the status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the node, as its pods have them.

    pod_block    its pod CIDR, once it has one; empty: not yet
    resolv_conf  the text for a pod
    pids         a container may have at most; 0: any number
    """

    host_ip: str
    allocatable: Callable[[], Mapping[str, str]]
    pod_block: Callable[[], str]
    resolv_conf: Callable[[Pod], str]
    cluster_domain: str
    isolation: str
    pids: int = 0


class Operations:
    """Of one node."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        folders: Folders,
        sources: Sources,
        volumes: Volumes,
        handlers: Handlers,
        surroundings: Surroundings,
        tell: Tell,
    ) -> None:
        self.addresses = Addresses()
        self._runtime = runtime
        self._clock = clock
        self._folders = folders
        self._sources = sources
        self._volumes = volumes
        self._handlers = handlers
        self._around = surroundings
        self._tell = tell
        self._starts = asyncio.Semaphore(STARTS_MAX)
        self._pulls = asyncio.Semaphore(PULLS_MAX)

    # --------------------------------------------------------------------- sandboxes

    async def run_sandbox(self, pod: Pod, action: RunSandbox, used: Callable[[], set[str]]) -> None:
        """`used`: addresses of sandboxes that are ready. Raises StartError."""
        if action.is_replacement:
            why = "Pod sandbox changed, it will be killed and re-created."
            self._tell(pod, "Normal", "SandboxChanged", why)
        try:
            await self._volumes.set_up(pod)
        except VolumeError as error:
            self._tell(pod, "Warning", "FailedMount", str(error))
            raise StartError("ContainerCreating", "") from error
        except ApiError as error:
            raise StartError("ContainerCreating", "") from error
        for volume in self._volumes.on_disk_instead(pod):
            why = f'emptyDir volume "{volume}" is on the disk: this node cannot mount memory'
            self._tell(pod, "Warning", "MediumUnavailable", why)
        async with self._starts:
            try:
                await self._run_sandbox(pod, action, used)
            except (RefusedError, NoAddressError, OSError, ValueError) as error:
                why = f"Failed to create pod sandbox: {error}"
                self._tell(pod, "Warning", "FailedCreatePodSandBox", why)
                raise StartError("ContainerCreating", "") from error

    async def _run_sandbox(
        self, pod: Pod, action: RunSandbox, used: Callable[[], set[str]]
    ) -> None:
        logs = self._folders.logs(pod)
        logs.mkdir(parents=True, exist_ok=True)
        address = ""
        if not pod.spec.host_network:
            address = self.addresses.take(pod.metadata.uid, self._around.pod_block(), used())
        await self._runtime.run_sandbox(
            container_config.sandbox_config(
                pod,
                attempt=action.attempt,
                address=address,
                log_folder=str(logs),
                resolv_conf=self._around.resolv_conf(pod),
                cluster_domain=self._around.cluster_domain,
            )
        )

    # -------------------------------------------------------------------- containers

    async def start_container(
        self,
        pod: Pod,
        view: PodView,
        action: StartContainer,
        *,
        turn: asyncio.Lock,
        on_pre_stop: Callable[[str], None],
    ) -> None:
        """Containers of a pod start one after another: each has its image, and has done with its
        postStart hook, before the next one is thought of (Kubernetes' kubelet, SyncPod).

        turn         of the pod
        on_pre_stop  told of the container before its preStop hook is run, as its other one failed

        Raises StartError.
        """
        spec = _spec_of(pod, action.name)
        hook = post_start_of(spec) if isinstance(spec, Spec) else None  # no ephemeral one has any
        async with turn:
            image = await self._image(pod, spec)
            config = await self._config(pod, spec, view, action, image)
            container_id = await self._create(pod, spec, action.sandbox_id, config)
            if isinstance(spec, Spec) and hook is not None:
                await self._start(pod, spec, container_id)
                if why := await self._post_start(pod, spec, view, container_id, hook):
                    on_pre_stop(container_id)
                    await self._give_up(pod, view, spec, container_id)
                    raise StartError("PostStartHookError", why)
                return
        # The next one is made meanwhile: its start cannot overtake this one.
        await self._start(pod, spec, container_id)

    async def _config(
        self,
        pod: Pod,
        spec: Spec | EphemeralContainer,
        view: PodView,
        action: StartContainer,
        image: Image,
    ) -> ContainerConfig:
        """Raises StartError."""
        try:
            variables = await self._environment(pod, spec, view)
            message_path, mounts = self._mounts(pod, spec, variables, action.attempt)
            making = Making(
                attempt=action.attempt,
                delay_seconds=action.delay_seconds,
                image=image,
                environment=variables,
                mounts=mounts,
                message_path=message_path,
                pids=self._around.pids,
            )
            return container_config.container_config(pod, spec, making)
        except ApiError as error:
            raise StartError("CreateContainerConfigError", str(error)) from error
        except ConfigError as error:
            self._tell(pod, "Warning", "Failed", f"Error: {error}")
            raise StartError("CreateContainerConfigError", str(error)) from error
        except (OSError, ValueError) as error:
            self._tell(pod, "Warning", "Failed", f"Error: {error}")
            raise StartError("CreateContainerError", str(error)) from error

    async def _create(
        self,
        pod: Pod,
        spec: Spec | EphemeralContainer,
        sandbox_id: str,
        config: ContainerConfig,
    ) -> str:
        """The container's id. Raises StartError."""
        try:
            async with self._starts:  # what waits for the store or a registry keeps nobody away
                container_id = await self._runtime.create_container(sandbox_id, config)
        except RefusedError as error:
            self._tell(pod, "Warning", "Failed", f"Error: {error.message}")
            raise StartError(error.reason, error.message) from error
        self._tell(pod, "Normal", "Created", f"Created container: {spec.name}")
        return container_id

    async def _start(self, pod: Pod, spec: Spec | EphemeralContainer, container_id: str) -> None:
        """Raises StartError."""
        try:
            async with self._starts:
                await self._runtime.start_container(container_id)
        except RefusedError as error:
            self._tell(pod, "Warning", "Failed", f"Error: {error.message}")
            raise StartError("RunContainerError", error.message) from error
        self._tell(pod, "Normal", "Started", f"Started container {spec.name}")

    async def _environment(
        self, pod: Pod, spec: Spec | EphemeralContainer, view: PodView
    ) -> dict[str, str]:
        namespace = pod.metadata.namespace
        sandbox = view.sandbox
        address = sandbox.address if sandbox is not None else ""
        origin = Origin(
            objects=await self._sources.objects(namespace, environment.references(spec)),
            services=self._sources.services(namespace),
            host_ip=self._around.host_ip,
            address=self._around.host_ip if pod.spec.host_network else address,
            allocatable=self._around.allocatable(),
        )
        return environment.environment(pod, spec, origin)

    def _mounts(
        self,
        pod: Pod,
        spec: Spec | EphemeralContainer,
        variables: Mapping[str, str],
        attempt: int,
    ) -> tuple[str, list[Mount]]:
        """The file for its termination message, and all that is mounted.

        Where containers share the host's files nothing can be mounted: what no pod asked for by
        itself is left out there, rather than keeping every pod from running.
        """
        mounts = self._volumes.mounts(pod, spec, variables)
        if self._around.isolation == "process":
            return "", [one for one in mounts if one.container_path != ACCOUNT_MOUNT]
        file = self._folders.message(pod.metadata.uid, spec.name, attempt)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        file.chmod(0o666)
        place = spec.termination_message_path or container_config.TERMINATION_LOG
        return str(file), [*mounts, Mount(container_path=place, host_path=str(file))]

    async def _image(self, pod: Pod, spec: Spec | EphemeralContainer) -> Image:
        """Raises StartError."""
        name = spec.image
        policy = spec.image_pull_policy or "IfNotPresent"
        try:
            present = None if policy == "Always" else await self._runtime.image(name)
            if present is not None:
                told = f'Container image "{name}" already present on machine'
                self._tell(pod, "Normal", "Pulled", told)
                return present
            if policy == "Never":
                why = f'Container image "{name}" is not present with pull policy of Never'
                self._tell(pod, "Warning", "ErrImageNeverPull", why)
                raise StartError("ErrImageNeverPull", why)
            return await self._pull(pod, name)
        except RefusedError as error:
            self._tell(pod, "Warning", "Failed", f'Failed to pull image "{name}": {error.message}')
            self._tell(pod, "Warning", "Failed", f"Error: {error.reason}")
            raise StartError(error.reason, error.message) from error

    async def _pull(self, pod: Pod, name: str) -> Image:
        self._tell(pod, "Normal", "Pulling", f'Pulling image "{name}"')
        began = self._clock.now()
        async with self._pulls:
            image = await self._runtime.pull_image(name)
        took = f"{self._clock.now() - began:.3g}s"
        self._tell(
            pod,
            "Normal",
            "Pulled",
            f'Successfully pulled image "{name}" in {took} ({took} including waiting). '
            f"Image size: {image.size} bytes.",
        )
        return image

    async def _post_start(
        self,
        pod: Pod,
        spec: Spec,
        view: PodView,
        container_id: str,
        hook: LifecycleHandler,
    ) -> str:
        """Why it failed, if it did."""
        answer = await self._hook(pod, spec, view, container_id, hook, HOOK_SECONDS_MAX)
        if answer:
            # What it answered may hold secrets, and events are read by more people than pods.
            self._tell(pod, "Warning", "FailedPostStartHook", "PostStartHook failed")
        return answer

    async def _give_up(self, pod: Pod, view: PodView, spec: Spec, container_id: str) -> None:
        """End a container whose hook has failed. Raises RefusedError."""
        stop = StopContainer(
            name=spec.name,
            container_id=container_id,
            deadline=self._clock.now() + grace_seconds(pod),
            message="FailedPostStartHook",
        )
        await self.stop_container(pod, view, stop)

    async def run_pre_stop(
        self, pod: Pod, view: PodView, action: RunPreStop | StopContainer
    ) -> None:
        """Tell that it is to end, and run its hook, if it has one."""
        self._tell(pod, "Normal", "Killing", action.message)
        spec = specs(pod).get(action.name)
        if spec is None or spec.lifecycle is None or spec.lifecycle.pre_stop is None:
            return
        left = action.deadline - self._clock.now()
        if left <= 0:
            return
        hook = spec.lifecycle.pre_stop
        if await self._hook(pod, spec, view, action.container_id, hook, left):
            self._tell(pod, "Warning", "FailedPreStopHook", "PreStopHook failed")

    async def stop_container(self, pod: Pod, view: PodView, action: StopContainer) -> None:
        """Its hook, its signal, its end. Raises RefusedError."""
        if not action.is_again:
            await self.run_pre_stop(pod, view, action)
        left = max(action.deadline - self._clock.now(), OVERRUN_SECONDS)
        await self._runtime.stop_container(action.container_id, left)

    async def remove_container(self, view: PodView, container_id: str) -> None:
        """… with what it left; that goes first, as nothing tells of it afterwards. Raises
        RefusedError, OSError.
        """
        found = [one for one in view.containers if one.id == container_id]
        await self._folders.run(remove_remains, view, found)
        await self._runtime.remove_container(container_id)

    async def remove_sandbox(self, view: PodView, sandbox_id: str) -> None:
        """… with its containers, and what they left. Raises RefusedError, OSError."""
        found = [one for one in view.containers if one.sandbox_id == sandbox_id]
        await self._folders.run(remove_remains, view, found)
        await self._runtime.remove_sandbox(sandbox_id)

    async def _hook(
        self,
        pod: Pod,
        spec: Spec,
        view: PodView,
        container_id: str,
        hook: LifecycleHandler,
        seconds: float,
    ) -> str:
        """Why it failed; empty: it did not."""
        sandbox = view.sandbox
        address = sandbox.address if sandbox is not None else ""
        if pod.spec.host_network:
            address = self._around.host_ip
        target = Target(container_id=container_id, spec=spec, address=address)
        answer = await self._handlers.hook(target, hook, seconds)
        if answer.outcome == "warning":
            self._tell(pod, "Warning", "LifecycleHTTPFallback", answer.message)
        return "" if answer.is_success else answer.message or "it failed"


def _spec_of(pod: Pod, name: str) -> Spec | EphemeralContainer:
    found = specs(pod).get(name)
    if found is not None:
        return found
    debug = next((one for one in pod.spec.ephemeral_containers if one.name == name), None)
    assert debug is not None, "a plan starts what the pod has"
    return debug
