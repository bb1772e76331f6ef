"""Objects of the controllers' tests."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.api.resource import Object
from controlplane.tokens import Key

AUTHORITY = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@cache
def signing_key() -> Key:
    private = ec.generate_private_key(ec.SECP256R1())
    return Key(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def config_map(namespace: str, name: str, *owners: Object, **metadata: Any) -> dict[str, Any]:
    """A ConfigMap that these own."""
    references = [reference_to(owner) for owner in owners]
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"metadata": metadata | ({"ownerReferences": references} if references else {})}


def reference_to(owner: Object, *, blocks: bool = True, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
        **changes,
    }


def definition(plural: str, kind: str, group: str = "example.com", **names: Any) -> dict[str, Any]:
    """A CustomResourceDefinition as the API server has filled it in."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "plural": plural,
                "singular": kind.lower(),
                "kind": kind,
                "listKind": f"{kind}List",
                **names,
            },
            "versions": [version],
        },
        "status": {"acceptedNames": {"kind": "", "plural": ""}, "storedVersions": ["v1"]},
    }


def established(made: Object) -> dict[str, Any]:
    """A CustomResourceDefinition whose names were accepted."""
    conditions = [{"type": name, "status": "True"} for name in ("NamesAccepted", "Established")]
    told = {"acceptedNames": made["spec"]["names"], "conditions": conditions}
    return {**made, "status": {**made["status"], **told}}
