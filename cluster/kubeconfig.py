"""The kubeconfig of a cluster's administrator, with the certificates inside: it may be copied."""

import base64
from pathlib import Path

import yaml

from cluster.topology import TlsFiles

_CLUSTER, _USER = "keelson", "kubernetes-admin"
_CONTEXT = f"{_USER}@{_CLUSTER}"


def text(server: str, admin: TlsFiles) -> str:
    """What kubectl needs to reach `server` (a URL) as the administrator."""
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": _CLUSTER,
                "cluster": {
                    "certificate-authority-data": _data(admin.authority),
                    "server": server,
                },
            }
        ],
        "users": [
            {
                "name": _USER,
                "user": {
                    "client-certificate-data": _data(admin.certificate),
                    "client-key-data": _data(admin.key),
                },
            }
        ],
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CLUSTER, "user": _USER}}],
        "current-context": _CONTEXT,
    }
    return str(yaml.safe_dump(tree, sort_keys=False, width=1 << 20))


def is_current(known: str, wanted: str) -> bool:
    """Whether a file still names the same server and certificates.

    Then it is left alone: a person may have chosen a namespace in it, or added a context.
    """
    try:
        old, new = yaml.safe_load(known), yaml.safe_load(wanted)
        return all(
            any(one == entry for one in old[part])
            for part in ("clusters", "users")
            for entry in new[part]
        )
    except (yaml.YAMLError, KeyError, TypeError):
        return False


def _data(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()
