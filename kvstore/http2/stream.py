"""One call as the connection sees it; the server's calls derive from it. Pure.

The peer's half comes in by methods which the server overrides; ours goes out by `answer` (the
whole of a unary call) or `send` and `end`. After the end nothing is sent, and nothing comes in but
`closed`.
"""

from collections import deque
from typing import TYPE_CHECKING

from kvstore.http2 import grpc
from kvstore.http2.grpc import Head

if TYPE_CHECKING:
    from kvstore.http2.connection import Connection


class Stream:
    """State of one stream: both windows, what has come of a message, what waits to go."""

    __slots__ = (
        "connection",
        "deadline",
        "final_block",
        "has_headers",
        "head",
        "head_bytes",
        "id",
        "is_blocked",
        "is_ended",
        "is_half_closed",
        "is_over",
        "queue",
        "queued_bytes",
        "receive_window",
        "received",
        "send_window",
    )

    def __init__(self, connection: "Connection", stream_id: int, head: Head) -> None:
        self.connection = connection
        self.id = stream_id
        self.head = head
        self.head_bytes = 0  # that count, if it is a long one
        self.receive_window = connection.stream_window
        self.send_window = connection.sender.initial_window
        self.received: bytearray | None = None  # of a message that is not complete
        self.queue: deque[memoryview] | None = None  # DATA that waits for a window
        self.queued_bytes = 0
        self.final_block: bytes | None = None  # trailers that wait for the queue
        self.deadline: float | None = None
        self.has_headers = False  # ours were sent
        self.is_blocked = False
        self.is_half_closed = False  # the peer sends no more
        self.is_ended = False  # nothing more may be sent
        self.is_over = False

    # ------------------------------------------------------------------ what comes in

    def begun(self) -> None:
        """The call was accepted."""

    def message_received(self, message: bytes) -> None:
        """One message of the peer."""

    def half_closed(self) -> None:
        """The peer has sent its last message."""

    def writable(self) -> None:
        """`is_blocked` went back to False."""

    def closed(self) -> None:
        """The stream is over, whoever ended it."""

    # ------------------------------------------------------------------ what goes out

    def answer(self, message: bytes) -> None:
        """The one message of a unary call, and OK."""
        if not self.is_ended:
            self.is_ended = True
            self.connection.sender.answer(self, message)

    def send(self, message: bytes) -> None:
        """One message."""
        self.send_prefixed(grpc.prefixed(message))

    def send_prefixed(self, messages: bytes) -> None:
        """Any number of messages with their prefixes (`grpc.prefix`), put together."""
        if not self.is_ended:
            self.connection.sender.body(self, messages)

    def end(self, code: str = "OK", text: str = "", *, drop_queue: bool = False) -> None:
        """End with a status, after what is queued unless that is dropped."""
        if self.is_ended:
            return
        self.is_ended = True
        sender = self.connection.sender
        if drop_queue:
            sender.drop_queue(self)
        if not self.has_headers:
            sender.end(self, grpc.trailers_only(code, text))
        elif code == "OK":
            sender.end(self, grpc.TRAILERS_OK)
        else:
            sender.end(self, grpc.trailers(code, text))
