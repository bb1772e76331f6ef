"""The text of a txn as etcdctl reads it: compares and operations, a line each. Pure.

mod("key") > "0"

put key "a value"
get key

del key
"""

import re

from kvstore.client import CreateRevision, LeaseOf, ModRevision, Value, Version
from kvstore.commands import Compare

_COMPARE = re.compile(
    r"\s*(?P<target>[^(]*)\((?P<key>.*?)\)\s*(?P<result>!=|[<=>])\s*(?P<value>.*)"
)
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*""")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

_TARGETS = {
    "ver": Version,
    "version": Version,
    "c": CreateRevision,
    "create": CreateRevision,
    "m": ModRevision,
    "mod": ModRevision,
    "val": Value,
    "value": Value,
    "lease": LeaseOf,
}


class MalformedTxnError(ValueError):
    """A line of the txn cannot be understood."""


def compare_of(line: str) -> Compare:
    """`mod("key") > "0"`; lease ids are hexadecimal."""
    found = _COMPARE.fullmatch(line)
    if found is None:
        raise MalformedTxnError(f"malformed comparison: {line}")
    target = _TARGETS.get(found["target"].strip())
    if target is None:
        raise MalformedTxnError(
            f"malformed comparison: {line} (unknown target {found['target'].strip()})"
        )
    text = unquote(found["value"].strip())
    try:
        value = to_bytes(text) if target is Value else int(text, 16 if target is LeaseOf else 10)
    except ValueError:
        raise MalformedTxnError(f"malformed comparison: {line} (invalid integer)") from None
    field = target(to_bytes(unquote(found["key"].strip())))
    match found["result"]:
        case "=":
            return field == value
        case "!=":
            return field != value
        case ">":
            return field > value
        case _:
            return field < value


def words_of(line: str) -> list[str]:
    """The words of an operation; quotes keep spaces together."""
    return [unquote(token) for token in _TOKEN.findall(line)]


def unquote(text: str) -> str:
    """Without quotes; inside double quotes, backslashes escape."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _ESCAPE.sub(_unescape, text[1:-1])
    return text


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) == 3:  # a byte, perhaps not UTF-8 by itself
        byte = int(code[1:], 16) if code[0] == "x" else int(code, 8)
        return bytes([byte & 0xFF]).decode(errors="surrogateescape")
    return _ESCAPED.get(code, code)


def to_bytes(text: str) -> bytes:
    """Bytes of a word: of a line, or of the command line, where anything may stand."""
    return text.encode(errors="surrogateescape")
