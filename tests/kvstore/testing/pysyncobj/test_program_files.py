"""PySyncObj's view of its files: as Python's, on a disk that may forget."""

import io
import random

import pytest

from kvstore.testing.pysyncobj.program_files import ProgramFiles, WrittenFile
from kvstore.testing.simulation.disk import SimulatedCrash, SimulatedFiles


def disk() -> SimulatedFiles:
    return SimulatedFiles(random.Random(1))


def written(files: ProgramFiles, path: str, data: bytes) -> None:
    with files.open(path, "wb") as file:
        file.write(data)


def test_what_is_written_is_read() -> None:
    files = ProgramFiles(disk())
    assert not files.exists("file")
    written(files, "file", b"data")
    assert files.exists("file")
    assert files.open("file", "rb").read() == b"data"  # type: ignore[union-attr]


def test_what_is_buffered_is_not_the_kernels_until_it_is_much_or_closed() -> None:
    simulated = disk()
    file = ProgramFiles(simulated).open("file", "wb")
    file.write(b"data")
    assert simulated.read("file") == b""
    file.write(bytes(io.DEFAULT_BUFFER_SIZE))
    assert len(simulated.read("file")) == 4 + io.DEFAULT_BUFFER_SIZE
    file.write(b"more")
    file.close()
    assert simulated.read("file").endswith(b"more")


def test_opening_to_write_empties_the_file() -> None:
    files = ProgramFiles(disk())
    written(files, "file", b"long data")
    written(files, "file", b"short")
    assert files.open("file", "rb").read() == b"short"  # type: ignore[union-attr]


def test_a_reader_goes_on_with_the_file_that_it_opened() -> None:
    files = ProgramFiles(disk())
    written(files, "file", b"old")
    reader = files.open("file", "rb")
    written(files, "file.tmp", b"new")
    files.move("file.tmp", "file")
    assert reader.read() == b"old"  # type: ignore[union-attr]
    assert files.open("file", "rb").read() == b"new"  # type: ignore[union-attr]
    assert not files.exists("file.tmp")


def test_a_mapping_sees_and_changes_the_file() -> None:
    simulated = disk()
    files = ProgramFiles(simulated)
    written(files, "file", b"data")
    file = files.open("file", "r+b")
    assert isinstance(file, WrittenFile)
    mapping = files.map(file.fileno(), 0)
    assert (mapping.size(), mapping[1:3]) == (4, b"at")
    mapping.resize(6)
    mapping[3:6] = b"xyz"
    assert simulated.read("file") == b"datxyz"
    with pytest.raises(IndexError):
        mapping[5:7] = b"12"
    with pytest.raises(IndexError):
        mapping[0:2] = b"1"


def test_a_mapping_of_nothing_is_refused_as_by_mmap() -> None:
    files = ProgramFiles(disk())
    written(files, "file", b"")
    file = files.open("file", "r+b")
    assert isinstance(file, WrittenFile)
    with pytest.raises(ValueError, match="cannot mmap an empty file"):
        files.map(file, 0)


def test_a_file_that_is_not_there_cannot_be_read() -> None:
    with pytest.raises(FileNotFoundError):
        ProgramFiles(disk()).open("file", "rb")


def test_a_dead_life_reaches_nothing() -> None:
    simulated = disk()
    files = ProgramFiles(simulated)
    file = files.open("file", "wb")
    simulated.crash()
    file.write(b"data")
    for reach in (
        file.close,
        lambda: files.exists("file"),
        lambda: files.open("file", "rb"),
        lambda: files.move("file", "other"),
    ):
        with pytest.raises(SimulatedCrash):
            reach()
