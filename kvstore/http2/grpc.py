"""gRPC over HTTP/2: how requests and answers look, and what their fields say. Pure.

Follows PROTOCOL-HTTP2 of gRPC; rules of RFC 9113 are named by their section.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from kvstore.http2 import hpack
from kvstore.http2.hpack import Field
from kvstore.http2.protocol import ErrorCode, StreamFaultError

MESSAGE_PREFIX_BYTES: Final = 5

_CONTENT_TYPE: Final = b"application/grpc"
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # section 8.2.1: no upper case
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")
_CONNECTION_FIELDS: Final = frozenset(  # section 8.2.2
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_PSEUDO: Final = (b":method", b":scheme", b":path", b":authority")
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_SECONDS: Final = {
    b"H": 3600.0,
    b"M": 60.0,
    b"S": 1.0,
    b"m": 1e-3,
    b"u": 1e-6,
    b"n": 1e-9,
}


class Head(msgspec.Struct, frozen=True):
    """What a call begins with."""

    path: str
    metadata: dict[str, str]
    timeout_seconds: float | None
    encoding: str  # of compressed messages; "identity": there are none
    refusal: bytes | None  # the whole answer's header block, when this is no call of gRPC
    size: int  # in bytes, as header lists count


def head_of(fields: Sequence[Field]) -> Head:
    """The head of a request. StreamFaultError for a malformed one (section 8.1.1)."""
    pseudo, regular = _split(fields)
    for name in (b":method", b":scheme", b":path"):
        if not pseudo.get(name):
            raise _malformed(f"{name.decode()} is missing")  # section 8.3.1
    metadata = {name.decode("latin-1"): value.decode("latin-1") for name, value in regular}
    timeout = metadata.pop("grpc-timeout", None)
    refusal = _refusal(pseudo[b":method"], metadata.get("content-type", ""))
    seconds = None
    if timeout is not None:
        seconds = _timeout_seconds(timeout.encode("latin-1"))
        if seconds is None and refusal is None:
            text = f"malformed grpc-timeout: {timeout!r}"
            refusal = trailers_only("INTERNAL", text)
    return Head(
        path=pseudo[b":path"].decode("latin-1"),
        metadata=metadata,
        timeout_seconds=seconds,
        encoding=metadata.get("grpc-encoding", "identity"),
        refusal=refusal,
        size=sum(map(hpack.field_bytes, fields)),
    )


def check_trailers(fields: Sequence[Field]) -> None:
    """Fields after a request's body: they mean nothing to us, but must be fields."""
    pseudo, _ = _split(fields)
    if pseudo:
        raise _malformed("a pseudo-header field in trailers")  # section 8.1


def _split(fields: Sequence[Field]) -> tuple[dict[bytes, bytes], list[Field]]:
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    for name, value in fields:
        if name.startswith(b":"):
            if regular or name in pseudo or name not in _PSEUDO:  # section 8.3
                raise _malformed(f"{name!r} is unknown, twice or late")
            pseudo[name] = value
        elif not _NAME.fullmatch(name):
            raise _malformed(f"no field can have the name {name!r}")
        elif name in _CONNECTION_FIELDS or (name == b"te" and value != b"trailers"):
            raise _malformed(f"{name.decode()} belongs to HTTP/1.1")
        else:
            regular.append((name, value))
        if _BAD_VALUE.search(value):
            raise _malformed(f"{name!r} has a value with a control character or blank")
    return pseudo, regular


def _malformed(reason: str) -> StreamFaultError:
    return StreamFaultError(ErrorCode.PROTOCOL_ERROR, reason)


def _refusal(method: bytes, content_type: str) -> bytes | None:
    """How gRPC's servers answer what is not gRPC."""
    if method != b"POST":
        return hpack.encode([(b":status", b"405"), (b"allow", b"POST")])
    bare = content_type.partition(";")[0].partition("+")[0].strip().lower()
    if bare.encode("latin-1") != _CONTENT_TYPE:
        return hpack.encode([(b":status", b"415")])
    return None


def _timeout_seconds(text: bytes) -> float | None:
    match = _TIMEOUT.fullmatch(text)
    return int(match[1]) * _UNIT_SECONDS[match[2]] if match else None


# ---------------------------------------------------------------------- answers

CODES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_NUMBERS: Final = {name: b"%d" % number for number, name in enumerate(CODES)}

# Percent signs and all, a message stays within a frame of any peer.
_TEXT_CHARACTERS_MAX: Final = 1024
_PLAIN_TEXT: Final = re.compile(rb"[!-$&-~]([ -$&-~]*[!-$&-~])?")
_PERCENT: Final = [
    bytes((byte,)) if _PLAIN_TEXT.fullmatch(bytes((byte,))) else b"%%%02X" % byte
    for byte in range(256)
]

_STATUS_OK: Final[Field] = (b":status", b"200")
_TYPE: Final[Field] = (b"content-type", _CONTENT_TYPE)

RESPONSE_HEADERS: Final = hpack.encode([_STATUS_OK, _TYPE])
TRAILERS_OK: Final = hpack.encode([(b"grpc-status", b"0")])


def trailers(code: str, text: str) -> bytes:
    """The header block that ends an answer with a status."""
    return hpack.encode(_status(code, text))


def trailers_only(code: str, text: str) -> bytes:
    """The header block that is the whole answer."""
    return hpack.encode([_STATUS_OK, _TYPE, *_status(code, text)])


def _status(code: str, text: str) -> list[Field]:
    fields: list[Field] = [(b"grpc-status", _NUMBERS[code])]
    if text:
        fields.append((b"grpc-message", percent_encoded(text[:_TEXT_CHARACTERS_MAX])))
    return fields


def status_of(fields: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Code and text of trailers, as a client reads them."""
    number = fields.get(b"grpc-status", b"")
    text = unquote_to_bytes(fields.get(b"grpc-message", b"")).decode(errors="replace")
    is_known = number.isdigit() and len(number) <= 2 and int(number) < len(CODES)
    return (CODES[int(number)], text) if is_known else ("UNKNOWN", text or "no status")


def request_headers(
    path: str, authority: str, scheme: str, metadata: Sequence[tuple[str, str]]
) -> bytes:
    """The header block that begins a call."""
    fields = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *metadata,
    ]
    return hpack.encode([(name.encode("ascii"), value.encode("ascii")) for name, value in fields])


def percent_encoded(text: str) -> bytes:
    """A status message: what is not printable ASCII, and the percent sign, as %XX.

    So are all blanks if one is at an end, where no field may have any.
    """
    data = text.encode()
    if _PLAIN_TEXT.fullmatch(data):
        return data
    return b"".join(_PERCENT[byte] for byte in data)


def prefix(size: int) -> bytes:
    """What stands before a message of so many bytes in DATA frames: not compressed, and long."""
    return size.to_bytes(MESSAGE_PREFIX_BYTES)


def prefixed(message: bytes) -> bytes:
    """A message as it lies in DATA frames."""
    return len(message).to_bytes(MESSAGE_PREFIX_BYTES) + message
