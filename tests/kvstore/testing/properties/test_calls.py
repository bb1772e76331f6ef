"""What is recorded is what the client saw: no more, no less."""

import pytest

from kvstore.client import Client
from kvstore.errors import EmptyKeyError
from kvstore.testing import properties as kv
from kvstore.testing.linearizability import Operation


def recorded(*steps: kv.Step, faults: kv.Schedule = ()) -> tuple[Operation, ...]:
    """The history of one client."""

    async def application(cluster: kv.Cluster) -> tuple[Operation, ...]:
        return await cluster.record([steps])

    return kv.run(application, faults=faults)


def test_each_call_is_recorded_with_its_answer() -> None:
    history = recorded(
        kv.Get(key=b"a"),
        kv.Put(key=b"a", value=b"1"),
        kv.Get(key=b"a"),
        kv.CompareAndSet(key=b"a", expected_value=b"2", value=b"3"),
        kv.CompareAndSet(key=b"a", expected_value=b"1", value=b"3"),
        kv.CompareAndSet(key=b"b", expected_value=None, value=b"4"),
        kv.Delete(key=b"b"),
        kv.Delete(key=b"b"),
    )
    assert [(o.kind, o.value, o.succeeded, o.revision, o.mod_revision) for o in history] == [
        ("get", None, None, 1, 0),
        ("put", b"1", None, 2, 0),
        ("get", b"1", None, 2, 2),
        ("cas", b"3", False, 2, 0),
        ("cas", b"3", True, 3, 0),
        ("cas", b"4", True, 4, 0),
        ("delete", None, True, 5, 0),
        ("delete", None, False, 5, 0),
    ]
    times = [time for o in history for time in (o.invoked, o.completed)]
    assert times == sorted(times, key=lambda time: time or 0.0)
    kv.check_linearizable(history)


def test_a_wait_is_no_operation() -> None:
    before, after = recorded(kv.Get(key=b"a"), kv.Wait(seconds=7.0), kv.Get(key=b"a"))
    assert after.invoked - (before.completed or 0.0) == pytest.approx(7.0)


def test_the_end_of_a_lease_is_a_deletion_at_an_unknown_time() -> None:
    history = recorded(
        kv.PutLeased(key=b"a", value=b"1", ttl_seconds=2),
        kv.Get(key=b"a"),
        kv.Wait(seconds=15.0),
        kv.Get(key=b"a"),
    )
    end, put, before, after = history
    assert (end.kind, end.completed) == ("delete", None)
    assert (put.kind, put.value) == ("put", b"1")
    assert (before.value, after.value) == (b"1", None)
    kv.check_linearizable(history)
    with pytest.raises(kv.ViolationError, match="not linearizable"):
        kv.check_linearizable(history[1:])


def test_a_call_without_an_answer_is_recorded_as_such() -> None:
    """Of those that follow it is known that they were not done."""
    outage = kv.Episode(at_seconds=0.5, for_seconds=500.0, fault=kv.PowerCut())
    history = recorded(kv.Wait(seconds=0.4), *[kv.Put(key=b"a", value=b"1")] * 20, faults=(outage,))
    *answered, unknown = history
    assert 0 < len(answered) < 19
    assert all(operation.completed is not None for operation in answered)
    assert unknown.completed is None
    kv.check_linearizable(history)


def test_a_call_that_was_surely_refused_is_left_out() -> None:
    async def application(cluster: kv.Cluster) -> tuple[Operation, ...]:
        history = kv.History()
        client: Client = cluster.connect()
        await client.close()
        await history.perform(kv.Put(key=b"a", value=b"1"), client, process=0)
        return history.operations

    assert kv.run(application) == ()


def test_a_call_that_can_never_succeed_is_the_callers_error() -> None:
    with pytest.raises(ExceptionGroup) as refused:
        recorded(kv.Get(key=b""))
    assert refused.group_contains(EmptyKeyError)


def test_calls_of_several_clients_overlap() -> None:
    async def application(cluster: kv.Cluster) -> tuple[Operation, ...]:
        return await cluster.record([[kv.Put(key=b"a", value=b"%d" % n)] for n in range(3)])

    history = kv.run(application)
    assert [operation.process for operation in history] == [0, 1, 2]
    ends = [operation.completed for operation in history]
    assert all(max(o.invoked for o in history) < (end or 0.0) for end in ends)


def test_a_violation_tells_what_cannot_all_be_true() -> None:
    steps = kv.Put(key=b"a", value=b"1"), kv.Wait(seconds=1.0), kv.Get(key=b"a")
    put, get = recorded(*steps)
    stale = Operation(
        process=1, kind="get", key=b"a", invoked=get.invoked, completed=get.completed, revision=1
    )
    with pytest.raises(kv.ViolationError, match="not linearizable") as violated:
        kv.check_linearizable([put, stale])
    assert stale.told() in str(violated.value)


def test_what_is_answered_first_is_earlier_also_when_no_time_has_passed() -> None:
    """Or a stale read right after a write would pass for one beside it."""
    first, second = recorded(kv.Put(key=b"a", value=b"1"), kv.Get(key=b"a"))
    assert first.completed is not None
    assert first.invoked < first.completed < second.invoked
