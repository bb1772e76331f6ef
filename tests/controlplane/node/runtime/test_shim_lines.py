"""Lines of logs and of the wire: bytes in any pieces, lines out."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.node.runtime.shim import wire
from controlplane.node.runtime.shim.log_file import WAIT_SECONDS, LogFile
from controlplane.node.runtime.shim.log_lines import PART_BYTES_MAX, LineWriter, stamp
from controlplane.node.runtime.shim.streams import Attachment, Output

_TEXTS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\n", b"\n\n", b"x" * PART_BYTES_MAX, b"y" * (PART_BYTES_MAX + 1)]),
    ),
    max_size=12,
)


def test_a_stamp_has_nanoseconds() -> None:
    """10.7"""
    assert stamp(1_795_982_400_000_000_007) == b"2026-11-29T20:00:00.000000007Z"


@given(_TEXTS)
def test_parts_and_lines_give_back_what_was_written(pieces: list[bytes]) -> None:
    """10.7: F ends a line, P does not; none is longer than 16 KiB."""
    writer = LineWriter("stderr")
    log = b"".join(writer.feed(piece, 0) for piece in pieces) + writer.close(0)
    head = stamp(0) + b" stderr "
    said = b""
    for line in log.split(b"\n")[:-1]:
        assert line.startswith((head + b"F ", head + b"P "))
        text = line[len(head) + 2 :]
        assert len(text) <= PART_BYTES_MAX
        said += text + (b"\n" if line[len(head) : len(head) + 1] == b"F" else b"")
    assert said == b"".join(pieces)


@given(_TEXTS)
def test_how_it_comes_in_pieces_changes_no_whole_line(pieces: list[bytes]) -> None:
    whole = LineWriter("stdout")
    at_once = whole.feed(b"".join(pieces), 0)
    small = LineWriter("stdout")
    piecewise = b"".join(
        small.feed(piece[at : at + 997], 0) for piece in pieces for at in range(0, len(piece), 997)
    )
    assert piecewise + small.close(0) == at_once + whole.close(0)


def test_a_log_that_nobody_rotates_makes_wait_and_then_drops(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a" / "0.log", bytes_max=10)
    log.write(b"0123456789")
    assert log.makes_wait(100.0)
    assert log.makes_wait(100.0 + WAIT_SECONDS - 1)
    assert not log.makes_wait(100.0 + WAIT_SECONDS)  # nobody comes: the container goes on
    log.write(b"lost")
    (tmp_path / "a" / "0.log").rename(tmp_path / "a" / "old")
    log.reopen()
    assert not log.makes_wait(200.0)
    log.write(b"kept")
    log.close()
    assert (tmp_path / "a" / "old").read_bytes() == b"0123456789"
    assert (tmp_path / "a" / "0.log").read_bytes() == b"kept"


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        LogFile(tmp_path / "0.log")


def test_nobody_reads_from_a_container_whose_log_is_full(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    output = Output({reads: "stdout"}, LogFile(tmp_path / "0.log", bytes_max=1))
    os.write(writes, b"first\n")
    assert output.pump(reads)
    assert output.sources(100.0) == []
    assert output.sources(100.0 + WAIT_SECONDS) == [reads]
    os.close(writes)
    output.close()


def test_a_client_that_is_too_slow_is_left() -> None:
    reads, writes = os.pipe()
    left = []
    attachment = Attachment({"stdout": writes}, lambda: left.append(True))
    for _ in range(80):
        attachment.write("stdout", bytes(64 * 1024))
    assert left
    attachment.close()
    os.close(reads)


def test_a_client_gets_the_rest_after_the_end() -> None:
    reads, writes = os.pipe()
    attachment = Attachment({"stdout": writes}, lambda: None)
    attachment.write("stdout", bytes(200_000))
    assert not attachment.end()
    received = len(os.read(reads, 1 << 20))
    while not attachment.end():
        received += len(os.read(reads, 1 << 20))
    received += len(os.read(reads, 1 << 20))
    assert received == 200_000
    assert os.read(reads, 1) == b""
    os.close(reads)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20))), st.integers(1, 9))
def test_messages_come_in_any_pieces(messages: list[dict[str, str]], size: int) -> None:
    sent = b"".join(map(wire.encode, messages))
    lines = wire.Lines()
    heard = [m for at in range(0, len(sent), size) for m in lines.feed(sent[at : at + size])]
    assert heard == messages


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"\xff\n", b"x" * (wire.LINE_BYTES_MAX + 1)])
def test_what_is_no_message_is_told(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.Lines().feed(line)
