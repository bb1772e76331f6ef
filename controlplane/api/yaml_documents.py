"""One YAML document as the JSON value that Kubernetes takes it for. PURE.

Built from the parser's events, without recursion and with bounds, because documents come from
strangers: nesting, and what aliases multiply ("billion laughs"), are limited.

Scalars are what go-yaml makes of them: YAML 1.1's yes/no/on/off are booleans, 0777 and 0o777 are
octal, 1e3 is a number; 22:22 is no number, and a date is a string.
Source: YAML 1.1 and 1.2 (core schema), sigs.k8s.io/yaml's documentation (YAML to JSON).
"""

import base64
import binascii
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import yaml

from controlplane.api.constraints import joined

ALIASED_NODES_MAX = 100_000
"""So many nodes may stand in a document by alias only; Kubernetes' parser bounds them as well."""

NODES_MAX = 200_000
"""Values of a document, a second's work. The largest definitions that are known have a tenth of it;
JSON is read by a parser that knows no such bound."""

DUPLICATES_MAX = 100
"""So many duplicate fields are enough to see what is wrong with a document."""

_PATH_CHARACTERS_MAX = 1_024
"""Of a duplicate field's: a key may be as long as the document."""

_TAG = "tag:yaml.org,2002:"

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INTEGER = re.compile(r"[-+]?(0b[01]+|0o?[0-7]+|0x[0-9A-Fa-f]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DIGITS_MAX = 400
"""Longer ones are no numbers: to read them would take time that grows with their square."""


def load(body: bytes, *, depth_max: int) -> tuple[Any, tuple[str, ...]]:
    """The document's value, and the paths of fields that stand there twice (the last one counts).

    ValueError: it is no YAML, not one document, too deep, or says what JSON cannot.
    """
    try:
        builder = _Builder(depth_max)
        for event in yaml.parse(body, Loader=yaml.CSafeLoader):
            builder.take(event)
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    return builder.root, tuple(builder.duplicates)


def is_text(plain: str) -> bool:
    """Whether a scalar without quotes is taken for just these characters."""
    try:
        found = _resolved(plain)
    except ValueError:
        return False
    return isinstance(found, str) and found is not _MERGE and found == plain


class _MergeKey(str):
    """`<<` without quotes; where it is no key, the same text."""

    __slots__ = ()


_MERGE = _MergeKey("<<")


class _Node(ABC):
    """A mapping or sequence that is not closed yet.

    nodes   how many values are in it, itself included
    height  how deep it is, 1 being a container of scalars
    """

    def __init__(self, anchor: str | None) -> None:
        self.anchor = anchor
        self.nodes = 1
        self.height = 1
        self.value: Any = None

    @abstractmethod
    def add(self, value: Any) -> None:
        """Take the next value."""

    @abstractmethod
    def below(self, path: str) -> str:
        """Where its next value will be, if it is at `path` itself."""


class _Sequence(_Node):
    def __init__(self, anchor: str | None) -> None:
        super().__init__(anchor)
        self.value = []

    def add(self, value: Any) -> None:
        self.value.append(str(value) if value is _MERGE else value)

    def below(self, path: str) -> str:
        return f"{path}[{len(self.value)}]"


class _Mapping(_Node):
    """Its values are keys and values in turn; `<<` brings fields that it does not have itself.

    repeated  is told of a field that stands there twice, while it is its next value
    """

    def __init__(self, anchor: str | None, repeated: Callable[[], None]) -> None:
        super().__init__(anchor)
        self.value = {}
        self._repeated = repeated
        self._key: str | None = None
        self._own: set[str] = set()

    def add(self, value: Any) -> None:
        if self._key is None:
            self._key = _key(value)
            return
        if self._key is _MERGE:
            self._merge(value if isinstance(value, list) else [value])
        else:
            if self._key in self._own:
                self._repeated()
            self._own.add(self._key)
            self.value[self._key] = str(value) if value is _MERGE else value
        self._key = None

    def below(self, path: str) -> str:
        return path if self._key is None else joined(path, self._key)

    def _merge(self, sources: list[Any]) -> None:
        for source in sources:
            if not isinstance(source, dict):
                raise ValueError("map merge requires map or sequence of maps as the value")
            for name, child in source.items():
                self.value.setdefault(name, child)


class _Builder:
    """A document from its events.

    root        its value
    duplicates  paths of fields that stand there twice
    """

    def __init__(self, depth_max: int) -> None:
        self.root: Any = None
        self.duplicates: list[str] = []
        self._depth_max = depth_max
        self._open: list[_Node] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._aliased = 0
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._put(_scalar(event), event.anchor, nodes=1, height=0)
            case yaml.MappingStartEvent():
                self._open.append(_Mapping(event.anchor, self._note_duplicate))
            case yaml.SequenceStartEvent():
                self._open.append(_Sequence(event.anchor))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open.pop()
                self._put(done.value, done.anchor, nodes=done.nodes, height=done.height)
            case yaml.AliasEvent():
                self._put_alias(event.anchor)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise ValueError("there is more than one document")

    def _note_duplicate(self) -> None:
        if len(self.duplicates) < DUPLICATES_MAX:
            path = ""
            for node in self._open:
                path = node.below(path)
            self.duplicates.append(path[:_PATH_CHARACTERS_MAX])

    def _put(self, value: Any, anchor: str | None, *, nodes: int, height: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise ValueError(f"more than {NODES_MAX} values: send them as JSON")
        if len(self._open) + height > self._depth_max:
            raise ValueError(f"nested deeper than {self._depth_max} levels")
        if anchor is not None:
            self._anchors[anchor] = (value, nodes, height)
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        parent.nodes += nodes
        parent.height = max(parent.height, height + 1)
        parent.add(value)

    def _put_alias(self, anchor: str | None) -> None:
        # An anchor is known when its value is whole, so a value never contains itself.
        if anchor is None or anchor not in self._anchors:
            raise ValueError(f"unknown anchor '{anchor}' referenced")
        value, nodes, height = self._anchors[anchor]
        self._aliased += nodes
        if self._aliased > ALIASED_NODES_MAX:
            raise ValueError("document contains excessive aliasing")
        self._put(value, None, nodes=nodes, height=height)


def _key(value: Any) -> str:
    """Keys are strings in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"unsupported map key: {_shown(value)}")


def _shown(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _scalar(event: Any) -> Any:
    """The value of a scalar: by its tag, by its quotes, or by what it looks like."""
    tag = (event.tag or "").removeprefix(_TAG)
    text: str = event.value
    if tag == "binary":
        return _binary(text)
    is_plain, _ = event.implicit
    if tag == "str" or (tag in ("", "!") and not is_plain):
        return text
    return _resolved(text)


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("!!binary value contains invalid base64 data") from None


def _resolved(text: str) -> Any:
    if text == _MERGE:
        return _MERGE
    if text in _WORDS:
        value = _WORDS[text]
        if isinstance(value, float):
            raise ValueError(f"json: unsupported value: {text}")
        return value
    if text[0] not in "+-.0123456789" or len(text) > _DIGITS_MAX:
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        return _integer(digits)
    if _FLOAT.fullmatch(digits):
        return _number(float(digits), text)
    return text


def _integer(digits: str) -> int | float:
    # Python's base 0 knows 0x, 0o and 0b; a leading 0 alone is octal in YAML 1.1.
    octal = re.sub(r"^([-+]?)0([0-7])", r"\g<1>0o\2", digits)
    value = int(octal, 0)
    return value if -(2**63) <= value < 2**64 else float(value)


def _number(value: float, text: str) -> Any:
    """Whole numbers are integers, as they are once JSON has been written and read."""
    if math.isinf(value):
        return text
    is_whole = value.is_integer() and abs(value) < _WHOLE_MAX
    return int(value) if is_whole else value


_WHOLE_MAX = 1e21
"""From here on JSON writes an exponent."""
