"""Which messages of other members are stepped: none that would do harm."""

import pytest

from kvstore import commands
from kvstore.commands import AddMember, Proposal, Put, RemoveMember
from kvstore.errors import MalformedRequestError
from kvstore.raft import codec
from kvstore.raft.types import (
    Heartbeat,
    InstallSnapshot,
    Membership,
    Message,
    Propose,
    SnapshotMeta,
)
from kvstore.server import peer_messages

PUT = commands.encode(Proposal(2, 1, Put(b"k", b"v")))


def propose(*data: bytes) -> Propose:
    return Propose(to=1, sender=2, term=3, data=data)


def read(message: Message, *, is_leader: bool = True) -> Message:
    return peer_messages.read(codec.encode(message), sender=2, receiver=1, is_leader=is_leader)


@pytest.mark.parametrize(
    "message", [Heartbeat(to=1, sender=2, term=3, commit=4), propose(), propose(PUT, PUT)]
)
def test_sound_messages_are_what_they_were(message: Message) -> None:
    assert read(message) == message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Heartbeat(to=1, sender=3, term=3, commit=4), "it is from 3 to 1"),
        (Heartbeat(to=5, sender=2, term=3, commit=4), "it is from 2 to 5"),
        (
            InstallSnapshot(
                to=1, sender=2, term=3, meta=SnapshotMeta(9, 2, Membership(voters=(1, 2)))
            ),
            "only this member itself",
        ),
        (propose(PUT, b"garbage"), "no command"),
        (propose(b""), "no command"),
        (propose(PUT[:-1]), "no command"),
        (propose(PUT + b"\xc0"), "no command"),
        (propose(b"\x94\x01\x01\xc0" + b"\x91" * 3_500 + b"\xc0"), "no command"),
        (propose(b"\x93\x01\x01\x92\xa1?\x01"), "no command"),  # of a later version
        (propose(commands.encode(Proposal(2, 1, AddMember(9, ("http://m9:1",))))), "membership"),
        (propose(PUT, commands.encode(Proposal(2, 1, RemoveMember(1)))), "membership"),
    ],
)
def test_what_would_do_harm_is_refused(message: Message, words: str) -> None:
    with pytest.raises(MalformedRequestError, match=words):
        read(message)


def test_garbage_is_no_message() -> None:
    with pytest.raises(MalformedRequestError, match="no message"):
        peer_messages.read(b"garbage", sender=2, receiver=1, is_leader=False)


def test_who_does_not_lead_takes_no_proposals_and_looks_at_none() -> None:
    message = propose(b"garbage")
    assert read(message, is_leader=False) == message
