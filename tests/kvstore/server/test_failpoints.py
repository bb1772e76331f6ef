"""What arms a failpoint, and what one does: to its own process, so that runs as a child."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.errors import ConfigError, DiskError
from kvstore.server import failpoints
from kvstore.server.failpoint_seams import FailpointFiles
from kvstore.server.failpoints import VARIABLE, Failpoints
from kvstore.server.points import ALL_POINTS, NODE_POINTS, point_of

ENDED_SECONDS_MAX = 60


def armed(text: str) -> Failpoints:
    loaded = failpoints.load({VARIABLE: text})
    assert loaded is not None
    return loaded


# ---------------------------------------------------------------------- arming


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}, {VARIABLE: "  "}])
def test_nothing_is_armed_unless_it_is_named(environment: dict[str, str]) -> None:
    assert failpoints.load(environment) is None


@pytest.mark.parametrize("point", [*ALL_POINTS, *NODE_POINTS])
def test_every_point_can_be_armed(point: str) -> None:
    armed(f"{point}=kill")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("wal", "POINT=ACTION"),
        ("wal synced", "POINT=ACTION"),
        ("wal synced:x=kill", "POINT=ACTION"),
        ("wal synced=kill=kill", "POINT=ACTION"),
        ("wal synced=kill;", "POINT=ACTION"),
        ("wal sunk=kill", "the points are identity create, .*, snapshot installed"),
        ("wal synced=explode", "the actions are kill, stop, wait, error"),
        ("wal synced:0=kill", "count from 1"),
        ("wal synced=wait", "seconds belong to wait"),
        ("wal synced=kill 3", "seconds belong to wait"),
        ("wal synced=wait soon", "wait 0 to 3600 seconds"),
        ("wal synced=wait nan", "wait 0 to 3600 seconds"),
        ("wal synced=wait -1", "wait 0 to 3600 seconds"),
        ("frames send=error", "only a point of a file"),
        ("applied=error", "only a point of a file"),
        (";".join(["wal synced=kill"] * 101), "names 101 failpoints, at most 100"),
    ],
)
def test_what_cannot_be_armed_is_refused(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as refusal:
        armed(text)
    assert str(refusal.value).startswith(VARIABLE)


def test_a_member_does_not_start_with_a_failpoint_that_is_none(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kvstore", f"--data-dir={tmp_path}/d"],
        env={VARIABLE: "no such point=kill"},
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        timeout=ENDED_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 2
    assert "there is no point 'no such point'" in ended.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("operation", "path", "point"),
    [
        ("rename", "d/identity.json.tmp", "identity rename"),
        ("sync_folder", "d", "identity sync_folder"),
        ("sync", "d/member/wal/1.wal.tmp", "segment sync"),
        ("sync", "d/member/wal/1.wal", "wal sync"),
        ("sync_folder", "d/member/wal", "wal sync_folder"),
        ("remove", "d/member/snap/1.snap", "snapshot remove"),
        ("write", "/walnut/snap/member/d/member/wal/1.wal", "wal write"),
        ("create", "/member/wal/d/identity.json.tmp", "identity create"),
    ],
)
def test_a_point_is_named_by_the_file_wherever_the_data_folder_is(
    operation: str, path: str, point: str
) -> None:
    assert point_of(operation, path) == point
    assert point in ALL_POINTS


# ---------------------------------------------------------------------- passing


def write_log(files: FailpointFiles, folder: Path, passed: Callable[[str], object]) -> None:
    """What a WAL does with a segment, and then with two batches."""

    async def write() -> None:
        path = str(folder / "member" / "wal" / "1.wal")
        files.make_folder(str(folder / "member" / "wal"))
        file = files.create(f"{path}.tmp", preallocate=4_096)
        file.append(b"header")
        await file.sync()
        await files.rename(f"{path}.tmp", path)
        await files.sync_folder(str(folder / "member" / "wal"))
        for text in ("first", "second"):
            file.append(text.encode())
            await file.sync()
            passed(text)
        file.close()
        await files.remove(path)
        await files.sync_folder(str(folder / "member" / "wal"))

    try:
        asyncio.run(write())
    finally:
        files.close()


class _Spy(Failpoints):
    def __init__(self) -> None:
        super().__init__([])
        self.passed: list[str] = []

    def pass_point(self, point: str) -> None:
        self.passed.append(point)


def test_the_files_tell_of_their_points_in_order(tmp_path: Path) -> None:
    spy = _Spy()
    write_log(FailpointFiles(spy), tmp_path, spy.passed.append)
    assert spy.passed == [
        *("segment create", "segment write", "segment sync", "segment synced"),
        *("segment rename", "wal sync_folder", "wal synced_folder"),
        *("wal write", "wal sync", "wal synced", "first"),
        *("wal write", "wal sync", "wal synced", "second"),
        *("wal remove", "wal sync_folder", "wal synced_folder"),
    ]


@pytest.mark.parametrize(
    ("point", "durable"),
    [
        ("wal write", b"header"),
        ("wal sync", b"headerfirst"),
        ("wal synced", b"headerfirst"),
        ("wal write:2", b"headerfirst"),
        ("wal sync:2", b"headerfirstsecond"),
    ],
)
@pytest.mark.parametrize("action", ["error", "kill"])
def test_at_a_point_the_bytes_are_where_its_name_says(
    tmp_path: Path, point: str, durable: bytes, action: str
) -> None:
    """`durable`: for a process that ends, the kernel keeps what it has."""
    if action == "error":
        with pytest.raises(DiskError, match="Input/output error"):
            write_log(FailpointFiles(armed(f"{point}=error")), tmp_path, str)
    else:
        assert run_log(tmp_path, f"{point}=kill") == -signal.SIGKILL
    content = (tmp_path / "member" / "wal" / "1.wal").read_bytes()
    assert content.rstrip(b"\0") == durable


@pytest.mark.parametrize("point", ["segment create", "segment rename", "wal remove"])
def test_operations_on_names_fail_before_they_are_done(tmp_path: Path, point: str) -> None:
    with pytest.raises(DiskError, match="Input/output error"):
        write_log(FailpointFiles(armed(f"{point}=error")), tmp_path, str)
    names = [path.name for path in (tmp_path / "member" / "wal").iterdir()]
    left = {"segment create": [], "segment rename": ["1.wal.tmp"], "wal remove": ["1.wal"]}
    assert names == left[point]


def run_log(folder: Path, text: str) -> int:
    """`write_log` as a process of its own; its exit status."""
    return subprocess.run(
        [sys.executable, "-m", __spec__.name, str(folder), text],
        timeout=ENDED_SECONDS_MAX,
        check=False,
    ).returncode


def test_what_is_passed_too_rarely_does_nothing(tmp_path: Path) -> None:
    assert run_log(tmp_path, "wal synced:3=kill; snapshot rename=kill") == 0
    assert not list((tmp_path / "member" / "wal").iterdir())


def test_waiting_only_takes_time(tmp_path: Path) -> None:
    said: list[str] = []
    write_log(FailpointFiles(armed("wal synced=wait 0.01")), tmp_path, said.append)
    assert said == ["first", "second"]


def test_a_stopped_process_goes_on_when_it_is_told_to(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-m", __spec__.name, str(tmp_path), "wal sync=stop"])
    pid, status = _wait_until_stopped(child.pid)
    assert (pid, status) == (child.pid, signal.SIGSTOP)
    log = tmp_path / "member" / "wal" / "1.wal"
    assert log.read_bytes().rstrip(b"\0") == b"headerfirst"
    child.send_signal(signal.SIGCONT)
    assert child.wait(ENDED_SECONDS_MAX) == 0
    assert not log.exists()


def _wait_until_stopped(pid: int) -> tuple[int, int]:
    found, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return found, os.WSTOPSIG(status)


if __name__ == "__main__":
    write_log(FailpointFiles(armed(sys.argv[2])), Path(sys.argv[1]), str)
