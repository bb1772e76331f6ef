"""What a raw watch tells of members that break off, repeat themselves or refuse.

The member is a gRPC server that follows a script: no right member does what is tested here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from random import Random

import grpc
import grpc.aio
import pytest

from kvstore.pb import mvcc_pb2, rpc_pb2
from kvstore.testing import watch_checker
from kvstore.testing.history import ViolationError, Write
from kvstore.testing.torture.raw_watch import RawWatch
from kvstore.testing.torture.readback import order_of
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch

Responses = Sequence[rpc_pb2.WatchResponse]
WATCH = Watch(key=b"k", start_revision=2, prev_kv=True)
_TOLD_SECONDS_MAX = 10.0
CREATED = rpc_pb2.WatchResponse(created=True)


def header(revision: int) -> rpc_pb2.ResponseHeader:
    return rpc_pb2.ResponseHeader(revision=revision, raft_term=7)


def puts(*revisions: int, fragment: bool = False) -> rpc_pb2.WatchResponse:
    events = [
        mvcc_pb2.Event(kv=mvcc_pb2.KeyValue(key=b"k", value=b"%d" % n, mod_revision=n))
        for n in revisions
    ]
    return rpc_pb2.WatchResponse(header=header(revisions[-1]), events=events, fragment=fragment)


def batch(*revisions: int, is_fragment: bool = False) -> Batch:
    events = tuple(Event(key=b"k", value=b"%d" % n, mod_revision=n) for n in revisions)
    return Batch(revision=revisions[-1], events=events, is_fragment=is_fragment)


class Member:
    """Gives one script a stream, the last one for ever; an empty response waits for a request."""

    def __init__(self, *scripts: Responses) -> None:
        self._scripts = list(scripts)
        self.requests: list[rpc_pb2.WatchRequest] = []

    async def watch(
        self, requests: AsyncIterator[rpc_pb2.WatchRequest], _: object
    ) -> AsyncIterator[rpc_pb2.WatchResponse]:
        self.requests.append(await anext(requests))
        yield CREATED
        for response in self._scripts.pop(0):
            if not response.ByteSize():
                self.requests.append(await anext(requests))
                continue
            yield response
        if not self._scripts:
            await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        handler = grpc.stream_stream_rpc_method_handler(
            self.watch,
            request_deserializer=rpc_pb2.WatchRequest.FromString,
            response_serializer=rpc_pb2.WatchResponse.SerializeToString,
        )
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("etcdserverpb.Watch", {"Watch": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


async def told(member: Member, count: int) -> list[Batch | Resumption]:
    """The first items of a watch that asks for progress all the time."""
    items: list[Batch | Resumption] = []
    is_enough = asyncio.Event()

    def receive(item: Batch | Resumption, term: int) -> None:
        assert term == (7 if isinstance(item, Batch) else 0)
        items.append(item)
        changes.request_progress()
        if len(items) >= count:
            is_enough.set()

    async with (
        member.serving() as endpoint,
        RawWatch([endpoint], WATCH, Random(1)) as changes,
    ):
        reading = asyncio.ensure_future(changes.run(receive))
        waiting = asyncio.ensure_future(is_enough.wait())
        await asyncio.wait(
            [reading, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=_TOLD_SECONDS_MAX
        )
        waiting.cancel()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    return items


async def test_it_resumes_after_the_last_whole_revision_and_tells_it() -> None:
    member = Member([puts(2), puts(3), puts(4, fragment=True)], [puts(4, 5)])
    items = await told(member, 5)
    assert items == [
        *(batch(2), batch(3), batch(4, is_fragment=True)),
        Resumption(start_revision=4),
        batch(4, 5),
    ]
    creations = [request.create_request for request in member.requests]
    assert [creation.start_revision for creation in creations] == [2, 4]
    assert all(creation.prev_kv and creation.fragment for creation in creations)
    assert order_of(items) == tuple(Write(n, b"k", b"%d" % n) for n in (2, 3, 4, 5))


async def test_a_response_that_breaks_off_between_its_revisions_is_asked_for_again() -> None:
    parts = [puts(n, fragment=True) for n in (2, 3)]
    items = await told(Member(parts, [puts(2, 3, 4)]), 4)
    assert items[2] == Resumption(start_revision=2)
    watch = Watch(key=b"k", start_revision=2, received=tuple(items), through_revision=4)
    writes = [Write(n, b"k", b"%d" % n) for n in (2, 3, 4)]
    assert watch_checker.check(watch, writes) == 3
    assert order_of(items) == tuple(writes)


async def test_a_member_that_repeats_events_after_a_resumption_is_seen() -> None:
    """Our client would leave out what it had before, and nobody would know."""
    items = await told(Member([puts(2), puts(3)], [puts(3, 4)]), 4)
    writes = [Write(n, b"k", b"%d" % n) for n in (2, 3, 4)]
    watch = Watch(key=b"k", start_revision=2, received=tuple(items))
    with pytest.raises(ViolationError, match="unique"):
        watch_checker.check(watch, writes)


async def test_progress_is_asked_for_and_does_not_move_where_it_resumes() -> None:
    request = rpc_pb2.WatchResponse()
    progress = rpc_pb2.WatchResponse(header=header(9), watch_id=-1)
    member = Member([puts(2), request, progress], [puts(3)])
    assert await told(member, 4) == [
        *(batch(2), Batch(revision=9, is_progress=True)),
        Resumption(start_revision=3),
        batch(3),
    ]
    assert member.requests[1].HasField("progress_request")


async def test_a_watch_that_is_refused_is_a_violation() -> None:
    refusal = rpc_pb2.WatchResponse(canceled=True, cancel_reason="no")
    with pytest.raises(ViolationError, match="was refused"):
        await told(Member([refusal]), 1)
