"""Validation of the volumes of a pod. PURE.

Source: Kubernetes, "Volumes", "Projected Volumes", "Ephemeral Volumes"; kube-behaviour 9.2, 9.3.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controlplane.api import quantity, syntaxes
from controlplane.api.causes import duplicate, invalid, not_supported, required
from controlplane.api.checks import exactly_one, syntax
from controlplane.api.containers import field_reference, local_path, resource_reference
from controlplane.api.errors import Cause
from controlplane.api.requirements import amount
from controlplane.api.resource import Object

_Validate = Callable[[Object, str], Iterator[Cause]]
_MODE_MAX = 0o777
_HOST_PATH_TYPES = frozenset(
    (
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    )
)
_FIELD_PATHS = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "metadata.labels",
        "metadata.annotations",
    )
)
_TOKEN_SECONDS_MIN = 600
_TOKEN_SECONDS_MAX = 2**32


def validate_volumes(volumes: list[Object], path: str) -> Iterator[Cause]:
    """`spec.volumes`: names tell them apart, and each has one source."""
    taken: set[Any] = set()
    for position, volume in enumerate(volumes):
        at = f"{path}[{position}]"
        name = volume.get("name")
        yield from syntax(f"{at}.name", name, syntaxes.faults_of_label)
        if name in taken:
            yield duplicate(f"{at}.name", name)
        taken.add(name)
        yield from _source(volume, at)


def has_source(volume: Object) -> bool:
    """Whether it says what kind of volume it is; otherwise it is an emptyDir."""
    return any(value is not None for key, value in volume.items() if key != "name")


def _source(volume: Object, path: str) -> Iterator[Cause]:
    yield from _one_of(volume, [key for key in volume if key != "name"], path, _SOURCES)


def _one_of(
    holder: Object, kinds: list[str], path: str, checks: Mapping[str, _Validate]
) -> Iterator[Cause]:
    yield from exactly_one(path, holder, kinds, "volume type")
    for kind in kinds:
        check = checks.get(kind)
        if check is not None and holder[kind] is not None:
            yield from check(holder[kind], f"{path}.{kind}")


def mode(path: str, value: Any) -> Iterator[Cause]:
    """Permission bits."""
    if value is not None and not 0 <= value <= _MODE_MAX:
        why = "must be a number between 0 and 0777 (octal), both inclusive"
        yield invalid(path, value, why)


def _items(source: Object, path: str) -> Iterator[Cause]:
    """defaultMode and items of a ConfigMap or Secret."""
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for position, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{position}]"
        if not item.get("key"):
            yield required(f"{at}.key")
        yield from _file(item, at)


def _file(item: Object, path: str) -> Iterator[Cause]:
    """Where a file goes, and its mode."""
    place = item.get("path")
    if not place:
        yield required(f"{path}.path")
    else:
        yield from local_path(f"{path}.path", place)
        if place.startswith("..") and not place.startswith("../"):
            yield invalid(f"{path}.path", place, "must not start with '..'")
    yield from mode(f"{path}.mode", item.get("mode"))


def _host_path(source: Object, path: str) -> Iterator[Cause]:
    place = source.get("path")
    if not place:
        yield required(f"{path}.path")
    elif ".." in place.split("/"):
        yield invalid(f"{path}.path", place, "must not contain '..'")
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", kind, _HOST_PATH_TYPES)


def _empty_dir(source: Object, path: str) -> Iterator[Cause]:
    size = amount(source.get("sizeLimit"))
    if size is not None and size < 0:
        shown = quantity.canonical(source["sizeLimit"])
        yield invalid(
            f"{path}.sizeLimit", shown, "SizeLimit field must be a valid resource quantity"
        )


def _secret(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("secretName"):
        yield required(f"{path}.secretName")
    yield from _items(source, path)


def _config_map(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("name"):
        yield required(f"{path}.name")
    yield from _items(source, path)


def _claim(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("claimName"):
        yield required(f"{path}.claimName")


def _nfs(source: Object, path: str) -> Iterator[Cause]:
    if not source.get("server"):
        yield required(f"{path}.server")
    place = source.get("path")
    if not place:
        yield required(f"{path}.path")
    elif not place.startswith("/"):
        yield invalid(f"{path}.path", place, "must be an absolute path")


def _csi(source: Object, path: str) -> Iterator[Cause]:
    yield from syntax(f"{path}.driver", source.get("driver"), syntaxes.faults_of_subdomain)


def _ephemeral(source: Object, path: str) -> Iterator[Cause]:
    template = source.get("volumeClaimTemplate")
    if not template:
        yield required(f"{path}.volumeClaimTemplate")
    elif not (template.get("spec") or {}).get("accessModes"):
        at = f"{path}.volumeClaimTemplate.spec.accessModes"
        yield required(at, "at least 1 access mode is required")


def _downward_api(source: Object, path: str) -> Iterator[Cause]:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for position, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{position}]"
        yield from _file(item, at)
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            yield from field_reference(field, f"{at}.fieldRef", _FIELD_PATHS)
            if resource is not None:
                why = "fieldRef and resourceFieldRef can not be specified simultaneously"
                yield invalid(at, "resource", why)
        elif resource is not None:
            yield from resource_reference(resource, f"{at}.resourceFieldRef", needs_container=True)
        else:
            yield required(at, "one of fieldRef and resourceFieldRef is required")


def _projected(source: Object, path: str) -> Iterator[Cause]:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for position, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{position}]"
        yield from _one_of(projection, list(projection), at, _PROJECTIONS)


def _token(source: Object, path: str) -> Iterator[Cause]:
    yield from _file(source, path)
    seconds = source.get("expirationSeconds")
    if seconds is None:
        return
    if seconds < _TOKEN_SECONDS_MIN:
        yield invalid(
            f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
        )
    if seconds > _TOKEN_SECONDS_MAX:
        yield invalid(
            f"{path}.expirationSeconds",
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        )


_SOURCES = {
    "hostPath": _host_path,
    "emptyDir": _empty_dir,
    "secret": _secret,
    "configMap": _config_map,
    "persistentVolumeClaim": _claim,
    "nfs": _nfs,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "downwardAPI": _downward_api,
    "projected": _projected,
}
_PROJECTIONS = {
    "secret": _config_map,
    "configMap": _config_map,
    "downwardAPI": _downward_api,
    "serviceAccountToken": _token,
}
