"""Checks of one field, whose findings are causes. PURE.

Each is an iterator, so that a validator lists all that is wrong with `yield from`; the words are
those of `causes.py` and `syntaxes.py`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from controlplane.api.causes import IMMUTABLE, forbidden, invalid, not_supported, required
from controlplane.api.errors import Cause
from controlplane.api.syntaxes import Syntax, faults_of_percent


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


def syntax(path: str, value: Any, check: Syntax) -> Iterator[Cause]:
    """A string must be there and pass a check."""
    if not value:
        yield required(path)
    else:
        for why in check(value):
            yield invalid(path, value, why)


def syntax_if_set(path: str, value: Any, check: Syntax) -> Iterator[Cause]:
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
        for why in faults_of_percent(value):
            yield invalid(path, value, why)
    else:
        yield from at_least(path, value)


def exactly_one(
    path: str, holder: Mapping[str, Any], fields: Collection[str], what: str
) -> Iterator[Cause]:
    """One of several alternatives is there, `what` says of which kind they are."""
    present = [name for name in fields if holder.get(name) is not None]
    if not present:
        yield required(path, f"must specify a {what}")
    for name in present[1:]:
        yield forbidden(f"{path}.{name}", f"may not specify more than 1 {what}")
