"""Sets of fields, in the form in which managedFields keep them (FieldsV1). PURE.

A set is the JSON tree itself: `f:name` is a field, `k:{…}` an element of a list by its keys,
`v:…` an element by its value. A child without children is a member; one with children is a member
too if it has `.`. Nothing is changed in place; results share what they can.

Source: Kubernetes' API reference of ManagedFieldsEntry and FieldsV1.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

Fields = Mapping[str, Any]
"""At the top: a set, where `{}` is the empty one. Below: a child, where `{}` is a member."""

Path = tuple[str, ...]
"""Steps from the top, as they are spelled in a set: ("f:spec", "f:replicas")."""

SELF = "."
_KINDS_OF_STEPS = frozenset(("f:", "k:", "v:", "i:"))
MEMBER: Fields = {}
EMPTY: Fields = {}


def is_member(child: Fields) -> bool:
    """Whether a child stands for itself, and not only for what is below it."""
    return not child or SELF in child


def child_of(children: dict[str, Any], *, has_self: bool) -> Fields | None:
    """A child of these children; None if there is nothing in it. Takes `children` over."""
    if not children:
        return MEMBER if has_self else None
    if has_self:
        children[SELF] = MEMBER
    return children


def union(one: Fields, other: Fields) -> Fields:
    """All that is in either."""
    if not other or one is other:
        return one
    if not one:
        return other
    result = dict(one)
    for step, child in other.items():
        known = result.get(step)
        result[step] = child if known is None else _union_of_children(known, child)
    return result


def _union_of_children(one: Fields, other: Fields) -> Fields:
    if not one or not other:
        either = one or other
        return either if not either or SELF in either else {**either, SELF: MEMBER}
    return union(one, other)


def difference(one: Fields, other: Fields) -> Fields:
    """All that is in `one` and not in `other`."""
    if not other:
        return one
    result: dict[str, Any] = {}
    for step, child in one.items():
        if step == SELF:
            continue
        known = other.get(step)
        left = child if known is None else _left_of_child(child, known)
        if left is not None:
            result[step] = left
    return result


def _left_of_child(one: Fields, other: Fields) -> Fields | None:
    has_self = is_member(one) and not is_member(other)
    children = dict(difference(one, other)) if one and other else dict(one)
    children.pop(SELF, None)
    return child_of(children, has_self=has_self)


def intersection(one: Fields, other: Fields) -> Fields:
    """All that is in both."""
    result: dict[str, Any] = {}
    for step, child in one.items():
        known = other.get(step)
        if known is None or step == SELF:
            continue
        has_self = is_member(child) and is_member(known)
        both = child_of(dict(intersection(child, known)), has_self=has_self)
        if both is not None:
            result[step] = both
    return result


def members(fields: Fields) -> Iterator[Path]:
    """Paths of all members, in the order of the tree."""
    for step, child in fields.items():
        if step == SELF:
            continue
        if is_member(child):
            yield (step,)
        for path in members(child):
            yield (step, *path)


def is_valid(fields: object) -> bool:
    """Whether a tree from outside can be such a set."""
    return isinstance(fields, Mapping) and all(
        child == {} if step == SELF else step[:2] in _KINDS_OF_STEPS and is_valid(child)
        for step, child in fields.items()
    )


def literal(value: object) -> str:
    """A scalar as JSON."""
    if isinstance(value, str):
        return encode_basestring(value)
    return json.dumps(value)


def step_of_keys(keys: Mapping[str, object]) -> str:
    """An element of a list by its keys: `k:{"name":"a"}`, sorted by name."""
    if len(keys) == 1:
        ((name, value),) = keys.items()
        if isinstance(value, str) and len(value) <= _REMEMBERED_CHARS_MAX:
            return _step_of_key(name, value)
    told = ",".join(f"{encode_basestring(name)}:{literal(keys[name])}" for name in sorted(keys))
    return f"k:{{{told}}}"


# Names of containers, volumes and conditions come again and again.
_REMEMBERED_CHARS_MAX = 63


@lru_cache(maxsize=4096)
def _step_of_key(name: str, value: str) -> str:
    return f"k:{{{encode_basestring(name)}:{encode_basestring(value)}}}"


def step_of_value(value: object) -> str:
    """An element of a list by its value: `v:"a"`."""
    return f"v:{literal(value)}"


def text_of(path: Path) -> str:
    """As messages spell it: `.spec.containers[name="a"].image`."""
    return "".join(_text_of_step(step) for step in path)


def _text_of_step(step: str) -> str:
    kind, what = step[:2], step[2:]
    match kind:
        case "k:":
            return f"[{_text_of_keys(what)}]"
        case "v:":
            return f"[={what}]"
        case "i:":
            return f"[{what}]"
        case _:
            return f".{what}"


def _text_of_keys(what: str) -> str:
    try:
        keys = json.loads(what)
    except ValueError:
        return what
    if not isinstance(keys, dict):
        return what
    return ",".join(f"{name}={literal(value)}" for name, value in keys.items())
