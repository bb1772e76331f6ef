"""Objects out of protobuf requests, as kubectl >= 1.32 and other clients in Go send them. PURE.

A body is `k8s\\0` and a `runtime.Unknown` that names apiVersion and kind and carries the object.
How an object looks is data: `data/protobuf.json.xz`, made by `scripts/genprotobuf`:

    kinds     `apps/v1/Deployment` -> name of a message
    messages  name -> rows of [field number, JSON name, what it holds, flags]
    flags     r: many, m: by key, p: may be nothing, o: empty is left out of JSON, i: its fields
              are the object's own

The result is the JSON that the same client would have sent: Go encodes every field that is no
pointer, set or not, so an empty one is left out where Go's JSON leaves it out.
"""

import base64
import json
import lzma
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from controlplane.api.decoding import BODY_BYTES_MAX, Decoded, decode_json, decoders
from controlplane.api.errors import ApiError, bad_request, too_large
from controlplane.api.resource import Object

MAGIC = b"k8s\0"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
DEPTH_MAX = 100
"""Of messages in messages: far more than any kind has."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can say.

Read = Callable[[bytes, int], Any]
"""(content of the field, depth) -> its JSON. `_EMPTY` is falsy, as are 0, "" and false."""
Put = Callable[[dict[str, Any], Any, int], None]
"""(tree, an integer or bytes, depth): takes a field into a tree."""


class _MalformedError(Exception):
    """What is wrong; becomes a 400 that says whose decoding failed."""


def decode(body: bytes) -> Object:
    """The object in a request's body; ApiError 400 or 413."""
    if len(body) > BODY_BYTES_MAX:
        raise too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    if not body.startswith(MAGIC):
        prefix = " ".join(str(byte) for byte in MAGIC)
        raise _unrecognised(
            f"provided data does not appear to be a protobuf message, expected prefix [{prefix}]"
        )
    try:
        version, kind, raw = _unknown(body[len(MAGIC) :])
    except _MalformedError as error:
        raise _unrecognised(str(error)) from None
    name = _message_of(version, kind)
    tree: dict[str, Any] = {"apiVersion": version, "kind": kind}
    try:
        _take(_message(name), tree, raw, 0)
    except _MalformedError as error:
        short = version.rpartition("/")[2]
        raise bad_request(
            f'{kind} in version "{short}" cannot be handled as a {kind}: {error}'
        ) from None
    return tree


def _unrecognised(why: str) -> ApiError:
    return bad_request(f"the object provided is unrecognized: {why}")


def _message_of(version: str, kind: str) -> str:
    """Options are of every group version."""
    kinds: Mapping[str, str] = _tables()["kinds"]
    if not kind:
        raise _unrecognised("Object 'Kind' is missing")
    if not version:
        raise _unrecognised("Object 'apiVersion' is missing")
    found = kinds.get(f"{version}/{kind}") or kinds.get(f"meta/v1/{kind}")
    if found is None:
        raise bad_request(f'no kind "{kind}" is registered for version "{version}"')
    return found


@cache
def _tables() -> Mapping[str, Any]:
    packed = files("controlplane.api").joinpath("data/protobuf.json.xz").read_bytes()
    tables: Mapping[str, Any] = json.loads(lzma.decompress(packed))
    return tables


def _unknown(body: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and the encoded object of a `runtime.Unknown`."""
    meta = _top_fields(body)
    type_meta = _top_fields(meta.get(1, b""))
    return _text(type_meta.get(1, b"")), _text(type_meta.get(2, b"")), meta.get(2, b"")


def _top_fields(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(body):
        number, value, at = _field(body, at)
        if isinstance(value, bytes):
            found[number] = value
    return found


def _take(message: Mapping[int, Put], tree: dict[str, Any], body: bytes, depth: int) -> None:
    """Put all fields of an encoded message into a tree; those that nobody knows are skipped."""
    if depth > DEPTH_MAX:
        raise _MalformedError("messages are nested too deeply")
    at, end = 0, len(body)
    while at < end:
        number, value, at = _field(body, at)
        put = message.get(number)
        if put is not None:
            put(tree, value, depth)


def _field(body: bytes, at: int) -> tuple[int, int | bytes, int]:
    """Number, content and end of the field at a position."""
    key, at = _varint(body, at)
    number, wire = key >> 3, key & 7
    if wire == _VARINT:
        value, at = _varint(body, at)
        return number, value, at
    if wire == _BYTES:
        length, at = _varint(body, at)
    elif wire in (_FIXED64, _FIXED32):
        length = 8 if wire == _FIXED64 else 4
    else:
        raise _MalformedError(f"proto: illegal wireType {wire}")
    end = at + length
    if number == 0 or end > len(body):
        raise _MalformedError("proto: illegal tag 0" if number == 0 else "unexpected EOF")
    return number, body[at:end], end


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in body[at : at + _VARINT_BYTES_MAX]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise _MalformedError("proto: integer overflow" if shift >= 70 else "unexpected EOF")


# One message, compiled when it is first met.


@cache
def _message(name: str) -> Mapping[int, Put]:
    rows: list[tuple[int, str, str, str]] = _tables()["messages"][name]
    return {number: _put(field, kind, flags) for number, field, kind, flags in rows}


def _put(name: str, kind: str, flags: str) -> Put:
    read = _reader(kind)
    if "i" in flags:
        return _put_inline(kind)
    if "m" in flags:
        return _put_entry(name, read, is_number=kind in _NUMBERS)
    if "r" in flags:
        return _put_element(name, read, is_number=kind in _NUMBERS)
    return _put_one(
        name,
        read,
        is_number=kind in _NUMBERS,
        keeps_empty="p" in flags or ("o" not in flags),
    )


def _put_one(name: str, read: Any, *, is_number: bool, keeps_empty: bool) -> Put:
    def put(tree: dict[str, Any], content: Any, depth: int) -> None:
        value = read(_expect(content, name, is_number=is_number), depth)
        if value is None or not (value or keeps_empty):
            tree.pop(name, None)
        else:
            tree[name] = value

    return put


def _put_element(name: str, read: Any, *, is_number: bool) -> Put:
    def put(tree: dict[str, Any], content: Any, depth: int) -> None:
        elements = tree.setdefault(name, [])
        if is_number and isinstance(content, bytes):  # Packed.
            at = 0
            while at < len(content):
                number, at = _varint(content, at)
                elements.append(read(number, depth))
        else:
            elements.append(read(_expect(content, name, is_number=is_number), depth))

    return put


def _put_entry(name: str, read: Any, *, is_number: bool) -> Put:
    def put(tree: dict[str, Any], content: Any, depth: int) -> None:
        key = ""
        value: Any = 0 if is_number else b""
        entry = _expect(content, name, is_number=False)
        at = 0
        while at < len(entry):
            number, found, at = _field(entry, at)
            if number == 1:
                key = _text(_expect(found, name, is_number=False))
            elif number == 2:
                value = _expect(found, name, is_number=is_number)
        tree.setdefault(name, {})[key] = read(value, depth)

    return put


def _put_inline(kind: str) -> Put:
    def put(tree: dict[str, Any], content: Any, depth: int) -> None:
        _take(_message(kind), tree, _expect(content, kind, is_number=False), depth + 1)

    return put


def _expect(content: Any, name: str, *, is_number: bool) -> Any:
    if isinstance(content, int) is not is_number:
        raise _MalformedError(f"proto: wrong wireType for field {name}")
    return content


# What fields hold.


def _reader(kind: str) -> Any:
    return _READERS[kind] if kind in _READERS else _read_message(kind)


def _read_message(kind: str) -> Read:
    def read(content: bytes, depth: int) -> Any:
        tree: dict[str, Any] = {}
        _take(_message(kind), tree, content, depth + 1)
        return tree

    return read


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _MalformedError("proto: invalid UTF-8") from None


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _first_text(content: bytes) -> str:
    """Of a message whose field 1 is text: a Quantity."""
    return _text(_top_fields(content).get(1, b""))


def _strings(content: bytes) -> list[str]:
    found = []
    at = 0
    while at < len(content):
        number, value, at = _field(content, at)
        if number == 1 and isinstance(value, bytes):
            found.append(_text(value))
    return found


def _int_or_string(content: bytes) -> int | str:
    """Fields: 1 says whether it is text, 2 the number, 3 the text."""
    is_text, number, text = 0, 0, ""
    at = 0
    while at < len(content):
        field, value, at = _field(content, at)
        match field, value:
            case 1, int():
                is_text = value
            case 2, int():
                number = _signed(value)
            case 3, bytes():
                text = _text(value)
    return text if is_text else number


def _instant(content: bytes) -> datetime | None:
    """Fields: 1 seconds since 1970, 2 nanoseconds. An empty message is no time at all."""
    if not content:
        return None
    seconds, nanoseconds = 0, 0
    at = 0
    while at < len(content):
        field, value, at = _field(content, at)
        if field == 1 and isinstance(value, int):
            seconds = _signed(value)
        elif field == 2 and isinstance(value, int):
            nanoseconds = _signed(value)
    if not -62_135_596_800 <= seconds <= _SECONDS_MAX or not 0 <= nanoseconds < 10**9:
        raise _MalformedError("time is out of range")
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)


def _time(content: bytes) -> str | None:
    instant = _instant(content)
    return None if instant is None else _rfc3339(instant, "seconds")


def _micro_time(content: bytes) -> str | None:
    instant = _instant(content)
    return None if instant is None else _rfc3339(instant, "microseconds")


def _rfc3339(instant: datetime, precision: str) -> str:
    return instant.isoformat(timespec=precision).replace("+00:00", "Z")


def _json(content: bytes) -> Any:
    """Field 1 is JSON; nothing is nothing."""
    raw = _top_fields(content).get(1, b"")
    if not raw:
        return None
    try:
        return decode_json(raw)
    except ApiError as error:
        raise _MalformedError(f"embedded JSON: {error.message}") from None


_NUMBERS = frozenset({"int", "uint", "bool"})
_READERS: Mapping[str, Callable[[Any, int], Any]] = {
    "string": lambda content, _: _text(content),
    "bytes": lambda content, _: base64.b64encode(content).decode(),
    "int": lambda number, _: _signed(number),
    "uint": lambda number, _: number,
    "bool": lambda number, _: number != 0,
    "quantity": lambda content, _: _first_text(content),
    "int-or-string": lambda content, _: _int_or_string(content),
    "strings": lambda content, _: _strings(content),
    "time": lambda content, _: _time(content),
    "micro-time": lambda content, _: _micro_time(content),
    "json": lambda content, _: _json(content),
}

decoders[MEDIA_TYPE] = lambda body: Decoded(decode(body))  # Protobuf has no duplicate fields.
