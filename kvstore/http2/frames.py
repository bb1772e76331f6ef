"""Frames of RFC 9113, section 4: their bytes, and the ones that we send. Pure."""

import struct
from collections.abc import Iterable
from typing import Final

from kvstore.http2.protocol import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ConnectionFaultError,
    ErrorCode,
    SettingCode,
)

_HEADER: Final = struct.Struct(">HBBBI")  # the length is one short and one byte
_SETTING: Final = struct.Struct(">HI")

unpack_header: Final = _HEADER.unpack_from


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def headers(stream_id: int, block: bytes, *, ends_stream: bool) -> bytes:
    """A header block in one frame; ours are small."""
    flags = END_HEADERS | END_STREAM if ends_stream else END_HEADERS
    return frame(HEADERS, flags, stream_id, block)


def data_header(stream_id: int, size: int, *, ends_stream: bool = False) -> bytes:
    """What stands before a part of a body; a server's streams end with trailers."""
    return _HEADER.pack(size >> 8, size & 0xFF, DATA, END_STREAM if ends_stream else 0, stream_id)


def reset(stream_id: int, code: ErrorCode) -> bytes:
    """Section 6.4."""
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4))


def settings(values: Iterable[tuple[SettingCode, int]]) -> bytes:
    """Section 6.5."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def ping(payload: bytes, *, is_ack: bool) -> bytes:
    """Section 6.7."""
    return frame(PING, ACK if is_ack else 0, 0, payload)


def goaway(last_stream_id: int, code: ErrorCode, reason: str) -> bytes:
    """Section 6.8."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code) + reason.encode())


def window_update(stream_id: int, increment: int) -> bytes:
    """Section 6.9."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Codes and values in order."""
    if len(payload) % _SETTING.size:
        raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "a part of a setting")
    return list(_SETTING.iter_unpack(payload))


def unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding (sections 6.1 and 6.2)."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "padding without its length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - padding]
