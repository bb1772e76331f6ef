"""Objects walked along their shapes: which fields they have, what differs, merged, cut. PURE.

The four steps of server-side apply; whose fields they are is not known here. null is nothing,
unless the schema says that it is a value. Results share what they can with what was given.

Source: Kubernetes' "Server-Side Apply" (merge strategy, conflicts).
"""

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api.fieldset import MEMBER, SELF, Fields, child_of, is_member, text_of
from controlplane.api.patch import is_same
from controlplane.api.shapes import ANY, Form, Shape

_ABSENT: Any = object()

Difference = tuple[Fields | None, Fields | None]
"""(what is new or another value, what is gone); None: nothing."""

_SAME: Difference = (None, None)
_PARTED = (dict, list)


def fields_of(shape: Shape, value: Any, faults: list[str], path: str = "") -> Fields:
    """All fields that somebody says who applies this. `faults` gets what does not fit the shape.

    Fields of a type are there only as leaves; keys of a map and elements of a list for themselves.
    """
    children: dict[str, Any] = {}
    for step, child, part, where in _parts_told(shape, value, faults, path):
        below = {} if _is_leaf(child, part) else fields_of(child, part, faults, where)
        is_empty_map = isinstance(part, dict) and not part
        has_self = not step.startswith("f:") or is_empty_map or not shape.is_named(step[2:])
        told = child_of(dict(below), has_self=has_self or _is_leaf(child, part))
        if told is not None:
            children[step] = told
    return children


def _is_leaf(shape: Shape, value: Any) -> bool:
    if value is None or shape.form is Form.LEAF:
        return True
    return shape.form is Form.ANY and not isinstance(value, dict)


def _parts_told(
    shape: Shape, value: Any, faults: list[str], path: str
) -> Iterator[tuple[str, Shape, Any, str]]:
    """(step, shape, value, path) of each part of what is applied, with what is wrong of them."""
    if shape.form in (Form.MAP, Form.ANY):
        if not isinstance(value, dict):
            faults.append(f"{path}: expected map, got {_kind_of(value)}")
            return
        for name, part in value.items():
            child = shape.field(name)
            if child is None:
                faults.append(f"{path}.{name}: field not declared in schema")
            else:
                yield f"f:{name}", child, part, f"{path}.{name}"
        return
    if not isinstance(value, list):
        faults.append(f"{path}: expected list, got {_kind_of(value)}")
        return
    seen: set[str] = set()
    for position, item in enumerate(value):
        step = shape.step(item)
        if step is None:
            faults.append(f"{path}: element {position}: {_fault_of_item(shape, item)}")
        elif step in seen:
            faults.append(f"{path}: duplicate entries for key {text_of((step,))}")
        else:
            seen.add(step)
            yield step, shape.items, item, path + text_of((step,))


def _fault_of_item(shape: Shape, item: Any) -> str:
    if shape.form is Form.SET or not isinstance(item, dict):
        wanted = "scalar" if shape.form is Form.SET else "map"
        return f"expected {wanted}, got {_kind_of(item)}"
    lacking = next((key for key in shape.keys if item.get(key) is None), shape.keys[0])
    return (
        f'associative list with keys has an element that omits key field "{lacking}"'
        " (and doesn't have default value)"
    )


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return "map"
    return "list" if isinstance(value, list) else repr(value)


def compare(shape: Shape, old: Any, new: Any) -> Difference:
    """What changed from `old` to `new`, two objects. What is new counts on every level."""
    return _compare_maps(shape, old, new)


def _compare(shape: Shape, old: Any, new: Any) -> Difference:
    """Of two values that are there."""
    if isinstance(old, dict) and isinstance(new, dict):
        if shape.form is not Form.LEAF and (old or new):
            return _compare_maps(shape, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        is_split = shape.form is Form.LIST_MAP or shape.form is Form.SET
        if is_split and (old or new):
            return _compare_lists(shape, old, new)
    return _SAME if is_same(old, new) else (MEMBER, None)


def _compare_maps(shape: Shape, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for name, after in new.items():
        before = old.get(name, _ABSENT)
        if before is after:
            continue
        part = shape.field(name) or ANY
        if before is None and not part.is_nullable:
            before = _ABSENT
        if after is None and not part.is_nullable:
            if before is not _ABSENT:
                removed[f"f:{name}"] = _whole(part, before)
        elif before is _ABSENT:
            changed[f"f:{name}"] = _whole(part, after)
        else:
            _note(f"f:{name}", _compare(part, before, after), changed, removed)
    for name, before in old.items():
        if name not in new:
            part = shape.field(name) or ANY
            if before is not None or part.is_nullable:
                removed[f"f:{name}"] = _whole(part, before)
    return changed or None, removed or None


def _compare_lists(shape: Shape, old: list[Any], new: list[Any]) -> Difference:
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    old_parts, new_parts = _parts(shape, old), _parts(shape, new)
    for step, after in new_parts.items():
        before = old_parts.get(step, _ABSENT)
        if before is _ABSENT:
            changed[step] = _whole(shape.items, after)
        elif before is not after:
            _note(step, _compare(shape.items, before, after), changed, removed)
    for step, before in old_parts.items():
        if step not in new_parts:
            removed[step] = _whole(shape.items, before)
    return changed or None, removed or None


def _note(step: str, found: Difference, changed: dict[str, Any], removed: dict[str, Any]) -> None:
    told, gone = found
    if told is not None:
        changed[step] = told
    if gone is not None:
        removed[step] = gone


def _whole(shape: Shape, value: Any) -> Fields:
    """A value with all that is in it, on every level."""
    if isinstance(value, dict):
        if shape.form is Form.LEAF or not value:
            return MEMBER
        children: dict[str, Any] = {SELF: MEMBER}
        for name, part in value.items():
            if isinstance(part, _PARTED):
                children[f"f:{name}"] = _whole(shape.field(name) or ANY, part)
            elif part is not None or _keeps_null(shape, name):
                children[f"f:{name}"] = MEMBER
        return children
    if isinstance(value, list) and value and shape.form in (Form.LIST_MAP, Form.SET):
        items = shape.items
        return {SELF: MEMBER} | {
            step: _whole(items, item) for step, item in _elements(shape, value)
        }
    return MEMBER


def _shape_at(shape: Shape, step: str) -> Shape:
    if step[:2] == "f:":
        return shape.field(step[2:]) or ANY
    return shape.items


def _parts(shape: Shape, value: Any) -> Mapping[str, Any]:
    """step -> part; empty for what is whole, and where value and shape do not fit."""
    if isinstance(value, dict):
        if shape.form is Form.MAP or shape.form is Form.ANY:
            return {
                f"f:{name}": part
                for name, part in value.items()
                if part is not None or _keeps_null(shape, name)
            }
    elif isinstance(value, list) and shape.form in (Form.LIST_MAP, Form.SET):
        # Of elements with the same key the first counts.
        return dict(reversed(list(_elements(shape, value))))
    return {}


def _elements(shape: Shape, items: list[Any]) -> Iterator[tuple[str, Any]]:
    """(step, element); who has nothing that tells it apart is known by its place."""
    for position, item in enumerate(items):
        yield shape.step(item) or f"i:{position}", item


def _keeps_null(shape: Shape, name: str) -> bool:
    child = shape.field(name)
    return child is not None and child.is_nullable


def merge(shape: Shape, live: Any, applied: Any) -> Any:
    """`live` with all that `applied` says; the very same if that is nothing new."""
    if isinstance(applied, dict) and shape.form in (Form.MAP, Form.ANY):
        return _merge_maps(shape, live if isinstance(live, dict) else _ABSENT, applied)
    if isinstance(applied, list) and shape.form in (Form.LIST_MAP, Form.SET):
        return _merge_lists(shape, live if isinstance(live, list) else _ABSENT, applied)
    return live if live is not _ABSENT and is_same(live, applied) else applied


def _merge_maps(shape: Shape, live: Any, applied: Mapping[str, Any]) -> Any:
    known: Mapping[str, Any] = {} if live is _ABSENT else live
    result: dict[str, Any] = dict(known)
    is_changed = live is _ABSENT
    for name, value in applied.items():
        before = known.get(name, _ABSENT)
        if value is None and not _keeps_null(shape, name):
            is_changed = result.pop(name, _ABSENT) is not _ABSENT or is_changed
            continue
        after = merge(shape.field(name) or ANY, before, value)
        if after is not before:
            result[name] = after
            is_changed = True
    return result if is_changed else live


def _merge_lists(shape: Shape, live: Any, applied: list[Any]) -> Any:
    """Applied elements in their order; others stay before the common one they stand before."""
    known: list[Any] = [] if live is _ABSENT else live
    steps = [step for step, _ in _elements(shape, known)]
    before: dict[str, Any] = {}
    for step, item in zip(steps, known, strict=True):
        before.setdefault(step, item)
    after = {
        step: merge(shape.items, before.get(step, _ABSENT), item)
        for step, item in _elements(shape, applied)
    }
    result = [
        known[taken] if isinstance(taken, int) else after[taken]
        for taken in _merged_order(steps, list(after))
    ]
    is_same_length = live is not _ABSENT and len(result) == len(live)
    return live if is_same_length and all(map(operator.is_, result, live)) else result


def _merged_order(live: list[str], applied: list[str]) -> Iterator[str | int]:
    """Steps of `applied` in order, and positions in `live` of all others, each where it is.

    Where the orders contradict each other, what is applied wins. What is in `live` twice stays
    there twice, unless it is applied: then one is left.
    """
    wanted, known = set(applied), set(live)
    shared = iter([step for step in applied if step in known])
    next_shared = next(shared, None)
    taken: set[str] = set()
    at_live, at_applied = 0, 0
    while at_live < len(live) or at_applied < len(applied):
        step = live[at_live] if at_live < len(live) else None
        if step is not None and step not in wanted:
            yield at_live
            at_live += 1
        elif step is not None and (step != next_shared or step in taken):
            # Its turn comes, or has come, with what is applied.
            at_live += 1
        elif at_applied < len(applied):
            step = applied[at_applied]
            yield step
            taken.add(step)
            at_applied += 1
            if step == next_shared:
                next_shared = next(shared, None)
        else:
            at_live += 1


def remove(shape: Shape, value: Any, fields: Fields, owned: Fields) -> Any:
    """A value without these fields; what is emptied so goes as well, unless it is owned.

    owned  all that somebody owns
    """
    if isinstance(value, dict):
        kept: Any = {
            step[2:]: left
            for step, part in _parts(shape, value).items()
            if (left := _left(shape, step, part, fields, owned)) is not _ABSENT
        }
        is_whole = len(kept) == len(value) and all(kept[name] is value[name] for name in kept)
    elif isinstance(value, list):
        kept = [
            left
            for step, item in _elements(shape, value)
            if (left := _left(shape, step, item, fields, owned)) is not _ABSENT
        ]
        is_whole = len(kept) == len(value) and all(map(operator.is_, kept, value))
    else:
        return value
    return value if is_whole else kept


def _left(shape: Shape, step: str, part: Any, fields: Fields, owned: Fields) -> Any:
    child = fields.get(step)
    if child is None:
        return part
    if is_member(child):
        return _ABSENT
    of_part = owned.get(step)
    left = remove(_shape_at(shape, step), part, child, {} if of_part is None else of_part)
    is_owned = of_part is not None and is_member(of_part)
    return _ABSENT if not left and left is not part and not is_owned else left


def with_named_fields(shape: Shape, fields: Fields) -> Fields:
    """A set that also has the fields of a type on the way to its members, as well as these.

    Nobody owns `spec` itself, but whoever owns the last field in it decides whether it is there.
    """
    result: dict[str, Any] = {}
    for step, child in fields.items():
        if step == SELF or not child:
            result[step] = child
            continue
        below = dict(with_named_fields(_shape_at(shape, step), child))
        if step[:2] == "f:" and shape.is_named(step[2:]):
            below[SELF] = MEMBER
        result[step] = below
    return result
