"""Which sandbox and container a pod's are, when a runtime has several."""

from pathlib import Path

import pytest

from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.whereabouts import MissingError, Whereabouts
from tests.controlplane.node.subprocess_runtime import SubprocessRuntime


async def sandbox(runtime: SubprocessRuntime, folder: Path, uid: str, attempt: int = 0) -> str:
    config = SandboxConfig(
        name="web", namespace="shop", uid=uid, attempt=attempt, log_folder=str(folder / uid)
    )
    return await runtime.run_sandbox(config)


async def container(runtime: SubprocessRuntime, where: str, attempt: int, *words: str) -> str:
    config = ContainerConfig(
        name="main", attempt=attempt, image="", command=words, log_path=f"main/{attempt}.log"
    )
    number = await runtime.create_container(where, config)
    if words:
        await runtime.start_container(number)
    return number


async def test_the_newest_of_a_pod_and_never_another_pods(tmp_path: Path) -> None:
    runtime = SubprocessRuntime(tmp_path)
    pods = Whereabouts(runtime)
    try:
        before = await sandbox(runtime, tmp_path, "old")
        await container(runtime, before, 0, "sleep", "1000")
        now = await sandbox(runtime, tmp_path, "new")
        first = await container(runtime, now, 0, "true")
        await runtime.ended(first)
        with pytest.raises(MissingError, match=r'container not found \("main"\)'):
            await pods.running("shop", "web", "main")
        second = await container(runtime, now, 1, "sleep", "1000")
        await container(runtime, now, 2)  # it was not started, and has no log
        assert (await pods.sandbox("shop", "web")).id == now
        assert (await pods.sandbox("shop", "web", "old")).id == before
        found = await pods.attempts("shop", "web", "main")
        assert [one.container.id for one in found] == [second, first]
        assert found[0].log == tmp_path / "new" / "main" / "1.log"
        assert (await pods.running("shop", "web", "main")).id == second
        assert await pods.is_running(second)
        assert not await pods.is_running(first)
        for name, uid in (("none", ""), ("web", "third")):
            with pytest.raises(MissingError, match="pod does not exist"):
                await pods.sandbox("shop", name, uid)
    finally:
        await runtime.close()
