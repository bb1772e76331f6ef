"""Debian's etcdctl against both targets: what a person types works and prints the same."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from kvstore.testing.processes import ClusterProcesses
from tests.conformance.conftest import StartCluster

COMMAND_SECONDS_MAX = 120  # `check datascale` on a crowded machine
pytestmark = pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed")


class Etcdctl:
    """Runs etcdctl against some endpoints."""

    def __init__(self, endpoints: list[str]) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        self._environment = inherited | {
            "ETCDCTL_API": "3",
            "ETCDCTL_ENDPOINTS": ",".join(endpoints),
            "ETCDCTL_COMMAND_TIMEOUT": "60s",
            "ETCDCTL_DIAL_TIMEOUT": "30s",
        }

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever its status."""
        return subprocess.run(
            ["etcdctl", *words],
            input=stdin,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def __call__(self, *words: str, stdin: str = "") -> list[str]:
        """Run it; its output by lines; it must succeed."""
        ended = self.run(*words, stdin=stdin)
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout.splitlines()

    def json(self, *words: str) -> Any:
        """Run it with `-w json`."""
        return json.loads("\n".join(self(*words, "-w", "json")))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            ["etcdctl", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            text=True,
        )


@pytest.fixture
def ctl(single: ClusterProcesses) -> Etcdctl:
    return Etcdctl(single.endpoints)


@pytest.fixture
def key(prefix: bytes) -> str:
    """A key of the test's own; also the prefix of others."""
    return prefix.decode()


@pytest.fixture
def background(ctl: Etcdctl) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start etcdctl commands that run until the test's end."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        processes.append(ctl.start(*words))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def read_lines(stream: IO[str] | None, count: int) -> list[str]:
    """The next lines of a running command; fails when they do not come in time."""
    assert stream is not None
    lines: list[str] = []
    reader = threading.Thread(
        target=lambda: lines.extend(stream.readline().rstrip("\n") for _ in range(count)),
        daemon=True,
    )
    reader.start()
    reader.join(COMMAND_SECONDS_MAX)
    assert not reader.is_alive(), f"only {lines}"
    return lines


def revision_of(ctl: Etcdctl, key: str) -> int:
    revision: int = ctl.json("get", key)["header"]["revision"]
    return revision


def grant(ctl: Etcdctl, seconds: int) -> str:
    [line] = ctl("lease", "grant", str(seconds))
    match = re.fullmatch(rf"lease ([0-9a-f]+) granted with TTL\({seconds}s\)", line)
    assert match, line
    return match[1]


@pytest.fixture
def letters(ctl: Etcdctl, key: str) -> str:
    """Keys a, b, c with values 3, 2, 1."""
    for name, value in (("a", "3"), ("b", "2"), ("c", "1")):
        ctl("put", key + name, value)
    return key


def test_put_and_get(ctl: Etcdctl, key: str) -> None:
    assert ctl("put", key, "value") == ["OK"]
    assert ctl("get", key) == [key, "value"]


def test_put_reads_the_value_from_stdin(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, stdin="from stdin")
    assert ctl("get", key, "--print-value-only") == ["from stdin"]


def test_put_prev_kv_prints_the_old_pair(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "old")
    assert ctl("put", key, "new", "--prev-kv") == ["OK", key, "old"]


def test_put_ignore_value_of_a_missing_key_fails(ctl: Etcdctl, key: str) -> None:
    ended = ctl.run("put", key, "--ignore-value")
    assert ended.returncode != 0
    assert "etcdserver: key not found" in ended.stderr


def test_get_prefix(ctl: Etcdctl, letters: str) -> None:
    lines = ctl("get", letters, "--prefix")
    assert lines == [letters + "a", "3", letters + "b", "2", letters + "c", "1"]


def test_get_range(ctl: Etcdctl, letters: str) -> None:
    assert ctl("get", letters + "a", letters + "c", "--keys-only") == [
        letters + "a",
        "",
        letters + "b",
        "",
    ]


def test_get_from_key(ctl: Etcdctl, letters: str) -> None:
    lines = ctl("get", letters + "b", "--from-key", "--limit", "2")
    assert lines == [letters + "b", "2", letters + "c", "1"]


def test_get_rev(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "old")
    revision = revision_of(ctl, key)
    ctl("put", key, "new")
    assert ctl("get", key, "--rev", str(revision)) == [key, "old"]


def test_get_of_a_future_revision_fails(ctl: Etcdctl, key: str) -> None:
    ended = ctl.run("get", key, "--rev", "99999999")
    assert ended.returncode != 0
    assert "etcdserver: mvcc: required revision is a future revision" in ended.stderr


def test_get_sorted_by_value_descending_with_a_limit(ctl: Etcdctl, letters: str) -> None:
    options = ("--prefix", "--sort-by", "VALUE", "--order", "DESCEND", "--limit", "2")
    assert ctl("get", letters, *options) == [letters + "a", "3", letters + "b", "2"]


def test_get_as_fields_tells_the_count_beyond_the_limit(ctl: Etcdctl, letters: str) -> None:
    lines = ctl("get", letters, "--prefix", "--limit", "1", "-w", "fields")
    assert '"Count" : 3' in lines
    assert '"More" : true' in lines


def test_get_json_has_all_fields(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "value")
    response = ctl.json("get", key)
    [kv] = response["kvs"]
    assert base64.b64decode(kv["key"]).decode() == key
    assert base64.b64decode(kv["value"]) == b"value"
    assert kv["version"] == 1
    assert kv["create_revision"] == kv["mod_revision"] == response["header"]["revision"]


def test_get_serializable(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "value")
    assert ctl("get", key, "--consistency", "s") == [key, "value"]


def test_del_prints_how_many(ctl: Etcdctl, letters: str) -> None:
    assert ctl("del", letters + "a") == ["1"]
    assert ctl("del", letters, "--prefix", "--prev-kv") == [
        "2",
        letters + "b",
        "2",
        letters + "c",
        "1",
    ]
    assert ctl("del", letters, "--prefix") == ["0"]


def test_txn_from_stdin_runs_the_branch(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "1")
    script = f'value("{key}") = "1"\n\nput {key} 2\nget {key}\n\nput {key} 3\n\n'
    lines = [line for line in ctl("txn", stdin=script) if line]
    assert lines == ["SUCCESS", "OK", key, "2"]
    lines = [line for line in ctl("txn", stdin=script) if line]
    assert lines == ["FAILURE", "OK"]
    assert ctl("get", key, "--print-value-only") == ["3"]


def test_txn_compares_version_create_and_mod(ctl: Etcdctl, key: str) -> None:
    script = f'ver("{key}") = "0"\ncreate("{key}") = "0"\nmod("{key}") < "1"\n\nput {key} new\n\n\n'
    assert ctl("txn", stdin=script)[0] == "SUCCESS"
    assert ctl("txn", stdin=script)[0] == "FAILURE"


def test_watch_prints_puts_and_deletes(
    ctl: Etcdctl, background: Callable[..., subprocess.Popen[str]], letters: str
) -> None:
    revision = revision_of(ctl, letters)
    watch = background("watch", letters, "--prefix", "--rev", str(revision))
    assert read_lines(watch.stdout, 3) == ["PUT", letters + "c", "1"]
    ctl("put", letters + "d", "4")
    ctl("del", letters + "a")
    assert read_lines(watch.stdout, 6) == ["PUT", letters + "d", "4", "DELETE", letters + "a", ""]


def test_watch_prev_kv_prints_the_old_pair_first(
    ctl: Etcdctl, background: Callable[..., subprocess.Popen[str]], key: str
) -> None:
    ctl("put", key, "1")
    ctl("put", key, "2")
    revision = revision_of(ctl, key)
    watch = background("watch", key, "--rev", str(revision), "--prev-kv")
    assert read_lines(watch.stdout, 5) == ["PUT", key, "1", key, "2"]


def test_interactive_watch_answers_a_progress_request(
    ctl: Etcdctl, background: Callable[..., subprocess.Popen[str]], key: str
) -> None:
    ctl("put", key, "1")
    revision = revision_of(ctl, key)
    watch = background("watch", "-i")
    assert watch.stdin is not None
    watch.stdin.write(f"watch {key} --rev {revision}\n")
    watch.stdin.flush()
    assert read_lines(watch.stdout, 3) == ["PUT", key, "1"]
    watch.stdin.write("progress\n")
    watch.stdin.flush()
    [line] = read_lines(watch.stdout, 1)
    match = re.fullmatch(r"progress notify: (\d+)", line)
    assert match, line
    assert int(match[1]) >= revision


def test_watch_of_a_compacted_revision_fails(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "1")
    old = revision_of(ctl, key)
    ctl("put", key, "2")
    ctl("compaction", str(old + 1))
    ended = ctl.run("watch", key, "--rev", str(old))
    assert "required revision has been compacted" in ended.stdout + ended.stderr


def test_a_lease_from_grant_to_revoke(ctl: Etcdctl, key: str) -> None:
    lease = grant(ctl, 600)
    ctl("put", key, "value", "--lease", lease)
    [line] = ctl("lease", "timetolive", lease, "--keys")
    pattern = (
        rf"lease {lease} granted with TTL\(600s\), remaining\(\d+s\), attached keys\(\[{key}\]\)"
    )
    assert re.fullmatch(pattern, line), line
    assert ctl("lease", "keep-alive", lease, "--once") == [
        f"lease {lease} keepalived with TTL(600)"
    ]
    found, *leases = ctl("lease", "list")
    assert re.fullmatch(r"found \d+ leases", found)
    assert lease in leases
    assert ctl("lease", "revoke", lease) == [f"lease {lease} revoked"]
    assert ctl("get", key) == []
    assert ctl("lease", "timetolive", lease) == [f"lease {lease} already expired"]


def test_keep_alive_of_an_unknown_lease_says_so(ctl: Etcdctl) -> None:
    ended = ctl.run("lease", "keep-alive", "7fffffff", "--once")
    assert "etcdserver: requested lease not found" in ended.stdout + ended.stderr


def test_revoke_of_an_unknown_lease_fails(ctl: Etcdctl) -> None:
    ended = ctl.run("lease", "revoke", "7fffffff")
    assert ended.returncode != 0
    assert "etcdserver: requested lease not found" in ended.stderr


def test_keep_alive_goes_on(ctl: Etcdctl, background: Callable[..., subprocess.Popen[str]]) -> None:
    lease = grant(ctl, 9)  # renewed every third of it
    keeper = background("lease", "keep-alive", lease)
    assert read_lines(keeper.stdout, 2) == [f"lease {lease} keepalived with TTL(9)"] * 2


def test_compaction(ctl: Etcdctl, key: str) -> None:
    ctl("put", key, "old")
    old = revision_of(ctl, key)
    ctl("put", key, "new")
    assert ctl("compaction", str(old + 1), "--physical") == [f"compacted revision {old + 1}"]
    ended = ctl.run("get", key, "--rev", str(old))
    assert "etcdserver: mvcc: required revision has been compacted" in ended.stderr
    again = ctl.run("compaction", str(old))
    assert again.returncode != 0
    assert "etcdserver: mvcc: required revision has been compacted" in again.stderr


def test_endpoint_health(ctl: Etcdctl, single: ClusterProcesses) -> None:
    ended = ctl.run("endpoint", "health")
    assert ended.returncode == 0
    assert f"{single.endpoints[0]} is healthy: successfully committed proposal" in (
        ended.stdout + ended.stderr
    )


def test_endpoint_status(ctl: Etcdctl, single: ClusterProcesses) -> None:
    [line] = ctl("endpoint", "status")
    endpoint, member, version, size, is_leader, is_learner, *rest = line.split(", ")
    assert endpoint == single.endpoints[0]
    assert re.fullmatch(r"[0-9a-f]+", member)
    assert re.fullmatch(r"3\.[45]\.\d+", version)
    assert re.fullmatch(r"[0-9.]+ [kMG]?B", size)
    assert (is_leader, is_learner) == ("true", "false")
    term, index, applied = (int(number) for number in rest[:3])
    assert term >= 1
    assert index >= applied > 1


def test_endpoint_hashkv(ctl: Etcdctl, single: ClusterProcesses) -> None:
    [line] = ctl("endpoint", "hashkv")
    assert re.fullmatch(rf"{single.endpoints[0]}, \d+", line)
    assert ctl("endpoint", "hashkv") == [line]


def test_member_list(ctl: Etcdctl, single: ClusterProcesses) -> None:
    [line] = ctl("member", "list")
    [member] = single.members
    member_id, *rest = line.split(", ")
    assert re.fullmatch(r"[0-9a-f]+", member_id)
    assert rest == ["started", member.name, member.peer_url, member.client_url, "false"]


def test_member_list_as_table(ctl: Etcdctl) -> None:
    lines = ctl("member", "list", "-w", "table")
    columns = [column.strip() for column in lines[1].strip("|").split("|")]
    assert columns == ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"]


def test_snapshot_save(ctl: Etcdctl, key: str, tmp_path: Path) -> None:
    ctl("put", key, "value")
    path = tmp_path / "snapshot.db"
    assert ctl("snapshot", "save", str(path))[-1] == f"Snapshot saved at {path}"
    data = path.read_bytes()
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]


def test_alarm_list_is_empty(ctl: Etcdctl) -> None:
    assert ctl("alarm", "list") == []


def test_defrag(ctl: Etcdctl, single: ClusterProcesses, key: str) -> None:
    ctl("put", key, "value")
    assert ctl("defrag") == [f"Finished defragmenting etcd member[{single.endpoints[0]}]"]
    assert ctl("get", key) == [key, "value"]


@pytest.mark.slow
def test_check_datascale(start_cluster: StartCluster) -> None:
    ctl = Etcdctl(start_cluster().endpoints)
    ended = ctl.run("check", "datascale", "--load=s", "--auto-compact", "--auto-defrag")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "PASS: Approximate system memory used" in ended.stdout


def test_endpoint_status_of_three_names_one_leader(trio: ClusterProcesses) -> None:
    lines = Etcdctl(trio.endpoints)("endpoint", "status")
    assert [line.split(", ")[0] for line in lines] == trio.endpoints
    assert sorted(line.split(", ")[4] for line in lines) == ["false", "false", "true"]


def test_endpoint_health_of_three(trio: ClusterProcesses) -> None:
    ended = Etcdctl(trio.endpoints).run("endpoint", "health", "--cluster")
    assert ended.returncode == 0
    assert (ended.stdout + ended.stderr).count("is healthy") == 3


def test_endpoint_hashkv_of_three_is_equal(trio: ClusterProcesses) -> None:
    ctl = Etcdctl(trio.endpoints)
    ctl("put", "etcdctl-hash", "value")
    ctl("get", "etcdctl-hash")
    for endpoint in trio.endpoints:  # linearizable reads: each has applied the put
        Etcdctl([endpoint])("get", "etcdctl-hash")
    hashes = {line.split(", ")[1] for line in ctl("endpoint", "hashkv")}
    assert len(hashes) == 1


def test_move_leader(trio: ClusterProcesses) -> None:
    ctl = Etcdctl(trio.endpoints)
    rows = [line.split(", ") for line in ctl("endpoint", "status")]
    [old] = [row[1] for row in rows if row[4] == "true"]
    new = next(row[1] for row in rows if row[4] == "false")
    assert ctl("move-leader", new) == [f"Leadership transferred from {old} to {new}"]
    trio.wait_ready()
    rows = [line.split(", ") for line in ctl("endpoint", "status")]
    assert [row[1] for row in rows if row[4] == "true"] == [new]
