"""What containers and claims ask for: `resources` with its requests and limits. PURE.

Source: Kubernetes, "Resource Management for Pods and Containers", "Manage HugePages", "Advertise
Extended Resources for a Node".
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from controlplane.api import quantity, syntaxes
from controlplane.api.causes import forbidden, invalid, not_found, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object

_NATIVE = frozenset(("cpu", "memory", "ephemeral-storage"))
_HUGE_PAGES = "hugepages-"
_KNOWN_CHARS_MAX = 128


def amount(value: Any) -> Fraction | None:
    """A quantity; None where there is none or the schema will say that it is none."""
    if value is None:
        return None
    try:
        return quantity.parse(value)
    except ValueError:
        return None


def validate(resources: Object | None, path: str, claims: frozenset[str]) -> Iterator[Cause]:
    """`resources` of a container. `claims` are the names of the pod's resource claims."""
    if not resources:
        return
    limits: Mapping[str, Any] = resources.get("limits") or {}
    requests: Mapping[str, Any] = resources.get("requests") or {}
    for kind, wanted in (("limits", limits), ("requests", requests)):
        for name, value in wanted.items():
            if not (isinstance(value, str) and _is_known(name, value)):
                yield from _entry(name, value, f"{path}.{kind}[{name}]")
    for name, value in requests.items():
        yield from _against_limit(name, value, limits.get(name), f"{path}.requests")
    yield from _without_request(limits, requests, path)
    yield from _claims(resources, path, claims)


def _is_known(name: str, text: str) -> bool:
    """Whether nothing is wrong with an amount; most containers ask for the same few."""
    return len(name) + len(text) <= _KNOWN_CHARS_MAX and _is_right(name, text)


@lru_cache(quantity.CACHED_MAX)
def _is_right(name: str, text: str) -> bool:
    return next(_entry(name, text, ""), None) is None


def _entry(name: str, value: Any, path: str) -> Iterator[Cause]:
    yield from _name(name, path)
    number = amount(value)
    if number is None:
        return
    if number < 0:
        yield invalid(path, quantity.canonical(value), "must be greater than or equal to 0")
    if not _can_be_overcommitted(name) and number.denominator != 1:
        yield invalid(path, quantity.canonical(value), "must be an integer")


def _name(name: str, path: str) -> Iterator[Cause]:
    for why in syntaxes.faults_of_qualified_name(name):
        yield invalid(path, name, why)
    if "/" not in name and name not in _NATIVE and not name.startswith(_HUGE_PAGES):
        yield invalid(path, name, "must be a standard resource type or fully qualified")
        yield invalid(path, name, "must be a standard resource for containers")


def _can_be_overcommitted(name: str) -> bool:
    """Native resources can; huge pages and extended resources are handed out exactly."""
    return name in _NATIVE


def _against_limit(name: str, value: Any, limit: Any, path: str) -> Iterator[Cause]:
    asked, bound = amount(value), amount(limit)
    if asked is None:
        return
    if bound is None:
        if limit is None and not _can_be_overcommitted(name):
            yield required(
                path.removesuffix("requests") + "limits",
                "Limit must be set for non overcommitable resources",
            )
        return
    if not _can_be_overcommitted(name) and asked != bound:
        why = f"must be equal to {name} limit of {quantity.canonical(limit)}"
        yield invalid(path, quantity.canonical(value), why)
    elif asked > bound:
        why = f"must be less than or equal to {name} limit of {quantity.canonical(limit)}"
        yield invalid(path, quantity.canonical(value), why)


def _without_request(
    limits: Mapping[str, Any], requests: Mapping[str, Any], path: str
) -> Iterator[Cause]:
    asked = limits.keys() | requests.keys()
    has_huge_pages = any(name.startswith(_HUGE_PAGES) for name in asked)
    if has_huge_pages and not asked & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")


def _claims(resources: Object, path: str, known: frozenset[str]) -> Iterator[Cause]:
    for position, claim in enumerate(resources.get("claims") or ()):
        at = f"{path}.claims[{position}].name"
        name = claim.get("name")
        if not name:
            yield required(at)
        elif name not in known:
            yield not_found(at, name)
