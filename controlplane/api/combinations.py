"""allOf, anyOf, oneOf and not of custom resources' schemas. PURE.

Source: structural schemas' documentation; texts of go-openapi's validator, which tells, besides
that no alternative fits, what is wrong with the one that fits best.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from controlplane.api import causes
from controlplane.api.constraints import Check, Fault, unjudged
from controlplane.api.schema import Schema

Compile = Callable[[Schema], Check]


def checks_of(schema: Schema, compiled: Compile) -> Iterator[Check]:
    """All its combinations; `compiled` makes the check of a part."""
    for word, judge in (("allOf", _all_of), ("anyOf", _any_of), ("oneOf", _one_of)):
        parts = [compiled(Schema(node, {})) for node in schema.node.get(word, ())]
        if parts:
            yield judge(parts)
    if "not" in schema.node:
        yield _not(compiled(Schema(schema.node["not"], {})))


def _all_of(parts: Sequence[Check]) -> Check:
    def check(value: Any) -> Sequence[Fault]:
        found = [part(value) for part in parts]
        failed = [faults for faults in found if faults]
        if not failed:
            return ()
        none = ". None validated" if len(failed) == len(found) else ""
        told = [fault for faults in failed for fault in faults]
        return [*_whole(value, f"must validate all the schemas (allOf){none}"), *told]

    return check


def _any_of(parts: Sequence[Check]) -> Check:
    def check(value: Any) -> Sequence[Fault]:
        found: list[Sequence[Fault]] = []
        for part in parts:
            faults = part(value)
            if not faults:
                return ()
            found.append(faults)
        if unknown := _unjudged(found):
            return unknown
        return [*_whole(value, "must validate at least one schema (anyOf)"), *min(found, key=len)]

    return check


def _one_of(parts: Sequence[Check]) -> Check:
    only = "must validate one and only one schema (oneOf). "

    def check(value: Any) -> Sequence[Fault]:
        found = [part(value) for part in parts]
        if unknown := _unjudged(found):
            return unknown
        fitting = sum(not faults for faults in found)
        if fitting == 1:
            return ()
        if fitting:
            return _whole(value, f"{only}Found {fitting} valid alternatives")
        return [*_whole(value, f"{only}Found none valid"), *min(found, key=len)]

    return check


def _not(part: Check) -> Check:
    def check(value: Any) -> Sequence[Fault]:
        faults = part(value)
        if faults:
            return unjudged(faults)
        return _whole(value, "must not validate the schema (not)")

    return check


def _unjudged(found: Sequence[Sequence[Fault]]) -> list[Fault]:
    """What nobody knows of any part: whether the whole is right may hang on just that."""
    return [fault for faults in found for fault in unjudged(faults)]


def _whole(value: Any, detail: str) -> list[Fault]:
    return [("", lambda path: causes.invalid(path, value, f'"{path}" {detail}'))]
