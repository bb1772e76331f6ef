"""Which sandbox and which container of a runtime a pod's are.

Everything is asked of the runtime when it is needed: what it says is how it is.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from controlplane.node.runtime.interface import Container, Runtime, Sandbox


class MissingError(Exception):
    """There is no such pod or container here; the message says so in the kubelet's words."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A container and the sandbox that it is in."""

    sandbox: Sandbox
    container: Container

    @property
    def log(self) -> Path:
        """Its log: the file that is written now."""
        return Path(self.sandbox.config.log_folder) / self.container.config.log_path


class Whereabouts:
    """Of the pods that a runtime has."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def sandbox(self, namespace: str, name: str, uid: str = "") -> Sandbox:
        """The one of a pod that is ready, or the newest. Raises MissingError."""
        return (await self._sandboxes(namespace, name, uid))[0]

    async def running(self, namespace: str, name: str, container: str, uid: str = "") -> Container:
        """A container that runs. Raises MissingError."""
        attempts = await self.attempts(namespace, name, container, uid)
        if not attempts or attempts[0].container.state != "running":
            raise MissingError(f'container not found ("{container}")')
        return attempts[0].container

    async def attempts(
        self, namespace: str, name: str, container: str, uid: str = ""
    ) -> list[Place]:
        """All that there are to run a container, and were begun, the newest first. Raises
        MissingError where there is no such pod."""
        sandboxes = await self._sandboxes(namespace, name, uid)
        found = _attempts(sandboxes, await self._runtime.list_containers(), container)
        return sorted(found, key=_age, reverse=True)

    async def is_running(self, container_id: str) -> bool:
        """Whether anything may come of a container yet."""
        found = await self._runtime.list_containers()
        return any(one.id == container_id and one.state == "running" for one in found)

    async def _sandboxes(self, namespace: str, name: str, uid: str) -> list[Sandbox]:
        found = [
            one
            for one in await self._runtime.list_sandboxes()
            if (one.config.namespace, one.config.name) == (namespace, name)
            and uid in ("", one.config.uid)
        ]
        if not found:
            raise MissingError("pod does not exist")
        # Of two pods of one name the older one is on its way out.
        return sorted(found, key=lambda one: (one.is_ready, one.created_at), reverse=True)


def _age(place: Place) -> tuple[float, int]:
    return place.container.created_at, place.container.config.attempt


def _attempts(
    sandboxes: Sequence[Sandbox], containers: Sequence[Container], name: str
) -> list[Place]:
    """In sandboxes of the pod that the first of them is of."""
    of_pod = {one.id: one for one in sandboxes if one.config.uid == sandboxes[0].config.uid}
    return [
        Place(sandbox=of_pod[one.sandbox_id], container=one)
        for one in containers
        if one.sandbox_id in of_pod and one.config.name == name and one.state != "created"
    ]
