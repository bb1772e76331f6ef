"""Secrets: what each type must have in it. PURE.

Source: Kubernetes' "Types of Secret"; kube-behaviour 2.12 (1 MiB), 9.
"""

import base64
import binascii
from collections.abc import Iterator

import orjson

from controlplane.api.causes import invalid, required, too_long
from controlplane.api.errors import Cause
from controlplane.api.kinds.configmap import (
    DATA_BYTES_MAX,
    base64_bytes,
    changes_of_frozen,
    faults_of_keys,
)
from controlplane.api.resource import Object, Strategy

_ACCOUNT = "kubernetes.io/service-account.name"
_DOCKER_CONFIGS = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def _default(secret: Object) -> Object:
    """`stringData` is for writing only: it goes into `data`, whose entries it replaces."""
    plain = secret.get("stringData")
    if plain is None:
        return secret
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
    kept = {name: value for name, value in secret.items() if name != "stringData"}
    return {**kept, "data": {**(secret.get("data") or {}), **encoded}} if encoded else kept


def _validate(secret: Object) -> list[Cause]:
    found = [*faults_of_keys(secret, "data")]
    if sum(map(base64_bytes, (secret.get("data") or {}).values())) > DATA_BYTES_MAX:
        found.append(too_long("data", DATA_BYTES_MAX))
    return [*found, *_typed(secret)]


def _typed(secret: Object) -> Iterator[Cause]:
    data = secret.get("data") or {}
    match secret.get("type"):
        case "kubernetes.io/service-account-token":
            if not ((secret.get("metadata") or {}).get("annotations") or {}).get(_ACCOUNT):
                yield required(f"metadata.annotations[{_ACCOUNT}]")
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson" as kind:
            yield from _docker_config(data, _DOCKER_CONFIGS[kind])
        case "kubernetes.io/basic-auth" if "username" not in data and "password" not in data:
            yield from _present(data, "username", "password")
        case "kubernetes.io/ssh-auth" if not data.get("ssh-privatekey"):
            yield required("data[ssh-privatekey]")
        case "kubernetes.io/tls":
            yield from _present(data, "tls.crt", "tls.key")
        case _:
            return


def _present(data: Object, *keys: str) -> Iterator[Cause]:
    for key in keys:
        if key not in data:
            yield required(f"data[{key}]")


def _docker_config(data: Object, key: str) -> Iterator[Cause]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    try:
        tree = orjson.loads(base64.b64decode(data[key]))
        why = "" if isinstance(tree, dict) else "it is no JSON object"
    except (orjson.JSONDecodeError, binascii.Error) as error:
        why = str(error)
    if why:
        yield invalid(f"data[{key}]", "<secret contents redacted>", why)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    return [*changes_of_frozen(new, old, "data")]


def _data(secret: Object, now: float) -> int:
    return len(secret.get("data") or {})


STRATEGY = Strategy(
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    cells={"data": _data},
)
