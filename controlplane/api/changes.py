"""What was changed between two structs, without touching what they do not know. PURE.

A controller reads an object, computes with the struct of it, and writes only its own changes:
fields of a later version, or of somebody else, stay (architecture.md, decision 6).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.record import Record, fields_of, tree_of
from controlplane.api.resource import Object

_GONE = object()


def merge_patch_of(before: Record, after: Record) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes `after` of `before`; {}: nothing changed.

    A merge patch has a changed list as a whole, and with it what the struct knows of its
    elements. Where elements may have fields that it does not know, use `carry`.
    """
    assert type(before) is type(after)
    patch: dict[str, Any] = {}
    for field in fields_of(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old is new or old == new:
            continue
        if isinstance(old, Record) and isinstance(new, Record):
            patch[field.json_name] = merge_patch_of(old, new)
        elif isinstance(old, Mapping) and isinstance(new, Mapping) and not field.is_empty(new):
            patch[field.json_name] = _mapping_patch(old, new)
        else:
            patch[field.json_name] = None if field.is_empty(new) else tree_of(new)
    return patch


def _mapping_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        was = old.get(key, _GONE)
        if was is _GONE or was != value:
            both = isinstance(was, Mapping) and isinstance(value, Mapping)
            patch[key] = _mapping_patch(was, value) if both else tree_of(value)
    return patch


def carry(live: Object, before: Record, after: Record) -> Object:
    """`live` with the changes from `before` to `after`; the very same object if there are none.

    Elements of lists are found by their merge key, or else by standing unchanged in `before`;
    what the struct does not know of them stays. `live` may be newer than `before`: what others
    changed meanwhile stays where the change does not touch it.
    """
    assert type(before) is type(after)
    changed: dict[str, Any] = {}
    for field in fields_of(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old is new or old == new:
            continue
        is_gone = field.is_empty(new) and not isinstance(new, Record)
        key = type(before).MERGE_KEYS.get(field.json_name, "")
        there = live.get(field.json_name)
        changed[field.json_name] = _GONE if is_gone else _value(there, old, new, key)
    if not changed:
        return live
    return {name: value for name, value in {**live, **changed}.items() if value is not _GONE}


def _value(live: Any, old: Any, new: Any, merge_key: str) -> Any:
    if isinstance(old, Record) and isinstance(new, Record):
        return carry(live or {}, old, new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _carry_mapping(live or {}, old, new)
    if isinstance(old, tuple) and isinstance(new, tuple):
        return _carry_list(live or [], old, new, merge_key)
    return tree_of(new)


def _carry_mapping(live: Object, old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    kept = {key: value for key, value in live.items() if key in new or key not in old}
    for key, value in new.items():
        was = old.get(key, _GONE)
        if was is _GONE or was != value:
            both = isinstance(was, Mapping) and isinstance(value, Mapping)
            kept[key] = _carry_mapping(live.get(key) or {}, was, value) if both else tree_of(value)
    return kept


def _carry_list(
    live: Sequence[Any], old: tuple[Any, ...], new: tuple[Any, ...], merge_key: str
) -> list[Any]:
    if merge_key:
        return _carry_by_key(live, old, new, merge_key)
    if len(live) != len(old):
        return tree_of(list(new))  # type: ignore[no-any-return]  # Somebody else changed it too.
    return [live[old.index(element)] if element in old else tree_of(element) for element in new]


def _carry_by_key(
    live: Sequence[Any], old: tuple[Record, ...], new: tuple[Record, ...], merge_key: str
) -> list[Any]:
    """In the order of `new`; elements that others added stay behind them."""
    before = {_key(tree_of(element), merge_key): element for element in old}
    there = {_key(element, merge_key): element for element in live}
    carried = []
    for element in new:
        key = _key(tree_of(element), merge_key)
        was, now = before.get(key), there.pop(key, None)
        if was is None or now is None:
            carried.append(tree_of(element))
        else:
            carried.append(carry(now, was, element))
    return carried + [element for key, element in there.items() if key not in before]


def _key(element: Object, merge_key: str) -> str:
    """Ports of a container differ by number and protocol: a repeated key tells nothing."""
    return repr(element.get(merge_key))
