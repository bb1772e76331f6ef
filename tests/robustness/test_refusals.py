"""Whoever starts a member wrongly is told what to do; nothing is served and nothing is lost."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import KEELSON, ClusterProcesses

ENDED_SECONDS_MAX = 60


def run_member(*flags: str) -> subprocess.CompletedProcess[str]:
    """A member that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "kvstore", *flags],
        capture_output=True,
        text=True,
        timeout=ENDED_SECONDS_MAX,
        check=False,
    )


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[ClusterProcesses]:
    """A member with some data, stopped cleanly."""
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster")
    cluster.start()
    put(cluster, "greeting", "hello")
    cluster.stop()
    yield cluster
    cluster.kill()


def put(cluster: ClusterProcesses, key: str, value: str) -> None:
    etcdctl(cluster, "put", key, value)


def etcdctl(cluster: ClusterProcesses, *arguments: str) -> str:
    return subprocess.run(
        ["etcdctl", f"--endpoints={cluster.endpoints[0]}", *arguments],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/usr/local/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


def restart(cluster: ClusterProcesses, *extra: str) -> subprocess.CompletedProcess[str]:
    """Start the stopped member again, expecting it to refuse."""
    command = cluster.members[0].command(cluster.initial_cluster)
    return run_member(*command[3:], *extra)


def test_an_unknown_flag_is_named(tmp_path: Path) -> None:
    ended = run_member("--no-such-flag=1", f"--data-dir={tmp_path}/d")
    assert ended.returncode == 2
    assert "no-such-flag" in ended.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("port", ["client", "peer"])
def test_a_busy_port_is_named(tmp_path: Path, port: str) -> None:
    with socket.socket() as holder, socket.socket() as other:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        other.bind(("127.0.0.1", 0))
        busy, free = holder.getsockname()[1], other.getsockname()[1]
        other.close()
        client, peer = (busy, free) if port == "client" else (free, busy)
        ended = run_member(
            f"--data-dir={tmp_path}/d",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )
    assert ended.returncode == 1, ended.stderr
    assert str(busy) in ended.stderr


def test_the_data_folder_of_another_cluster_is_refused(stopped: ClusterProcesses) -> None:
    ended = restart(stopped, "--initial-cluster-token=another")
    assert ended.returncode == 1
    assert "belongs to another cluster" in ended.stderr


def test_a_data_folder_in_use_is_refused(stopped: ClusterProcesses) -> None:
    stopped.start_member(stopped.members[0])
    stopped.wait_ready()
    ended = restart(stopped)
    assert ended.returncode == 1
    assert "locked" in ended.stderr
    assert "hello" in etcdctl(stopped, "get", "greeting")


def test_a_flipped_bit_in_the_middle_of_the_wal_is_refused(stopped: ClusterProcesses) -> None:
    segment = wal_segment(stopped)
    content = bytearray(segment.read_bytes())
    position = content.index(b"greeting")
    content[position] ^= 1
    segment.write_bytes(content)
    ended = restart(stopped)
    assert ended.returncode == 1
    assert segment.name in ended.stderr
    assert segment.read_bytes() == content, "nothing may be repaired away"


def test_a_torn_tail_is_repaired_and_nothing_acknowledged_is_lost(
    stopped: ClusterProcesses,
) -> None:
    segment = wal_segment(stopped)
    content = segment.read_bytes()
    end = len(content.rstrip(b"\0"))
    segment.write_bytes(content[:end] + b"\x07\x03\x01 torn by a power cut")
    stopped.start_member(stopped.members[0])
    stopped.wait_ready()
    assert etcdctl(stopped, "get", "greeting") == "greeting\nhello\n"


def wal_segment(cluster: ClusterProcesses) -> Path:
    (segment,) = (cluster.members[0].data_folder / "member" / "wal").iterdir()
    return segment
