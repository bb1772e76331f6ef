"""The files of volumes that are made of objects. PURE.

Source: Kubernetes' documentation, "Projected Volumes", "ConfigMaps", "Secrets", "Downward API".
"""

from collections.abc import Iterator, Mapping

import msgspec

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import (
    DownwardAPIVolumeFile,
    KeyToPath,
    Pod,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from controlplane.node.environment import Kind, Reference, contents
from controlplane.node.field_values import FieldError, field_value, resource_value

MODE = 0o644
TOKEN_SECONDS = 3_600


class VolumeError(Exception):
    """A volume cannot be made; the message says why, for an event."""


class File(msgspec.Struct, frozen=True):
    """`mode`: its permission bits."""

    data: bytes
    mode: int = MODE


class TokenWish(msgspec.Struct, frozen=True):
    """A token of the pod's account. `audience` empty: the API server."""

    audience: str
    seconds: int


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What the files are made of.

    objects      those of `references` that there are
    allocatable  of the node
    """

    objects: Mapping[Reference, Object] = {}
    tokens: Mapping[TokenWish, str] = {}
    host_ip: str = ""
    allocatable: Mapping[str, str] = {}


def is_of_files(volume: Volume) -> bool:
    """Whether it is made here, and made anew when its objects change."""
    return any((volume.config_map, volume.secret, volume.downward_api, volume.projected))


def projections(volume: Volume) -> tuple[VolumeProjection, ...]:
    """What a projected volume joins."""
    return volume.projected.sources if volume.projected is not None else ()


def references(volume: Volume) -> list[Reference]:
    """The objects that a volume needs, or may need."""
    found = []
    if volume.config_map is not None:
        found.append(Reference("configmap", volume.config_map.name))
    if volume.secret is not None:
        found.append(Reference("secret", volume.secret.secret_name))
    for source in projections(volume):
        if source.config_map is not None:
            found.append(Reference("configmap", source.config_map.name))
        if source.secret is not None:
            found.append(Reference("secret", source.secret.name))
    return list(dict.fromkeys(found))


def token_wishes(volume: Volume) -> list[TokenWish]:
    """The tokens that it needs."""
    tokens = (one.service_account_token for one in projections(volume))
    return [_wish(one) for one in tokens if one is not None]


def _wish(token: ServiceAccountTokenProjection) -> TokenWish:
    return TokenWish(token.audience, token.expiration_seconds or TOKEN_SECONDS)


def files(pod: Pod, volume: Volume, origin: Origin) -> dict[str, File]:
    """Path below the volume -> file. Raises VolumeError."""
    found: dict[str, File] = {}
    for path, file in _all(pod, volume, origin):
        parts = path.split("/")
        if path.startswith("/") or ".." in parts or parts[0].startswith("..") or "" in parts:
            raise VolumeError(f"{path!r} is no path within a volume")
        found[path] = file
    _require_tree(found)
    return found


def _require_tree(found: Mapping[str, File]) -> None:
    """No file may be where another needs a folder."""
    for path in found:
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            if above in found:
                raise VolumeError(f"{above!r} cannot be a file and a folder")


def _all(pod: Pod, volume: Volume, origin: Origin) -> Iterator[tuple[str, File]]:
    if volume.config_map is not None:
        config = volume.config_map
        mode = _mode(config.default_mode)
        reference = Reference("configmap", config.name)
        yield from _keys(pod, origin, reference, config.items, mode, bool(config.optional))
    elif volume.secret is not None:
        secret = volume.secret
        mode = _mode(secret.default_mode)
        reference = Reference("secret", secret.secret_name)
        yield from _keys(pod, origin, reference, secret.items, mode, bool(secret.optional))
    elif volume.downward_api is not None:
        mode = _mode(volume.downward_api.default_mode)
        yield from _fields(pod, origin, volume.downward_api.items, mode)
    elif volume.projected is not None:
        mode = _mode(volume.projected.default_mode)
        for source in volume.projected.sources:
            yield from _projected(pod, origin, source, mode)


def _mode(mode: int | None) -> int:
    return MODE if mode is None else mode


def _projected(
    pod: Pod, origin: Origin, source: VolumeProjection, mode: int
) -> Iterator[tuple[str, File]]:
    if source.config_map is not None:
        config = source.config_map
        reference = Reference("configmap", config.name)
        yield from _keys(pod, origin, reference, config.items, mode, bool(config.optional))
    if source.secret is not None:
        secret = source.secret
        reference = Reference("secret", secret.name)
        yield from _keys(pod, origin, reference, secret.items, mode, bool(secret.optional))
    if source.downward_api is not None:
        yield from _fields(pod, origin, source.downward_api.items, mode)
    if source.service_account_token is not None:
        token = source.service_account_token
        # Whoever the pod runs as must be able to read it; from others the node's folders keep it.
        yield token.path, File(origin.tokens[_wish(token)].encode(), mode)


_CALLED: Mapping[Kind, str] = {"configmap": "configmap", "secret": "secret"}


def _keys(
    pod: Pod,
    origin: Origin,
    reference: Reference,
    items: tuple[KeyToPath, ...],
    mode: int,
    is_optional: bool,
) -> Iterator[tuple[str, File]]:
    obj = origin.objects.get(reference)
    if obj is None:
        if is_optional:
            return
        raise VolumeError(f'{_CALLED[reference.kind]} "{reference.name}" not found')
    held = contents(reference.kind, obj)
    if not items:
        yield from ((key, File(data, mode)) for key, data in held.items())
        return
    for item in items:
        data = held.get(item.key)
        if data is not None:
            yield item.path, File(data, mode if item.mode is None else item.mode)
        elif not is_optional:
            where = f"{pod.metadata.namespace}/{reference.name}"
            raise VolumeError(f"{where} references non-existent key: {item.key}")


def _fields(
    pod: Pod, origin: Origin, items: tuple[DownwardAPIVolumeFile, ...], mode: int
) -> Iterator[tuple[str, File]]:
    for item in items:
        try:
            if item.field_ref is not None:
                path = item.field_ref.field_path
                text = field_value(pod, path, host_ip=origin.host_ip, address="")
            elif item.resource_field_ref is not None:
                text = resource_value(pod, item.resource_field_ref, "", origin.allocatable)
            else:
                text = ""
        except FieldError as error:
            raise VolumeError(str(error)) from error
        yield item.path, File(text.encode(), mode if item.mode is None else item.mode)
