"""Bodies of requests to objects: JSON and YAML; whatever else is registered in `decoders`. PURE.

Source: kube-behaviour.md 2.11 (duplicate fields are told), 2.12 (3 MiB), 2.18, 2.21.
"""

import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import orjson

from controlplane.api import errors, yaml_documents
from controlplane.api.json_duplicates import duplicate_fields
from controlplane.api.resource import Object

BODY_BYTES_MAX = 3 * 1024 * 1024
"""Kubernetes' limit for a request's body."""

DEPTH_MAX = 200
"""Objects in objects: whoever walks an object needs a few of Python's 1,000 frames a level."""

JSON = "application/json"
YAML = "application/yaml"


class Decoded(msgspec.Struct, frozen=True):
    """An object, and the paths of fields that its body has more than once (the last one counts)."""

    object: Object
    duplicates: tuple[str, ...] = ()


def decode(body: bytes, content_type: str) -> Decoded:
    """An object out of a body; no content type is JSON, parameters of one do not matter.

    ApiError: 413 if the body is too large, 415 if nobody decodes its type, 400 if it is none.
    """
    media_type = content_type.partition(";")[0].strip().lower() or JSON
    decoder = decoders.get(media_type)
    if decoder is None:
        known = ", ".join(decoders)
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - "
            f"accepted media types include: {known}"
        )
    return decoder(body)


def decode_json(body: bytes) -> Any:
    """Any JSON value, such as a JSON patch.

    ApiError: 413 if it is too large, 400 if it is no JSON or nested too deeply.
    """
    _check_size(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"json parse error: {error}") from None
    # Looking at every value is only needed where the text has brackets enough to be too deep.
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX:
        _check_depth(value)
    return value


def decode_yaml(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value of a YAML document, as it would be in JSON, and paths of duplicate fields.

    ApiError: 413 if it is too large, 400 if it is not one document that JSON can say.
    """
    _check_size(body)
    try:
        return yaml_documents.load(body, depth_max=DEPTH_MAX)
    except ValueError as error:
        raise _malformed(f"yaml parse error: {error}") from None


def decode_applied(body: bytes) -> Decoded:
    """An object that is applied: YAML, and so JSON. Raises ApiError 400 and 413.

    Clients send JSON, which its own parser reads a hundred times as fast. Only numbers that are
    spelled as fractions mean something else there: YAML's 1.0 is 1.
    """
    if body.lstrip()[:1] == b"{" and not _FRACTION.search(body):
        with contextlib.suppress(
            errors.ApiError
        ):  # then YAML says what is wrong, or that nothing is
            return _json(body)
    return _yaml(body)


_FRACTION = re.compile(rb"[:,\[]\s*-?\d+[.eE]")
"""Also where a text only looks so."""


def _json(body: bytes) -> Decoded:
    value = _object(decode_json(body))
    return Decoded(value, duplicate_fields(body, value))


def _yaml(body: bytes) -> Decoded:
    value, duplicates = decode_yaml(body)
    return Decoded(_object(value), duplicates)


decoders: dict[str, Callable[[bytes], Decoded]] = {JSON: _json, YAML: _yaml}
"""Media type -> decoder; a module that knows a further one puts it in when it is imported."""


def _check_size(body: bytes) -> None:
    if len(body) > BODY_BYTES_MAX:
        raise errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")


def _check_depth(value: Any) -> None:
    """Level by level, for a recursive walk is what must not be risked yet."""
    level = _containers([value])
    for _ in range(DEPTH_MAX):
        if not level:
            return
        level = [one for parent in level for one in _containers(_children(parent))]
    raise _malformed(f"json parse error: nested deeper than {DEPTH_MAX} levels")


def _children(parent: Any) -> Iterable[Any]:
    return parent.values() if type(parent) is dict else parent


def _containers(values: Iterable[Any]) -> list[Any]:
    return [one for one in values if type(one) is dict or type(one) is list]


def _object(value: Any) -> Object:
    if isinstance(value, dict):
        return value
    kind = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    raise _malformed(
        "Object 'Kind' is missing"
        if value is None
        else f"json parse error: json: cannot unmarshal {kind} into Go value of type struct"
    )


def _malformed(why: str) -> errors.ApiError:
    return errors.bad_request(f"couldn't get version/kind; {why}")
