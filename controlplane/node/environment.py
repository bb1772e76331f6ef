"""The environment of a container. PURE.

Source: Kubernetes' API reference of EnvVar and EnvFromSource; documentation, "Define Dependent
Environment Variables", "Service" (environment variables).
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import EnvFromSource, EnvVar, EphemeralContainer, Pod, Service
from controlplane.node.field_values import FieldError, field_value, resource_value

Kind = Literal["configmap", "secret"]

_CALLED = {"configmap": "ConfigMap", "secret": "Secret"}
_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class ConfigError(Exception):
    """What a container refers to is not there; the message says what: CreateContainerConfigError"""


class Reference(msgspec.Struct, frozen=True):
    """An object that a pod refers to, in its own namespace."""

    kind: Kind
    name: str


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What environments are made of.

    objects      those of `references` that there are
    services     of the pod's namespace, and those of everybody
    address      of the pod
    allocatable  of the node
    """

    objects: Mapping[Reference, Object] = {}
    services: Sequence[Service] = ()
    host_ip: str = ""
    address: str = ""
    allocatable: Mapping[str, str] = {}


def references(spec: Spec | EphemeralContainer) -> list[Reference]:
    """The objects that the environment of a container needs, or may need."""
    found: dict[Reference, None] = {}
    for source in spec.env_from:
        found |= {reference: None for reference, _ in _sources(source)}
    for one in spec.env:
        origin = one.value_from
        if origin is not None and origin.config_map_key_ref is not None:
            found[Reference("configmap", origin.config_map_key_ref.name)] = None
        if origin is not None and origin.secret_key_ref is not None:
            found[Reference("secret", origin.secret_key_ref.name)] = None
    return list(found)


def contents(kind: Kind, obj: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret. What is no base64 is left out."""
    found = {}
    if kind == "configmap":
        found = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    encoded: Mapping[str, Any] = obj.get("binaryData" if kind == "configmap" else "data") or {}
    for key, value in encoded.items():
        try:
            found[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            continue
    return found


def environment(pod: Pod, spec: Spec | EphemeralContainer, origin: Origin) -> dict[str, str]:
    """All variables of a container. Raises ConfigError."""
    found: dict[str, str] = {}
    offered = service_variables(pod, origin.services)
    for source in spec.env_from:
        for reference, is_optional in _sources(source):
            for key, raw in _all_of(origin, reference, is_optional).items():
                found[source.prefix + key] = raw.decode(errors="replace")
    for one in spec.env:
        value = _value(pod, spec, one, origin, {**offered, **found})
        if value is not None:
            found[one.name] = value
    return {**offered, **found}


def _sources(source: EnvFromSource) -> list[tuple[Reference, bool]]:
    """What one names, and whether it may be absent."""
    found = []
    if source.config_map_ref is not None:
        config = source.config_map_ref
        found.append((Reference("configmap", config.name), bool(config.optional)))
    if source.secret_ref is not None:
        secret = source.secret_ref
        found.append((Reference("secret", secret.name), bool(secret.optional)))
    return found


def _all_of(origin: Origin, reference: Reference, is_optional: bool) -> dict[str, bytes]:
    obj = origin.objects.get(reference)
    if obj is not None:
        return contents(reference.kind, obj)
    if is_optional:
        return {}
    raise ConfigError(f'{reference.kind} "{reference.name}" not found')


def _value(
    pod: Pod, spec: Spec | EphemeralContainer, one: EnvVar, origin: Origin, known: Mapping[str, str]
) -> str | None:
    """None: it is optional, and not there."""
    source = one.value_from
    if source is None:
        return expand(one.value, known)
    if source.config_map_key_ref is not None:
        key = source.config_map_key_ref
        return _key_of(pod, origin, Reference("configmap", key.name), key.key, key.optional)
    if source.secret_key_ref is not None:
        secret = source.secret_key_ref
        reference = Reference("secret", secret.name)
        return _key_of(pod, origin, reference, secret.key, secret.optional)
    try:
        if source.field_ref is not None:
            path = source.field_ref.field_path
            return field_value(pod, path, host_ip=origin.host_ip, address=origin.address)
        if source.resource_field_ref is not None:
            return resource_value(pod, source.resource_field_ref, spec.name, origin.allocatable)
    except FieldError as error:
        raise ConfigError(str(error)) from error
    return ""


def _key_of(
    pod: Pod, origin: Origin, reference: Reference, key: str, is_optional: bool | None
) -> str | None:
    value = _all_of(origin, reference, bool(is_optional)).get(key)
    if value is not None:
        return value.decode(errors="replace")
    if is_optional:
        return None
    where = f"{pod.metadata.namespace}/{reference.name}"
    raise ConfigError(f"couldn't find key {key} in {_CALLED[reference.kind]} {where}")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` is its value, where it has one; `$$` is one `$`."""

    def replaced(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return known.get(name, match.group(0))

    return _REFERENCE.sub(replaced, text)


def service_variables(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """Where services are: those of the pod's namespace unless it wants none, and the API."""
    has_links = pod.spec.enable_service_links is not False
    found: dict[str, str] = {}
    for service in services:
        meta = service.metadata
        is_api = (meta.namespace, meta.name) == ("default", "kubernetes")
        if is_api or (has_links and meta.namespace == pod.metadata.namespace):
            found |= _variables_of(service)
    return found


def _variables_of(service: Service) -> dict[str, str]:
    address, ports = service.spec.cluster_ip, service.spec.ports
    if not address or address == "None" or not ports:
        return {}
    name = service.metadata.name.upper().replace("-", "_")
    if not _NAME.fullmatch(name):
        return {}
    host = f"[{address}]" if ":" in address else address
    first = ports[0]
    found = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(first.port)}
    protocol = (first.protocol or "TCP").lower()
    found[f"{name}_PORT"] = f"{protocol}://{host}:{first.port}"
    for port in ports:
        if port.name:
            called = port.name.upper().replace("-", "_")
            found[f"{name}_SERVICE_PORT_{called}"] = str(port.port)
        protocol = (port.protocol or "TCP").lower()
        prefix = f"{name}_PORT_{port.port}_{protocol.upper()}"
        found[prefix] = f"{protocol}://{host}:{port.port}"
        found[f"{prefix}_PROTO"] = protocol
        found[f"{prefix}_PORT"] = str(port.port)
        found[f"{prefix}_ADDR"] = address
    return found
