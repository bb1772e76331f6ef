"""Fields that a JSON text has twice, which its parser drops without a word. PURE.

Looking for them costs a parse in Python's own decoder, so a text is first compared with what its
value is written as: a text without tricks has one `":` for each of its fields.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

DUPLICATES_MAX = 100
"""So many are enough to see what is wrong with a text."""

_PATH_CHARACTERS_MAX = 1_024

_Path = tuple[str | int, ...]

_ESCAPES = (b'\\\\"', b"\\u")
_SPACES = (b"\t", b"\n", b"\r")


def duplicate_fields(text: bytes, value: Any) -> tuple[str, ...]:
    """Paths of the fields that stand there twice, such as `spec.replicas`.

    value  what a parser made of the text; it must be valid JSON and not nested too deeply
    """
    if _is_plain(text) and _colons(text) == _colons(orjson.dumps(value)):
        return ()
    found: list[_Path] = []
    tree = json.loads(text, object_pairs_hook=_Pairs)
    if type(tree) in (_Pairs, list):
        _walk(tree, (), found)
    return tuple(map(_told, found[:DUPLICATES_MAX]))


class _Pairs(list[tuple[str, Any]]):
    """Fields of an object, all of them."""


def _is_plain(text: bytes) -> bool:
    """Whether counting `":` says something. Searches for one byte come first: they cost nothing."""
    if b"\\" in text and any(escape in text for escape in _ESCAPES):
        return False
    if any(space in text and space + b":" in text for space in _SPACES):
        return False
    return b" :" not in text


def _colons(text: bytes) -> int:
    """Fields, and strings that begin with a colon: these are the same in a text and its value.

    In a plain text a quote behind a backslash is always part of a string. A field that stands
    there twice counts twice in the text and once in the value.
    """
    escaped = text.count(b'\\":') if b"\\" in text else 0
    return text.count(b'":') - escaped


def _walk(value: list[Any], path: _Path, found: list[_Path]) -> None:
    if len(found) >= DUPLICATES_MAX:
        return
    children: Iterable[tuple[str | int, Any]] = enumerate(value)
    if isinstance(value, _Pairs):
        last = dict(value)
        if len(last) < len(value):
            found.extend((*path, name) for name in _repeated(value))
        children = last.items()
    for step, child in children:
        if type(child) in (_Pairs, list):
            _walk(child, (*path, step), found)


def _told(path: _Path) -> str:
    """Cut, for the names are the client's, and as long as it likes."""
    told = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return told.removeprefix(".")[:_PATH_CHARACTERS_MAX]


def _repeated(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    seen: set[str] = set()
    told: dict[str, None] = {}
    for name, _ in pairs:
        if name in seen:
            told[name] = None
        seen.add(name)
    return list(told)
