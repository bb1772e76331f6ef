"""JSON patches (RFC 6902) and merge patches (RFC 7386). PURE.

Nothing is changed in place: a result shares with the object all that the patch leaves alone.
Codes and texts of faults as Kubernetes' API server answers them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.decoding import DEPTH_MAX
from controlplane.api.errors import ApiError, bad_request, too_large
from controlplane.api.resource import Object

OPERATIONS_MAX = 10_000
"""As an API server allows."""
COPIED_BYTES_MAX = 3 * 1024 * 1024
"""All that a patch copies and moves; as much as a request's body may have."""
LAID_OUT_MAX = 5_000_000
"""Fields and elements that all operations together may lay out anew, each those on its way: 10,000
operations on a list of 500 elements. It takes half a second, in which nobody else is served."""
INDEX_DIGITS_MAX = 9

_MISSING = object()


def json_patch(obj: Object, operations: object) -> Object:
    """The object after all operations. Raises 400 (no patch), 413 (too long), 422 (not possible).

    Source: RFC 6902; a failed `test` and a missing path are the same to Kubernetes: 422.
    """
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        kind = "object" if isinstance(operations, dict) else type(operations).__name__
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
    if len(operations) > OPERATIONS_MAX:
        raise too_large(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX},"
            f" got {len(operations)}"
        )
    if not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("json: cannot unmarshal into Go value of type jsonpatch.Operation")
    result: Any = obj
    copied_bytes = laid_out = 0
    for operation in operations:
        kind = operation.get("op")
        if kind in ("copy", "move"):
            copied_bytes += _bytes_of(_seen(result, _pointer(operation, "from")))
        if kind == "move":
            laid_out += _breadth(result, _pointer(operation, "from"))
        if copied_bytes > COPIED_BYTES_MAX or laid_out > LAID_OUT_MAX:
            raise not_applicable()
        result = _apply(result, operation)
        if kind != "test":
            laid_out += _breadth(result, _pointer(operation, "path"))
    if not isinstance(result, dict):
        raise not_applicable()
    return result


def not_applicable() -> ApiError:
    """422 with the only words that an API server has for it."""
    return ApiError(
        422, "Invalid", "the server rejected our request due to an error in our request"
    )


def _apply(doc: Any, operation: Mapping[str, Any]) -> Any:
    tokens = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            return _add(doc, tokens, _value(operation, tokens))
        case "remove":
            return _remove(doc, tokens)
        case "replace":
            return _replace(doc, tokens, _value(operation, tokens))
        case "move":
            source = _pointer(operation, "from")
            if tokens == source:
                _find(doc, source)
                return doc
            # Nothing can be moved into itself: after its removal its path is gone.
            return _add(_remove(doc, source), tokens, _fitting(_find(doc, source), tokens))
        case "copy":
            value = _seen(doc, _pointer(operation, "from"))
            return _add(doc, tokens, _fitting(value, tokens))
        case "test":
            if not is_same(_seen(doc, tokens), operation.get("value")):
                raise not_applicable()
            return doc
        case _:
            raise not_applicable()


def _value(operation: Mapping[str, Any], tokens: list[str]) -> Any:
    if "value" not in operation:
        raise not_applicable()
    return _fitting(operation["value"], tokens)


def _fitting(value: Any, tokens: list[str]) -> Any:
    """A value that does not make its new place too deep."""
    if is_deep(value, DEPTH_MAX - len(tokens)):
        raise not_applicable()
    return value


def _pointer(operation: Mapping[str, Any], name: str) -> list[str]:
    """RFC 6901: `/a~1b/0` is ["a/b", "0"]."""
    text = operation.get(name)
    if not isinstance(text, str) or (text and text[0] != "/"):
        raise not_applicable()
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]
    if len(tokens) > DEPTH_MAX:
        raise not_applicable()
    return tokens


def _breadth(doc: Any, tokens: list[str]) -> int:
    """How many fields and elements there are on a way, beside it included."""
    breadth = 0
    for token in tokens[:-1]:
        breadth += len(doc)
        doc = _child(doc, token)
    return breadth + len(doc) if tokens else 0


def _seen(doc: Any, tokens: list[str]) -> Any:
    """What is there; null where an object has no such member.

    So Kubernetes tests and copies it, and lets it be replaced: RFC 6902 would have it refused.
    """
    if not tokens:
        return doc
    parent = _find(doc, tokens[:-1])
    if isinstance(parent, dict):
        return parent.get(tokens[-1])
    return _child(parent, tokens[-1])


def _find(doc: Any, tokens: list[str]) -> Any:
    for token in tokens:
        doc = _child(doc, token)
    return doc


def _child(node: Any, token: str) -> Any:
    if isinstance(node, dict):
        if token not in node:
            raise not_applicable()
        return node[token]
    return node[_index(node, token, len(node) - 1)] if isinstance(node, list) else _no_child()


def _no_child() -> Any:
    raise not_applicable()


def _index(node: list[Any], token: str, highest: int) -> int:
    """A position; negative ones count from the end, as Kubernetes lets them."""
    digits = token.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= INDEX_DIGITS_MAX
    if not is_number or (len(digits) > 1 and digits[0] == "0"):
        raise not_applicable()
    index = int(digits)
    if token[0] == "-":
        index = highest + 1 - index
    if not 0 <= index <= highest:
        raise not_applicable()
    return index


def _add(doc: Any, tokens: list[str], value: Any) -> Any:
    if not tokens:
        return value
    parent = _find(doc, tokens[:-1])
    last = tokens[-1]
    changed: Any
    if isinstance(parent, dict):
        changed = {**parent, last: value}
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else _index(parent, last, len(parent))
        changed = [*parent[:index], value, *parent[index:]]
    else:
        raise not_applicable()
    return _put(doc, tokens[:-1], changed)


def _remove(doc: Any, tokens: list[str]) -> Any:
    if not tokens:
        raise not_applicable()
    parent = _find(doc, tokens[:-1])
    _child(parent, tokens[-1])
    changed: Any
    if isinstance(parent, dict):
        changed = dict(parent)
        del changed[tokens[-1]]
    else:
        index = _index(parent, tokens[-1], len(parent) - 1)
        changed = [*parent[:index], *parent[index + 1 :]]
    return _put(doc, tokens[:-1], changed)


def _replace(doc: Any, tokens: list[str], value: Any) -> Any:
    _seen(doc, tokens)
    return _put(doc, tokens, value)


def _put(doc: Any, tokens: list[str], value: Any) -> Any:
    """A copy of the path to what exists, with `value` at its end."""
    parents = [doc]
    for token in tokens[:-1]:
        parents.append(_child(parents[-1], token))
    for parent, token in zip(reversed(parents), reversed(tokens), strict=False):
        if isinstance(parent, dict):
            value = {**parent, token: value}
        else:
            index = _index(parent, token, len(parent) - 1)
            value = [*parent[:index], value, *parent[index + 1 :]]
    return value


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(is_same(value, other[name]) for name, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def _bytes_of(value: Any) -> int:
    """About how long it is in JSON; counting stops once it is too long.

    What is shared counts as often as it is there: a few copies of copies are a bomb.
    """
    total, left = 0, [value]
    while left and total <= COPIED_BYTES_MAX:
        node = left.pop()
        if isinstance(node, dict):
            total += 2 + sum(len(name) + 4 for name in node)
            left += node.values()
        elif isinstance(node, list):
            total += 2 + len(node)
            left += node
        else:
            total += len(node) + 2 if isinstance(node, str) else 8
    return total


def is_deep(value: Any, levels_max: int = DEPTH_MAX) -> bool:
    """Whether it has more levels than that; as many as any request's body may have."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels_max):
        if not level:
            return False
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def merge_patch(obj: Object, patch: object) -> Object:
    """The object with what the patch says; null removes. Raises 400 if it is no object.

    Source: RFC 7386. A patch that changes nothing gives the very same object.
    """
    if not isinstance(patch, dict):
        raise bad_request("Invalid JSON Patch")
    return _merge(obj, patch)


def _merge(target: Any, patch: Mapping[str, Any]) -> Mapping[str, Any]:
    known: Mapping[str, Any] = target if isinstance(target, dict) else {}
    changed: dict[str, Any] | None = None
    for name, value in patch.items():
        old = known.get(name, _MISSING)
        if isinstance(value, dict):
            # The old one unless it is another: to look again on each level would take the square.
            new: Any = _merge(old, value)
            is_kept = new is old
        else:
            new = _MISSING if value is None else value
            is_kept = new is old or (
                new is not _MISSING and old is not _MISSING and is_same(new, old)
            )
        if is_kept:
            continue
        if changed is None:
            changed = dict(known)
        if new is _MISSING:
            del changed[name]
        else:
            changed[name] = new
    return known if changed is None else changed
