"""Logs in files: rotated ones, those that grow, those that go. kube-behaviour 10.7."""

import asyncio
from pathlib import Path

import pytest

from controlplane.api.podlogs import LogOptions
from controlplane.node import log_files
from controlplane.node.log_files import files_of, read_log
from tests.controlplane.node.subprocess_runtime import entry

FOLLOWING = LogOptions(follows=True)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "0.log"


def rotate(log: Path, name: str) -> None:
    log.rename(log.with_name(f"{log.name}.{name}"))


def write(log: Path, data: bytes) -> None:
    log.write_bytes(data)


async def ended() -> bool:
    return False


async def read(log: Path, options: LogOptions) -> bytes:
    return b"".join([part async for part in read_log(log, options, ended)])


def three_files(log: Path) -> None:
    for number, name in enumerate(("20261129-200000", "20261129-210000", "")):
        log.write_bytes(b"".join(entry(b"%d%d\n" % (number, line)) for line in range(3)))
        if name:
            rotate(log, name)


async def test_all_files_of_a_log_are_read_in_their_order(log: Path) -> None:
    three_files(log)
    log.with_name("0.log.20261129-190000.gz").write_bytes(b"not to be read")
    log.with_name("10.log").write_bytes(entry(b"another attempt's\n"))
    assert [one.name for one in files_of(log)] == [
        "0.log.20261129-200000",
        "0.log.20261129-210000",
        "0.log",
    ]
    assert (await read(log, LogOptions())).split() == b"00 01 02 10 11 12 20 21 22".split()


@pytest.mark.parametrize(("count", "lines"), [(0, b""), (2, b"21 22"), (3, b"20 21 22")])
async def test_the_last_lines_of_the_newest_file(log: Path, count: int, lines: bytes) -> None:
    three_files(log)
    assert (await read(log, LogOptions(tail_lines=count))).split() == lines.split()


async def test_the_last_lines_are_over_files(log: Path) -> None:
    three_files(log)
    assert (await read(log, LogOptions(tail_lines=4))).split() == b"12 20 21 22".split()
    assert len((await read(log, LogOptions(tail_lines=100))).split()) == 9


async def test_a_log_that_is_not_there_is_empty(log: Path) -> None:
    assert await read(log, LogOptions()) == b""
    assert await read(log, FOLLOWING) == b""


async def test_a_log_is_followed_over_its_rotation(log: Path) -> None:
    is_running = True
    parts: asyncio.Queue[bytes] = asyncio.Queue()

    async def running() -> bool:
        return is_running

    async def follow() -> None:
        async for part in read_log(log, FOLLOWING, running):
            parts.put_nowait(part)

    following = asyncio.create_task(follow())
    write(log, entry(b"one\n"))
    assert await parts.get() == b"one\n"
    rotate(log, "20261129-200000")
    with log.with_name("0.log.20261129-200000").open("ab") as file:
        file.write(entry(b"two\n"))  # before its writer goes over
    write(log, entry(b"three\n"))
    assert await parts.get() == b"two\n"
    assert await parts.get() == b"three\n"
    # Two rotations between two looks, and the file that was being read is gone.
    log.with_name("0.log.20261129-200000").unlink()
    rotate(log, "20261129-210000")
    write(log, entry(b"four\n"))
    rotate(log, "20261129-220000")
    write(log, entry(b"five\n"))
    assert await parts.get() == b"four\n"
    assert await parts.get() == b"five\n"
    is_running = False
    with log.open("ab") as file:
        file.write(entry(b"six\n"))
    await following
    assert await parts.get() == b"six\n"
    assert parts.empty()


async def test_what_is_written_while_it_is_looked_for_the_next_file(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end was read, then more came, and then its writer went over."""
    write(log, entry(b"one\n"))
    looked = log_files.files_of

    def look(path: Path) -> list[Path]:
        if not path.with_name("0.log.20261129-200000").exists():
            with path.open("ab") as file:
                file.write(entry(b"two\n"))
            rotate(path, "20261129-200000")
            write(path, entry(b"three\n"))
        return looked(path)

    parts = read_log(log, FOLLOWING, ended)
    assert await anext(parts) == b"one\n"
    monkeypatch.setattr(log_files, "files_of", look)
    assert [part async for part in parts] == [b"two\n", b"three\n"]


async def test_no_more_is_read_than_is_wanted(log: Path) -> None:
    write(log, entry(b"one\n") + entry(b"two\n"))
    wanted = LogOptions(follows=True, limit_bytes=5)

    async def running() -> bool:
        return True

    found = [part async for part in read_log(log, wanted, running)]
    assert b"".join(found) == b"one\nt"
