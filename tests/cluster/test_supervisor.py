"""One child process, in every state that it can be in."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.supervisor import Supervisor

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(1000)")


def no_warning(text: str) -> None:
    raise AssertionError(text)


async def until_said(log: Path, word: bytes) -> None:
    for _ in range(3_000):
        if has_said(log, word):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{log} never had {word!r}")


def has_said(log: Path, word: bytes) -> bool:
    return log.exists() and word in log.read_bytes()


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.02)


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_cannot_be_started_is_told_and_tried_again(tmp_path: Path) -> None:
    """Of a full disk, or one process too many: the others run on."""
    warned: asyncio.Queue[str] = asyncio.Queue()
    log = tmp_path / "later" / "m1.log"
    supervisor = Supervisor(lambda: SLEEPER, log, warned.put_nowait)
    running = asyncio.create_task(supervisor.run())
    assert "m1 cannot be started" in await warned.get()
    assert supervisor.state == "starting"
    log.parent.mkdir()
    await until_said(log, b"up")
    assert supervisor.state == "running"
    assert supervisor.restarts >= 1
    await end(running)


async def test_a_process_that_somebody_has_stopped_hears_of_its_end(tmp_path: Path) -> None:
    """It gives back what it holds, instead of being killed when its time is over."""
    log = tmp_path / "m1.log"
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('farewell', flush=True), sys.exit()))\n"
        "print('up', flush=True)\n"
        "time.sleep(1000)"
    )
    supervisor = Supervisor(lambda: (sys.executable, "-c", script), log, no_warning)
    running = asyncio.create_task(supervisor.run())
    await until_said(log, b"up")
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGSTOP)
    await end(running)
    assert log.read_text() == "up\nfarewell\n"


async def test_who_is_asked_twice_to_end_does_not_wait(tmp_path: Path) -> None:
    log = tmp_path / "m1.log"
    script = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1000)"
    )
    supervisor = Supervisor(lambda: (sys.executable, "-c", script), log, no_warning)
    running = asyncio.create_task(supervisor.run())
    await until_said(log, b"up")
    pid = supervisor.pid
    running.cancel()
    await until_said(log, b"asked")
    await end(running)
    assert pid is not None
    until_gone(pid)


_LAUNCHER = """
import asyncio, sys
from pathlib import Path
from cluster.supervisor import Supervisor
folder, child = Path(sys.argv[1]), sys.argv[2:]

async def main():
    supervisor = Supervisor(lambda: child, folder / "m1.log", print)
    running = asyncio.ensure_future(supervisor.run())
    while supervisor.pid is None:
        await asyncio.sleep(0.01)
    print(supervisor.pid, flush=True)
    await running

asyncio.run(main())
"""


@pytest.mark.parametrize("is_stopped", [False, True])
def test_of_a_launcher_that_is_killed_nothing_is_left(tmp_path: Path, is_stopped: bool) -> None:
    """Also not who cannot hear: it would keep its port and its data from the next launcher."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(tmp_path), *SLEEPER], stdout=subprocess.PIPE
    )
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    while b"up" not in (tmp_path / "m1.log").read_bytes():
        time.sleep(0.02)
    if is_stopped:
        os.kill(pid, signal.SIGSTOP)
    launcher.kill()
    launcher.communicate()
    until_gone(pid)


def is_alive(pid: int) -> bool:
    """A zombie whom nobody has waited for yet is none."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_nothing_runs_in_a_fork_of_a_launcher(tmp_path: Path) -> None:
    """It has threads of gRPC, whose own hooks end a child in which anything does."""
    hooked = "import os\nos.register_at_fork(after_in_child=lambda: os._exit(3))\n" + _LAUNCHER
    launcher = subprocess.Popen(
        [sys.executable, "-c", hooked, str(tmp_path), *SLEEPER], stdout=subprocess.PIPE
    )
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    try:
        while b"up" not in (tmp_path / "m1.log").read_bytes():
            assert is_alive(pid)
            time.sleep(0.02)
    finally:
        launcher.kill()
        launcher.communicate()
