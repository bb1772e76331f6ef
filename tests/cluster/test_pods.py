"""Pods that outlive their agents, and end with their cluster."""

import argparse
import asyncio
import fcntl
import stat
from pathlib import Path

import pytest

from cluster import down, pods
from cluster.errors import NotRunningError
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.runtime.process import ProcessRuntime
from tests.cluster.test_launcher import cluster, until


async def run_pod(root: Path) -> None:
    """A pod on a node whose agent is gone."""
    logs = root / "logs"
    logs.mkdir(parents=True)
    runtime = ProcessRuntime(root / "runtime")
    sandbox = await runtime.run_sandbox(
        SandboxConfig(name="p", namespace="d", uid="u", log_folder=str(logs))
    )
    sleep = ("sleep", "1000")
    config = ContainerConfig(name="c", attempt=0, image="any", command=sleep, log_path="c.log")
    await runtime.start_container(await runtime.create_container(sandbox, config))
    await runtime.close()


def processes_of(root: Path) -> list[str]:
    """Command lines that name a folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{root}/" in line:
            found.append(line)
    return found


async def states_of(root: Path) -> list[str]:
    runtime = ProcessRuntime(root / "runtime")
    found: list[str] = [one.state for one in await runtime.list_containers()]
    await runtime.close()
    return found


async def test_pods_of_nodes_that_there_are_no_more_end(tmp_path: Path) -> None:
    """Nobody else would end them, and controllers have made others in their place."""
    for name in ("n1", "n2"):
        await run_pod(tmp_path / name)
    await pods.end_all(tmp_path, but=("n1",))
    assert await states_of(tmp_path / "n1") == ["running"]
    until(lambda: not processes_of(tmp_path / "n2"))
    volumes = tmp_path / "n2" / "pods" / "u" / "volumes"
    for kind in ("kubernetes.io~secret", "kubernetes.io~empty-dir"):
        (volumes / kind / "v").mkdir(parents=True)
        (volumes / kind / "v" / "file").write_text("x")
    await pods.end_all(tmp_path)
    until(lambda: not processes_of(tmp_path))
    assert [one.name for one in volumes.iterdir()] == ["kubernetes.io~empty-dir"]
    assert (volumes / "kubernetes.io~empty-dir" / "v" / "file").exists()


async def test_down_ends_the_pods_of_a_launcher_that_was_killed(tmp_path: Path) -> None:
    await run_pod(tmp_path / "n1")
    nothing = await asyncio.to_thread(cluster, tmp_path, "down")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no cluster runs in" in nothing.stderr
    (tmp_path / "cluster.json").write_text("{}")
    assert await states_of(tmp_path / "n1") == ["running"]
    down = await asyncio.to_thread(cluster, tmp_path, "down")
    assert (down.returncode, down.stdout, down.stderr) == (0, "stopped\n", "")
    assert processes_of(tmp_path) == []


async def test_down_waits_for_a_launcher_that_begins_or_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds the folder, and does not listen yet, or no more."""
    options = argparse.Namespace(data=tmp_path)
    await run_pod(tmp_path / "n1")
    (tmp_path / "cluster.json").write_text("{}")
    with (tmp_path / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(down, "BUSY_SECONDS_MAX", 0.0)
        with pytest.raises(NotRunningError, match="a launcher holds"):
            await asyncio.to_thread(down.run, options)
        assert await states_of(tmp_path / "n1") == ["running"]
        monkeypatch.undo()
        waiting = asyncio.ensure_future(asyncio.to_thread(down.run, options))
        await asyncio.wait([waiting], timeout=0.5)
        assert not waiting.done()
    assert (await waiting, capsys.readouterr().out) == (0, "stopped\n")
    until(lambda: not processes_of(tmp_path))  # what starts pods goes a moment after them


async def test_down_does_not_claim_that_what_it_cannot_end_has_ended(tmp_path: Path) -> None:
    root = tmp_path / "n1" / "runtime"
    root.mkdir(parents=True)
    (tmp_path / "cluster.json").write_text("{}")
    (tmp_path / "n1" / "agent.lock").touch()
    (root / "sandboxes").write_text("no folder")
    found = await asyncio.to_thread(cluster, tmp_path, "down")
    assert (found.returncode, found.stdout) == (1, "")
    assert f"pods may run on below {root}: the log says why" in found.stderr


async def test_a_folder_without_nodes_is_well(tmp_path: Path) -> None:
    await pods.end_all(tmp_path)


@pytest.mark.parametrize("name", ["n1", "nginx", "n0", "n1.old"])
async def test_what_others_have_in_the_data_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is called as what a node has, but no agent and no zygote was ever there."""
    important = tmp_path / name / "runtime" / "sandboxes" / "important"
    secret = tmp_path / name / "pods" / "u" / "volumes" / "kubernetes.io~secret"
    for folder in (important, secret):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    (tmp_path / name / "runtime").chmod(0o755)
    await pods.end_all(tmp_path)
    assert (important / "file").read_text() == (secret / "file").read_text() == "x"
    assert stat.S_IMODE((tmp_path / name / "runtime").stat().st_mode) == 0o755


async def test_a_folder_that_is_called_as_no_node_is_left_alone_whatever_lies_in_it(
    tmp_path: Path,
) -> None:
    """A copy of a node's, which somebody keeps."""
    sandbox = tmp_path / "n1.old" / "runtime" / "sandboxes" / "kept"
    sandbox.mkdir(parents=True)
    (tmp_path / "n1.old" / "agent.lock").touch()
    (tmp_path / "n1.old" / "runtime" / "zygote.lock").touch()
    await pods.end_all(tmp_path)
    assert sandbox.exists()


async def test_a_node_whose_zygote_has_never_run_keeps_no_secrets(tmp_path: Path) -> None:
    """Its agent was killed before the first pod was started."""
    root = tmp_path / "n1"
    secret = root / "pods" / "u" / "volumes" / "kubernetes.io~secret"
    secret.mkdir(parents=True)
    (root / "runtime").mkdir()
    (root / "agent.lock").touch()
    await pods.end_all(tmp_path)
    assert not secret.exists()
