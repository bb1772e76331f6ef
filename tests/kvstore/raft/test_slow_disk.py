"""While a sync takes its time, what needs none must not wait for it."""

from kvstore.raft.types import Heartbeat, HeartbeatReply

from .single import drain, heartbeat, make_leader, new_raft, tick


def test_a_leader_beats_while_its_disk_is_slow() -> None:
    raft = new_raft()
    make_leader(raft)
    drain(raft)
    assert raft.propose([b"slow"])
    ready = raft.ready()
    assert ready.must_sync
    tick(raft, 1)
    assert {type(message) for message in raft.take_appends()} == {Heartbeat}
    assert raft.take_appends() == ()
    raft.stored(ready)
    raft.check_invariants()


def test_a_follower_answers_heartbeats_while_its_disk_is_slow() -> None:
    raft = new_raft(term=1)
    raft.step(heartbeat(term=1))
    drain(raft)
    raft.step(heartbeat(term=1))
    assert [type(message) for message in raft.take_appends()] == [HeartbeatReply]
    raft.check_invariants()


def test_what_belongs_to_a_term_that_is_not_durable_waits() -> None:
    raft = new_raft(term=1)
    raft.step(heartbeat(term=2))
    assert raft.take_appends() == ()
    raft.check_invariants()
