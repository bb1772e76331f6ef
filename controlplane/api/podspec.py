"""Pod specs, in pods and in the templates of workloads: defaults and validation. PURE.

Source: Kubernetes' API reference of PodSpec (kube-behaviour 2.19, 4.2, 10.4-10.6). What tables can
say of defaults is in `kinds/shared/pod_spec.toml`. Validators get trees whose types the schema
has found right, pruned (so without nulls) and with defaults filled in; anything may be missing.
"""

from collections.abc import Iterator, Set
from typing import Any

from controlplane.api import containers, placement, syntaxes, volumes
from controlplane.api.causes import duplicate, forbidden, invalid, required
from controlplane.api.checks import at_least, one_of, one_of_if_set, syntax, syntax_if_set
from controlplane.api.containers import Surroundings
from controlplane.api.errors import Cause
from controlplane.api.meta import validate_labels
from controlplane.api.requirements import amount
from controlplane.api.resource import Object
from controlplane.api.security import validate_pod_security

RESTART_POLICIES = ("Always", "OnFailure", "Never")  # in the order of the message
_DNS_POLICIES = frozenset(("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"))
_PREEMPTION_POLICIES = frozenset(("PreemptLowerPriority", "Never"))
_SYSTEMS = frozenset(("linux", "windows"))
_DEADLINE_MAX = 2**31 - 1
_NAMESERVERS_MAX = 3
_SEARCHES_MAX = 32
_SEARCH_CHARACTERS_MAX = 2048
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def default_pod_spec(spec: Object) -> Object:
    """What a table cannot say: it depends on other fields."""
    changed = dict(spec)
    for field in _CONTAINER_LISTS:
        if found := spec.get(field):
            changed[field] = [_default_container(one, spec) for one in found]
    if found := spec.get("volumes"):
        changed["volumes"] = [
            one if volumes.has_source(one) else {**one, "emptyDir": {}} for one in found
        ]
    # Two names for one thing: clients may read, and old ones write, the deprecated one.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        changed["serviceAccountName"] = changed["serviceAccount"] = account
    return changed


def _default_container(container: Object, spec: Object) -> Object:
    more: dict[str, Any] = {}
    if not container.get("imagePullPolicy"):
        more["imagePullPolicy"] = _pull_policy(container.get("image") or "")
    ports = container.get("ports")
    if ports and spec.get("hostNetwork"):
        more["ports"] = [_default_host_port(port) for port in ports]
    return {**container, **more} if more else container


def _pull_policy(image: str) -> str:
    """Tags named `latest` move (10.4)."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_host_port(port: Object) -> Object:
    number = port.get("containerPort")
    return port if port.get("hostPort") or not number else {**port, "hostPort": number}


def default_requests(spec: Object) -> Object:
    """Of pods only, not of templates: who asks for no share gets what it is limited to."""
    changed = dict(spec)
    for field in ("containers", "initContainers"):
        if found := spec.get(field):
            changed[field] = [_request_limits(one) for one in found]
    return changed


def _request_limits(container: Object) -> Object:
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if limits.keys() <= requests.keys():
        return container
    return {**container, "resources": {**resources, "requests": {**limits, **requests}}}


def drop_disabled(spec: Object, old: Object) -> Object:
    """Without volumes that are images, and their mounts, unless `old`, which it replaces, has some.

    In 1.33 they are off by default (the feature ImageVolume).
    """
    images = [volume for volume in spec.get("volumes") or () if _is_image(volume)]
    if not images or any(_is_image(volume) for volume in old.get("volumes") or ()):
        return spec
    names = {volume.get("name") for volume in images}
    kept = _with_list(spec, "volumes", [one for one in spec["volumes"] if not _is_image(one)])
    for field in _CONTAINER_LISTS:
        if found := spec.get(field):
            kept[field] = [_without_mounts(container, names) for container in found]
    return kept


def _is_image(volume: Object) -> bool:
    return volume.get("image") is not None


def _without_mounts(container: Object, names: Set[str | None]) -> Object:
    mounts: list[Object] = container.get("volumeMounts") or []
    left = [mount for mount in mounts if mount.get("name") not in names]
    return container if len(left) == len(mounts) else _with_list(container, "volumeMounts", left)


def _with_list(holder: Object, field: str, elements: list[Object]) -> dict[str, Any]:
    """With a list in place of another one; Go leaves an empty one out."""
    kept = {**holder, field: elements}
    if not elements:
        del kept[field]
    return kept


def surroundings(spec: Object) -> Surroundings:
    """What its containers may refer to."""
    return Surroundings(
        volumes={one["name"]: one for one in spec.get("volumes") or () if one.get("name")},
        claims=frozenset(
            one["name"] for one in spec.get("resourceClaims") or () if one.get("name")
        ),
        grace_seconds=spec.get("terminationGracePeriodSeconds"),
    )


def validate_pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    """All that is wrong with a pod spec at `path`."""
    around = surroundings(spec)
    yield from volumes.validate_volumes(spec.get("volumes") or [], f"{path}.volumes")
    main: list[Object] = spec.get("containers") or []
    yield from containers.validate_containers(main, f"{path}.containers", around)
    taken = {one["name"] for one in main if one.get("name")}
    yield from containers.validate_init_containers(
        spec.get("initContainers") or [], f"{path}.initContainers", around, taken
    )
    yield from containers.validate_ephemeral_containers(
        spec.get("ephemeralContainers") or [], f"{path}.ephemeralContainers", around, taken
    )
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    yield from _identity(spec, path)
    if spec.get("nodeName") and spec.get("schedulingGates"):
        why = "cannot be set until all schedulingGates have been cleared"
        yield forbidden(f"{path}.nodeName", why)
    yield from _durations(spec, path)
    yield from _network(spec, path)
    yield from _placement(spec, path)
    if spec.get("securityContext"):
        yield from validate_pod_security(spec["securityContext"], f"{path}.securityContext")
    yield from _lists(spec, path)


def _identity(spec: Object, path: str) -> Iterator[Cause]:
    for field in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        yield from syntax_if_set(f"{path}.{field}", spec.get(field), syntaxes.faults_of_subdomain)
    for field in ("hostname", "subdomain"):
        yield from syntax_if_set(f"{path}.{field}", spec.get(field), syntaxes.faults_of_label)
    policy = spec.get("preemptionPolicy")
    yield from one_of_if_set(f"{path}.preemptionPolicy", policy, _PREEMPTION_POLICIES)
    system = spec.get("os")
    if system is not None:
        yield from one_of(f"{path}.os.name", system.get("name"), _SYSTEMS)


def _durations(spec: Object, path: str) -> Iterator[Cause]:
    at = f"{path}.terminationGracePeriodSeconds"
    yield from at_least(at, spec.get("terminationGracePeriodSeconds"))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _DEADLINE_MAX:
        why = f"must be between 1 and {_DEADLINE_MAX}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, why)


def _network(spec: Object, path: str) -> Iterator[Cause]:
    policy = spec.get("dnsPolicy")
    yield from one_of(f"{path}.dnsPolicy", policy, _DNS_POLICIES)
    config = spec.get("dnsConfig") or {}
    yield from _dns_config(config, f"{path}.dnsConfig")
    if policy == "None" and not config.get("nameservers"):
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield required(f"{path}.dnsConfig" + (".nameservers" if config else ""), why)
    if not spec.get("hostNetwork"):
        return
    for position, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            value = port.get("containerPort")
            if port.get("hostPort") != value:
                at = f"{path}.containers[{position}].ports[{number}].containerPort"
                yield invalid(at, value, "must match `hostPort` when `hostNetwork` is true")


def _dns_config(config: Object, path: str) -> Iterator[Cause]:
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > _NAMESERVERS_MAX:
        why = f"must not have more than {_NAMESERVERS_MAX} nameservers"
        yield invalid(f"{path}.nameservers", servers, why)
    for position, server in enumerate(servers):
        for why in syntaxes.faults_of_ip(server):
            yield invalid(f"{path}.nameservers[{position}]", server, why)
    if len(searches) > _SEARCHES_MAX:
        why = f"must not have more than {_SEARCHES_MAX} search paths"
        yield invalid(f"{path}.searches", searches, why)
    if len(" ".join(searches)) > _SEARCH_CHARACTERS_MAX:
        why = (
            f"must not have more than {_SEARCH_CHARACTERS_MAX} characters "
            "(including spaces) in the search list"
        )
        yield invalid(f"{path}.searches", searches, why)
    for position, search in enumerate(searches):
        if search != ".":
            at = f"{path}.searches[{position}]"
            yield from syntax(at, search.removesuffix("."), syntaxes.faults_of_search)
    for position, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{position}]", "must not be empty")


def _placement(spec: Object, path: str) -> Iterator[Cause]:
    yield from validate_labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    if affinity := spec.get("affinity"):
        yield from placement.validate_affinity(affinity, f"{path}.affinity")
    if tolerations := spec.get("tolerations"):
        yield from placement.validate_tolerations(tolerations, f"{path}.tolerations")
    if spread := spec.get("topologySpreadConstraints"):
        yield from placement.validate_spread(spread, f"{path}.topologySpreadConstraints")
    for name, value in (spec.get("overhead") or {}).items():
        number = amount(value)
        if number is not None and number < 0:
            at = f"{path}.overhead[{name}]"
            yield invalid(at, value, "must be greater than or equal to 0")


def _lists(spec: Object, path: str) -> Iterator[Cause]:
    """Small lists of named things."""
    for position, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield required(f"{path}.imagePullSecrets[{position}].name")
    for position, alias in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{position}]"
        yield from syntax(f"{at}.ip", alias.get("ip"), syntaxes.faults_of_ip)
        for number, name in enumerate(alias.get("hostnames") or ()):
            yield from syntax(f"{at}.hostnames[{number}]", name, syntaxes.faults_of_subdomain)
    for position, gate in enumerate(spec.get("readinessGates") or ()):
        at = f"{path}.readinessGates[{position}].conditionType"
        yield from syntax(at, gate.get("conditionType"), syntaxes.faults_of_qualified_name)
    yield from _named(
        spec.get("schedulingGates") or (),
        f"{path}.schedulingGates",
        syntaxes.faults_of_qualified_name,
    )
    yield from _named(
        spec.get("resourceClaims") or (), f"{path}.resourceClaims", syntaxes.faults_of_label
    )


def _named(elements: Any, path: str, check: syntaxes.Syntax) -> Iterator[Cause]:
    taken: set[str] = set()
    for position, element in enumerate(elements):
        at = f"{path}[{position}]"
        name = element.get("name")
        yield from syntax(f"{at}.name", name, check)
        if name in taken:
            yield duplicate(at, name)
        taken.add(name)
