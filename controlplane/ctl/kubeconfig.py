"""Where the API server is and how one shows who one is: from a kubeconfig to values.

Source: Kubernetes' documentation, "Organizing Cluster Access Using kubeconfig Files". Certificates,
tokens and files with them are understood; plugins that fetch credentials are not.
"""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from controlplane.ctl.errors import CtlError

_PLUGINS = ("exec", "auth-provider")


class Access(msgspec.Struct, frozen=True):
    """A server as one user sees it.

    server     URL
    namespace  where a command works that does not say it
    tls        None: the server speaks plain HTTP
    token      for the Authorization header; empty: none
    """

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    token: str


def path_of(flag: str | None, environment: Mapping[str, str]) -> Path:
    """The flag's file, the first of $KUBECONFIG that is there, or ~/.kube/config."""
    if flag:
        return Path(flag)
    named = [Path(one) for one in environment.get("KUBECONFIG", "").split(os.pathsep) if one]
    if named:
        return next((path for path in named if path.exists()), named[0])
    return Path.home() / ".kube" / "config"


def load(path: Path, context: str | None) -> Access:
    """What a file says in one of its contexts, the current one if None. Raises CtlError."""
    try:
        tree = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise CtlError(
            f"error: cannot read kubeconfig {path} ({error.strerror}): name one with --kubeconfig;"
            " `cluster up` writes DIR/kubeconfig"
        ) from None
    except yaml.YAMLError as error:
        raise CtlError(f"error: {path} is no kubeconfig: {error}") from None
    try:
        return _access(tree, path.parent, context)
    except (KeyError, TypeError, AttributeError) as error:
        raise CtlError(f"error: {path} is no kubeconfig: {error!r}") from None
    except (OSError, ValueError) as error:
        raise CtlError(f"error: credentials in {path} cannot be used: {error}") from None


def _access(tree: Mapping[str, Any], folder: Path, wanted: str | None) -> Access:
    name = wanted or tree.get("current-context") or ""
    context = _named(tree, "contexts", "context", name)
    cluster = _named(tree, "clusters", "cluster", context["cluster"])
    user = _named(tree, "users", "user", context["user"]) if context.get("user") else {}
    if any(plugin in user for plugin in _PLUGINS):
        raise CtlError(f'error: user "{context["user"]}" needs a plugin, which cpctl cannot run')
    server = str(cluster["server"]).rstrip("/")
    token = str(user.get("token") or "")
    if user.get("tokenFile"):
        token = (folder / user["tokenFile"]).read_text().strip()
    tls = _tls(cluster, user, folder) if server.startswith("https://") else None
    return Access(server, str(context.get("namespace") or "default"), tls, token)


def _named(tree: Mapping[str, Any], part: str, word: str, name: str) -> Mapping[str, Any]:
    for entry in tree.get(part) or ():
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[word]
            return found
    raise CtlError(f'error: {word} "{name}" does not exist')


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _data(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _data(user, "client-certificate", folder)
    key = _data(user, "client-key", folder)
    if bool(certificate) != bool(key):
        raise ValueError("client-certificate and client-key go together")
    if certificate:
        _load_pair(context, certificate, key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL takes them from a file only: for a moment there is one, that its owner may read."""
    with tempfile.NamedTemporaryFile(prefix="cpctl-", suffix=".pem") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


def _data(entry: Mapping[str, Any], word: str, folder: Path) -> bytes:
    """Of the file that is named, or what stands there itself. Raises ValueError and OSError."""
    if entry.get(f"{word}-data"):
        try:
            return base64.b64decode(entry[f"{word}-data"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{word}-data: {error}") from None
    return (folder / entry[word]).read_bytes() if entry.get(word) else b""
