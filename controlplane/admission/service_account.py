"""ServiceAccount: each pod acts as one, and has its token where it looks for it. PURE.

kube-behaviour 3.1 and 11.2.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from controlplane.admission.review import CREATE, Review
from controlplane.api import errors
from controlplane.api.resource import Object

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
DEFAULT = "default"
_MIRROR = "kubernetes.io/config.mirror"


def sought(review: Review, found: Object) -> str:
    """The account that a new pod needs and the cache does not have; empty: it lacks none."""
    if not review.is_of("pods", "", CREATE) or _is_mirror(found):
        return ""
    name = _name_of(found)
    known = review.lister.get("", "serviceaccounts", review.namespace, name)
    return name if known is None else ""


def mutate(review: Review, found: Object) -> Object:
    """Names the account `default` where none is named, and mounts its token."""
    if not review.is_of("pods", "", CREATE) or _is_mirror(found):
        return found
    spec = dict(found.get("spec") or {})
    name = _name_of(found)
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = _account(review, name)
    secrets = account.get("imagePullSecrets")
    if secrets and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = secrets
    if _wants_token(spec, account):
        spec = _with_token(spec, str(found.get("metadata", {}).get("name", "")))
    return {**found, "spec": spec}


def validate(review: Review, found: Object) -> None:
    """A mirror pod may use nothing of the API. Raises ApiError 403."""
    if not review.is_of("pods", "", CREATE) or not _is_mirror(found):
        return
    if (found.get("spec") or {}).get("serviceAccountName"):
        why = "a mirror pod may not reference service accounts"
        raise errors.forbidden("pods", "", review.name, why)


def _name_of(found: Object) -> str:
    spec = found.get("spec") or {}
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT)


def _is_mirror(found: Object) -> bool:
    return _MIRROR in (found["metadata"].get("annotations") or {})


def _account(review: Review, name: str) -> Object:
    found = review.lister.get("", "serviceaccounts", review.namespace, name)
    if found is None:
        why = (
            f"error looking up service account {review.namespace}/{name}: "
            f'serviceaccount "{name}" not found'
        )
        raise errors.forbidden("pods", "", review.name, why)
    return found


def _wants_token(spec: Mapping[str, Any], account: Object) -> bool:
    for said in (spec, account):
        value = said.get("automountServiceAccountToken")
        if value is not None:
            return bool(value)
    return True


def _with_token(spec: dict[str, Any], name: str) -> dict[str, Any]:
    volumes = spec.get("volumes") or []
    volume = next(
        (one["name"] for one in volumes if str(one.get("name")).startswith("kube-api-access-")),
        f"kube-api-access-{_suffix(name)}",
    )
    is_used = False
    for field in ("initContainers", "containers"):
        containers = []
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                is_used = True
                mounts = [*mounts, {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}]
            containers.append({**container, "volumeMounts": mounts})
        if containers:
            spec[field] = containers
    if is_used and all(one.get("name") != volume for one in volumes):
        spec["volumes"] = [*volumes, {"name": volume, "projected": _PROJECTED}]
    return spec


def _suffix(name: str) -> str:
    """Five letters; equal for a write that is tried again, as dice would not be."""
    digest = hashlib.sha256(name.encode()).digest()
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[byte % len(letters)] for byte in digest[:5])


_NAMESPACE = {
    "path": "namespace",
    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
}
_PROJECTED = {
    "defaultMode": 420,
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [_NAMESPACE]}},
    ],
}
