"""Validation of containers: ports, environment, mounts, probes, hooks, security. PURE.

Source: Kubernetes' API reference of Container and what its API server answers (kube-behaviour
2.19, 10.4, 10.5). Types are right already (the schema says so); anything may be missing.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from controlplane.api import handlers, requirements, syntaxes
from controlplane.api.causes import (
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from controlplane.api.checks import one_of, one_of_if_set, syntax, syntax_if_set
from controlplane.api.errors import Cause
from controlplane.api.resource import Object
from controlplane.api.security import validate_container_security

PROTOCOLS = frozenset(("TCP", "UDP", "SCTP"))
PULL_POLICIES = frozenset(("Always", "IfNotPresent", "Never"))
_TERMINATION_MESSAGE_POLICIES = frozenset(("File", "FallbackToLogsOnError"))
_MOUNT_PROPAGATIONS = frozenset(("None", "HostToContainer", "Bidirectional"))
_RECURSIVE_READ_ONLY = frozenset(("Disabled", "IfPossible", "Enabled"))
_FIELD_PATHS = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
"""What `env[].valueFrom.fieldRef` may name besides one label or annotation."""
_RESOURCES = frozenset(
    f"{kind}.{name}"
    for kind in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)
_PORT_MAX = 65535
_HOOKS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


class Surroundings(msgspec.Struct, frozen=True):
    """What a container may refer to in its pod.

    volumes         name -> volume
    claims          names of resource claims
    grace_seconds   terminationGracePeriodSeconds; None: unknown
    """

    volumes: dict[str, Object]
    claims: frozenset[str]
    grace_seconds: int | None


def validate_containers(
    containers: list[Object], path: str, around: Surroundings
) -> Iterator[Cause]:
    """`spec.containers`: at least one."""
    if not containers:
        yield required(path)
    taken: set[str] = set()
    for position, container in enumerate(containers):
        at = f"{path}[{position}]"
        yield from _container(container, at, around)
        if container.get("restartPolicy"):
            yield forbidden(f"{at}.restartPolicy", "may not be set for non-init containers")
        yield from _probes(container, at, around)
    yield from _same_names(containers, path, taken)
    yield from _host_ports(containers, path)


def validate_init_containers(
    containers: list[Object], path: str, around: Surroundings, taken: set[str]
) -> Iterator[Cause]:
    """`spec.initContainers`. `taken` are names of the others, and gets theirs."""
    for position, container in enumerate(containers):
        at = f"{path}[{position}]"
        yield from _container(container, at, around)
        policy = container.get("restartPolicy")
        yield from one_of_if_set(f"{at}.restartPolicy", policy, {"Always"})
        if policy == "Always":
            yield from _probes(container, at, around)
            continue
        for hook in _HOOKS:
            if container.get(hook) is not None:
                why = "may not be set for init containers without restartPolicy=Always"
                yield forbidden(f"{at}.{hook}", why)
    yield from _same_names(containers, path, taken)
    for position, container in enumerate(containers):
        yield from _host_ports([container], path, position)


_EPHEMERAL_FORBIDDEN = (*_HOOKS, "ports", "resources", "restartPolicy")


def validate_ephemeral_containers(
    containers: list[Object], path: str, around: Surroundings, taken: set[str]
) -> Iterator[Cause]:
    """`spec.ephemeralContainers`: no ports, probes, hooks, resources."""
    targets = frozenset(taken)
    for position, container in enumerate(containers):
        at = f"{path}[{position}]"
        yield from _container(container, at, around)
        for field in _EPHEMERAL_FORBIDDEN:
            if container.get(field):
                yield forbidden(f"{at}.{field}", "cannot be set for an Ephemeral Container")
        target = container.get("targetContainerName")
        if target and target not in targets:
            yield not_found(f"{at}.targetContainerName", target)
    yield from _same_names(containers, path, taken)


def _same_names(containers: list[Object], path: str, taken: set[str]) -> Iterator[Cause]:
    for position, container in enumerate(containers):
        name = container.get("name")
        if name in taken:
            yield duplicate(f"{path}[{position}].name", name)
        if name:
            taken.add(name)


def _container(container: Object, path: str, around: Surroundings) -> Iterator[Cause]:
    yield from syntax(f"{path}.name", container.get("name"), syntaxes.faults_of_label)
    image = container.get("image")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        why = "must not have leading or trailing whitespace"
        yield invalid(f"{path}.image", image, why)
    yield from one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    yield from one_of(
        f"{path}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        _TERMINATION_MESSAGE_POLICIES,
    )
    if ports := container.get("ports"):
        yield from _ports(ports, f"{path}.ports")
    yield from _environment(container, path)
    if mounts := container.get("volumeMounts"):
        yield from _mounts(mounts, f"{path}.volumeMounts", around)
    if devices := container.get("volumeDevices"):
        yield from _devices(devices, f"{path}.volumeDevices", around)
    yield from requirements.validate(container.get("resources"), f"{path}.resources", around.claims)
    yield from validate_container_security(
        container.get("securityContext"), f"{path}.securityContext"
    )


def _ports(ports: list[Object], path: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for position, port in enumerate(ports):
        at = f"{path}[{position}]"
        name = port.get("name")
        if name:
            faults = syntaxes.faults_of_port_name(name)
            for why in faults:
                yield invalid(f"{at}.name", name, why)
            if not faults and name in taken:
                yield duplicate(f"{at}.name", name)
            taken.add(name)
        number = port.get("containerPort")
        if not number:
            yield required(f"{at}.containerPort")
        else:
            yield from port_number(f"{at}.containerPort", number)
        if host_port := port.get("hostPort"):
            yield from port_number(f"{at}.hostPort", host_port)
        yield from one_of(f"{at}.protocol", port.get("protocol"), PROTOCOLS)


def port_number(path: str, number: Any) -> Iterator[Cause]:
    """1-65535."""
    if not 0 < number <= _PORT_MAX:
        yield invalid(path, number, f"must be between 1 and {_PORT_MAX}, inclusive")


def _host_ports(containers: list[Object], path: str, first: int = 0) -> Iterator[Cause]:
    """Two containers cannot have the same port of the node."""
    taken: set[str] = set()
    for number, container in enumerate(containers, first):
        for position, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            place = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if place in taken:
                yield duplicate(f"{path}[{number}].ports[{position}].hostPort", place)
            taken.add(place)


def _environment(container: Object, path: str) -> Iterator[Cause]:
    for position, variable in enumerate(container.get("env") or ()):
        at = f"{path}.env[{position}]"
        yield from syntax(f"{at}.name", variable.get("name"), syntaxes.faults_of_env_name)
        source = variable.get("valueFrom")
        if source is not None:
            yield from _value_from(source, f"{at}.valueFrom", variable)
    for position, source in enumerate(container.get("envFrom") or ()):
        at = f"{path}.envFrom[{position}]"
        yield from syntax_if_set(f"{at}.prefix", source.get("prefix"), syntaxes.faults_of_env_name)
        given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        if not given:
            yield invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")
        if len(given) > 1:
            yield invalid(at, "", "may not have more than one field specified at a time")
        for kind in given:
            name = source[kind].get("name")
            yield from syntax(f"{at}.{kind}.name", name, syntaxes.faults_of_subdomain)


_VALUE_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")


def _value_from(source: Object, path: str, variable: Object) -> Iterator[Cause]:
    given = [kind for kind in _VALUE_SOURCES if source.get(kind) is not None]
    if variable.get("value"):
        if given:
            yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")
    if not given:
        why = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, "
            "`configMapKeyRef` or `secretKeyRef`"
        )
        yield invalid(path, "", why)
    for kind in given:
        reference = source[kind]
        at = f"{path}.{kind}"
        if kind == "fieldRef":
            yield from field_reference(reference, at, _FIELD_PATHS)
        elif kind == "resourceFieldRef":
            yield from resource_reference(reference, at, needs_container=False)
        else:
            yield from syntax(f"{at}.name", reference.get("name"), syntaxes.faults_of_subdomain)
            yield from syntax(f"{at}.key", reference.get("key"), syntaxes.faults_of_config_key)


def field_reference(reference: Object, path: str, supported: frozenset[str]) -> Iterator[Cause]:
    """A field of the pod, or one of its labels or annotations: `metadata.labels['x']`."""
    if not reference.get("apiVersion"):
        yield required(f"{path}.apiVersion")
    name = reference.get("fieldPath")
    if not name:
        yield required(f"{path}.fieldPath")
        return
    holder, bracket, rest = name.partition("['")
    if bracket and holder in ("metadata.labels", "metadata.annotations") and rest.endswith("']"):
        for why in syntaxes.faults_of_qualified_name(rest[:-2].lower()):
            yield invalid(path, rest[:-2], why)
    elif name not in supported:
        yield not_supported(f"{path}.fieldPath", name, supported)


def resource_reference(reference: Object, path: str, *, needs_container: bool) -> Iterator[Cause]:
    """A request or limit of a container; volumes must say of which."""
    if needs_container and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    name = reference.get("resource")
    if not name:
        yield required(f"{path}.resource")
    elif name not in _RESOURCES and not name.startswith(
        ("limits.hugepages-", "requests.hugepages-")
    ):
        yield not_supported(f"{path}.resource", name, _RESOURCES)


def _mounts(mounts: list[Object], path: str, around: Surroundings) -> Iterator[Cause]:
    taken: set[Any] = set()
    for position, mount in enumerate(mounts):
        at = f"{path}[{position}]"
        name, place = mount.get("name"), mount.get("mountPath")
        if not name:
            yield required(f"{at}.name")
        elif name not in around.volumes:
            yield not_found(f"{at}.name", name)
        if not place:
            yield required(f"{at}.mountPath")
        elif place in taken:
            yield invalid(f"{at}.mountPath", place, "must be unique")
        taken.add(place)
        yield from _mount_options(mount, at)


def _mount_options(mount: Object, path: str) -> Iterator[Cause]:
    sub_path, expression = mount.get("subPath"), mount.get("subPathExpr")
    for field, value in (("subPath", sub_path), ("subPathExpr", expression)):
        if value:
            yield from local_path(f"{path}.{field}", value)
    if sub_path and expression:
        yield invalid(
            f"{path}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive"
        )
    propagation = mount.get("mountPropagation")
    yield from one_of_if_set(f"{path}.mountPropagation", propagation, _MOUNT_PROPAGATIONS)
    recursive = mount.get("recursiveReadOnly")
    yield from one_of_if_set(f"{path}.recursiveReadOnly", recursive, _RECURSIVE_READ_ONLY)
    if recursive in ("IfPossible", "Enabled") and not mount.get("readOnly"):
        why = "may only be specified when readOnly is true"
        yield forbidden(f"{path}.recursiveReadOnly", why)


def _devices(devices: list[Object], path: str, around: Surroundings) -> Iterator[Cause]:
    for position, device in enumerate(devices):
        at = f"{path}[{position}]"
        name = device.get("name")
        if not name:
            yield required(f"{at}.name")
        elif name not in around.volumes:
            yield not_found(f"{at}.name", name)
        elif not {"persistentVolumeClaim", "ephemeral"} & around.volumes[name].keys():
            why = (
                "can only use volume source type of PersistentVolumeClaim or Ephemeral "
                "for block mode"
            )
            yield invalid(f"{at}.name", name, why)
        if not device.get("devicePath"):
            yield required(f"{at}.devicePath")


def local_path(path: str, value: str) -> Iterator[Cause]:
    """A path below something: relative, and never up."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def _probes(container: Object, path: str, around: Surroundings) -> Iterator[Cause]:
    for hook in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(hook)
        if handler is not None:
            at = f"{path}.lifecycle.{hook}"
            yield from handlers.validate_hook(handler, at, around.grace_seconds)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe) is not None:
            yield from handlers.validate_probe(container[probe], probe, f"{path}.{probe}")
