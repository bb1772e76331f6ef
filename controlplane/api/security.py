"""Validation of security contexts, of pods and of containers. PURE.

Source: Kubernetes, "Configure a Security Context for a Pod or Container".
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api.causes import duplicate, invalid, not_supported, required
from controlplane.api.checks import one_of, one_of_if_set
from controlplane.api.errors import Cause
from controlplane.api.resource import Object

_ID_MAX = 2**31 - 1
_GROUP_CHANGES = frozenset(("OnRootMismatch", "Always"))
_PROC_MOUNTS = frozenset(("Default", "Unmasked"))
_SECCOMP_TYPES = frozenset(("Localhost", "RuntimeDefault", "Unconfined"))


def validate_container_security(context: Object | None, path: str) -> Iterator[Cause]:
    """`securityContext` of a container."""
    if not context:
        return
    yield from validate_ids(context, path, ("runAsUser", "runAsGroup"))
    yield from validate_profiles(context, path)
    yield from one_of_if_set(f"{path}.procMount", context.get("procMount"), _PROC_MOUNTS)
    if context.get("allowPrivilegeEscalation") is False:
        clash = "cannot set `allowPrivilegeEscalation` to false and `{}"
        if context.get("privileged"):
            yield invalid(path, context, clash.format("privileged` to true"))
        for capability in (context.get("capabilities") or {}).get("add") or ():
            if capability in ("SYS_ADMIN", "CAP_SYS_ADMIN"):
                yield invalid(path, context, clash.format("capabilities.Add` CAP_SYS_ADMIN"))


def validate_ids(context: Object, path: str, fields: tuple[str, ...]) -> Iterator[Cause]:
    """Users and groups are 0-2147483647."""
    for field in fields:
        value = context.get(field)
        if value is not None and not 0 <= value <= _ID_MAX:
            yield invalid(f"{path}.{field}", value, f"must be between 0 and {_ID_MAX}, inclusive")


def validate_profiles(context: Object, path: str) -> Iterator[Cause]:
    """seccomp and AppArmor: a profile on the node needs its name, others may have none."""
    for field in ("seccompProfile", "appArmorProfile"):
        profile = context.get(field)
        if profile is None:
            continue
        kind, local = profile.get("type"), profile.get("localhostProfile")
        yield from one_of(f"{path}.{field}.type", kind, _SECCOMP_TYPES)
        if kind == "Localhost" and not local:
            why = "must be set when seccomp type is Localhost"
            if field == "appArmorProfile":
                why = "must be set when AppArmor type is Localhost"
            yield required(f"{path}.{field}.localhostProfile", why)
        if kind != "Localhost" and local:
            what = "seccomp" if field == "seccompProfile" else "AppArmor"
            why = f"can only be set when {what} type is Localhost"
            yield invalid(f"{path}.{field}.localhostProfile", local, why)


def validate_pod_security(context: Object, path: str) -> Iterator[Cause]:
    """`securityContext` of a pod."""
    yield from validate_ids(context, path, ("runAsUser", "runAsGroup", "fsGroup"))
    groups = context.get("supplementalGroups") or ()
    for position, group in enumerate(groups):
        # Each is an id like the others, under the path of its list.
        at = f"{path}.supplementalGroups[{position}]"
        if not 0 <= group <= _ID_MAX:
            yield invalid(at, group, f"must be between 0 and {_ID_MAX}, inclusive")
    change = context.get("fsGroupChangePolicy")
    if change is not None and change not in _GROUP_CHANGES:
        yield not_supported(f"{path}.fsGroupChangePolicy", change, _GROUP_CHANGES)
    yield from _sysctls(context.get("sysctls") or (), f"{path}.sysctls")
    yield from validate_profiles(context, path)


def _sysctls(sysctls: Any, path: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for position, sysctl in enumerate(sysctls):
        at = f"{path}[{position}].name"
        name = sysctl.get("name")
        if not name:
            yield required(at)
        elif name in taken:
            yield duplicate(at, name)
        taken.add(name)
