"""The file of the audit log (kube-behaviour 11.10)."""

import logging
import os
import stat
from pathlib import Path

import pytest

from controlplane.apiserver.audit_log import AuditLog

LINE = b"x" * 99 + b"\n"


def a_log(folder: Path, *, bytes_max: int = 0, backups_max: int = 0) -> AuditLog:
    return AuditLog(
        folder / "audit.log", bytes_max=bytes_max, backups_max=backups_max, now=lambda: 1.7e9
    )


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def test_a_file_that_would_be_too_large_is_put_aside(tmp_path: Path) -> None:
    """Row 11.10: rotation. No line is cut in two, or lost."""
    log = a_log(tmp_path, bytes_max=250)
    for _ in range(5):
        log.write(LINE)
    found = sizes(tmp_path)
    assert found.pop("audit.log") == 100
    assert found == {
        "audit-2023-11-14T22-13-20.000.log": 200,
        "audit-2023-11-14T22-13-20.001.log": 200,
    }


def test_the_oldest_that_were_put_aside_go(tmp_path: Path) -> None:
    (tmp_path / "audit-notes.log").write_text("a person's own")
    log = a_log(tmp_path, bytes_max=100, backups_max=2)
    for number in range(6):
        log.write(b"%d" % number + LINE[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit-2023-11-14T22-13-20.003.log",
        "audit-2023-11-14T22-13-20.004.log",
        "audit-notes.log",
        "audit.log",
    ]
    assert (tmp_path / "audit.log").read_bytes()[:1] == b"5"
    assert (tmp_path / "audit-2023-11-14T22-13-20.003.log").read_bytes()[:1] == b"3"


def test_a_line_that_is_larger_than_a_file_may_be_has_one_of_its_own(tmp_path: Path) -> None:
    log = a_log(tmp_path, bytes_max=50)
    log.write(LINE)
    log.write(LINE)
    assert list(sizes(tmp_path).values()) == [100, 100]


def test_it_goes_on_where_an_earlier_process_has_ended(tmp_path: Path) -> None:
    a_log(tmp_path).write(LINE)
    a_log(tmp_path, bytes_max=150).write(LINE)
    assert sorted(sizes(tmp_path).values()) == [100, 100]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    log = a_log(tmp_path, bytes_max=100)
    log.write(LINE)
    log.write(LINE)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_somebody_has_taken_away_is_made_again(tmp_path: Path) -> None:
    log = a_log(tmp_path, bytes_max=100)
    log.write(LINE)
    (tmp_path / "audit.log").unlink()
    log.write(LINE)
    assert sizes(tmp_path) == {"audit.log": 100}


def test_where_none_can_be_put_aside_the_old_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path, bytes_max=100)
    log.write(LINE)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    with caplog.at_level(logging.ERROR):
        log.write(LINE)
    assert "cannot be put aside" in caplog.text
    assert sizes(tmp_path) == {"audit.log": 200}


def test_the_line_after_one_that_was_cut_short_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes the beginning of a line."""
    log = a_log(tmp_path)
    real, budget = os.write, 60

    def nearly_full(descriptor: int, data: bytes) -> int:
        nonlocal budget
        if not budget:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[:budget])
        budget -= written
        return written

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        log.write(LINE)
    monkeypatch.setattr(os, "write", real)
    log.write(LINE)
    assert (tmp_path / "audit.log").read_bytes() == b"x" * 60 + b"\n" + LINE


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    a_log(tmp_path / "new").write(LINE)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    log = a_log(tmp_path, bytes_max=100, backups_max=1)
    log.write(LINE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        log.write(LINE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
