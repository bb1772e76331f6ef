"""A watch as the members send it: every response, before any client could hide a fault in it.

Our client leaves out what it had before; a member that repeats events, or begins at a wrong
revision, would go unseen. Here a stream is read as it is. When it breaks, the watch is asked for
again at another member, from the revision after the last whole one, and that it was is told as
well: the checker knows then what has to follow.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Never, Self

from kvstore import client
from kvstore.client import methods
from kvstore.client.backoff import Backoff
from kvstore.client.clock import AsyncioClock
from kvstore.client.connection import Connection
from kvstore.client.failures import Outcome, outcome_of
from kvstore.client.grpc_channel import open_grpc_channel
from kvstore.pb import mvcc_pb2, rpc_pb2
from kvstore.seams import RpcFailure, RpcStream
from kvstore.testing.history import ViolationError
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch

Receive = Callable[[Batch | Resumption, int], None]
"""Takes what came, and the term that its header told (0: none)."""


class RawWatch:
    """One watch on a stream of its own, at one member after the other."""

    def __init__(self, endpoints: Sequence[str], asked_for: Watch, random: Random) -> None:
        self._asked_for = asked_for
        self._next_revision = asked_for.start_revision
        self._stream: RpcStream | None = None
        self._progress_wanted = asyncio.Event()
        self._connection = Connection(
            endpoints,
            open_channel=lambda endpoint: open_grpc_channel(endpoint, None),
            clock=AsyncioClock(),
            random=random,
        )

    async def run(self, receive: Receive) -> Never:
        """Read until cancelled. Raises ViolationError when a member refuses the watch."""
        backoff = self._connection.backoff()
        while True:
            endpoint = self._connection.endpoint
            try:
                await self._serve(endpoint, receive, backoff)
            except RpcFailure as failure:
                if outcome_of(failure) is Outcome.FINAL:
                    raise ViolationError(f"{self._asked_for} ended with {failure}") from failure
            self._connection.leave(endpoint)
            await asyncio.sleep(backoff.next_delay())
            receive(Resumption(start_revision=self._next_revision), 0)

    def request_progress(self) -> None:
        """Ask how far the member has told everything; lost when the stream breaks."""
        self._progress_wanted.set()

    def change_member(self) -> None:
        """Break the stream, and go on at another member."""
        if self._stream is not None:
            self._stream.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def _serve(self, endpoint: str, receive: Receive, backoff: Backoff) -> None:
        """Read one stream until it fails or ends."""
        self._progress_wanted.clear()
        stream = self._stream = self._connection.stream(endpoint, methods.WATCH)
        sending = asyncio.create_task(self._send(stream))
        try:
            while (response := await stream.receive()) is not None:
                if response.canceled:
                    raise ViolationError(f"{self._asked_for} was refused: {response}")
                if response.created:
                    backoff.reset()
                else:
                    receive(self._batch(response), response.header.raft_term)
        finally:
            self._stream = None
            stream.cancel()
            sending.cancel()
            await asyncio.wait([sending])

    async def _send(self, stream: RpcStream) -> None:
        try:
            await stream.send(_creation(self._asked_for, self._next_revision))
            while True:
                await self._progress_wanted.wait()
                self._progress_wanted.clear()
                progress = rpc_pb2.WatchProgressRequest()
                await stream.send(rpc_pb2.WatchRequest(progress_request=progress))
        except RpcFailure:
            return  # the reader fails with the same status

    def _batch(self, response: rpc_pb2.WatchResponse) -> Batch:
        events = tuple(map(_event, response.events))
        # Progress does not move it: etcd before 3.4.25 and 3.5.8 may tell it ahead of events.
        if events and not response.fragment:
            self._next_revision = events[-1].mod_revision + 1
        return Batch(
            revision=response.header.revision,
            events=events,
            is_progress=not events,
            is_fragment=response.fragment,
        )


def _creation(watch: Watch, start_revision: int) -> rpc_pb2.WatchRequest:
    filters = []
    if watch.no_put:
        filters.append(client.Filter.NOPUT.value)
    if watch.no_delete:
        filters.append(client.Filter.NODELETE.value)
    create = rpc_pb2.WatchCreateRequest(
        key=watch.key,
        range_end=watch.range_end,
        start_revision=start_revision,
        prev_kv=watch.prev_kv,
        filters=filters,  # type: ignore[arg-type]
        fragment=True,
    )
    return rpc_pb2.WatchRequest(create_request=create)


def _event(event: mvcc_pb2.Event) -> Event:
    is_put = event.type == mvcc_pb2.Event.PUT
    has_before = event.HasField("prev_kv")
    return Event(
        key=event.kv.key,
        value=event.kv.value if is_put else None,
        mod_revision=event.kv.mod_revision,
        prev_value=event.prev_kv.value if has_before else None,
        prev_mod_revision=event.prev_kv.mod_revision if has_before else 0,
    )
