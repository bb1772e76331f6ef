"""JSONPath as Kubernetes speaks it: printer columns, selectable fields, scale paths. PURE.

Source: Kubernetes, "JSONPath Support", and the rules for columns of custom resources: there are no
braces, and what is missing gives nothing rather than an error.

    .a.b  ['a']  .a\\.b   field; a backslash keeps a dot in a name
    [0]  [-1]  [1:3]  [::2]  [0,2]  ['a','b']   elements
    [*]  .*   all elements or values        ..a   the field at any depth
    [?(@.type=="Ready")]  [?(@.port)]       elements for which it holds: == != < <= > >=
    $  @      the object itself, in front
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from controlplane.api.resource import Object

LENGTH_MAX = 4096
"""Characters of a path: far more than any column needs."""

VALUES_MAX = 10_000
"""Values after each step; more are dropped: `..*..*..*` would find as many as it likes."""

Step = Callable[[Any], Iterable[Any]]
"""From one value to those that it leads to."""

_SIMPLE = re.compile(r"(?:\.[A-Za-z_][A-Za-z0-9_-]*)+")
_FIELD = re.compile(r"\.((?:\\.|[^\\.\[\]{}()'\" ,])+)")
_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_NAMES = re.compile(rf"\[((?:{_QUOTED})(?:,(?:{_QUOTED}))*)\]")
_EACH_NAME = re.compile(_QUOTED)
_POSITIONS = re.compile(r"\[(-?[0-9]{1,9}(?:,-?[0-9]{1,9})*)\]")
_SLICE = re.compile(r"\[(-?[0-9]{1,9})?:(-?[0-9]{1,9})?(?::([0-9]{1,9})?)?\]")
_FILTER = re.compile(
    rf"""\[\?\(\s*(?P<left>{_QUOTED}|[^\s=!<>'"]+(?:\[(?:{_QUOTED})\][^\s=!<>'"]*)*)\s*"""
    rf"""(?:(?P<operator>[=!]=|[<>]=?)\s*(?P<right>{_QUOTED}|[^\s'"]+?)\s*)?\)\]"""
)
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_LITERALS = {"true": True, "false": False}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@lru_cache(maxsize=4096)
def compile(path: str) -> Callable[[Object], list[Any]]:  # noqa: A001 -- as `re.compile`
    """A function that finds all values of a path. ValueError: it is no path."""
    if _is_simple(path):
        one = getter(path)
        return lambda obj: [] if (found := one(obj)) is None else [found]
    steps = tuple(_parse(path))

    def find(obj: Object) -> list[Any]:
        values: list[Any] = [obj]
        for step in steps:
            reached = chain.from_iterable(map(step, values))
            values = list(islice(reached, VALUES_MAX))
        return values

    return find


@lru_cache(maxsize=4096)
def getter(path: str) -> Callable[[Object], Any]:
    """A function that finds the first value of a path; None: there is none."""
    if not _is_simple(path):
        every = compile(path)
        return lambda obj: next(iter(every(obj)), None)
    names = path[1:].split(".")

    def get(obj: Object) -> Any:
        value: Any = obj
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return get


def _is_simple(path: str) -> bool:
    if len(path) > LENGTH_MAX:
        raise ValueError(f"a path has at most {LENGTH_MAX} characters")
    return _SIMPLE.fullmatch(path) is not None


def _parse(path: str) -> Iterator[Step]:
    position = 1 if path[:1] in ("$", "@") else 0
    if not path:
        raise ValueError("a path must not be empty")
    while position < len(path):
        step, position = _next_step(path, position)
        yield step


def _next_step(path: str, position: int) -> tuple[Step, int]:
    for word, step in (("[*]", _values), (".*", _values), (".[", None), ("..", _descendants)):
        if path.startswith(word, position):
            # The second character of `..a` and `.[0]` begins the next step.
            length = len(word) - (word in ("..", ".["))
            return step or _itself, position + length
    for pattern, make in _STEPS:
        match = pattern.match(path, position)
        if match is not None:
            return make(match), match.end()
    if path[position:] == ".":
        return _itself, len(path)
    raise ValueError(f"not a JSONPath from character {position} on: {path!r}")


def _itself(value: Any) -> Iterable[Any]:
    return (value,)


def _values(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _descendants(value: Any) -> Iterable[Any]:
    """The value and all below it, each before its own. Not recursive: depth is the user's."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        yield value
        waiting.extend(reversed(list(_values(value))))


def _field(match: re.Match[str]) -> Step:
    return _named((_unescaped(match[1]),))


def _names(match: re.Match[str]) -> Step:
    return _named([_unescaped(name[1:-1]) for name in _EACH_NAME.findall(match[1])])


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _named(names: Sequence[str]) -> Step:
    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, dict):
            return ()
        return [value[name] for name in names if value.get(name) is not None]

    return step


def _positions(match: re.Match[str]) -> Step:
    wanted = [int(text) for text in match[1].split(",")]

    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        return [value[place] for place in wanted if -len(value) <= place < len(value)]

    return step


def _slice(match: re.Match[str]) -> Step:
    first, last, stride = (None if text is None else int(text) for text in match.groups())
    if stride == 0:
        raise ValueError("the step of a slice must not be 0")
    wanted = slice(first, last, stride)
    return lambda value: value[wanted] if isinstance(value, list) else ()


def _filter(match: re.Match[str]) -> Step:
    left = _operand(match["left"])
    if match["operator"] is None:
        return lambda value: [one for one in _elements(value) if left(one)]
    right, compare = _operand(match["right"]), _OPERATORS[match["operator"]]

    def holds(one: Any) -> bool:
        # Only one value can be compared with one, as in Kubernetes.
        lefts, rights = left(one), right(one)
        if len(lefts) != 1 or len(rights) != 1:
            return False
        left_type, right_type = _comparable_as(lefts[0]), _comparable_as(rights[0])
        return left_type is right_type is not None and bool(compare(lefts[0], rights[0]))

    return lambda value: [one for one in _elements(value) if holds(one)]


def _elements(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _comparable_as(value: Any) -> type | None:
    """Only texts, numbers and booleans are compared, and only with their like."""
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float if isinstance(value, int | float) else None


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text[0] in "@$":
        return compile(text)
    if text[0] in "'\"":
        constant: Any = _unescaped(text[1:-1])
    elif _NUMBER.fullmatch(text):
        constant = float(text) if "." in text else int(text)
    elif text in _LITERALS:
        constant = _LITERALS[text]
    else:
        raise ValueError(f"neither a path nor a constant: {text!r}")
    return lambda _: [constant]


_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_FIELD, _field),
    (_NAMES, _names),
    (_POSITIONS, _positions),
    (_SLICE, _slice),
    (_FILTER, _filter),
)
