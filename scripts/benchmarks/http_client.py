"""HTTP/1.1 as cheap as a load generator needs it: one request at a time on a connection kept alive.

`AnswerReader` and `MarkCounter` are pure: bytes in, answers or counts out. The protocols around
them do nothing but pass bytes on, so that the generator stays cheaper than what it measures.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple, cast

HEAD_BYTES_MAX = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_LINE = b"\r\n"
_LENGTH = b"content-length:"


class BadAnswerError(Exception):
    """What came is no answer that this client can read."""


class HttpAnswer(NamedTuple):
    """A whole answer."""

    code: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.code < 300


class AnswerReader:
    """Answers whose length is said, or which come in chunks (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self._rest = b""  # what cannot be read before more of it is here
        self._code = 0
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the body, or of the chunk; negative: its length is not known
        self._is_chunked = False

    def receive(self, data: bytes) -> HttpAnswer | None:
        """The answer that these bytes complete. Raises BadAnswerError."""
        if self._missing < 0 and not self._is_chunked:
            head, mark, data = (self._rest + data).partition(_END_OF_HEAD)
            if not mark:
                if len(head) > HEAD_BYTES_MAX:
                    raise BadAnswerError(f"a head of more than {HEAD_BYTES_MAX} bytes")
                self._rest = head
                return None
            self._rest = b""
            self._code, length = _code_of(head), _length_of(head)
            self._is_chunked = length is None
            self._missing = -1 if length is None else length
        if self._is_chunked:
            return self._receive_chunks(data)
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return None
        if self._missing < 0:
            raise BadAnswerError("more bytes than were announced")
        return self._answer()

    def _receive_chunks(self, data: bytes) -> HttpAnswer | None:
        data, self._rest = self._rest + data, b""
        while True:
            if self._missing > len(data):
                self._parts.append(data)
                self._missing -= len(data)
                return None
            if self._missing > 0:
                self._parts.append(data[: self._missing])
                data, self._missing = data[self._missing :], -2  # its end of line is to come
            line, mark, rest = data.partition(_END_OF_LINE)
            if not mark:
                self._rest = data
                return None
            data = rest
            if self._missing == -2:
                self._missing = -1
                if line:
                    raise BadAnswerError(f"a chunk is longer than was announced: {line[:40]!r}")
            elif self._missing == 0:  # that was the last chunk; trailers, of which there are none
                if line or data:
                    raise BadAnswerError(f"more than the last chunk: {(line or data)[:40]!r}")
                return self._answer()
            else:
                self._missing = _chunk_bytes(line)

    def _answer(self) -> HttpAnswer:
        body = b"".join(self._parts)
        self._parts, self._missing, self._is_chunked = [], -1, False
        return HttpAnswer(self._code, body)


def _code_of(head: bytes) -> int:
    words = head[:16].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise BadAnswerError(f"no status line: {head[:40]!r}")
    return int(words[1])


def _length_of(head: bytes) -> int | None:
    """None: it comes in chunks."""
    small = head.lower()
    if b"\r\ntransfer-encoding: chunked" in small:
        return None
    at = small.find(_LENGTH)
    length = small[at + len(_LENGTH) :].split(b"\r\n", 1)[0].strip() if at >= 0 else b""
    if not length.isdigit():
        raise BadAnswerError(f"no Content-Length: {head[:200]!r}")
    return int(length)


def _chunk_bytes(line: bytes) -> int:
    try:
        size = int(line.split(b";", 1)[0], 16)
    except ValueError:
        raise BadAnswerError(f"no length of a chunk: {line[:40]!r}") from None
    if size < 0:
        raise BadAnswerError(f"no length of a chunk: {line[:40]!r}")
    return size


class MarkCounter:
    """How often a mark stands in a stream, wherever the stream is cut."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._rest = b""

    def receive(self, data: bytes) -> int:
        """How many marks these bytes complete."""
        data = self._rest + data
        # A mark that was counted is longer than what is kept, so none counts twice.
        self._rest = data[-(len(self._mark) - 1) :]
        return data.count(self._mark)


# ------------------------------------------------------------------ drivers


OnAnswer = Callable[[HttpAnswer | None], None]  # None: the connection is lost


class HttpConnection(asyncio.Protocol):
    """One request under way; `send` the next when it is answered."""

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._on_answer: OnAnswer | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one, but for its class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._reader.receive(data)
        except BadAnswerError:
            self.close()
            self._tell(None)
            raise
        if answer is not None:
            self._tell(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._tell(None)

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def send(self, request: bytes, on_answer: OnAnswer) -> None:
        """Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection is lost")
        assert self._on_answer is None, "a request is under way"
        self._on_answer = on_answer
        self._transport.write(request)

    async def ask(self, request: bytes) -> HttpAnswer:
        """Raises ConnectionError."""
        answered: asyncio.Future[HttpAnswer | None] = asyncio.get_running_loop().create_future()
        self.send(request, answered.set_result)
        answer = await answered
        if answer is None:
            raise ConnectionError("the connection is lost")
        return answer

    def close(self) -> None:
        """Done with it."""
        if self._transport is not None:
            self._transport.close()

    def _tell(self, answer: HttpAnswer | None) -> None:
        told, self._on_answer = self._on_answer, None
        if told is not None:
            told(answer)


class HttpStream(asyncio.Protocol):
    """A stream that only counts: `on_marks` is told how many came."""

    def __init__(self, mark: bytes, on_marks: Callable[[int], None]) -> None:
        self._counter = MarkCounter(mark)
        self._on_marks = on_marks
        self._first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one, but for its class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._first.done():
            self._first.set_result(data)
        if marks := self._counter.receive(data):
            self._on_marks(marks)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._first.done():
            self._first.set_exception(ConnectionError("the stream did not begin"))

    async def begin(self, request: bytes) -> None:
        """Return once the server has answered. Raises ConnectionError, BadAnswerError."""
        assert self._transport is not None
        self._transport.write(request)
        head = await self._first
        if _code_of(head) != 200:
            raise BadAnswerError(f"no stream: {head[:400]!r}")

    def close(self) -> None:
        """Done with it."""
        if self._transport is not None:
            self._transport.close()


class Site:
    """Where a server is, and who asks it."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        self.host = host
        self.port = port
        self._tls = tls

    async def connect(self) -> HttpConnection:
        """A new connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            HttpConnection, self.host, self.port, ssl=self._tls
        )
        return connection

    async def stream(
        self, request: bytes, mark: bytes, on_marks: Callable[[int], None]
    ) -> HttpStream:
        """A new stream that has begun. Raises OSError, BadAnswerError."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(
            lambda: HttpStream(mark, on_marks), self.host, self.port, ssl=self._tls
        )
        await stream.begin(request)
        return stream

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """A whole request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Accept: {accept}"]
        if body:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body
