"""Label selectors and field selectors: read, checked, matched. PURE.

Source: Kubernetes' "Labels and Selectors" and "Field Selectors"; the error texts are those that
an API server gives.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.api.causes import forbidden, invalid, required
from controlplane.api.errors import ApiError, Cause, bad_request
from controlplane.api.syntaxes import Syntax, faults_of_label_value, faults_of_qualified_name

Labels = Mapping[str, str]

BINARY_OPERATORS = "in, notin, =, ==, !=, gt, lt"
TEXT_CHARACTERS_MAX = 64 * 1024
INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)

_OPERATORS = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}
VALUES_MUST = "must be specified when `operator` is 'In' or 'NotIn'"
VALUES_MUST_NOT = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"


class Requirement(msgspec.Struct, frozen=True):
    """One term. `operator` is one of `in notin exists ! gt lt`; `=` and `!=` became sets of one."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        """Whether it holds; a missing label satisfies `notin` and `!`."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not INTEGER.fullmatch(value):
            return False
        (bound,) = self.values
        return int(value) > int(bound) if self.operator == "gt" else int(value) < int(bound)

    @property
    def text(self) -> str:
        """As a query spells it."""
        values = sorted(self.values)
        match self.operator:
            case "in" if len(values) == 1:
                return f"{self.key}={values[0]}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(values)})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{values[0]}"
            case "!":
                return f"!{self.key}"
            case _:
                return self.key


class LabelSelector(msgspec.Struct, frozen=True):
    """All requirements together. Without any it matches everything, unless `is_nothing`."""

    requirements: tuple[Requirement, ...] = ()
    is_nothing: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether it selects all there is."""
        return not self.requirements and not self.is_nothing

    def matches(self, labels: Labels) -> bool:
        """Whether these labels are selected."""
        if self.is_nothing:
            return False
        for requirement in self.requirements:  # noqa: SIM110 (half the time of all())
            if not requirement.matches(labels):
                return False
        return True

    @property
    def text(self) -> str:
        """As a query spells it; requirements in the order of their keys."""
        return ",".join(sorted(requirement.text for requirement in self.requirements))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(is_nothing=True)


def parse_labels(text: str) -> LabelSelector:
    """`a=b,c!=d,e in (f,g),h,!i,j>1`. Raises 400 with Kubernetes' texts."""
    if not text:
        return EVERYTHING
    if len(text) > TEXT_CHARACTERS_MAX:
        raise bad_request(f"label selector: must have at most {TEXT_CHARACTERS_MAX} characters")
    return LabelSelector(tuple(_Parser(text).requirements()))


def from_object(label_selector: Mapping[str, Any] | None) -> LabelSelector:
    """Of `matchLabels` and `matchExpressions`; none selects nothing, an empty one everything.

    Raises 400 where it is not valid (`validate_selector` tells more).
    """
    if label_selector is None:
        return NOTHING
    causes = validate_selector(label_selector, "selector")
    if causes:
        raise bad_request(f"{causes[0].field}: {causes[0].message}")
    found = [
        Requirement(key, "in", frozenset((value,)))
        for key, value in (label_selector.get("matchLabels") or {}).items()
    ]
    found += [
        Requirement(term["key"], _OPERATORS[term["operator"]], frozenset(term.get("values") or ()))
        for term in label_selector.get("matchExpressions") or ()
    ]
    return LabelSelector(tuple(found))


def from_labels(labels: Labels) -> LabelSelector:
    """Of a plain map, as a Service has it: all of these labels; none selects everything."""
    return LabelSelector(
        tuple(Requirement(key, "in", frozenset((value,))) for key, value in labels.items())
    )


def validate_selector(obj: object, path: str) -> list[Cause]:
    """All that is wrong with a LabelSelector that stands at `path`."""
    if obj is None:
        return []
    if not isinstance(obj, Mapping):
        return [invalid(path, obj, "must be an object")]
    labels = _given(obj, "matchLabels", {})
    if not isinstance(labels, Mapping):
        return [invalid(f"{path}.matchLabels", labels, "must be an object")]
    causes: list[Cause] = []
    for key, value in labels.items():
        where = f"{path}.matchLabels"
        causes += _faults_of_text(where, key, faults_of_qualified_name)
        causes += _faults_of_text(where, value, faults_of_label_value)
    terms = _given(obj, "matchExpressions", ())
    if not isinstance(terms, Sequence) or isinstance(terms, str):
        return [*causes, invalid(f"{path}.matchExpressions", terms, "must be a list")]
    for position, term in enumerate(terms):
        causes += _faults_of_term(term, f"{path}.matchExpressions[{position}]")
    return causes


def _given(obj: Mapping[str, Any], name: str, otherwise: object) -> Any:
    """null is the same as nothing."""
    value = obj.get(name)
    return otherwise if value is None else value


def _faults_of_term(term: object, path: str) -> Iterator[Cause]:
    if not isinstance(term, Mapping):
        yield invalid(path, term, "must be an object")
        return
    key, operator, values = (
        term.get("key", ""),
        term.get("operator", ""),
        _given(term, "values", ()),
    )
    if not isinstance(values, Sequence) or isinstance(values, str):
        yield invalid(f"{path}.values", values, "must be a list")
        return
    match operator:
        case "In" | "NotIn":
            if not values:
                yield required(f"{path}.values", VALUES_MUST)
        case "Exists" | "DoesNotExist":
            if values:
                yield forbidden(f"{path}.values", VALUES_MUST_NOT)
        case _:
            yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from _faults_of_text(f"{path}.key", key, faults_of_qualified_name)
    for position, value in enumerate(values):
        yield from _faults_of_text(f"{path}.values[{position}]", value, faults_of_label_value)


def _faults_of_text(path: str, text: object, syntax: Syntax) -> list[Cause]:
    if not isinstance(text, str):
        return [invalid(path, text, "must be a string")]
    return [invalid(path, text, fault) for fault in syntax(text)]


class _Token(msgspec.Struct, frozen=True):
    """A special symbol, an identifier (`in` and `notin` too), or the end (empty kind and text)."""

    kind: str
    text: str


_END = _Token("", "")
_TOKENS = re.compile(r"\s*(?:(==|!=|[=!(),<>])|([^\s=!(),<>]+)|$)")


class _Parser:
    """Recursive descent over the grammar of set-based requirements."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        for symbol, word in _TOKENS.findall(text):
            if symbol or word:
                self._tokens.append(_Token(symbol or "word", symbol or word))
        self._next = 0

    def requirements(self) -> Iterator[Requirement]:
        while True:
            token = self._peek()
            if token is _END:
                return
            if token.kind not in ("word", "!"):
                raise _unexpected(token, "!, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except ApiError as error:
                raise bad_request(f"unable to parse requirement: {error.message}") from None
            token = self._take()
            if token is _END:
                return
            if token.kind != ",":
                raise _unexpected(token, "',' or 'end of string'")
            if self._peek().kind not in ("word", "!"):
                raise _unexpected(self._peek(), "identifier after ','")

    def _requirement(self) -> Requirement:
        is_negated = self._peek().kind == "!"
        if is_negated:
            self._take()
        token = self._take()
        if token.kind != "word":
            raise _unexpected(token, "identifier")
        key = token.text
        if faults := faults_of_qualified_name(key):
            raise bad_request(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
        if is_negated or self._peek().kind in ("", ","):
            return Requirement(key, "!" if is_negated else "exists")
        return _checked(key, *self._operator_and_values())

    def _operator_and_values(self) -> tuple[str, frozenset[str]]:
        token = self._take()
        match token.text:
            case "in" | "notin":
                return token.text, self._values()
            case "=" | "==":
                return "in", self._value()
            case "!=":
                return "notin", self._value()
            case ">":
                return "gt", self._value()
            case "<":
                return "lt", self._value()
            case _:
                raise _unexpected(token, BINARY_OPERATORS)

    def _value(self) -> frozenset[str]:
        if self._peek().kind in ("", ","):
            return frozenset(("",))
        token = self._take()
        if token.kind != "word":
            raise _unexpected(token, "identifier")
        return frozenset((token.text,))

    def _values(self) -> frozenset[str]:
        """`(a, b)`; nothing between two commas is the empty value."""
        token = self._take()
        if token.kind != "(":
            raise bad_request(f"found '{token.text}' expected: '('")
        token = self._peek()
        if token.kind == ")":
            self._take()
            return frozenset()
        if token.kind not in ("word", ","):
            raise _unexpected(token, "',', ')' or identifier")
        found: list[str] = []
        while True:
            found.append(self._take().text if self._peek().kind == "word" else "")
            token = self._take()
            if token.kind == ")":
                return frozenset(found)
            if token.kind != ",":
                raise _unexpected(token, "',' or ')'")

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token


def _checked(key: str, operator: str, values: frozenset[str]) -> Requirement:
    if operator in ("in", "notin") and not values:
        why = "for 'in', 'notin' operators, values set can't be empty"
        raise bad_request(f"values: Invalid value: []: {why}")
    for position, value in enumerate(sorted(values)):
        if operator in ("gt", "lt") and not INTEGER.fullmatch(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise bad_request(f'values[{position}]: Invalid value: "{value}": {why}')
        if faults := faults_of_label_value(value):
            why = "; ".join(faults)
            raise bad_request(f'values[{position}][{key}]: Invalid value: "{value}": {why}')
    return Requirement(key, operator, values)


def _unexpected(token: _Token, expected: str) -> ApiError:
    return bad_request(f"found '{token.text}', expected: {expected}")


class FieldRequirement(msgspec.Struct, frozen=True):
    """`path=value` or, where `is_equal` is false, `path!=value`."""

    path: str
    value: str
    is_equal: bool = True


class FieldSelector(msgspec.Struct, frozen=True):
    """All requirements together; without any it matches everything."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, getter: Callable[[str], str]) -> bool:
        """`getter` gives the value of a path as text; empty where there is none."""
        for one in self.requirements:  # noqa: SIM110 (half the time of all())
            if (getter(one.path) == one.value) is not one.is_equal:
                return False
        return True

    def renamed(self, names: Mapping[str, str]) -> "FieldSelector":
        """The same of objects in which these paths have other names."""
        if not names:
            return self
        return FieldSelector(
            tuple(
                msgspec.structs.replace(one, path=names.get(one.path, one.path))
                for one in self.requirements
            )
        )

    def exact(self, path: str) -> str | None:
        """The value that `path` must have; None: it is not bound."""
        for one in self.requirements:
            if one.path == path and one.is_equal:
                return one.value
        return None


def parse_fields(text: str) -> FieldSelector:
    """`a.b=c,d!=e`, with `\\\\`, `\\,` and `\\=` in values. Raises 400 with Kubernetes' texts."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise bad_request(f"field selector: must have at most {TEXT_CHARACTERS_MAX} characters")
    terms = (term for term in _split_terms(text) if term)
    return FieldSelector(tuple(_field_requirement(term, text) for term in terms))


def _split_terms(text: str) -> Iterator[str]:
    start, is_escaped = 0, False
    for position, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == ",":
            yield text[start:position]
            start = position + 1
    yield text[start:]


_FIELD_TERM = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)


def _field_requirement(term: str, text: str) -> FieldRequirement:
    match = _FIELD_TERM.fullmatch(term)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
    path, operator, value = match.groups()
    return FieldRequirement(path, _unescape(value), operator != "!=")


def _unescape(value: str) -> str:
    if "\\" not in value and "," not in value and "=" not in value:
        return value
    found: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in ("\\", ",", "="):
                raise bad_request(f"invalid field selector: invalid escape sequence: \\{escaped}")
            found.append(escaped)
        elif character in ",=":
            code = ord(character)
            raise bad_request(f"invalid field selector: unescaped character in value: {code}")
        else:
            found.append(character)
    return "".join(found)
