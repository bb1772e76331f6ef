"""What a control plane is started with beside its certificates: how its Secrets are encrypted, and
what is audited. Made once; a person may change either, and `cluster up` again takes it over.
"""

import base64
import json
import secrets
from pathlib import Path

import msgspec

from cluster import private_files

_KEY_BYTES = 32  # AES-256
_AUDIT_POLICY = """\
# What the API server writes into audit.log (Kubernetes' audit policy): the first rule that matches
# counts. `cluster up` again takes over what is changed here.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  # Who asks whether it is alive.
  - level: None
    nonResourceURLs: [/healthz*, /livez*, /readyz*]
  # Never more than who and what: their bodies are secret.
  - level: Metadata
    resources:
      - group: ""
        resources: [secrets, secrets/*, serviceaccounts/token]
      - group: authentication.k8s.io
        resources: [tokenreviews]
  # Request tells what was sent, RequestResponse also what was answered.
  - level: Metadata
"""


class Policies(msgspec.Struct, frozen=True):
    """Paths. `audit_log` is written by the API server, `folder` is the cluster's."""

    encryption: str
    audit: str
    audit_log: str
    folder: str


class KeyLostError(Exception):
    """The Secrets of a cluster are encrypted, and what with is gone."""


def ensure(folder: Path, *, is_encrypted: bool) -> Policies:
    """The files in `folder`; what is missing is made.

    is_encrypted  it had an encryption configuration before: another key would not read its Secrets

    Raises KeyLostError, OSError.
    """
    encryption, audit = folder / "encryption.json", folder / "audit-policy.yaml"
    if not encryption.exists():
        if is_encrypted:
            raise KeyLostError(
                f"{encryption} is gone, and with it the key of all Secrets in the store: "
                "put it back from a backup"
            )
        private_files.write(encryption, _encryption())
    if not audit.exists():
        private_files.write(audit, _AUDIT_POLICY.encode())
    return Policies(str(encryption), str(audit), str(folder / "audit.log"), str(folder))


def _encryption() -> bytes:
    """An EncryptionConfiguration. `identity` reads what was written before there was a key."""
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    providers = [{"aesgcm": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    tree = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    return json.dumps(tree, indent=2).encode() + b"\n"
