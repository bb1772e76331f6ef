"""RPCs between simulated clients and the handlers of simulated members: `RpcChannel` and `Call`.

The handlers are the production ones; only the way there is simulated, on the same network as the
members', so cuts and losses hit clients as well.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kvstore.errors import KvError
from kvstore.rpc_errors import status_of
from kvstore.seams import RpcFailure
from kvstore.server.call import Pieces, Service
from kvstore.testing.simulation.network import Network
from kvstore.testing.simulation.process import Process

_STREAM_BUFFER_MAX = 64


class Listener:
    """The front of one life of one member."""

    def __init__(self, services: Sequence[Service], process: Process) -> None:
        self.process = process
        self._routes = {
            name: (getattr(service.handlers, attribute), request_type, kind)
            for service in services
            for name, (attribute, request_type, kind) in service.methods.items()
        }
        self.calls: dict[int, Callable[[], None]] = {}  # under way → how to break it off
        self._next_call = 0

    def route(self, method: str) -> Any:
        """(handler, request type, kind) of a method."""
        return self._routes[method]

    def register(self, break_off: Callable[[], None]) -> int:
        """A call has begun; it is broken off when the member dies."""
        self._next_call += 1
        self.calls[self._next_call] = break_off
        return self._next_call

    def die(self) -> None:
        """The member is dead: every connection breaks."""
        calls, self.calls = self.calls, {}
        for break_off in calls.values():
            break_off()


class SimulatedChannel:
    """RpcChannel from one client process to one member process."""

    def __init__(
        self,
        network: Network,
        client: int,
        member: int,
        listener_of: Callable[[int], Listener | None],
    ) -> None:
        self._network = network
        self._client = client
        self._member = member
        self._listener_of = listener_of

    async def unary(
        self,
        method: str,
        request: Any,
        response_type: Any,
        *,
        timeout_seconds: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """One call; the answer, a broken connection or the deadline ends it."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        call = _UnaryCall(self, answer, dict(metadata))

        def arrive() -> None:
            listener = self._listener_of(self._member)
            if listener is None:
                call.broken(sent=False)
                return
            handler, request_type, _ = listener.route(method)
            call.listener = listener
            call.call_id = listener.register(lambda: call.broken(sent=True))
            try:
                handler(request_type.FromString(data), call)
            except KvError as error:
                call.fail(error)

        data = request.SerializeToString(deterministic=True)
        self.forward(data, arrive, lambda: call.broken(sent=True))
        try:
            async with asyncio.timeout(timeout_seconds):
                return response_type.FromString(await answer)
        except TimeoutError:
            raise RpcFailure("DEADLINE_EXCEEDED", "Deadline Exceeded") from None

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> "SimulatedStream":
        """Open a streaming call."""
        return SimulatedStream(self, method, response_type, dict(metadata))

    async def close(self) -> None:
        """Nothing is kept open between calls."""

    def listener(self) -> Listener | None:
        """The member's front, while it lives."""
        return self._listener_of(self._member)

    def forward(self, data: bytes, arrive: Callable[[], None], lose: Callable[[], None]) -> None:
        """Client → member."""
        self._network.deliver((self._client, self._member), data, arrive, lose)

    def back(self, data: bytes, arrive: Callable[[], None], lose: Callable[[], None]) -> None:
        """Member → client."""
        self._network.deliver((self._member, self._client), data, arrive, lose)


class _UnaryCall:
    """`Call` of a simulated unary call."""

    def __init__(
        self, channel: SimulatedChannel, answer: "asyncio.Future[bytes]", metadata: dict[str, str]
    ) -> None:
        self.deadline: float | None = None
        self.metadata = metadata
        self.listener: Listener | None = None
        self.call_id = 0
        self._channel = channel
        self._answer = answer

    def reply(self, response: Any, header: bytes = b"") -> None:
        """Send the answer back."""
        is_bytes = isinstance(response, bytes)
        data = header + (response if is_bytes else response.SerializeToString(deterministic=True))
        self._finish(data, lambda: self._settle(data))

    def accepts_answer(self) -> bool:
        """Tell whether the call is under way."""
        return self.listener is not None and self.call_id in self.listener.calls

    def fail(self, error: KvError) -> None:
        """Send the status back."""
        code, text = status_of(error)
        failure = RpcFailure(code, text)
        self._finish(text.encode(), lambda: self._settle(failure))

    def broken(self, *, sent: bool) -> None:
        """The connection broke."""
        self._settle(RpcFailure("UNAVAILABLE", "connection broken", sent=sent))

    def _finish(self, data: bytes, arrive: Callable[[], None]) -> None:
        # No longer under way: forget it first, a dead member answers nothing.
        if self.listener is not None and self.listener.calls.pop(self.call_id, None) is not None:
            self._channel.back(data, arrive, lambda: self.broken(sent=True))

    def _settle(self, outcome: bytes | RpcFailure) -> None:
        if self._answer.done():
            return
        if isinstance(outcome, RpcFailure):
            self._answer.set_exception(outcome)
        else:
            self._answer.set_result(outcome)


def _ignore(*_: Any) -> None:
    pass


class SimulatedStream:
    """`RpcStream` for the client and `StreamCall` for the handler, back to back."""

    def __init__(
        self, channel: SimulatedChannel, method: str, response_type: Any, metadata: dict[str, str]
    ) -> None:
        self.metadata = metadata
        self.on_request: Callable[[Any], None] = _ignore
        self.on_half_closed: Callable[[], None] = _ignore
        self.on_closed: Callable[[], None] = _ignore
        self.on_writable: Callable[[], None] = _ignore
        self._channel = channel
        self._method = method
        self._response_type = response_type
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self._request_type: Any = None
        self._listener: Listener | None = None
        self._call_id = 0
        self._is_over = False
        self._was_blocked = False
        channel.forward(b"open", self._open, self._break)

    # ------------------------------------------------------------------ the client's side

    async def send(self, request: Any) -> None:
        """Send one request message."""
        data = request.SerializeToString(deterministic=True)
        self._channel.forward(data, lambda: self._request(data), self._break)

    async def receive(self) -> Any:
        """The next response; None at a clean end."""
        item = await self._incoming.get()
        if isinstance(item, RpcFailure):
            self._incoming.put_nowait(item)
            raise item
        if item is None:
            self._incoming.put_nowait(None)
            return None
        if self._was_blocked and not self.is_blocked:
            self._was_blocked = False
            if not self._is_over and self._listener is not None:
                self._listener.process.run(self.on_writable)
        return self._response_type.FromString(item)

    def cancel(self) -> None:
        """End the call from the client's side."""
        self._incoming.put_nowait(RpcFailure("CANCELLED", "cancelled"))
        self._channel.forward(b"cancel", self._close, self._close)

    # ------------------------------------------------------------------ the handler's side

    @property
    def is_blocked(self) -> bool:
        """True while much waits for the client to read it."""
        blocked = self._incoming.qsize() >= _STREAM_BUFFER_MAX
        self._was_blocked = self._was_blocked or blocked
        return blocked

    def send_response(self, response: Any) -> None:
        """Send one response message."""
        if self._is_over:
            return
        is_bytes = isinstance(response, bytes)
        data = response if is_bytes else response.SerializeToString(deterministic=True)
        self._channel.back(data, lambda: self._incoming.put_nowait(data), self._break)

    def send_all(self, responses: Sequence[Pieces]) -> None:
        """Send several."""
        for pieces in responses:
            self.send_response(b"".join(pieces))

    def end(self) -> None:
        """End with status OK."""
        self._channel.back(b"end", lambda: self._incoming.put_nowait(None), self._break)
        self._close()

    def fail(self, error: KvError) -> None:
        """End with the status of the error."""
        failure = RpcFailure(*status_of(error))
        self._channel.back(
            failure.details.encode(), lambda: self._incoming.put_nowait(failure), self._break
        )
        self._close()

    # ------------------------------------------------------------------ between them

    def _open(self) -> None:
        self._listener = self._channel.listener()
        if self._listener is None:
            self._break()
            return
        handler, self._request_type, _ = self._listener.route(self._method)
        self._call_id = self._listener.register(self._break)
        try:
            handler(_HandlerSide(self))
        except KvError as error:
            self.fail(error)

    def _request(self, data: bytes) -> None:
        if not self._is_over and self._listener is not None:
            try:
                self.on_request(self._request_type.FromString(data))
            except KvError as error:
                self.fail(error)

    def _break(self) -> None:
        """A lost message breaks a connection: nothing after it can arrive."""
        self._incoming.put_nowait(RpcFailure("UNAVAILABLE", "connection broken"))
        self._close()

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._listener is not None:
            is_alive = self._listener.calls.pop(self._call_id, None) is not None
            if is_alive:
                self._listener.process.run(self.on_closed)


class _HandlerSide:
    """`StreamCall`: the same stream, where `send` means responses."""

    def __init__(self, stream: SimulatedStream) -> None:
        object.__setattr__(self, "_stream", stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, "send_response" if name == "send" else name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stream, name, value)
