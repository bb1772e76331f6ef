"""One end of a WebSocket connection: messages in and out. PURE.

Source: RFC 6455. Without extensions: nobody who talks to us needs any.
"""

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator

import msgspec

from controlplane.streams.violations import ViolationError

MESSAGE_BYTES_MAX = 1024 * 1024
"""Of a message that comes; kubectl's have 32 KiB."""
CONTROL_BYTES_MAX = 125  # of a control frame's payload (5.5)

NORMAL, GOING_AWAY, PROTOCOL_ERROR, TOO_BIG = 1000, 1001, 1002, 1009  # close codes (7.4.1)

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_NO_CODE = 1005  # of a close frame that says nothing


class Message(msgspec.Struct, frozen=True):
    """A whole message; whether it is text or not makes no difference to us."""

    data: bytes


class Closed(msgspec.Struct, frozen=True):
    """The peer sends nothing more."""

    code: int
    reason: str


class Ponged(msgspec.Struct, frozen=True):
    """The peer is alive."""


Event = Message | Closed | Ponged


def accept_of(key: str) -> str:
    """What a server answers to a client's Sec-WebSocket-Key (4.2.2)."""
    digest = hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class WebSocket:
    """A server's or a client's end.

    mask  of a client: makes 4 bytes that nobody can tell in advance, for each frame
    """

    def __init__(self, mask: Callable[[], bytes] | None = None) -> None:
        self._mask = mask
        self._buffer = bytearray()
        self._message: bytearray | None = None  # of which parts have come
        self._out: list[bytes] = []
        self._is_closed = False

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the peer says; to be exhausted. Raises ViolationError: it must be told
        `close(code)`, and nothing else."""
        self._buffer += data
        while not self._is_closed:
            frame = self._frame()
            if frame is None:
                return
            event = self._taken(*frame)
            if event is not None:
                yield event

    def send(self, data: bytes) -> None:
        """A message."""
        self._frame_out(_BINARY, data)

    def ping(self) -> None:
        """Ask whether the peer is alive."""
        self._frame_out(_PING, b"")

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that nothing more is sent."""
        told = reason.encode()[: CONTROL_BYTES_MAX - 2]
        self._frame_out(_CLOSE, struct.pack(">H", code) + told)

    def take(self) -> bytes:
        """What is to be sent to the peer now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _frame(self) -> tuple[int, bool, bytes] | None:
        """Opcode, whether it is the last of a message, payload; None: not all of it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        self._check_head(first, second)
        length, at = second & 0x7F, 2
        if length >= 126:
            form, size = (">H", 2) if length == 126 else (">Q", 8)
            if len(buffer) < 2 + size:
                return None
            [length] = struct.unpack_from(form, buffer, 2)
            at += size
        if length + len(self._message or b"") > MESSAGE_BYTES_MAX:
            raise ViolationError(f"a message of more than {MESSAGE_BYTES_MAX} bytes", TOO_BIG)
        mask = b""
        if second & 0x80:
            mask, at = bytes(buffer[at : at + 4]), at + 4
        if len(buffer) < at + length:
            return None
        payload = bytes(buffer[at : at + length])
        del buffer[: at + length]
        return first & 0x0F, bool(first & 0x80), _masked(payload, mask) if mask else payload

    def _check_head(self, first: int, second: int) -> None:
        is_masked, is_server = bool(second & 0x80), self._mask is None
        if is_masked is not is_server:
            raise _violation("a client masks what it sends, and a server does not")
        if first & 0x70:
            raise _violation("an extension that was not agreed on")
        is_control = bool(first & 0x08)
        if is_control and (second & 0x7F > CONTROL_BYTES_MAX or not first & 0x80):
            raise _violation("a control frame that is too long, or in parts")

    def _taken(self, opcode: int, is_final: bool, payload: bytes) -> Event | None:
        if opcode == _PING:
            self._frame_out(_PONG, payload)
            return None
        if opcode == _PONG:
            return Ponged()
        if opcode == _CLOSE:
            return self._closed(payload)
        if opcode not in (_CONTINUATION, _TEXT, _BINARY):
            raise _violation(f"a frame of type {opcode}")
        if (opcode == _CONTINUATION) is (self._message is None):
            raise _violation("a message within another, or a part of none")
        if is_final and self._message is None:
            return Message(payload)
        self._message = self._message if self._message is not None else bytearray()
        self._message += payload
        if not is_final:
            return None
        whole, self._message = bytes(self._message), None
        return Message(whole)

    def _closed(self, payload: bytes) -> Event:
        if len(payload) == 1:
            raise _violation("half a close code")
        code = struct.unpack_from(">H", payload)[0] if payload else _NO_CODE
        self._frame_out(_CLOSE, payload[:2])
        self._is_closed = True
        return Closed(code, payload[2:].decode(errors="replace"))

    def _frame_out(self, opcode: int, payload: bytes) -> None:
        length, masked_bit = len(payload), 0x80 if self._mask is not None else 0
        if length < 126:
            head = bytes((0x80 | opcode, masked_bit | length))
        elif length < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, masked_bit | 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, masked_bit | 127, length)
        if self._mask is not None:
            mask = self._mask()
            head, payload = head + mask, _masked(payload, mask)
        self._out += (head, payload)


def _violation(why: str) -> ViolationError:
    return ViolationError(why, PROTOCOL_ERROR)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """Masks it, or takes the mask off: all at once, as one large number."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
