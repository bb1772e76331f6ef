"""Histories as files: what is written is read, and what is wrong is named with its line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.testing import history_file
from kvstore.testing.history import Write
from kvstore.testing.history_file import Recording
from kvstore.testing.linearizability import MalformedHistoryError, Operation
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch
from tests.kvstore.testing.histories import cas, delete, get, put

OPERATIONS = (
    put(b"1", 0, 1, revision=2),
    put(b"\xff\x00", 0.25, None),
    get(b"1", 2, 3, revision=2, mod_revision=2),
    get(None, 2, None),
    cas(b"2", b"0", 4, 5, succeeded=False, revision=2),
    cas(b"2", 2, 6, 7, succeeded=True, revision=3),
    delete(8, 9, succeeded=True, revision=4),
)
WRITES = (Write(2, b"k", b"1"), Write(3, b"k", b"2"), Write(4, b"k", None))
WATCH = Watch(
    key=b"k",
    prev_kv=True,
    received=(
        Batch(revision=2, events=(Event(key=b"k", value=b"1", mod_revision=2),)),
        Batch(revision=2, is_progress=True),
        Resumption(start_revision=3),
        Batch(
            revision=3,
            events=(
                Event(key=b"k", value=b"2", mod_revision=3, prev_value=b"1", prev_mod_revision=2),
            ),
        ),
    ),
)
RECORDING = Recording(operations=OPERATIONS, watches=(Watch(key=b"q"), WATCH), writes=WRITES)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    history_file.write(tmp_path / "h.jsonl", RECORDING)
    assert history_file.read(tmp_path / "h.jsonl") == RECORDING


@given(key=st.binary(), value=st.binary())
def test_any_bytes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, key: bytes, value: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    recording = Recording(operations=(put(value, 0, 1, key=key),))
    history_file.write(path, recording)
    assert history_file.read(path) == recording


def test_text_is_readable_in_the_file(tmp_path: Path) -> None:
    history_file.write(tmp_path / "h.jsonl", Recording(operations=(put(b"text", 0, 1),)))
    assert '"value":"text"' in (tmp_path / "h.jsonl").read_text()


def test_the_example_of_the_module_is_read(tmp_path: Path) -> None:
    assert history_file.__doc__ is not None
    example = "".join(
        line for line in history_file.__doc__.splitlines() if line.startswith("    ")
    ).replace('    {"type"', '\n{"type"')
    (tmp_path / "h.jsonl").write_text(example)
    recording = history_file.read(tmp_path / "h.jsonl")
    assert [operation.kind for operation in recording.operations] == ["put", "get"]
    assert len(recording.watches[0].received) == 3
    assert recording.writes == (Write(2, b"k", b"1"),)


GOOD_LINE = '{"type":"operation","process":0,"kind":"get","key":"k","invoked":0,"completed":1}'


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 3: .*truncated"),
        ("[]", "line 3: .*object"),
        ("[" * 100_000, "line 3: "),
        ("{}", "line 3: `type` is None, not one of operation, watch"),
        ('{"type": "oops"}', "line 3: `type` is 'oops'"),
        ('{"type": ["operation"]}', "line 3: `type` is"),
        (GOOD_LINE.replace("process", "proces"), "line 3: operation: there is no field 'proces'"),
        (GOOD_LINE.replace('"process":0,', ""), "line 3: .*process"),
        (GOOD_LINE.replace('"process":0', '"process":"0"'), r"line 3: .*\$.process"),
        (GOOD_LINE.replace('"get"', '"got"'), "line 3: .*got"),
        (GOOD_LINE.replace('"k"', "7"), r"line 3: .*\$.key"),
        (GOOD_LINE.replace('"k"', '{"base64":"?"}'), "line 3: `key` is no base64"),
        (GOOD_LINE.replace('"k"', r'"\ud800"'), "line 3: "),
        (GOOD_LINE.replace('"completed":1', '"completed":-1'), "line 3: .*before it was invoked"),
        ('{"type":"batch","watch":0,"revision":1}', "line 3: no watch 0 above"),
        ('{"type":"batch","revision":1}', "line 3: no watch None above"),
        ('{"type":"watch","key":"k","received":[]}', "line 3: .*'received'"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(f"{GOOD_LINE}\n\n{line}\n{GOOD_LINE}\n")
    with pytest.raises(MalformedHistoryError, match=what):
        history_file.read(path)


def test_a_line_without_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_file, "LINE_BYTES_MAX", 100)
    (tmp_path / "h.jsonl").write_text(GOOD_LINE + "\n" + " " * 200)
    with pytest.raises(MalformedHistoryError, match="line 2: longer than 100 bytes"):
        history_file.read(tmp_path / "h.jsonl")


# ---------------------------------------------------------------------- the command


def check(path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kvstore.testing", "check", str(path), *options],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_passes_what_is_right(tmp_path: Path) -> None:
    history_file.write(tmp_path / "h.jsonl", RECORDING)
    done = check(tmp_path / "h.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok: 7 operations on 1 keys are linearizable" in done.stdout
    assert "ok: 2 watches got 2 events as promised" in done.stdout


def test_the_command_shows_the_window_of_a_violation(tmp_path: Path) -> None:
    history: tuple[Operation, ...] = (get(b"1", 4, 5), put(b"2", 2, 3), put(b"1", 0, 1))
    history_file.write(tmp_path / "h.jsonl", Recording(operations=history))
    done = check(tmp_path / "h.jsonl")
    assert done.returncode == 1
    title, *window = done.stdout.splitlines()
    assert title.startswith("violation: key b'k': at most 2 of 3 answers fit one order")
    assert window == [
        "  0.000000 to 1.000000  process 0  put b'k' = b'1': done",
        "  2.000000 to 3.000000  process 0  put b'k' = b'2': done",
        "  4.000000 to 5.000000  process 1  get b'k': found b'1'",
    ]


def test_the_command_fails_when_it_does_not_know(tmp_path: Path) -> None:
    history_file.write(tmp_path / "h.jsonl", Recording(operations=OPERATIONS))
    done = check(tmp_path / "h.jsonl", "--states", "2")
    assert done.returncode == 1
    assert done.stdout.startswith("unknown: key b'k': 2 states were visited")


def test_the_command_names_the_watch_that_was_betrayed(tmp_path: Path) -> None:
    broken = Watch(key=b"k", through_revision=4)
    history_file.write(tmp_path / "h.jsonl", Recording(watches=(WATCH, broken), writes=WRITES))
    done = check(tmp_path / "h.jsonl")
    assert done.returncode == 1
    assert "violation: watch 1: lost (reliable)" in done.stdout


def test_the_command_does_not_pass_watches_that_it_cannot_check(tmp_path: Path) -> None:
    history_file.write(tmp_path / "h.jsonl", Recording(watches=(WATCH,)))
    done = check(tmp_path / "h.jsonl")
    assert done.returncode == 1
    assert "cannot be checked without the order of writes" in done.stdout


@pytest.mark.parametrize("text", ["{}", None], ids=["malformed", "missing"])
def test_the_command_refuses_what_is_no_history(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "h.jsonl"
    if text is not None:
        path.write_text(text)
    done = check(path)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
