"""What tests of an agent wait for, and how they end a pod."""

from collections.abc import Callable
from typing import Any

from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import World
from tests.controlplane.node.nodes import (
    Node,
    find,
    is_ready,
    kinds,
    status,
)


async def until_ready(world: World, user: ObjectStore, name: str, seconds: float = 10) -> Any:
    async def is_so() -> bool:
        return is_ready(await status(user, name))

    await world.until(is_so, seconds_max=seconds)
    return await status(user, name)


async def until_phase(
    world: World, user: ObjectStore, name: str, phase: str, seconds: float = 60
) -> Any:
    async def is_so() -> bool:
        return (await status(user, name)).get("phase") == phase

    await world.until(is_so, seconds_max=seconds)
    return await status(user, name)


async def until_gone(world: World, user: ObjectStore, here: Node, seconds: float) -> None:
    async def is_so() -> bool:
        return await find(user, "p") is None and await here.is_empty()

    await world.until(is_so, seconds_max=seconds)


async def delete(user: ObjectStore, grace: int | None = None) -> None:
    options = DeleteOptions(grace_period_seconds=grace)
    await user.delete(kinds().pods, "default", "p", options=options)


def scripted(**by_name: Script) -> Callable[[SandboxConfig, ContainerConfig], Script]:
    return lambda sandbox, config: by_name.get(config.name, Script())
