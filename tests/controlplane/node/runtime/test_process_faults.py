"""kill -9 to whatever runs pods, full disks, clocks: nothing is lost that was told, and nothing is
left behind."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.node.log_rotation import LogRotation
from controlplane.node.runtime.interface import Mount, RefusedError
from controlplane.node.runtime.process.zygotes import Zygote
from controlplane.node.runtime.shim import processes, records
from controlplane.node.runtime.shim.records import ShimIdentity
from tests.controlplane.node.runtime.conftest import Machine, refusal, until

SLEEP = ("sleep", "1000")
# Two that have left their parents behind, one of them without the mark in its environment.
DAEMONS = (
    *("sh", "-c"),
    "(setsid sh -c 'sleep 1000 & exec env -i sleep 1000' &); sleep 0.1; echo up; exec sleep 1000",
)


def shim_of(machine: Machine, sandbox_id: str) -> int:
    path = machine.root / "run" / records.SANDBOXES / sandbox_id / records.SHIM
    identity = records.read(ShimIdentity, path)
    assert identity is not None
    return identity.pid


async def zygote_of(machine: Machine) -> int:
    return (await Zygote(machine.root / "run", machine.isolation).abilities()).pid


async def test_pods_outlive_the_zygote(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    os.kill(await zygote_of(machine), signal.SIGKILL)
    assert (await machine.runtime.exec_sync(container, ("true",), 60.0)).exit_code == 0
    other = await machine.sandbox()
    assert (await machine.run(other, "true"))[0].exit_code == 0
    await machine.runtime.stop_container(container, 0.0)
    assert (await machine.container(container)).exit_code == 137


async def test_a_killed_shim_is_told_and_nothing_is_left(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *DAEMONS)
    ended, _ = await machine.run(sandbox, "sh", "-c", "exit 3")
    await machine.has_said(container, "up")
    below = processes.descendants(shim_of(machine, sandbox))
    os.kill(shim_of(machine, sandbox), signal.SIGKILL)
    killed = await machine.ended(container)
    assert (killed.exit_code, killed.reason) == (137, "Error")
    assert (await machine.container(ended.id)).exit_code == 3
    await until(lambda: not any(map(processes.is_alive, below)))
    [told] = await machine.runtime.list_sandboxes()
    assert not told.is_ready
    refused = await refusal(machine.runtime.exec_sync(container, ("true",), 5.0))
    assert refused.reason == "NotRunning"
    await machine.runtime.remove_container(container)
    await machine.runtime.remove_sandbox(sandbox)


async def test_a_shim_that_was_killed_without_an_agent_is_found_out(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *DAEMONS)
    await machine.has_said(container, "up")
    below = processes.descendants(shim_of(machine, sandbox))
    await machine.runtime.close()
    os.kill(await zygote_of(machine), signal.SIGKILL)
    os.kill(shim_of(machine, sandbox), signal.SIGKILL)
    machine.runtime = machine.another()
    killed = await machine.ended(container)
    assert (killed.exit_code, killed.reason) == (137, "Error")
    await until(lambda: not any(map(processes.is_alive, below)))
    # What it said is what every later agent says.
    again = machine.another()
    [told] = await again.list_containers()
    assert told.finished_at == killed.finished_at
    await again.close()


async def test_orphans_of_a_shim_are_killed_by_the_zygote(machine: Machine) -> None:
    """Also those of whom nothing tells whose they were."""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *DAEMONS)
    await machine.has_said(container, "up")
    shim = shim_of(machine, sandbox)
    below = processes.descendants(shim)
    os.kill(shim, signal.SIGSTOP)  # so that it sees none of its keepers end
    for pid in (*processes.children(shim), shim):
        os.kill(pid, signal.SIGKILL)
    await machine.runtime.close()
    await until(lambda: not any(map(processes.is_alive, below)))
    machine.runtime = machine.another()
    assert (await machine.ended(container)).exit_code == 137


async def test_orphans_without_a_zygote_are_found_by_their_mark(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    daemon = "(setsid sleep 1000 &); sleep 0.1; echo up; exec sleep 1000"
    container = await machine.start(sandbox, "sh", "-c", daemon)
    await machine.has_said(container, "up")
    shim = shim_of(machine, sandbox)
    os.kill(shim, signal.SIGSTOP)
    for pid in (await zygote_of(machine), *processes.children(shim), shim):
        os.kill(pid, signal.SIGKILL)
    assert (await machine.ended(container)).exit_code == 137
    await until(lambda: not machine.left())


async def test_a_shim_of_another_start_of_the_machine_is_nobody(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    pid = shim_of(machine, sandbox)
    await machine.runtime.close()
    path = machine.root / "run" / records.SANDBOXES / sandbox / records.SHIM
    identity = ShimIdentity(pid=os.getpid(), start_ticks=1, boot="another")
    records.write(path, records.encode(identity))
    os.kill(pid, signal.SIGKILL)
    machine.runtime = machine.another()
    assert (await machine.ended(container)).exit_code == 137
    await machine.runtime.remove_sandbox(sandbox)  # and whoever has that number lives


async def test_a_shim_that_hangs_can_be_removed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.node.runtime.process.pods._FIRST_STATES_SECONDS", 0.2)
    monkeypatch.setattr("controlplane.node.runtime.process.pods._END_SECONDS", 0.5)
    sandbox = await machine.sandbox()
    await machine.start(sandbox, *SLEEP)
    os.kill(shim_of(machine, sandbox), signal.SIGSTOP)
    await machine.runtime.remove_sandbox(sandbox)
    await until(lambda: not machine.left())


async def test_a_shim_that_hangs_keeps_nobody_s_usage(machine: Machine) -> None:
    hanging, other = await machine.sandbox(), await machine.sandbox()
    silent = await machine.start(hanging, *SLEEP)
    told = await machine.start(other, *SLEEP)
    os.kill(shim_of(machine, hanging), signal.SIGSTOP)
    async with asyncio.timeout(10):  # less than an eviction round and its 10 s are worth
        usage = await machine.runtime.usage()
    assert told in usage
    assert silent not in usage
    os.kill(shim_of(machine, hanging), signal.SIGCONT)


async def test_a_log_that_was_put_aside_by_an_agent_that_was_killed_goes_on(
    machine: Machine,
) -> None:
    """… between its renaming and its opening again."""
    fifo = machine.root / "more"
    os.mkfifo(fifo)
    sandbox_id = await machine.sandbox()
    mount = Mount(container_path=str(fifo), host_path=str(fifo))
    mounts = (mount,) if machine.has_namespaces else ()
    command = ("sh", "-c", f"echo first; cat {fifo}; exec sleep 1000")
    container_id = await machine.start(sandbox_id, *command, mounts=mounts)
    await machine.has_said(container_id, "first")
    container = await machine.container(container_id)
    log = machine.logs / container.config.log_path
    log.rename(log.with_name("0.log.20260101-000000"))
    [sandbox] = await machine.runtime.list_sandboxes()
    assert await LogRotation(machine.runtime, time.time).rotate(sandbox, container)
    await asyncio.to_thread(fifo.write_text, "second\n")
    await machine.has_said(container_id, "second")
    assert not await LogRotation(machine.runtime, time.time).rotate(sandbox, container)
    fifo.unlink()


async def test_an_agent_that_is_killed_while_it_asks_leaves_whole_pods(machine: Machine) -> None:
    """Half-made folders are cleared away; what was made is found."""
    sandbox = await machine.sandbox()
    folder = machine.root / "run" / records.SANDBOXES
    await machine.runtime.close()
    (folder / "half.new").mkdir()
    (folder / sandbox / records.CONTAINERS / "half.new").mkdir()
    (folder / sandbox / records.CONTAINERS / "dead.gone").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / records.CONFIG).write_text("{")
    machine.runtime = machine.another()
    [told] = await machine.runtime.list_sandboxes()
    assert (told.id, told.is_ready) == (sandbox, True)
    assert not (folder / "half.new").exists()
    assert list((folder / sandbox / records.CONTAINERS).iterdir()) == []
    await until(lambda: not (folder / "broken").exists())


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], check=True)
    try:
        (folder / "ballast").write_bytes(bytes(64 * 1024))
        yield
        assert [each.name for each in folder.iterdir()] == ["ballast"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_and_leaves_nothing_half_done(machine: Machine) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root only")
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    folder = machine.root / "run" / records.SANDBOXES / sandbox / records.CONTAINERS
    with full_disk(folder):
        refused = await refusal(machine.create(sandbox, *SLEEP))
        assert refused.reason == "CreateContainerError"
        assert "No space left on device" in refused.message
    assert (await machine.runtime.exec_sync(container, ("true",), 60.0)).exit_code == 0


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_killed_nothing_is_left(machine: Machine, seed: int) -> None:
    dice = random.Random(seed)
    sandboxes = [await machine.sandbox() for _ in range(3)]

    async def disturb(sandbox: str) -> None:
        for _ in range(4):
            with contextlib.suppress(RefusedError, TimeoutError):
                container = await machine.start(sandbox, *DAEMONS)
                doing = dice.choice(["stop", "exec", "remove", "shim", "zygote", "agent"])
                if doing == "stop":
                    await machine.runtime.stop_container(container, 0.0)
                elif doing == "exec":
                    await machine.runtime.exec_sync(container, SLEEP, 0.05)
                elif doing == "remove":
                    await machine.runtime.remove_container(container)
                elif doing == "shim":
                    processes.send_signal(shim_of(machine, sandbox), signal.SIGKILL)
                elif doing == "zygote":
                    processes.send_signal(await zygote_of(machine), signal.SIGKILL)
                else:
                    machine.runtime, old = machine.another(), machine.runtime
                    await old.close()

    async with asyncio.TaskGroup() as tasks:
        for sandbox in sandboxes:
            tasks.create_task(disturb(sandbox))
    known = {each.id for each in await machine.runtime.list_sandboxes()}
    assert known == set(sandboxes)
    for sandbox in sandboxes:
        await machine.runtime.remove_sandbox(sandbox)
    await until(lambda: not machine.left())
    assert await machine.runtime.list_containers() == []


@pytest.mark.parametrize("damage", [b"", b"{", None])
async def test_a_sandbox_that_cannot_be_read_is_ended(
    machine: Machine, damage: bytes | None
) -> None:
    """Nobody could say whose it is, and its pod would be started beside it."""
    kept = await machine.sandbox()
    neighbour = await machine.start(kept, *SLEEP)
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *DAEMONS)
    await machine.has_said(container, "up")
    below = processes.descendants(shim_of(machine, sandbox))
    await machine.runtime.close()
    folder = machine.root / "run" / records.SANDBOXES / sandbox
    if damage is None:
        (folder / records.CONFIG).unlink()
    else:
        (folder / records.CONFIG).write_bytes(damage)
    machine.runtime = machine.another()
    assert [one.id for one in await machine.runtime.list_sandboxes()] == [kept]
    await until(lambda: not any(map(processes.is_alive, below)))
    assert not folder.exists()
    assert (await machine.container(neighbour)).state == "running"


async def test_a_container_that_cannot_be_read_is_ended(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    neighbour, lost = await machine.start(sandbox, *SLEEP), await machine.start(sandbox, *SLEEP)
    await machine.runtime.close()
    place = machine.root / "run" / records.SANDBOXES / sandbox / records.CONTAINERS / lost
    (place / records.CONFIG).write_bytes(b"{")
    machine.runtime = machine.another()
    [told] = await machine.runtime.list_containers()
    assert (told.id, told.state) == (neighbour, "running")
    await until(lambda: len(machine.left()) == 1)
    assert not place.exists()


async def test_a_sandbox_whose_files_stay_is_told_of_until_they_go(machine: Machine) -> None:
    """Else nobody would ever remove them."""
    sandbox = await machine.sandbox()
    [folder] = machine.folders()
    in_the_way = folder.with_suffix(".gone") / "folder"
    in_the_way.mkdir(parents=True)
    with pytest.raises(RefusedError):
        await machine.runtime.remove_sandbox(sandbox)
    assert [one.id for one in await machine.runtime.list_sandboxes()] == [sandbox]
    in_the_way.rmdir()
    await machine.runtime.remove_sandbox(sandbox)
    assert await machine.runtime.list_sandboxes() == []
    assert machine.folders() == []


@pytest.mark.parametrize("turns", range(5))
async def test_whenever_a_start_is_broken_off_what_was_made_is_told_of(
    machine: Machine, turns: int
) -> None:
    """A pod that is deleted while it starts: else its files, or its shim, would stay."""
    starting = asyncio.create_task(machine.sandbox())
    while not machine.folders():  # noqa: ASYNC110 - the disk does not tell
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0.001)
    starting.cancel()
    await asyncio.wait([starting])
    for sandbox in await machine.runtime.list_sandboxes():
        await machine.runtime.remove_sandbox(sandbox.id)
    assert machine.folders() == []


@pytest.mark.parametrize("has_tty", [False, True])
async def test_a_session_that_is_given_up_while_it_begins_leaves_no_descriptors(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, has_tty: bool
) -> None:
    """Its client has hung up just then."""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    loop, reached = asyncio.get_running_loop(), asyncio.Event()

    async def connect_never(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(loop, "connect_write_pipe", connect_never)
    counts = []
    for _ in range(5):
        reached.clear()
        beginning = asyncio.create_task(
            machine.runtime.exec(container, SLEEP, has_stdin=True, has_tty=has_tty)
        )
        await reached.wait()
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        del beginning
        gc.collect()
        counts.append(descriptors())
    assert counts == [counts[0]] * 5
    monkeypatch.undo()
    assert (await machine.runtime.exec_sync(container, ("true",), 60.0)).exit_code == 0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names are all that is counted)
