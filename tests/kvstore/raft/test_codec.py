"""Messages survive the wire; what is no message is refused, whatever the bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import MalformedRequestError
from kvstore.raft.codec import decode, encode
from kvstore.raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Message,
    Propose,
    ReadIndexReply,
    ReadIndexRequest,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    VoteReply,
)
from kvstore.server.peer_frames import PROTOCOL_VERSION

from .single import append, entries

MESSAGES: list[Message] = [
    RequestVote(to=1, sender=2, term=3, last_index=4, last_term=2, pre_vote=True),
    VoteReply(to=1, sender=2, term=3, granted=False, pre_vote=True, commit=4, commit_term=2),
    append(3, 4, 2, (Entry(5, 2, b"x"), Entry(6, 3, b"", EntryKind.MEMBERSHIP)), commit=4),
    AppendReply(to=1, sender=2, term=3, is_rejected=True, rejected_index=4, hint_index=2),
    Heartbeat(to=1, sender=2, term=3, commit=4, read_context=7),
    HeartbeatReply(to=1, sender=2, term=3, read_context=7),
    ReadIndexRequest(to=1, sender=2, term=3, context=2**63),
    ReadIndexReply(to=1, sender=2, term=3, context=9, index=4),
    Propose(to=1, sender=2, term=3, data=(b"x", b"")),
    InstallSnapshot(
        to=1, sender=2, term=3, meta=SnapshotMeta(4, 2, Membership(voters=(1, 2, 3), removed=(9,)))
    ),
    TimeoutNow(to=1, sender=2, term=3),
]


# What the members of version 3 of the peer protocol say and understand: other bytes need another
# number, or a cluster of both would elect a leader whose appends nobody understands.
WIRE = (
    "98a272760402c3c2010203",
    "98a27672c2c30402010203",
    "99a2616504020492940502c4017800940603c40001c3010203",
    "99a2617200c3040200010203",
    "96a268620407010203",
    "95a2687207010203",
    "95a27271cf8000000000000000010203",
    "96a272690904010203",
    "95a2707292c40178c400010203",
    "95a2697393040295930102039090909109010203",
    "94a2746e010203",
)


def test_the_bytes_belong_to_this_version_of_the_protocol() -> None:
    assert tuple(encode(message).hex() for message in MESSAGES) == WIRE
    assert PROTOCOL_VERSION == 3


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_message_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__args__)


@given(st.binary(max_size=80))
def test_garbage_is_refused_with_one_error(data: bytes) -> None:
    try:
        message = decode(data)
    except MalformedRequestError:
        return
    assert decode(encode(message)) == message


@given(st.sampled_from(MESSAGES), st.integers(0), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_still_a_message(
    message: Message, position: int, byte: int
) -> None:
    data = bytearray(encode(message))
    data[position % len(data)] = byte
    try:
        changed = decode(bytes(data))
    except MalformedRequestError:
        return
    assert decode(encode(changed)) == changed


@pytest.mark.parametrize(
    "message",
    [
        append(3, 1, 1, entries(1, first=3)),
        append(3, 1, 1, (Entry(2, 1), Entry(4, 1))),
        append(3, 1, 2, entries(1, first=2)),
        append(3, 1, 1, entries(4, first=2)),
    ],
    ids=["gap before", "gap within", "falling term", "term of the future"],
)
def test_appends_out_of_order_are_refused(message: AppendEntries) -> None:
    with pytest.raises(MalformedRequestError, match="out of order"):
        decode(encode(message))


def test_absurd_nesting_is_refused() -> None:
    head = encode(TimeoutNow(to=1, sender=2, term=3))
    data = bytes([head[0] + 1]) + head[1:] + b"\x91" * 100_000 + b"\xc0"
    with pytest.raises(MalformedRequestError):
        decode(data)


def test_negative_numbers_are_refused() -> None:
    data = msgspec.msgpack.encode(TimeoutNow(to=1, sender=2, term=-3))
    with pytest.raises(MalformedRequestError):
        decode(data)
