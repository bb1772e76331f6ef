"""Who the members are: etcd's rules for a change, judged when it is applied."""

import base64
import zlib

import msgspec
import pytest

from kvstore import commands
from kvstore.apply import MembershipResult, StateMachine
from kvstore.commands import (
    AddMember,
    Alarm,
    AlarmAction,
    AlarmType,
    MembershipCommand,
    PromoteMember,
    Proposal,
    PublishMember,
    RemoveMember,
    UpdateMember,
)
from kvstore.errors import (
    KvError,
    MemberExistsError,
    MemberNotFoundError,
    MemberNotLearnerError,
    PeerUrlExistsError,
    TooManyLearnersError,
)
from kvstore.members import MemberRecord, Members
from kvstore.raft.types import MembershipChange

FOUNDERS = {1: MemberRecord(peer_urls=("http://a:1",)), 2: MemberRecord(peer_urls=("http://b:1",))}


@pytest.fixture
def members() -> Members:
    members = Members(FOUNDERS)
    members.change(AddMember(3, ("http://c:1",), is_learner=True))
    return members


def test_each_change_says_what_it_means_for_who_votes() -> None:
    members = Members(FOUNDERS)
    assert members.change(AddMember(3, ("http://c:1",))) == MembershipChange(voters=(3,))
    learner = AddMember(4, ("http://d:1",), is_learner=True)
    assert members.change(learner) == MembershipChange(learners=(4,))
    assert members.change(PromoteMember(4)) == MembershipChange(voters=(4,))
    assert members.change(UpdateMember(4, ("http://e:1",))) is None
    assert members.change(RemoveMember(1)) == MembershipChange(removed=(1,))
    assert members.records == {
        2: MemberRecord(peer_urls=("http://b:1",)),
        3: MemberRecord(peer_urls=("http://c:1",)),
        4: MemberRecord(peer_urls=("http://e:1",)),
    }
    assert members.removed == {1}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (AddMember(1, ("http://x:1",)), MemberExistsError),
        (AddMember(9, ("http://x:1", "http://b:1")), PeerUrlExistsError),
        (AddMember(9, ("http://x:1",), is_learner=True), TooManyLearnersError),
        (RemoveMember(9), MemberNotFoundError),
        (UpdateMember(9, ("http://x:1",)), MemberNotFoundError),
        (UpdateMember(1, ("http://b:1",)), PeerUrlExistsError),
        (PromoteMember(9), MemberNotFoundError),
        (PromoteMember(1), MemberNotLearnerError),
    ],
)
def test_what_breaks_a_rule_changes_nothing(
    members: Members, command: MembershipCommand, error: type[KvError]
) -> None:
    before = dict(members.records)
    with pytest.raises(error):
        members.change(command)
    assert members.records == before


OLD_LOG = (
    "c-otB<oskt#wm+(6PfNX2(HQ~DJihh*UzvrL@<pIOk)Jo1i>^#FwGE5a|F`@!L(eBu)+X|ZHUA+LSh>uu}zTJrbuiv"
    "B)0jXBeIhjnLr+5p127ro|B)Pn3IuTTw-N-=!oQGMrM#S%fxk1>1Zn}!&soyQTC^k8CfPT$}MG?c#HieRJLLijDk@x"
    "3P!;w7zINfSQ#EMoXp4ys^*y|ZH89zKK{;*J|6zTAyx*4o6%bhdRB%<Id)8DWSg=um+=<+g}hNP3P!;w7zLwX6byNA"
    "he3E4416H5Es)rjpz#oP(0~Ukd_2U^$Xw3=2n|8wAsmw#IVLU2En)%yJ{jJt"
)
"""Entries that commit 615f753 wrote, as base 85 of a compressed list in MessagePack.

They add members 2 (17 URLs), 3 (`localhost` where founder 1 has 127.0.0.1) and 4 (`::1`), give 4 a
URL of 2,010 bytes and 3 two spellings of one URL, publish a name of 2,000 bytes and 19 URLs of 1,
add 5 at the URL of 1 (refused), and remove 2.
"""


def test_an_old_log_gives_the_members_that_it_gave_when_it_was_written() -> None:
    """Members of one log that judge differently may find two majorities."""
    machine = StateMachine({1: MemberRecord(peer_urls=("http://127.0.0.1:1",))})
    entries = msgspec.msgpack.decode(zlib.decompress(base64.b85decode(OLD_LOG)), type=list[bytes])
    results = [
        machine.apply(index, commands.decode(entry)) for index, entry in enumerate(entries, 1)
    ]
    refused = [type(result) for result in results if not isinstance(result, MembershipResult)]
    assert refused == [PeerUrlExistsError]
    client_urls = tuple(f"http://h:{port}" for port in range(1, 20))
    assert machine.members.records == {
        1: MemberRecord("n" * 2000, client_urls, ("http://127.0.0.1:1",)),
        3: MemberRecord(peer_urls=("http://LOCALHOST:01", "http://localhost.:1")),
        4: MemberRecord(peer_urls=("http://" + "x" * 2000 + ":1",)),
    }
    assert machine.members.removed == {2}


def test_an_id_is_never_used_again(members: Members) -> None:
    members.change(RemoveMember(3))
    for command in (AddMember(3, ("http://x:1",)), RemoveMember(3)):
        with pytest.raises(MemberNotFoundError):
            members.change(command)


def test_a_member_may_keep_a_url_in_an_update(members: Members) -> None:
    members.change(UpdateMember(1, ("http://a:1", "http://a:2")))
    assert members.records[1].peer_urls == ("http://a:1", "http://a:2")


def test_a_member_is_started_once_it_has_published(members: Members) -> None:
    assert not members.records[3].is_started
    members.publish(PublishMember(3, "m3", ("http://c:2",)))
    assert members.records[3] == MemberRecord("m3", ("http://c:2",), ("http://c:1",), True)
    assert members.records[3].is_started
    with pytest.raises(MemberNotFoundError):
        members.publish(PublishMember(9, "m9", ()))


def test_an_older_snapshot_is_completed_from_the_founders() -> None:
    members = Members({1: MemberRecord("m1", ("http://a:2",))}, frozenset({2}))
    members.complete(FOUNDERS)
    assert members.records == {1: MemberRecord("m1", ("http://a:2",), ("http://a:1",))}


def test_members_travel_in_a_snapshot() -> None:
    machine = StateMachine(FOUNDERS)
    changes: list[MembershipCommand] = [AddMember(3, ("http://c:1",), True), RemoveMember(1)]
    for index, command in enumerate(changes, 1):
        assert isinstance(machine.apply(index, Proposal(1, 1, command)), MembershipResult)
    restored = StateMachine.restore(machine.snapshot_chunks())
    assert restored.members.records == machine.members.records
    assert restored.members.removed == {1}


def test_a_failed_change_is_a_result_and_corruption_does_not_forbid_one() -> None:
    """A member whose data differ must be replaced."""
    machine = StateMachine(FOUNDERS)
    machine.apply(1, Proposal(1, 1, Alarm(AlarmAction.ACTIVATE, 1, AlarmType.CORRUPT)))
    assert isinstance(machine.apply(2, Proposal(1, 2, RemoveMember(2))), MembershipResult)
    assert isinstance(machine.apply(3, Proposal(1, 3, RemoveMember(2))), MemberNotFoundError)
