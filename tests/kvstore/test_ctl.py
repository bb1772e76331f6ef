"""kvctl beside Debian's etcdctl on the same member: the same bytes, the same exit codes."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kvstore import ctl, ctl_txn
from kvstore.client import LeaseOf, ModRevision, Value
from kvstore.ctl_arguments import CtlError, Flag, command_of, parse, seconds_of
from kvstore.ctl_output import go_duration, human_bytes
from kvstore.testing.processes import ClusterProcesses
from tests.kvstore.client.conftest import program

ETCDCTL = shutil.which("etcdctl")
SECONDS_MAX = 90  # for one command, on a crowded machine

needs_etcdctl = pytest.mark.skipif(ETCDCTL is None, reason="etcdctl is not installed")


class Tool:
    """kvctl or etcdctl as a process, pointed at a member."""

    def __init__(self, command: Sequence[str], endpoint: str) -> None:
        self.command = [*command, f"--endpoints={endpoint}", "--command-timeout=60s"]

    def __call__(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes]:
        """Exit code and standard output."""
        done = self.run(*words, stdin=stdin)
        return done.returncode, done.stdout

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.command, *words],
            input=stdin,
            capture_output=True,
            env=os.environ | {"ETCDCTL_API": "3"},
            timeout=SECONDS_MAX,
            check=False,
        )

    def error(self, *words: str) -> tuple[int, str]:
        """Exit code and the last `Error:` line."""
        done = self.run(*words)
        lines = [line for line in done.stderr.decode().splitlines() if line.startswith("Error:")]
        return done.returncode, lines[-1] if lines else ""


class InProcess(Tool):
    """kvctl without the seconds that a new interpreter takes."""

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        out, err = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = ctl.main([*self.command, *words])
        out.flush()
        err.flush()
        outputs = [stream.buffer.getvalue() for stream in (out, err)]
        return subprocess.CompletedProcess(words, code, *outputs)


@pytest.fixture(scope="module")
def member() -> Iterator[ClusterProcesses]:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="keelson-ctl-", dir=memory) as folder,
        ClusterProcesses(program(), Path(folder)) as cluster,
    ):
        yield cluster


@pytest.fixture
def kvctl(member: ClusterProcesses) -> Tool:
    return InProcess([], member.endpoints[0])


@pytest.fixture
def kvctl_process(member: ClusterProcesses) -> Tool:
    return Tool([sys.executable, "-m", "kvstore.ctl"], member.endpoints[0])


@pytest.fixture
def etcdctl(member: ClusterProcesses) -> Tool:
    return Tool([ETCDCTL or "etcdctl"], member.endpoints[0])


@pytest.fixture
def filled(etcdctl: Tool) -> Iterator[None]:
    """A few keys, some of them rewritten."""
    for key, value in (("a", "3"), ("b", "2"), ("c", "1"), ("a", "4"), ("bytes", "\u00e9 <&>")):
        assert etcdctl("put", key, value)[0] == 0
    yield
    etcdctl("del", "", "--prefix")


READS = [
    "get a",
    "get none",
    "get a c",
    "get b --from-key",
    "get --prefix b",
    "get a --prefix --hex",
    "get --prefix= --keys-only",
    "get --prefix --keys-only b",
    "get --prefix b --print-value-only",
    "get a d --sort-by=value",
    "get a d --sort-by=MODIFY --order=DESCEND",
    "get a d --sort-by=create --order=ascend --limit=2",
    "get a d --sort-by version --order descend --limit 1",
    "get a --consistency=s",
    "get a d -w json",
    "get a d --limit=1 -w json",
    "get a d --keys-only --write-out=json",
    "get none -w json",
    "get --prefix=false a",
    "get -- a",
    "member list",
    "member list -w table",
    "member list --write-out json",
    "endpoint status",
    "endpoint status -w table",
    "endpoint status -w json",
    "endpoint status --cluster",
    "endpoint hashkv",
    "endpoint hashkv -w json",
    "endpoint hashkv -w table",
    "alarm list",
    "alarm list -w json",
    "alarm disarm",
    "lease list",
    "lease timetolive 123",
    "lease keep-alive 123",
]


@needs_etcdctl
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("line", READS)
def test_reads_print_what_etcdctl_prints(kvctl: Tool, etcdctl: Tool, line: str) -> None:
    words = [word if word != "--prefix=" else "--prefix=true" for word in line.split()]
    if "--prefix=" in line:
        words.append("")
    expected = etcdctl(*words)
    assert expected[0] == 0
    printed = kvctl(*words)
    if "status" in line:
        # etcd commits to its file every 100 ms: the size may have changed between the two.
        expected, printed = _without_sizes(expected), _without_sizes(printed)
    assert printed == expected


def _without_sizes(printed: tuple[int, bytes]) -> tuple[int, bytes]:
    text = re.sub(rb'("dbSize(InUse)?":)\d+|\b[\d.]+ kB', rb"\1N", printed[1])
    return printed[0], re.sub(rb" +N +", b" N ", text)


WRITES = [
    ["put", "w", "1"],
    ["put", "w", "2", "--prev-kv"],
    ["put", "w", "--ignore-value", "--prev-kv"],
    ["put", "--", "w", "-3"],
    ["put", "--prev-kv", "w", "--", "--4"],
    ["put", "w", "5", "--prev-kv", "--hex"],
    ["del", "none"],
    ["del", "w", "--prev-kv"],
    ["del", "a", "c", "--prev-kv"],
    ["del", "--prefix", ""],
]


def _without_revisions(output: bytes) -> bytes:
    return re.sub(rb'"(\w*revision|raftIndex|raft\w*)":\d+', rb'"\1":0', output)


@needs_etcdctl
@pytest.mark.parametrize("form", ["simple", "json"])
def test_writes_print_what_etcdctl_prints(kvctl: Tool, etcdctl: Tool, form: str) -> None:
    """The same script by both, each on an empty store; revisions differ, nothing else."""
    outputs = []
    for tool in (etcdctl, kvctl):
        etcdctl("del", "", "--prefix")
        script = [tool(*words[:-1], words[-1]) for words in (["put", "a", "1"], ["put", "b", "2"])]
        script += [tool("-w", form, *words) for words in WRITES]
        outputs.append([(code, _without_revisions(output)) for code, output in script])
    assert outputs[0] == outputs[1]
    assert all(code == 0 for code, _ in outputs[0])


@needs_etcdctl
def test_a_value_may_come_from_stdin(kvctl: Tool, etcdctl: Tool) -> None:
    assert kvctl("put", "stdin", stdin=b"line\r\n\xff\x00") == etcdctl("put", "other", stdin=b"x")
    assert kvctl("get", "stdin") == etcdctl("get", "stdin") == (0, b"stdin\nline\r\n\xff\x00\n")


TXNS = [
    b'val("a") = "4"\n\nput x "1 2"\nget a\ndel b --prev-kv\nget a d --keys-only\n\nput y 1\n\n',
    b'mod("a") > "0"\nver("a") != "7"\ncreate("a") > "0"\n\nget a\n\n\n',
    b'val("a") = "no"\n\nput x 1\n\nput y "a \\"quoted\\" one" --prev-kv\nget y\n\n',
    b'val("a") < "no"\n\nput x \'single quoted\'\n\n\n',
    b"\n\n\n",
]


@needs_etcdctl
@pytest.mark.parametrize("text", TXNS)
@pytest.mark.parametrize("flags", [[], ["-w", "json"], ["-i"], ["--hex"]], ids=" ".join)
def test_txns_print_what_etcdctl_prints(
    kvctl: Tool, etcdctl: Tool, text: bytes, flags: list[str]
) -> None:
    outputs = []
    for tool in (etcdctl, kvctl):
        etcdctl("del", "", "--prefix")
        for key, value in (("a", "4"), ("b", "2")):
            etcdctl("put", key, value)
        code, output = tool("txn", *flags, stdin=text)
        outputs.append((code, _without_revisions(output)))
    assert outputs[0] == outputs[1]
    assert outputs[0][0] == 0


ERRORS = [
    ["get"],
    ["get", ""],
    ["get", "a", "--rev=1000000"],
    ["get", "a", "--order=x"],
    ["get", "a", "--sort-by=x"],
    ["get", "a", "--consistency=x"],
    ["get", "a", "b", "--prefix"],
    ["get", "a", "--prefix", "--from-key"],
    ["get", "a", "-w", "table"],
    ["get", "a", "-w", "x"],
    ["put"],
    ["put", "", "v"],
    ["put", "k", "v", "--lease=abc123"],
    ["del"],
    ["compact"],
    ["compact", "x"],
    ["compact", "1000000"],
    ["lease", "grant"],
    ["lease", "grant", "x"],
    ["lease", "revoke", "x"],
    ["lease", "revoke", "404"],
    ["lease", "timetolive"],
    ["lease", "keep-alive", "404", "--once"],
    ["lease", "list", "-w", "table"],
    ["move-leader"],
    ["move-leader", "x"],
    ["move-leader", "404"],
    ["snapshot", "save"],
    ["watch", "a", "b", "--prefix"],
]


@needs_etcdctl
@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_errors_are_etcdctls(kvctl: Tool, etcdctl: Tool, words: list[str]) -> None:
    code, message = etcdctl.error(*words)
    assert code != 0
    assert message
    assert kvctl.error(*words) == (code, message)


def test_unknown_commands_flags_and_broken_txns_are_errors(kvctl: Tool) -> None:
    assert kvctl.error("nope") == (1, 'Error: unknown command "nope" for "kvctl"')
    assert kvctl.error("get", "a", "--nope") == (1, "Error: unrecognized arguments: --nope")
    assert kvctl.run("txn", stdin=b"bad\n\n").returncode == 3
    assert kvctl.error("get", "a", "b", "c")[0] == kvctl.error("put", "a", "b", "c")[0] == 128
    assert kvctl.run("txn", stdin=b"\nwatch a\n\n").returncode == 3
    assert kvctl.error("get", "a", "--cacert=/none")[0] == 128


def test_an_unreachable_endpoint_fails_within_the_time() -> None:
    unreachable = InProcess([], "127.0.0.1:1")
    code, message = unreachable.error("get", "a", "--command-timeout=500ms")
    assert code == 1
    assert "127.0.0.1:1" in message
    health = unreachable.run("endpoint", "health", "--command-timeout=500ms", "-w", "json")
    assert health.returncode == 1
    assert json.loads(health.stdout)[0]["health"] is False
    assert unreachable.run("endpoint", "status", "--command-timeout=500ms").returncode == 1
    assert unreachable.run("defrag", "--command-timeout=500ms").returncode == 1


def test_the_environment_gives_endpoints(member: ClusterProcesses) -> None:
    for variable in ("KVCTL_ENDPOINTS", "ETCDCTL_ENDPOINTS"):
        done = subprocess.run(
            [sys.executable, "-m", "kvstore.ctl", "endpoint", "health"],
            env=os.environ | {variable: member.endpoints[0]},
            capture_output=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_counting_prints_the_count(kvctl: Tool) -> None:
    kvctl("put", "count/1", "v")
    kvctl("put", "count/2", "v")
    assert kvctl("get", "count/", "--prefix", "--count-only") == (0, b"2\n")
    code, output = kvctl("get", "count/", "--prefix", "--count-only", "-w", "json")
    assert (code, json.loads(output)["count"]) == (0, 2)


def test_leases_by_hand(kvctl: Tool) -> None:
    code, output = kvctl("lease", "grant", "60")
    found = re.fullmatch(rb"lease ([0-9a-f]{16}) granted with TTL\(60s\)\n", output)
    assert code == 0
    assert found is not None
    lease = found[1].decode()
    assert kvctl("put", "leased", "v", f"--lease={lease}")[0] == 0
    code, output = kvctl("lease", "timetolive", lease, "--keys")
    assert re.fullmatch(
        rf"lease {lease} granted with TTL\(60s\), remaining\(\d+s\), attached keys\(\[leased\]\)\n",
        output.decode(),
    )
    assert kvctl("lease", "keep-alive", "--once", lease) == (
        0,
        f"lease {lease} keepalived with TTL(60)\n".encode(),
    )
    assert lease.encode() in kvctl("lease", "list")[1]
    assert kvctl("lease", "revoke", lease) == (0, f"lease {lease} revoked\n".encode())
    assert kvctl("get", "leased") == (0, b"")


@needs_etcdctl
def test_lease_json_has_etcdctls_shape(kvctl: Tool, etcdctl: Tool) -> None:
    _, grant = etcdctl("lease", "grant", "60")
    lease = grant.split()[1].decode()
    etcdctl("put", "leased", "v", f"--lease={lease}")
    for words in (["timetolive", lease], ["timetolive", lease, "--keys"], ["list"], ["revoke"]):
        if words == ["revoke"]:
            assert kvctl("lease", "revoke", lease)[0] == 0
            continue
        expected, ours = (tool("lease", *words, "-w", "json")[1] for tool in (etcdctl, kvctl))
        drop = rb'"ttl":\d+'
        assert re.sub(drop, b"", ours) == re.sub(drop, b"", expected)
    expected, ours = (tool("lease", "grant", "60", "-w", "json")[1] for tool in (etcdctl, kvctl))
    assert list(json.loads(ours)) == list(json.loads(expected))


def test_a_snapshot_is_saved_under_its_name_only_when_whole(kvctl: Tool, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert kvctl("snapshot", "save", str(path)) == (0, f"Snapshot saved at {path}\n".encode())
    assert path.stat().st_size > 32
    assert [p.name for p in tmp_path.iterdir()] == ["s.db"]
    assert kvctl("snapshot", "save", str(tmp_path / "none" / "s.db"))[0] == 5


def test_compaction_defragmentation_and_health_answer(kvctl: Tool) -> None:
    revision = json.loads(kvctl("put", "k", "v", "-w", "json")[1])["header"]["revision"]
    assert kvctl("compact", str(revision)) == (0, f"compacted revision {revision}\n".encode())
    code, output = kvctl("defrag")
    assert code == 0
    assert output.startswith(b"Finished defragmenting etcd member[")
    code, output = kvctl("endpoint", "health")
    assert code == 0
    assert b"is healthy: successfully committed proposal: took = " in output


WATCHES = [
    [],
    ["--prev-kv"],
    ["--hex"],
    ["-w", "json", "--prev-kv"],
    ["--", "sh", "-c", "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"],
]


@needs_etcdctl
@pytest.mark.parametrize("flags", WATCHES, ids=" ".join)
def test_watches_print_what_etcdctl_prints(
    kvctl_process: Tool, etcdctl: Tool, flags: list[str]
) -> None:
    first = json.loads(etcdctl("put", "watched", "1", "-w", "json")[1])["header"]["revision"]
    etcdctl("put", "watched", "2")
    etcdctl("del", "watched")
    etcdctl("put", "watched", "last")
    outputs = [
        _watched(tool, ["watch", "watched", f"--rev={first}", *flags])
        for tool in (
            etcdctl,
            kvctl_process,
        )
    ]
    assert outputs[0] == outputs[1]


def _watched(tool: Tool, words: list[str]) -> list[bytes]:
    """What a watch prints until it has shown the last put; then it is ended."""
    process = subprocess.Popen(
        [*tool.command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"ETCDCTL_API": "3"},
    )
    assert process.stdout is not None
    ends = (b"last\n", rb"\x6c\x61\x73\x74" + b"\n")
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            is_command = b'"PUT" "watched" "last"' in line
            if is_command or b"bGFzdA==" in line or (line in ends and "--" not in words):
                break
    finally:
        process.terminate()  # a SIGINT may be ignored, where the tests run in the background
        process.stdout.close()
        process.wait(SECONDS_MAX)
    return lines


@needs_etcdctl
def test_a_compacted_watch_ends_as_etcdctls(kvctl: Tool, etcdctl: Tool) -> None:
    revision = json.loads(etcdctl("put", "k", "v", "-w", "json")[1])["header"]["revision"]
    etcdctl("compact", str(revision))
    words = ("watch", "k", "--rev=1")
    assert kvctl.error(*words) == etcdctl.error(*words)


# --- the pure parts -----------------------------------------------------------------------------


def test_global_flags_stand_anywhere() -> None:
    flags = (Flag("endpoints", "x", ""), Flag("write-out", "simple", "", short="w"))
    commands = (("get",), ("lease", "list"))
    for words in (
        ["-w", "json", "lease", "list"],
        ["lease", "-w", "json", "list"],
        ["lease", "list", "-w", "json"],
        ["--write-out=json", "lease", "list"],
    ):
        name, rest = command_of(words, commands, flags)
        parsed = parse(rest, flags, description="", environment={})
        assert (name, parsed.write_out, parsed.positionals) == (("lease", "list"), "json", [])
    assert command_of(["--endpoints", "get", "nope"], commands, flags) == ((), ["nope"])
    assert command_of(["lease"], commands, flags) == ((), ["lease"])


def test_switches_may_be_given_as_in_go() -> None:
    flags = (Flag("prefix", False, ""),)
    for word, is_on in (("--prefix", True), ("--prefix=true", True), ("--prefix=F", False)):
        assert parse([word, "k"], flags, description="", environment={}).prefix is is_on
    with pytest.raises(CtlError, match="maybe"):
        parse(["--prefix=maybe"], flags, description="", environment={})
    assert parse([], flags, description="", environment={"KVCTL_PREFIX": "1"}).prefix


def test_durations_and_sizes_look_like_gos() -> None:
    assert [seconds_of(text) for text in ("500ms", "5s", "1.5m", "2h")] == [0.5, 5, 90, 7200]
    assert [go_duration(s) for s in (0.000863176, 0.0109, 2.5, 3e-7, 2.0)] == [
        "863.176µs",
        "10.9ms",
        "2.5s",
        "300ns",
        "2s",
    ]
    sizes = [0, 9, 10, 999, 1000, 20480, 1_500_000, 25_000_000, 2_000_000_000]
    assert [human_bytes(size) for size in sizes] == [
        "0 B",
        "9 B",
        "10 B",
        "999 B",
        "1.0 kB",
        "20 kB",
        "1.5 MB",
        "25 MB",
        "2.0 GB",
    ]


def test_compares_are_read_as_etcdctl_reads_them() -> None:
    assert ctl_txn.compare_of('mod("key 1") > "0"') == (ModRevision("key 1") > 0)
    assert ctl_txn.compare_of("value(key) != 'a b'") == (Value("key") != "a b")
    assert ctl_txn.compare_of('lease("k") = "ff"') == (LeaseOf("k") == 255)
    assert ctl_txn.words_of(r'put "a\x00\377" --prev-kv') == ["put", "a\x00\udcff", "--prev-kv"]
    assert ctl_txn.to_bytes("a\udcff") == b"a\xff"
    for line in ("bad", 'nope("k") = "1"', 'mod("k") = "x"', 'mod("k") ~ "1"'):
        with pytest.raises(ctl_txn.MalformedTxnError):
            ctl_txn.compare_of(line)
