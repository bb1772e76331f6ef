import struct

import pytest

from benchmarks.grpc_client import _Stream, message

MESSAGES = [b"", b"a", b"b" * 300, b"c" * 70_000]


@pytest.mark.parametrize("size", [1, 3, 5, 64, 16_384, 10**6])
def test_messages_come_whole_however_the_bytes_are_cut(size: int) -> None:
    messages = MESSAGES[:3] if size == 1 else MESSAGES  # byte by byte takes long
    data = b"".join(map(message, messages))
    found: list[bytes] = []
    stream = _Stream(0, found.append, lambda _: None)
    for position in range(0, len(data), size):
        stream.feed(data[position : position + size])
    assert found == messages
    assert stream.is_answered


def test_half_a_message_is_no_answer() -> None:
    stream = _Stream(0, None, lambda _: None)
    stream.feed(struct.pack(">BI", 0, 10) + b"12345")
    assert not stream.is_answered
    stream.feed(b"67890")
    assert stream.is_answered
