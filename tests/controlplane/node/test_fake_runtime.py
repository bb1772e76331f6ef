"""The runtime that only remembers keeps the words of the interface."""

import asyncio

import pytest

from controlplane.node.runtime.fake import FakeRuntime, Script
from controlplane.node.runtime.interface import ContainerConfig, RefusedError, SandboxConfig
from controlplane.testing import World, run

CONTAINER = ContainerConfig(name="a", attempt=0, image="i", log_path="a/0.log")


def sandbox_config(attempt: int = 0) -> SandboxConfig:
    return SandboxConfig(
        name="p", namespace="n", uid="u", attempt=attempt, address="10.1.0.2", log_folder=""
    )


def test_life_of_a_container() -> None:
    async def application(world: World) -> None:
        runtime = FakeRuntime(
            world.clock, world.now, script=lambda s, c: Script(run_seconds=5, exit_code=3)
        )
        sandbox = await runtime.run_sandbox(sandbox_config())
        container = await runtime.create_container(sandbox, CONTAINER)
        assert [one.state for one in await runtime.list_containers()] == ["created"]
        await runtime.start_container(container)
        await runtime.start_container(container)  # idempotent
        begun = world.now()
        await world.clock.sleep(4.9)
        assert [one.state for one in await runtime.list_containers()] == ["running"]
        await world.clock.sleep(0.2)
        (ended,) = await runtime.list_containers()
        assert (ended.state, ended.exit_code, ended.reason) == ("exited", 3, "Error")
        assert ended.started_at == begun
        assert ended.finished_at == pytest.approx(begun + 5)
        await runtime.stop_container(container, 1)
        await runtime.remove_container(container)
        await runtime.remove_container(container)
        assert await runtime.list_containers() == []

    run(application)


@pytest.mark.parametrize(
    ("stop_seconds", "grace", "code", "took"),
    [(0.5, 10, 143, 0.5), (None, 10, 137, 10), (20.0, 10, 137, 10), (0.0, 0, 143, 0)],
)
def test_stop(stop_seconds: float | None, grace: float, code: int, took: float) -> None:
    async def application(world: World) -> None:
        script = Script(stop_seconds=stop_seconds)
        runtime = FakeRuntime(world.clock, world.now, script=lambda s, c: script)
        sandbox = await runtime.run_sandbox(sandbox_config())
        container = await runtime.create_container(sandbox, CONTAINER)
        await runtime.start_container(container)
        begun = world.clock.now()
        await runtime.stop_container(container, grace)
        assert world.clock.now() - begun == pytest.approx(took)
        (ended,) = await runtime.list_containers()
        assert (ended.state, ended.exit_code) == ("exited", code)

    run(application)


def test_sandbox_ends_with_all_that_is_in_it() -> None:
    async def application(world: World) -> None:
        runtime = FakeRuntime(world.clock, world.now)
        sandbox = await runtime.run_sandbox(sandbox_config())
        with pytest.raises(RefusedError):
            await runtime.run_sandbox(sandbox_config())
        await runtime.start_container(await runtime.create_container(sandbox, CONTAINER))
        await runtime.stop_sandbox(sandbox)
        await runtime.stop_sandbox(sandbox)
        (ended,) = await runtime.list_containers()
        assert (ended.state, ended.exit_code) == ("exited", 137)
        assert not (await runtime.list_sandboxes())[0].is_ready
        with pytest.raises(RefusedError, match="ready"):
            await runtime.create_container(sandbox, CONTAINER)
        await runtime.remove_sandbox(sandbox)
        await runtime.remove_sandbox(sandbox)
        assert await runtime.list_sandboxes() == []
        assert await runtime.list_containers() == []

    run(application)


def test_change_is_told_once_and_at_once_where_it_was_before() -> None:
    async def application(world: World) -> None:
        runtime = FakeRuntime(world.clock, world.now)
        waiting = asyncio.ensure_future(runtime.changed())
        await world.clock.sleep(1)
        assert not waiting.done()
        sandbox = await runtime.run_sandbox(sandbox_config())
        await waiting
        await runtime.stop_sandbox(sandbox)
        await runtime.changed()
        waiting = asyncio.ensure_future(runtime.changed())
        await world.clock.sleep(1)
        assert not waiting.done()
        waiting.cancel()

    run(application)


def test_what_is_not_there_is_refused() -> None:
    async def application(world: World) -> None:
        runtime = FakeRuntime(world.clock, world.now)
        for work in (
            runtime.start_container("x"),
            runtime.exec_sync("x", ("ls",), 1.0),
            runtime.create_container("x", CONTAINER),
        ):
            with pytest.raises(RefusedError) as told:
                await work
            assert told.value.reason == "NotFound"

    run(application)
