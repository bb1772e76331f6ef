"""Checks of a field, whose findings are causes in Kubernetes' words. PURE.

Source: the texts are what users see (kube-behaviour 2.19); `causes.py` has the words of each kind
of cause. Checks are iterators, so that a validator lists all that is wrong with `yield from`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from controlplane.api import causes
from controlplane.api.causes import (
    duplicate,
    forbidden,
    invalid,
    not_found,
    required,
    too_long,
    too_many,
)
from controlplane.api.errors import Cause

__all__ = [
    "Check",
    "above_zero",
    "at_least",
    "duplicate",
    "exactly_one",
    "forbidden",
    "go_map",
    "go_strings",
    "int_or_percent",
    "invalid",
    "invalid_as",
    "is_percent",
    "not_found",
    "not_supported",
    "one_of",
    "one_of_if_set",
    "required",
    "syntax",
    "syntax_if_set",
    "too_long",
    "too_many",
    "unchanged",
]

Check = Callable[[str], list[str]]
"""Syntax of a string: all that is wrong with it, in words."""

IMMUTABLE = "field is immutable"


def not_supported(path: str, value: object, supported: Collection[str]) -> Cause:
    """It is none of a few words: a tuple is told in its order, a set in that of the alphabet."""
    told = supported if isinstance(supported, tuple) else sorted(supported)
    return causes.not_supported(path, "" if value is None else value, told)


def invalid_as(path: str, told: str, why: str) -> Cause:
    """It is not what it may be; `told` is the value as Go prints it, where that is no JSON."""
    return Cause("FieldValueInvalid", f"Invalid value: {told}: {why}", path)


def go_strings(values: Collection[str]) -> str:
    """A list of strings as Go prints it."""
    told = ", ".join(causes.shown(value) for value in values)
    return f"[]string{{{told}}}" if values else "[]string(nil)"


def go_map(labels: Mapping[str, str]) -> str:
    """A map of strings as Go prints it: by key."""
    told = ", ".join(
        f"{causes.shown(key)}:{causes.shown(value)}" for key, value in sorted(labels.items())
    )
    return f"map[string]string{{{told}}}" if labels else "map[string]string(nil)"


def at_least(path: str, value: Any, least: int = 0) -> Iterator[Cause]:
    """A number has a lower bound; None is no number."""
    if value is not None and value < least:
        yield invalid(path, value, f"must be greater than or equal to {least}")


def above_zero(path: str, value: Any) -> Iterator[Cause]:
    """A number is at least one; None is no number."""
    if value is not None and value <= 0:
        yield invalid(path, value, "must be greater than 0")


def one_of(path: str, value: Any, supported: Collection[str]) -> Iterator[Cause]:
    """A word must be there and be one of a few."""
    if not value:
        yield required(path)
    elif value not in supported:
        yield not_supported(path, value, supported)


def one_of_if_set(path: str, value: Any, supported: Collection[str]) -> Iterator[Cause]:
    """A word that may be left out is one of a few."""
    if value and value not in supported:
        yield not_supported(path, value, supported)


def syntax(path: str, value: Any, check: Check) -> Iterator[Cause]:
    """A string must be there and pass a check."""
    if not value:
        yield required(path)
    else:
        for why in check(value):
            yield invalid(path, value, why)


def syntax_if_set(path: str, value: Any, check: Check) -> Iterator[Cause]:
    """A string that may be left out passes a check."""
    if value:
        yield from syntax(path, value, check)


def unchanged(path: str, new: Any, old: Any, why: str = IMMUTABLE) -> Iterator[Cause]:
    """A field keeps its value. Nothing, null and empty are one."""
    if new != old and (new or old):
        yield invalid(path, new, why)


def int_or_percent(path: str, value: Any) -> Iterator[Cause]:
    """A count, or a share such as `25%`; None: left out."""
    if isinstance(value, str):
        if not is_percent(value):
            yield invalid(path, value, _PERCENT)
    else:
        yield from at_least(path, value)


def is_percent(value: str) -> bool:
    """`25%`."""
    return value.endswith("%") and value[:-1].isascii() and value[:-1].isdecimal()


_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def exactly_one(
    path: str, holder: Mapping[str, Any], fields: Collection[str], what: str
) -> Iterator[Cause]:
    """One of several alternatives is there, `what` says of which kind they are."""
    present = [name for name in fields if holder.get(name) is not None]
    if not present:
        yield required(path, f"must specify a {what}")
    for name in present[1:]:
        yield forbidden(f"{path}.{name}", f"may not specify more than 1 {what}")
