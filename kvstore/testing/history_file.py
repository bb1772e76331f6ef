"""A recorded history as a file of JSON Lines: one object a line, in UTF-8, told apart by `type`.

    {"type": "operation", "process": 0, "kind": "put", "key": "k", "value": "1",
     "invoked": 0.0, "completed": 0.1, "revision": 2}
    {"type": "operation", "process": 1, "kind": "get", "key": "k", "invoked": 0.0}
    {"type": "watch", "key": "k", "start_revision": 1, "prev_kv": true}
    {"type": "batch", "watch": 0, "revision": 2,
     "events": [{"key": "k", "value": "1", "mod_revision": 2}]}
    {"type": "batch", "watch": 0, "revision": 9, "is_progress": true}
    {"type": "resumption", "watch": 0, "start_revision": 10}
    {"type": "write", "revision": 2, "key": "k", "value": "1"}

(each on one line). The fields are those of `linearizability.Operation`, `watch_checker.Watch` (but
`received`, whose items have lines of their own), `Batch`, `Resumption` and `history.Write`; one
that has a default may be left out. `watch` is the number of a watch line above, the first is 0.
Writes, when there are any, are all of the store's, in its order; watches cannot be checked
without. Keys and values are text; bytes that are no UTF-8 are `{"base64": "…"}` instead.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from kvstore.testing.history import Write
from kvstore.testing.linearizability import MalformedHistoryError, Operation
from kvstore.testing.watch_checker import Batch, Resumption, Watch

# A batch is one line; the largest have a few thousand events, or one txn's of 1.5 MiB
# (etcd's limit) with the values before them.
LINE_BYTES_MAX = 16 * 1024 * 1024

_BYTES = {"key", "range_end", "value", "expected_value", "prev_value"}
_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "operation": Operation,
    "watch": Watch,
    "batch": Batch,
    "resumption": Resumption,
    "write": Write,
}


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """All that a file holds. `writes` is empty when the recorder could not know them."""

    operations: tuple[Operation, ...] = ()
    watches: tuple[Watch, ...] = ()
    writes: tuple[Write, ...] = ()


def write(path: Path, recording: Recording) -> None:
    """Write `recording` to `path`, in place of what was there. Raises OSError."""
    with path.open("wb") as file:
        for name, number, item in _items(recording):
            fields = msgspec.to_builtins(item, builtin_types=(bytes,))
            fields.pop("received", None)
            of_watch = {} if number is None else {"watch": number}
            file.write(msgspec.json.encode({"type": name, **of_watch, **_textual(fields)}) + b"\n")


def read(path: Path) -> Recording:
    """Read what `write` wrote, or another recorder.

    Raises MalformedHistoryError, which names the line and what is wrong with it, and OSError.
    """
    operations: list[Operation] = []
    watches: list[tuple[Watch, list[Batch | Resumption]]] = []
    writes: list[Write] = []
    with path.open("rb") as file:
        for number, line in _lines(path, file):
            try:
                match _parsed(line):
                    case Operation() as operation, _:
                        operations.append(operation)
                    case Watch() as watch, _:
                        watches.append((watch, []))
                    case Write() as written, _:
                        writes.append(written)
                    case (Batch() | Resumption()) as item, int(of_watch) if (
                        0 <= of_watch < len(watches)
                    ):
                        watches[of_watch][1].append(item)
                    case _, of_watch:
                        raise MalformedHistoryError(f"no watch {of_watch!r} above")
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise MalformedHistoryError(f"{path}, line {number}: {error}") from error
    return Recording(
        operations=tuple(operations),
        watches=tuple(
            msgspec.structs.replace(watch, received=tuple(items)) for watch, items in watches
        ),
        writes=tuple(writes),
    )


def _items(recording: Recording) -> Iterator[tuple[str, int | None, msgspec.Struct]]:
    names = {struct: name for name, struct in _STRUCTS.items()}
    for item in (*recording.operations, *recording.writes):
        yield names[type(item)], None, item
    for number, watch in enumerate(recording.watches):
        yield names[Watch], None, watch
        for received in watch.received:
            yield names[type(received)], number, received


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise MalformedHistoryError(
                f"{path}, line {number}: longer than {LINE_BYTES_MAX} bytes"
            )
        if line.strip():
            yield number, line


def _parsed(line: bytes) -> tuple[msgspec.Struct, object]:
    """Give what a line tells, and the watch that it belongs to."""
    fields = msgspec.json.decode(line, type=dict[str, Any])
    name = fields.get("type")
    if not isinstance(name, str) or name not in _STRUCTS:
        raise MalformedHistoryError(f"`type` is {name!r}, not one of {', '.join(_STRUCTS)}")
    struct = _STRUCTS[name]
    of_watch = fields.pop("watch", None) if struct in (Batch, Resumption) else None
    unknown = fields.keys() - (set(struct.__struct_fields__) - {"received"}) - {"type"}
    if unknown:
        raise MalformedHistoryError(f"{name}: there is no field {min(unknown)!r}")
    return msgspec.convert(_binary(fields), struct, builtin_types=(bytes,)), of_watch


def _textual(value: Any) -> Any:
    """Give bytes as JSON has them."""
    match value:
        case dict():
            return {name: _textual(of_name) for name, of_name in value.items()}
        case list() | tuple():
            return [_textual(item) for item in value]
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"base64": b64encode(value).decode()}
        case _:
            return value


def _binary(value: Any, name: str = "") -> Any:
    """Give the fields that are bytes as bytes: the reverse of `_textual`."""
    match value:
        case str() if name in _BYTES:
            return value.encode()
        case {"base64": str(text)} if name in _BYTES and len(value) == 1:
            try:
                return b64decode(text, validate=True)
            except binascii.Error as error:
                raise MalformedHistoryError(f"`{name}` is no base64: {error}") from error
        case dict():
            return {inner: _binary(of_name, inner) for inner, of_name in value.items()}
        case list():
            return [_binary(item) for item in value]
        case _:
            return value
