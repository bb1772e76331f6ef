"""A command's streams as channels of a WebSocket: `v5.channel.k8s.io` and `v4`. PURE.

A message's first byte is its channel. In v5 a client ends its input by a message of two bytes:
255 and the channel; in v4 it cannot.

Source: kubectl-needs.md, "v5 channels".
"""

from collections.abc import Callable

import msgspec

from controlplane.streams import websocket
from controlplane.streams.remote_command import (
    STREAMS,
    Begun,
    Event,
    Input,
    InputEnded,
    Left,
    Resizes,
    Wish,
)
from controlplane.streams.violations import ViolationError
from controlplane.streams.websocket import WebSocket

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
PROTOCOLS = (V5, V4)
STDIN, STDOUT, STDERR, ERROR, RESIZE = range(len(STREAMS))
CLOSE = 255


class ChannelStreams:
    """Of the server."""

    def __init__(self, wish: Wish, protocol: str = V5) -> None:
        self._socket = WebSocket()
        self._wish = wish
        self._can_close = protocol == V5
        self._has_begun = False
        self._resizes = Resizes()
        # Whoever waits until he is connected waits for the first message.
        self._send(STDOUT if wish.has_stdout else STDERR if wish.has_stderr else ERROR, b"")

    def receive(self, data: bytes) -> list[Event]:
        """What the client says; `receive(b"")` once is the beginning. Raises ViolationError."""
        events: list[Event] = [] if self._has_begun else [Begun()]
        self._has_begun = True
        for event in self._socket.receive(data):
            match event:
                case websocket.Message(message):
                    events += self._events(message)
                case websocket.Closed():
                    events.append(Left())
        return events

    def _events(self, message: bytes) -> list[Event]:
        match message[:1]:
            case b"\x00" if self._wish.has_stdin and len(message) > 1:
                return [Input(message[1:])]
            case b"\x04" if self._wish.has_tty:
                return list(self._resizes.feed(message[1:] + b"\n"))
            case b"\xff" if self._can_close and message[1:] == b"\x00":
                return [InputEnded()]
            case _:
                return []

    def write_output(self, data: bytes) -> None:
        """What the command wrote."""
        if self._wish.has_stdout:
            self._send(STDOUT, data)

    def write_errors(self, data: bytes) -> None:
        """… to its stderr."""
        if self._wish.has_stderr and not self._wish.has_tty:
            self._send(STDERR, data)

    def ping(self) -> None:
        """Ask whether the client is alive."""
        self._socket.ping()

    def finish(self, status: dict[str, object]) -> None:
        """Say how it ended."""
        self._send(ERROR, msgspec.json.encode(status))
        self._socket.close()

    def break_off(self, error: ViolationError) -> None:
        """Say what cannot be understood."""
        self._socket.close(error.code, error.why)

    def consumed(self, count: int) -> None:
        """WebSocket has no windows: whoever reads no more is heard all the same."""

    @property
    def is_held(self) -> bool:
        """Never: see `consumed`."""
        return False

    def take(self) -> bytes:
        """What is to be sent to the client now."""
        return self._socket.take()

    def _send(self, channel: int, data: bytes) -> None:
        self._socket.send(bytes((channel,)) + data)


class ChannelClient:
    """Of a client of v5. mask: see WebSocket."""

    def __init__(self, mask: Callable[[], bytes]) -> None:
        self._socket = WebSocket(mask)

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """(channel, bytes) of each message; (CLOSE, b""): the server sends nothing more. Raises
        ViolationError.
        """
        found = []
        for event in self._socket.receive(data):
            match event:
                case websocket.Message(message) if len(message) > 1:
                    found.append((message[0], message[1:]))
                case websocket.Closed():
                    found.append((CLOSE, b""))
        return found

    def write(self, channel: int, data: bytes) -> None:
        """Input, or a size of the terminal."""
        self._socket.send(bytes((channel,)) + data)

    def end_input(self) -> None:
        """No more input comes."""
        self._socket.send(bytes((CLOSE, STDIN)))

    def take(self) -> bytes:
        """What is to be sent to the server now."""
        return self._socket.take()
