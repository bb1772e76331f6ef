"""What /proc tells of processes, of real ones."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.node.runtime.shim import processes, spawning, syscalls

_FAMILY = "sleep 1000 & (setsid sleep 1000 &); echo up; exec sleep 1000"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    own = processes.start_ticks(os.getpid())
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert processes.start_ticks(child.pid) >= own > 0
        assert processes.is_alive(child.pid)
        child.kill()
        eventually(lambda: not processes.is_alive(child.pid))  # though nobody has waited for it
    assert processes.start_ticks(child.pid) == 0


def test_names_with_brackets_and_blanks_are_read() -> None:
    def child() -> None:
        Path("/proc/self/comm").write_text("a) R 1 (b")
        signal.pause()

    pid = spawning.fork(child)
    eventually(lambda: Path("/proc", str(pid), "comm").read_text().startswith("a)"))
    assert processes.children(os.getpid()).count(pid) == 1
    assert processes.Snapshot().children(os.getpid()).count(pid) == 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_everything_below_one_that_adopts_orphans_is_killed() -> None:
    def keeper() -> None:
        syscalls.adopt_orphans()
        subprocess.Popen(["sh", "-c", _FAMILY], stdout=subprocess.DEVNULL)
        signal.pause()

    pid = spawning.fork(keeper)
    eventually(lambda: len(processes.descendants(pid)) >= 3)
    below = processes.descendants(pid)
    processes.kill_descendants(pid)
    assert not any(map(processes.is_alive, below))
    assert processes.is_alive(pid)
    processes.kill_descendants(pid)  # nobody left
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_marked_processes_are_found_and_killed() -> None:
    environment = dict(os.environ) | {"KEELSON_TEST_MARK": "yes"}
    with subprocess.Popen(["sleep", "1000"], env=environment) as marked:
        eventually(lambda: processes.marked("KEELSON_TEST_MARK", "yes") == [marked.pid])
        assert processes.marked("KEELSON_TEST_MARK", "y") == []
        processes.kill_marked("KEELSON_TEST_MARK", "yes")
        assert marked.wait() == -signal.SIGKILL


def test_shared_pages_count_once() -> None:
    held = bytearray(os.urandom(1 << 20)) * 32

    pids = [spawning.fork(signal.pause) for _ in range(3)]
    together = [os.getpid(), *pids]
    counted = processes.Snapshot().spent(together).memory
    proportional = processes.proportional_memory(together)
    assert counted > 4 * len(held)
    assert proportional < counted - 2 * len(held)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("status", [0, 256, 512, 9, 15])
def test_exit_codes_of_signals_are_128_more(status: int) -> None:
    assert spawning.exit_code(status) == (
        status >> 8 if status >= 256 else (status and 128 + status)
    )
