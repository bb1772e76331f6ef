"""Calls to a cluster: one endpoint at a time, the next one when it fails.

Knows retries and deadlines, but neither grpc (channels come from a factory) nor any service.
The rule of retries (`failures`): a request is sent again only when it is safe to repeat, or when
the attempt before surely was not applied.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kvstore.client.backoff import Backoff
from kvstore.client.failures import Outcome, error_from, outcome_of
from kvstore.client.methods import Method, ResponseT
from kvstore.errors import UnavailableError
from kvstore.seams import Clock, Random, RpcChannel, RpcFailure, RpcStream

REQUEST_TIMEOUT_SECONDS = 10.0  # outlasts an election (1-2 s) and a member's own time-out (7 s)
_SHORTEST_ATTEMPT_SECONDS = 0.5  # cutting a deadline into smaller pieces helps nobody

# etcd's metadata for "only while you have a leader". A member without one then refuses at once and
# before it proposes anything, which makes going to another member safe even for writes.
REQUIRE_LEADER = (("hasleader", "true"),)


class Connection:
    """A cluster's endpoints, and which of them is in use."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        open_channel: Callable[[str], RpcChannel],
        clock: Clock,
        random: Random,
        request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> None:
        if not endpoints:
            raise ValueError("no endpoints")
        self.endpoints = tuple(dict.fromkeys(endpoints))
        self.clock = clock
        self.request_timeout_seconds = request_timeout_seconds
        self._random = random
        self._open_channel = open_channel
        self._channels: dict[str, RpcChannel] = {}
        self._position = 0
        self._is_closed = False

    @property
    def endpoint(self) -> str:
        """The endpoint in use."""
        return self.endpoints[self._position]

    def leave(self, endpoint: str) -> None:
        """`endpoint` has failed: use the next one, unless somebody did so already."""
        if endpoint == self.endpoint:
            self._position = (self._position + 1) % len(self.endpoints)

    def backoff(self) -> Backoff:
        """A fresh sequence of delays for this set of endpoints."""
        return Backoff(self._random, len(self.endpoints))

    async def call(
        self,
        method: Method[ResponseT],
        request: Any,
        *,
        is_read: bool,
        needs_leader: bool = True,
        timeout_seconds: float | None = None,
    ) -> ResponseT:
        """Call a method on whichever endpoint answers.

        `is_read`: repeating it does no harm. Raises the typed KvError of the last failure; an
        UnavailableError tells in `may_have_been_applied` what is known of a write.
        """

        def attempt(endpoint: str, seconds: float) -> Awaitable[ResponseT]:
            return self._attempt(endpoint, method, request, needs_leader, seconds)

        return await self._until_answered(attempt, timeout_seconds, is_read=is_read)

    async def call_endpoint(
        self,
        endpoint: str,
        method: Method[ResponseT],
        request: Any,
        *,
        is_read: bool,
        timeout_seconds: float | None = None,
    ) -> ResponseT:
        """Call a method on one endpoint, once: for what is asked of a member, not of a cluster."""
        seconds = timeout_seconds or self.request_timeout_seconds
        try:
            return await self._attempt(endpoint, method, request, False, seconds)
        except RpcFailure as failure:
            raise error_from(failure, is_read=is_read) from None

    async def exchange(
        self, method: Method[ResponseT], request: Any, *, timeout_seconds: float | None = None
    ) -> ResponseT:
        """Send one request on a stream of its own and return the first response; safe to repeat."""

        def attempt(endpoint: str, seconds: float) -> Awaitable[ResponseT]:
            return self._exchange(endpoint, method, request, seconds)

        return await self._until_answered(attempt, timeout_seconds, is_read=True)

    def stream(self, endpoint: str, method: Method[Any], *, needs_leader: bool = True) -> RpcStream:
        """Open a stream to an endpoint. Raises RpcFailure, then or at its use."""
        metadata = REQUIRE_LEADER if needs_leader else ()
        return self._channel(endpoint).stream(method.name, method.response, metadata=metadata)

    async def close(self) -> None:
        """Close every connection; calls under way fail."""
        self._is_closed = True
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    def _channel(self, endpoint: str) -> RpcChannel:
        if self._is_closed:
            raise _closed()
        channel = self._channels.get(endpoint)
        if channel is None:
            channel = self._channels[endpoint] = self._open_channel(endpoint)
        return channel

    async def _until_answered(
        self,
        attempt: Callable[[str, float], Awaitable[ResponseT]],
        timeout_seconds: float | None,
        *,
        is_read: bool,
    ) -> ResponseT:
        """Attempts on one endpoint after the other, within the time and the rule of retries."""
        deadline = self.clock.now() + (timeout_seconds or self.request_timeout_seconds)
        backoff = self.backoff()
        while True:
            endpoint = self.endpoint
            seconds = self._attempt_seconds(deadline, is_read=is_read)
            try:
                return await attempt(endpoint, seconds)
            except RpcFailure as failure:
                delay = self._next_attempt(endpoint, failure, backoff, is_read=is_read)
                if delay is None or self.clock.now() + delay >= deadline:
                    raise error_from(failure, is_read=is_read) from None
            if delay:
                await self.clock.sleep(delay)

    async def _attempt(
        self,
        endpoint: str,
        method: Method[ResponseT],
        request: Any,
        needs_leader: bool,
        timeout_seconds: float,
    ) -> ResponseT:
        response: ResponseT = await self._channel(endpoint).unary(
            method.name,
            request,
            method.response,
            timeout_seconds=timeout_seconds,
            metadata=REQUIRE_LEADER if needs_leader else (),
        )
        return response

    async def _exchange(
        self, endpoint: str, method: Method[ResponseT], request: Any, timeout_seconds: float
    ) -> ResponseT:
        stream = self.stream(endpoint, method)
        expires_at = self.clock.now() + timeout_seconds
        timer = self.clock.call_later(timeout_seconds, stream.cancel)
        try:
            await stream.send(request)
            response: ResponseT | None = await stream.receive()
        except RpcFailure:
            if self.clock.now() >= expires_at:
                raise RpcFailure("DEADLINE_EXCEEDED", "no answer in time") from None
            raise
        finally:
            timer.cancel()
            stream.cancel()
        if response is None:
            raise RpcFailure("UNAVAILABLE", "the stream ended without an answer")
        return response

    def _attempt_seconds(self, deadline: float, *, is_read: bool) -> float:
        """How long an attempt may take: all that is left, or half while a read can go elsewhere."""
        left = max(deadline - self.clock.now(), 0.001)
        if is_read and len(self.endpoints) > 1 and left > 2 * _SHORTEST_ATTEMPT_SECONDS:
            return left / 2
        return left

    def _next_attempt(
        self, endpoint: str, failure: RpcFailure, backoff: Backoff, *, is_read: bool
    ) -> float | None:
        """Seconds until the next attempt, None when there must not be one."""
        outcome = outcome_of(failure)
        if outcome is Outcome.FINAL:
            return None
        self.leave(endpoint)
        if self._is_closed or (outcome is Outcome.UNKNOWN and not is_read):
            return None
        return backoff.next_delay()


def _closed() -> UnavailableError:
    error = UnavailableError("the client is closed")
    error.may_have_been_applied = False
    return error
