"""Objects out of files: YAML with several documents, JSON, folders, standard input, Lists.

What stands in a file means here what it means to the server (`api.decoding`).
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from controlplane.api.decoding import decode_yaml
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.ctl.errors import CtlError

_SUFFIXES = (".json", ".yaml", ".yml")
_SEPARATOR = re.compile(rb"^---(?=\s|$).*$", re.MULTILINE)


class Manifest(msgspec.Struct, frozen=True):
    """An object, and where it stands."""

    source: str
    content: Object

    @property
    def name(self) -> str:
        """Of the object; empty where the server is to make one."""
        return str(self.content["metadata"].get("name") or "")


def read(names: Sequence[str]) -> list[Manifest]:
    """All objects of files, folders and `-`. Raises CtlError."""
    found = [
        Manifest(source, content)
        for name in names
        for source, text in _texts(name)
        for content in _objects(source, text)
    ]
    if not found:
        raise CtlError("error: no objects passed")
    return found


def _texts(name: str) -> Iterator[tuple[str, bytes]]:
    if name == "-":
        yield "STDIN", sys.stdin.buffer.read()
        return
    path = Path(name)
    paths = [path]
    if path.is_dir():
        paths = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
    for one in paths:
        try:
            yield str(one), one.read_bytes()
        except FileNotFoundError:
            raise CtlError(f'error: the path "{one}" does not exist') from None
        except OSError as error:
            raise CtlError(f"error: cannot read {one}: {error.strerror}") from None


def _objects(source: str, text: bytes) -> Iterator[Object]:
    for document in _SEPARATOR.split(text):
        try:
            value, _ = decode_yaml(document)
        except ApiError as error:
            raise CtlError(f"error: error parsing {source}: {error.message}") from None
        if value is not None:
            yield from _of_value(source, value)


def _of_value(source: str, value: object) -> Iterator[Object]:
    if not isinstance(value, dict):
        raise CtlError(f'error: unable to decode "{source}": it holds no object')
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            word = field[0].upper() + field[1:]
            raise CtlError(f"error: unable to decode \"{source}\": Object '{word}' is missing")
    items = value.get("items")
    if value["kind"].endswith("List") and isinstance(items, list):
        for item in items:
            yield from _of_value(source, item)
    else:
        metadata = value.get("metadata")
        if not isinstance(metadata, dict | None):
            raise CtlError(f'error: unable to decode "{source}": metadata is no object')
        yield {**value, "metadata": metadata or {}}
