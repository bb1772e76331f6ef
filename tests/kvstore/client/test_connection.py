"""Fail-over and retries: what is sent again, and what never is."""

import random

import pytest

from kvstore.client.backoff import DELAY_SECONDS_MAX, Backoff
from kvstore.client.client import Client, connect
from kvstore.client.connection import Connection
from kvstore.client.operations import delete, get, put
from kvstore.commands import Txn
from kvstore.errors import (
    CompactedError,
    LeaderChangedError,
    NoLeaderError,
    RequestError,
    RequestTimeoutError,
    UnavailableError,
)
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcFailure
from tests.kvstore.client.scripted import Answer, Script, SteppedClock

OK = rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=7))
FOUND = rpc_pb2.RangeResponse(header=rpc_pb2.ResponseHeader(revision=7))
NEVER_LEFT = RpcFailure("UNAVAILABLE", "no connection", sent=False)
BROKEN = RpcFailure("UNAVAILABLE", "Socket closed")
TIMED_OUT = RpcFailure("DEADLINE_EXCEEDED", "Deadline Exceeded")


def failure(text: str, code: str = "UNAVAILABLE") -> RpcFailure:
    return RpcFailure(code, text)


REFUSALS = [
    NEVER_LEFT,
    failure("etcdserver: no leader"),
    failure("etcdserver: not capable"),
    failure("etcdserver: rpc not supported for learner"),
    failure("etcdserver: too many requests", "RESOURCE_EXHAUSTED"),
    failure("raft proposal dropped", "UNKNOWN"),
]
UNCERTAIN = [
    BROKEN,
    TIMED_OUT,
    failure("etcdserver: leader changed"),
    failure("etcdserver: request timed out"),
    failure("etcdserver: request timed out, possibly due to previous leader failure"),
    failure("etcdserver: request timed out, possibly due to connection lost"),
    failure("etcdserver: server stopped"),
    failure("RST_STREAM", "INTERNAL"),
    failure("cancelled by the server", "CANCELLED"),
    failure("raft: stopped", "UNKNOWN"),
]


def scripted(*answers: list[Answer]) -> tuple[Client, Script]:
    clock = SteppedClock()
    names = ["a", "b", "c"][: len(answers)]
    script = Script(clock, dict(zip(names, answers, strict=True)))
    connection = Connection(
        names, open_channel=script.open_channel, clock=clock, random=random.Random(1)
    )
    return Client(connection), script


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_write_that_was_surely_refused_goes_to_the_next_endpoint(
    refusal: RpcFailure,
) -> None:
    client, script = scripted([refusal], [OK])
    response = await client.put("k", "v")
    assert response.header.revision == 7
    assert script.endpoints_called == ["a", "b"]
    assert script.clock.sleeps == []


@pytest.mark.parametrize("uncertain", UNCERTAIN, ids=str)
async def test_a_write_of_unknown_fate_is_sent_once_and_says_so(uncertain: RpcFailure) -> None:
    client, script = scripted([uncertain], [OK])
    with pytest.raises(UnavailableError) as raised:
        await client.put("k", "v")
    assert raised.value.may_have_been_applied
    assert script.endpoints_called == ["a"]


@pytest.mark.parametrize("uncertain", [*UNCERTAIN, *REFUSALS], ids=str)
async def test_a_read_is_repeated_on_the_next_endpoint(uncertain: RpcFailure) -> None:
    client, script = scripted([uncertain], [FOUND])
    assert await client.get("k") is None
    assert script.endpoints_called == ["a", "b"]


async def test_a_read_only_txn_is_repeated_and_a_writing_one_is_not() -> None:
    answer = rpc_pb2.TxnResponse(succeeded=True)
    nested = Txn((), (get("x"),), ())
    client, script = scripted([BROKEN], [answer])
    assert (await client.txn().then(get("k"), nested).commit()).succeeded
    assert script.endpoints_called == ["a", "b"]
    for write in (put("k"), delete("k"), Txn((), (), (put("k"),))):
        client, script = scripted([BROKEN], [answer])
        with pytest.raises(UnavailableError):
            await client.txn().then(get("k")).otherwise(write).commit()
        assert script.endpoints_called == ["a"]


async def test_an_answer_is_final() -> None:
    text = "etcdserver: mvcc: required revision has been compacted"
    client, script = scripted([failure(text, "OUT_OF_RANGE")], [FOUND])
    with pytest.raises(CompactedError):
        await client.get("k", revision=1)
    assert script.endpoints_called == ["a"]
    client, script = scripted([failure("whatever", "PERMISSION_DENIED")], [FOUND])
    with pytest.raises(RequestError):
        await client.get("k")
    assert script.endpoints_called == ["a"]


async def test_refusals_until_the_deadline_leave_a_write_surely_unapplied() -> None:
    client, script = scripted([failure("etcdserver: no leader")], [NEVER_LEFT])
    with pytest.raises(UnavailableError) as raised:
        await client.put("k", "v", timeout_seconds=5)
    assert not raised.value.may_have_been_applied
    assert script.clock.seconds <= 5
    assert 5 <= len(script.calls) <= 40  # it tried for the whole time, but not busily


async def test_a_read_that_fails_was_never_applied() -> None:
    client, _ = scripted([failure("etcdserver: leader changed")])
    with pytest.raises(LeaderChangedError) as raised:
        await client.get("k", timeout_seconds=1)
    assert not raised.value.may_have_been_applied


async def test_a_time_out_of_ours_is_a_request_timeout() -> None:
    client, _ = scripted([TIMED_OUT])
    with pytest.raises(RequestTimeoutError) as raised:
        await client.put("k", "v")
    assert raised.value.may_have_been_applied


async def test_a_refused_write_that_then_times_out_may_have_been_applied() -> None:
    client, script = scripted([failure("etcdserver: no leader")], [TIMED_OUT], [OK])
    with pytest.raises(RequestTimeoutError) as raised:
        await client.put("k", "v")
    assert raised.value.may_have_been_applied
    assert script.endpoints_called == ["a", "b"]


async def test_a_silent_endpoint_leaves_time_for_another_read() -> None:
    client, script = scripted([TIMED_OUT], [FOUND])
    assert await client.get("k", timeout_seconds=4) is None
    assert [call[3] for call in script.calls] == [2.0, 2.0 / 2]


async def test_writes_ask_for_a_leader_and_serializable_reads_do_not() -> None:
    client, script = scripted([OK])
    await client.put("k", "v")
    script.answers["a"] = [FOUND]
    await client.get("k")
    await client.get("k", serializable=True)
    assert [call[2].get("hasleader") for call in script.calls] == ["true", "true", None]


async def test_a_failed_endpoint_is_left_for_good_while_the_next_one_works() -> None:
    client, script = scripted([NEVER_LEFT], [FOUND])
    for _ in range(3):
        await client.get("k")
    assert script.endpoints_called == ["a", "b", "b", "b"]


async def test_no_leader_is_typed() -> None:
    client, _ = scripted([failure("etcdserver: no leader")])
    with pytest.raises(NoLeaderError):
        await client.put("k", "v", timeout_seconds=0.2)


def test_other_endpoints_are_tried_at_once_and_rounds_are_delayed_with_jitter() -> None:
    backoff = Backoff(random.Random(7), endpoint_count=3)
    delays = [backoff.next_delay() for _ in range(30)]
    assert [d for position, d in enumerate(delays, 1) if position % 3] == [0.0] * 20
    rounds = delays[2::3]
    assert all(0.025 * 2**n <= d <= 0.05 * 2**n for n, d in enumerate(rounds[:4]))
    assert all(DELAY_SECONDS_MAX / 2 <= d <= DELAY_SECONDS_MAX for d in rounds[5:])
    backoff.reset()
    assert [backoff.next_delay() > 0 for _ in range(3)] == [False, False, True]


def test_a_connection_needs_an_endpoint() -> None:
    with pytest.raises(ValueError, match="no endpoints"):
        Connection([], open_channel=lambda _: None, clock=SteppedClock(), random=random.Random())  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("endpoint", ["foo", "http://foo", "http://foo:bar", ":2379", ""])
def test_what_is_no_endpoint_is_refused_at_once(endpoint: str) -> None:
    with pytest.raises(ValueError, match="host:port is wanted"):
        connect(["127.0.0.1:1", endpoint])


def test_a_text_is_no_list_of_endpoints() -> None:
    with pytest.raises(TypeError, match="a list is wanted, like"):
        connect("127.0.0.1:2379")
