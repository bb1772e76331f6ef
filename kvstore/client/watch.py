"""Watches: the driver that keeps one stream up for all watches of a client.

What to send, deliver and resume is decided by `watch_state`; here are the stream, its endpoints
and the waiting.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kvstore.client import methods
from kvstore.client.connection import Connection
from kvstore.client.failures import Outcome, error_from, outcome_of
from kvstore.client.operations import Key, key_range
from kvstore.client.types import WatchBatch
from kvstore.client.watch_state import Filter, Watcher, WatchMultiplexer, WatchOptions
from kvstore.errors import UnavailableError
from kvstore.seams import RpcFailure, RpcStream


class Watch:
    """The changes of a key or range, as an async iterator of batches that ends with `cancel`.

    It lives through lost connections, failed members and leader changes: every event comes once,
    in revision order, the events of one revision together. CompactedError is raised when the
    next revision has been compacted (start again from a fresh read), WatchCanceledError when the
    server refuses the watch.
    """

    def __init__(self, watches: "Watches", options: WatchOptions) -> None:
        self._watches = watches
        self._changed = asyncio.Event()
        self.watcher = Watcher(options, self._changed.set)

    async def created(self) -> int:
        """Wait until the server has confirmed the watch; the first revision that it can report."""
        while not self.watcher.is_anchored:
            if self.watcher.has_ended:
                raise self.watcher.error or UnavailableError("the watch was cancelled")
            await self._wait()
        return self.watcher.options.start_revision or self.watcher.next_revision

    def request_progress(self) -> None:
        """Ask for a progress notification now: a batch without events.

        Its revision promises that all events up to it were delivered (etcd before 3.4.25 and
        3.5.8 breaks that promise).
        """
        self._watches.request_progress(self)

    def cancel(self) -> None:
        """End the watch; what is in its buffer can still be read."""
        self._watches.remove(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            batch = self.watcher.take()
            if batch is not None:
                self._watches.consumed(self)
                return batch
            if self.watcher.error is not None:
                raise self.watcher.error
            if self.watcher.has_ended:
                raise StopAsyncIteration
            await self._wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Watches:
    """All watches of a client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._multiplexer = WatchMultiplexer()
        self._wake = asyncio.Event()  # there are requests to send, or the first watch
        self._stream: RpcStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._backoff = connection.backoff()

    def watch(
        self,
        key: Key,
        range_end: Key = b"",
        *,
        prefix: bool = False,
        from_key: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        filters: Sequence[Filter] = (),
        progress_notify: bool = False,
        fragment: bool = False,
    ) -> Watch:
        """Begin a watch."""
        start, end = key_range(key, range_end, prefix=prefix, from_key=from_key)
        options = WatchOptions(
            key=start,
            range_end=end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            filters=tuple(filters),
            progress_notify=progress_notify,
            fragment=fragment,
        )
        watch = Watch(self, options)
        self._multiplexer.add(watch.watcher)
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="kvstore.client watches")
            self._task.add_done_callback(self._on_done)
        return watch

    def remove(self, watch: Watch) -> None:
        """End a watch; the stream goes with the last one."""
        self._multiplexer.remove(watch.watcher)
        self._wake.set()
        if self._multiplexer.is_empty and self._stream is not None:
            self._stream.cancel()

    def consumed(self, watch: Watch) -> None:
        """A batch was read: that may resume a paused watch."""
        self._multiplexer.consumed(watch.watcher)
        self._wake.set()

    def request_progress(self, watch: Watch) -> None:
        """Send a manual progress request."""
        self._multiplexer.request_progress(watch.watcher)
        self._wake.set()

    async def close(self) -> None:
        """End all watches."""
        error = UnavailableError("the client is closed")
        error.may_have_been_applied = False
        self._multiplexer.fail(error)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        """Keep a stream up while there is a watch."""
        while True:
            while self._multiplexer.is_empty:
                self._wake.clear()
                await self._wake.wait()
            endpoint = self._connection.endpoint
            try:
                await self._serve(endpoint)
            except RpcFailure as failure:
                self._on_failure(endpoint, failure)
            if not self._multiplexer.is_empty:
                await self._connection.clock.sleep(self._backoff.next_delay())

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A bug of ours must not leave consumers waiting for ever; the next watch begins anew.

        A cancellation is one as well, unless it is ours: of `close`, which leaves no watch.
        """
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._multiplexer.fail(UnavailableError(f"the watch task broke: {error!r}"))

    def _on_failure(self, endpoint: str, failure: RpcFailure) -> None:
        if self._multiplexer.is_empty:
            return  # we ended the stream ourselves
        if outcome_of(failure) is Outcome.FINAL:
            self._multiplexer.fail(error_from(failure, is_read=True))
        else:
            self._connection.leave(endpoint)

    async def _serve(self, endpoint: str) -> None:
        """Work one stream until it fails or ends."""
        stream = self._stream = self._connection.stream(endpoint, methods.WATCH)
        self._multiplexer.connected()
        sending = asyncio.create_task(self._send(stream), name="kvstore.client watch requests")
        try:
            while (response := await stream.receive()) is not None:
                if response.created:
                    self._backoff.reset()
                self._multiplexer.receive(response)
                self._wake.set()
            self._connection.leave(endpoint)  # a clean end: the member is stopping
        finally:
            stream.cancel()
            sending.cancel()
            await asyncio.wait([sending])
            self._stream = None
            self._multiplexer.disconnected()

    async def _send(self, stream: RpcStream) -> None:
        while True:
            self._wake.clear()
            for request in self._multiplexer.take_requests():
                try:
                    await stream.send(request)
                except RpcFailure:
                    return  # `receive` fails with the same status, and that is handled
            await self._wake.wait()
