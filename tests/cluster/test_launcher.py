"""`cluster` as a user has it: real processes, real signals, real sockets."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster import control, data_folder, topology
from cluster.ports import Ports
from kvstore import client

ROOT = Path(__file__).parents[2]
HEALTHY_SECONDS_MAX = 300.0  # on a machine where others run a hundred processes
COMMAND_SECONDS_MAX = 240.0
pytestmark = pytest.mark.timeout(900)


def cluster(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cluster", *arguments, f"--data={folder}"],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


def statuses(folder: Path) -> dict[str, dict[str, Any]]:
    answer = cluster(folder, "status", "--json")
    assert answer.returncode == 0, answer.stderr
    return {process["name"]: process for process in json.loads(answer.stdout)}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


def all_healthy(folder: Path) -> bool:
    return all(member["state"] == "healthy" for member in statuses(folder).values())


class Up:
    """`cluster up` in front, until it says healthy, or something before."""

    def __init__(
        self, folder: Path, *flags: str, is_store_only: bool = True, first: str = "healthy"
    ) -> None:
        self.folder = folder
        only = ["--store-only"] if is_store_only else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cluster", "up", *only, f"--data={folder}", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        self.read_until(first)

    def read_until(self, word: str) -> str:
        """The line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if line.startswith(word):
                return line
        raise AssertionError(f"it ended: {self.printed}")

    def interrupt(self) -> str:
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=COMMAND_SECONDS_MAX)
        return rest


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path / "data", "--members=3")
    yield running
    if running.process.poll() is None:
        running.interrupt()


def test_members_are_killed_healed_paused_and_stopped(up: Up) -> None:
    folder = up.folder
    assert up.printed.count("leader") == 1
    assert "etcdctl --endpoints=" in up.printed
    assert "kvctl --endpoints=" in up.printed

    # What died by itself is restarted …
    pid = statuses(folder)["m1"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: statuses(folder)["m1"]["restarts"] >= 1 and all_healthy(folder))

    # … what was killed on purpose stays down until `start`.
    assert cluster(folder, "kill", "m2").returncode == 0
    until(lambda: statuses(folder)["m2"]["state"] == "stopped")
    assert cluster(folder, "start", "m2").returncode == 0
    until(lambda: all_healthy(folder))

    assert cluster(folder, "pause", "m3").returncode == 0
    assert statuses(folder)["m3"]["state"] == "paused"
    assert cluster(folder, "resume", "m3").returncode == 0
    until(lambda: all_healthy(folder))

    unknown = cluster(folder, "kill", "m9")
    assert unknown.returncode == 1
    assert "m1, m2, m3" in unknown.stderr

    pids = [member["pid"] for member in statuses(folder).values()]
    assert cluster(folder, "down").returncode == 0
    rest, _ = up.process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert "stopped" in rest
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert cluster(folder, "status").returncode == 1


def test_members_are_added_and_removed_and_stay_so(up: Up) -> None:
    folder = up.folder
    added = cluster(folder, "add-member")
    assert added.returncode == 0, added.stderr
    assert "added m4" in added.stdout
    until(lambda: len(statuses(folder)) == 4 and all_healthy(folder))
    removed = cluster(folder, "remove-member", "m1")
    assert removed.returncode == 0, removed.stderr
    until(lambda: set(statuses(folder)) == {"m2", "m3", "m4"} and all_healthy(folder))
    unknown = cluster(folder, "remove-member", "m1")
    assert unknown.returncode == 1
    assert "m2, m3, m4" in unknown.stderr
    assert "stopped" in up.interrupt()
    again = Up(folder)
    assert set(statuses(folder)) == {"m2", "m3", "m4"}
    again.interrupt()


def test_an_addition_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """The launcher died after it asked: of two voters, only one would run for ever."""
    folder = tmp_path / "data"
    first = Up(folder, "--members=1")
    path = folder / "cluster.json"
    before = msgspec.json.decode(path.read_bytes(), type=topology.ClusterFile)
    with Ports() as taken:
        ports = data_folder.free_ports(taken, before.all_members)
    intended = before.with_member(topology.next_member(before, ports, str(folder)))
    asyncio.run(add(topology.client_url(before, before.members[0]), f"http://127.0.0.1:{ports[1]}"))
    assert "stopped" in first.interrupt()
    path.write_bytes(msgspec.json.encode(intended))
    again = Up(folder)
    assert "added m2" in again.printed
    assert set(statuses(folder)) == {"m1", "m2"}
    again.interrupt()


async def add(endpoint: str, peer_url: str) -> None:
    async with client.connect([endpoint]) as store:
        await store.cluster.member_add([peer_url])


def test_a_cluster_comes_back_with_its_data_and_its_own_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = Up(folder, "--members=1", "--tls")
    second_launcher = cluster(folder, "up", "--store-only")
    assert second_launcher.returncode == 1
    assert "cluster down" in second_launcher.stderr
    assert "stopped" in first.interrupt()
    index = None
    again = Up(folder)
    index = statuses(folder)["m1"]["raft_index"]
    again.interrupt()
    assert index > 1
    assert "https://" in again.printed


@pytest.mark.parametrize("word", ["--data=x", ""])
def test_the_script_means_its_callers_folder_and_the_repositorys_where_none_is_named(
    tmp_path: Path, word: str
) -> None:
    """In a copy of the repository, where nothing is installed: our own environment stands there."""
    caller, copy = tmp_path / "caller", tmp_path / "copy"
    for folder in (caller / "x", copy / "scripts", copy / ".venv" / "bin", copy / ".cluster"):
        folder.mkdir(parents=True)
    (copy / "x").touch()  # nobody can start anything there
    shutil.copy(ROOT / "scripts" / "up", copy / "scripts")
    program(copy / "scripts" / "install", "exit 0")
    ours = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m cluster "$@"'
    program(copy / ".venv" / "bin" / "cluster", ours)
    meant = caller / "x" if word else copy / ".cluster"
    (meant / "cluster.json").write_text("nothing that could be started")
    ran = subprocess.run(
        ["../copy/scripts/up", *word.split()],
        cwd=caller,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"cluster: {meant / 'cluster.json'} is damaged"), ran.stderr


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_script_takes_a_cluster_as_it_has_become(tmp_path: Path) -> None:
    """Who has never said how many members there are is not told to leave that number out."""
    for folder in ("scripts", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "up", tmp_path / "scripts")
    program(tmp_path / "scripts" / "install", "exit 0")
    program(tmp_path / ".venv" / "bin" / "cluster", 'echo "$@"')
    ran = subprocess.run(
        [tmp_path / "scripts" / "up"], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == f"up --data {tmp_path}/.cluster\n"


@pytest.mark.parametrize("minutes", ["nan", "inf", "-1", "0", "x"])
def test_chaos_that_would_never_end_or_never_begin_is_refused(tmp_path: Path, minutes: str) -> None:
    answer = cluster(tmp_path, "chaos", f"--minutes={minutes}")
    assert answer.returncode == 2
    assert f"{minutes!r} is no number of minutes" in answer.stderr


def test_a_terminal_that_closes_ends_a_cluster_unless_it_is_to_outlive_it(tmp_path: Path) -> None:
    """`nohup cluster up` and `cluster up`."""
    hung_up = Up(tmp_path / "data", "--members=1")
    hung_up.process.send_signal(signal.SIGHUP)
    assert hung_up.process.communicate(timeout=COMMAND_SECONDS_MAX)[0] == "stopped\n"
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup: it is inherited
    try:
        outlives = Up(tmp_path / "data")
    finally:
        signal.signal(signal.SIGHUP, earlier)
    outlives.process.send_signal(signal.SIGHUP)
    assert all_healthy(tmp_path / "data")
    assert outlives.interrupt() == "stopped\n"
    assert outlives.process.returncode == 0


def test_who_interrupts_a_question_is_told_so_in_a_line(tmp_path: Path) -> None:
    """Not in forty of a traceback: the launcher that is asked here never answers."""
    with socket.socket(socket.AF_UNIX) as launcher:
        launcher.bind(str(tmp_path / control.SOCKET_NAME))
        launcher.listen()
        asking = subprocess.Popen(
            [sys.executable, "-m", "cluster", "status", f"--data={tmp_path}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        with launcher.accept()[0] as asked:
            assert asked.recv(100)
            asking.send_signal(signal.SIGINT)
            told = asking.communicate(timeout=COMMAND_SECONDS_MAX)[1]
    assert (asking.returncode, told) == (130, "cluster: interrupted\n")


def test_nothing_runs_in_a_folder_without_a_cluster(tmp_path: Path) -> None:
    answer = cluster(tmp_path, "status")
    assert answer.returncode == 1
    assert "cluster up" in answer.stderr


def test_who_only_asks_loads_nothing_that_a_launcher_needs() -> None:
    """It would make every `cluster status` several times as slow."""
    heavy = {"aiohttp", "cryptography", "grpc", "cluster.launcher"}
    script = f"import sys, cluster.__main__; print(*{heavy}.intersection(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stdout == b"\n"
