"""ConfigMaps: keys become files, and all of them together have a limit. PURE.

Source: Kubernetes' API reference of ConfigMap; kube-behaviour 2.12 (1 MiB), 9.
"""

from collections.abc import Iterator

from controlplane.api.causes import forbidden, invalid, too_long
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_config_key

DATA_BYTES_MAX = 1 << 20
_FROZEN = "field is immutable when `immutable` is set"


def base64_bytes(text: str) -> int:
    """How many bytes base64 stands for."""
    return len(text) * 3 // 4 - text.count("=")


def faults_of_keys(obj: Object, field: str) -> Iterator[Cause]:
    """Each key of a map can be the name of a file."""
    for key in sorted(obj.get(field) or {}):
        for fault in faults_of_config_key(key):
            yield invalid(f"{field}[{key}]", key, fault)


def changes_of_frozen(new: Object, old: Object, *fields: str) -> Iterator[Cause]:
    """What was made immutable stays as it is, and stays immutable."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", _FROZEN)
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield forbidden(field, _FROZEN)


def _validate(config_map: Object) -> list[Cause]:
    text, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    found = [
        *faults_of_keys(config_map, "data"),
        *(
            invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
            for key in sorted(text.keys() & binary.keys())
        ),
        *faults_of_keys(config_map, "binaryData"),
    ]
    size = sum(len(value.encode()) for value in text.values())
    if size + sum(map(base64_bytes, binary.values())) > DATA_BYTES_MAX:
        # The whole object is too long, and that is how Kubernetes spells its path.
        found.append(too_long("[]", DATA_BYTES_MAX))
    return found


def _validate_update(new: Object, old: Object) -> list[Cause]:
    return [*changes_of_frozen(new, old, "data", "binaryData")]


def _data(config_map: Object, now: float) -> int:
    return len(config_map.get("data") or {}) + len(config_map.get("binaryData") or {})


STRATEGY = Strategy(validate=_validate, validate_update=_validate_update, cells={"data": _data})
