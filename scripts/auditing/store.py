"""What the store holds, by `etcdctl`: objects as they are written, byte for byte."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

_REGISTRY, _RANGES = "/registry/", "/ranges/"
_SECONDS_MAX = 60
# They are kept encrypted: what they say is nobody's business here.
_SEALED = b"k8s:enc:"
# Of what only passes by.
_LEFT_OUT = ("core/events/", "events.k8s.io/")


class StoreError(Exception):
    """The store cannot be read."""


def read(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Objects by key, and who has taken what. Raises StoreError."""
    cluster = json.loads((folder / "cluster.json").read_text())
    endpoints = [
        f"{'https' if cluster['is_tls'] else 'http'}://127.0.0.1:{member['client_port']}"
        for member in cluster["members"]
    ]
    held = folder / "certificates"
    flags = [f"--endpoints={','.join(endpoints)}"]
    if cluster["is_tls"]:
        flags += [f"--cacert={held}/store-ca.crt", f"--cert={held}/store-admin.crt"]
        flags.append(f"--key={held}/store-admin.key")
    objects = {}
    for key, value in _get(flags, _REGISTRY).items():
        name = key.removeprefix(_REGISTRY)
        if value.startswith(_SEALED) or name.startswith(_LEFT_OUT):
            continue
        try:
            objects[name] = json.loads(value)
        except ValueError as error:
            raise StoreError(f"{key} is no object: {error}") from None
    ranges = {key: value.decode() for key, value in _get(flags, _RANGES).items()}
    return objects, ranges


def _get(flags: list[str], prefix: str) -> dict[str, bytes]:
    command = ["etcdctl", *flags, "get", "--prefix", prefix, "-w", "json"]
    try:
        told = subprocess.run(
            command,
            capture_output=True,
            timeout=_SECONDS_MAX,
            check=True,
            env=os.environ | {"ETCDCTL_API": "3"},
        ).stdout
    except FileNotFoundError:
        raise StoreError("there is no etcdctl: install etcd-client") from None
    except subprocess.CalledProcessError as error:
        raise StoreError(f"etcdctl: {error.stderr.decode(errors='replace').strip()}") from None
    except subprocess.TimeoutExpired:
        raise StoreError(f"etcdctl was not answered in {_SECONDS_MAX} s") from None
    return {
        base64.b64decode(pair["key"]).decode(): base64.b64decode(pair.get("value", ""))
        for pair in json.loads(told).get("kvs") or ()
    }
