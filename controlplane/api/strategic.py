"""Strategic merge patches: lists are merged by keys that the schema names. PURE.

Source: Kubernetes' "Update API Objects in Place Using kubectl patch" and the API conventions of
`$patch`, `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList`. What begins with `$`
is an instruction and never becomes part of an object.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.api.errors import ApiError, bad_request, cut
from controlplane.api.patch import is_same, not_applicable
from controlplane.api.resource import Object
from controlplane.api.schema import Schema

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
ELEMENT_ORDER = "$setElementOrder/"

_NOTHING = object()


class _ListPatch(msgspec.Struct, frozen=True):
    """All that a patch says of one list."""

    items: Any = _NOTHING
    deleted: Any = _NOTHING
    order: Any = _NOTHING


def strategic_merge(schema: Schema | None, obj: Object, patch: object) -> Object:
    """The object with what the patch says. Raises 400 (or 422) where the patch makes no sense.

    A patch that changes nothing gives the very same object.
    """
    if not isinstance(patch, dict):
        raise bad_request("invalid JSON document")
    return _merge_map(schema, obj, patch)


def _merge_map(
    schema: Schema | None, original: Mapping[str, Any], patch: Mapping[str, Any]
) -> Mapping[str, Any]:
    if DIRECTIVE in patch:
        return _directed(patch)
    changes: dict[str, Any] = dict.fromkeys(_gone_by_retain_keys(original, patch), _NOTHING)
    changes |= {name: value for name, value in patch.items() if name[:1] != "$"}
    for name in _lists_of(patch):
        changes[name] = _ListPatch(
            patch.get(name, _NOTHING),
            patch.get(DELETE_FROM + name, _NOTHING),
            patch.get(ELEMENT_ORDER + name, _NOTHING),
        )
    return _changed(schema, original, changes)


def _changed(
    schema: Schema | None, original: Mapping[str, Any], changes: Mapping[str, Any]
) -> Mapping[str, Any]:
    result: dict[str, Any] | None = None
    for name, change in changes.items():
        old = original.get(name, _NOTHING)
        new = _merged(_field(schema, name), old, change)
        if new is old or (not _is_merged(old, change) and _is_equal(new, old)):
            continue
        if result is None:
            result = dict(original)
        if new is _NOTHING:
            del result[name]
        else:
            result[name] = new
    return original if result is None else result


def _is_merged(old: Any, change: Any) -> bool:
    """Whether what comes of it is the old one unless it is another.

    To look again on each level of an object would take the square of its size.
    """
    return isinstance(old, dict) and isinstance(change, dict) and DIRECTIVE not in change


def _is_equal(new: Any, old: Any) -> bool:
    return new is not _NOTHING and old is not _NOTHING and is_same(new, old)


def _merged(schema: Schema | None, old: Any, change: Any) -> Any:
    """The new value of a field; `_NOTHING` where there is none."""
    if change is None or change is _NOTHING:
        return _NOTHING
    if isinstance(change, dict):
        if isinstance(old, dict):
            return _merge_map(schema, old, change)
        # `$patch: delete` of what is not there makes nothing.
        if change.get(DIRECTIVE) == "delete":
            return _NOTHING
        return _merge_map(schema, {}, change)
    if isinstance(change, list):
        change = _ListPatch(change)
    if not isinstance(change, _ListPatch):
        return change
    if change.items is None:
        return _NOTHING
    if change.items is not _NOTHING and not isinstance(change.items, list):
        return _merged(schema, old, change.items)
    return _merge_list(schema, old, change)


def _field(schema: Schema | None, name: str) -> Schema | None:
    if schema is None:
        return None
    return schema.properties.get(name) or schema.values


def _directed(patch: Mapping[str, Any]) -> Mapping[str, Any]:
    match patch[DIRECTIVE]:
        case "replace":
            return _plain_map(patch)
        case "delete":
            return {}
        case unknown:
            raise _bad_directive(unknown, patch)


def _gone_by_retain_keys(original: Mapping[str, Any], patch: Mapping[str, Any]) -> list[str]:
    """Fields that `$retainKeys` does not name; the patch may set none of these."""
    if RETAIN_KEYS not in patch:
        return []
    told = patch[RETAIN_KEYS]
    retained = {name for name in told if isinstance(name, str)} if isinstance(told, list) else None
    if retained is None or any(
        value is not None and name[:1] != "$" and name not in retained
        for name, value in patch.items()
    ):
        raise bad_request("invalid patch format of retainKeys")
    return [name for name in original if name not in retained]


def _lists_of(patch: Mapping[str, Any]) -> list[str]:
    """Lists of which instructions beside them speak."""
    found: dict[str, None] = {}
    for name in patch:
        for prefix in (DELETE_FROM, ELEMENT_ORDER):
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = None
    return list(found)


def _plain(value: Any) -> Any:
    """A value as it is stored where nothing was: no instructions, no nulls."""
    if isinstance(value, dict):
        return _plain_map(value)
    if isinstance(value, list):
        return [_plain(item) for item in value if not _is_deletion(item)]
    return value


def _plain_map(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(child)
        for name, child in value.items()
        if child is not None and name[:1] != "$" and not _is_deletion(child)
    }


def _is_deletion(value: Any) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) == "delete"


def _merge_list(schema: Schema | None, old: Any, told: _ListPatch) -> Any:
    is_merged = schema is not None and "merge" in schema.patch_strategies
    if not is_merged:
        return old if told.items is _NOTHING else _plain(told.items)
    assert schema is not None
    if not isinstance(old, list):
        if told.items is _NOTHING:
            return old
        old = []
    items = [] if told.items is _NOTHING else told.items
    if _holds_maps(old, items):
        return _merge_maps(schema, old, items, told)
    return _merge_primitives(old, items, told)


def _holds_maps(old: list[Any], items: list[Any]) -> bool:
    """Whether elements are objects. Raises where they are lists, or of both sorts."""
    if any(isinstance(item, list) for part in (old, items) for item in part):
        raise not_applicable()
    kinds = {isinstance(item, dict) for part in (old, items) for item in part}
    if len(kinds) > 1 or None in items:
        raise bad_request("list element types are not identical")
    return True in kinds


def _merge_primitives(old: list[Any], items: list[Any], told: _ListPatch) -> list[Any]:
    merged = _unique([*old, *items])
    order = items if told.order is _NOTHING else _order_list(told.order)
    if not all(isinstance(item, str | int | float) for item in order):
        raise _bad_order()
    if told.items is not _NOTHING:
        _check_order(items, order)
    result = _ordered(merged, order, old, _itself)
    if told.deleted is _NOTHING:
        return result
    if not isinstance(told.deleted, list):
        raise bad_request("invalid patch format of primitive list")
    # What is no scalar is no element: it can be named, and deletes nothing.
    deleted = {item for item in told.deleted if not isinstance(item, dict | list)}
    return [item for item in result if item not in deleted]


def _merge_maps(schema: Schema, old: list[Any], items: list[Any], told: _ListPatch) -> list[Any]:
    key = schema.patch_merge_key
    if not key:
        return _plain_list(items) if told.items is not _NOTHING else old
    kept, changes = _by_directives(old, items, key)
    merged = _merge_by_key(schema, kept, changes, key)

    def identity(item: Mapping[str, Any]) -> Any:
        value = item.get(key)
        return value if _is_scalar(value) else None

    wanted = [identity(item) for item in changes]
    if told.order is _NOTHING:
        order = wanted
    else:
        order = [_key_of(item, key) for item in _order_list(told.order)]
        _check_order(wanted, order)
    # Kubernetes deletes in place, so what is new takes the places of what is gone.
    live_order = merged[: len(old)]
    return _ordered(merged, order, [identity(item) for item in live_order], identity)


def _plain_list(items: list[Any]) -> list[Any]:
    plain: list[Any] = _plain(items)
    return plain


def _by_directives(
    old: list[Any], items: list[Any], key: str
) -> tuple[list[Any], list[Mapping[str, Any]]]:
    """What is left of the old elements, and the changes without instructions."""
    changes: list[Mapping[str, Any]] = []
    gone: set[Any] = set()
    is_replaced = False
    for item in items:
        match item.get(DIRECTIVE, _NOTHING):
            case "delete":
                gone.add(_key_of(item, key))
            case "replace":
                is_replaced = True
            case "merge":
                raise bad_request("merging lists cannot yet be specified in the patch")
            case directive if directive is _NOTHING:
                changes.append(item)
            case unknown:
                raise _bad_directive(unknown, item)
    if is_replaced:
        return [], changes
    return [one for one in old if not (_is_scalar(one.get(key)) and one[key] in gone)], changes


def _merge_by_key(
    schema: Schema, old: list[Any], changes: list[Mapping[str, Any]], key: str
) -> list[Any]:
    merged = list(old)
    places: dict[Any, int] = {}
    for place, item in enumerate(merged):
        value = item.get(key)
        if _is_scalar(value):
            places.setdefault(value, place)
    for change in changes:
        value = _key_of(change, key)
        place = places.get(value, len(merged))
        if place == len(merged):
            places[value] = place
            merged.append({})
        merged[place] = _merge_map(schema.items, merged[place], change)
    return merged


def _key_of(item: Any, key: str) -> Any:
    value = item.get(key) if isinstance(item, dict) else None
    if not _is_scalar(value):
        told = _told(item)
        raise bad_request(f"map: {told} does not contain declared merge key: {key}")
    return value


def _bad_directive(directive: Any, where: Mapping[str, Any]) -> ApiError:
    what = directive if isinstance(directive, str) else _told(directive)
    return bad_request(f"unknown patch type: {cut(what, _TOLD_MAX)} in map: {_told(where)}")


_TOLD_MAX = 1_024


def _told(part: Any) -> str:
    """Of a patch, which may be long."""
    return cut(json.dumps(part, separators=(",", ":")), _TOLD_MAX)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _order_list(order: Any) -> list[Any]:
    if not isinstance(order, list):
        raise _bad_order()
    return order


def _bad_order() -> ApiError:
    return bad_request("invalid patch format of setElementOrder list")


def _check_order(wanted: Sequence[Any], order: Sequence[Any]) -> None:
    """What is patched must be named in the order, and come in it."""
    remaining = iter(order)
    if not all(item in remaining for item in wanted):
        raise bad_request(
            f"The order in patch list:\n{list(wanted)}\n doesn't match"
            f" $setElementOrder list:\n{list(order)}\n"
        )


def _itself(item: Any) -> Any:
    return item


def _unique(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def _ordered(
    merged: list[Any],
    order: Sequence[Any],
    live_order: Sequence[Any],
    identity: Callable[[Any], Any],
) -> list[Any]:
    """Elements that `order` names in that order; others where the live list has them.

    The relative order of both sorts is kept; another element stands before the first named one
    that the live list has behind it.
    """
    place = {key: number for number, key in reversed(list(enumerate(order)))}
    live = {key: number for number, key in reversed(list(enumerate(live_order)))}
    named = sorted(
        (item for item in merged if identity(item) in place),
        key=lambda item: place[identity(item)],
    )
    others = [item for item in merged if identity(item) not in place]
    result: list[Any] = []
    left = 0
    for item in named:
        bound = live.get(identity(item), -1)
        while left < len(others) and live.get(identity(others[left]), bound) < bound:
            result.append(others[left])
            left += 1
        result.append(item)
    return result + others[left:]
