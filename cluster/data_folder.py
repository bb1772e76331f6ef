"""A cluster's data folder: who holds it, what it remembers, and ports that nobody else has."""

import contextlib
import fcntl
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cluster import certificates, topology
from cluster.topology import Certificates, ClusterFile

_FILE_NAME = "cluster.json"


class LaunchError(Exception):
    """The cluster cannot be started as asked; the message says what to do."""


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the data folder: two launchers must not run the same members."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LaunchError(
                f"a cluster runs in {folder} already: `cluster status --data {folder}` shows it, "
                f"`cluster down --data {folder}` stops it"
            ) from error
        yield


def load_or_create(
    folder: Path, count: int | None, *, is_store_only: bool, is_tls: bool
) -> tuple[ClusterFile, Certificates | None]:
    """The cluster of a data folder; a new one gets free ports and remembers them.

    The store of a control plane has certificates from the start. None: nothing here needs any.
    Raises LaunchError.
    """
    path = folder / _FILE_NAME
    if path.exists():
        cluster = _load(path, count, is_tls=is_tls)
        is_known = cluster.api_port != 0
        if not is_store_only and not is_known:
            cluster = msgspec.structs.replace(cluster, api_port=_free_api_port())
        _refuse_busy_ports(cluster, has_apiserver=is_known and not is_store_only)
    else:
        pairs = [pair for pair in topology.port_pairs(count or 3) if all(map(_is_free, pair))]
        members = topology.members(count or 3, pairs, str(folder))
        api_port = 0 if is_store_only else _free_api_port()
        cluster = ClusterFile(secrets.token_hex(8), members, is_tls or not is_store_only, api_port)
    save(folder, cluster)
    needs_any = cluster.is_tls or not is_store_only
    return cluster, certificates.ensure(folder / "certificates") if needs_any else None


def _load(path: Path, count: int | None, *, is_tls: bool) -> ClusterFile:
    try:
        cluster = msgspec.json.decode(path.read_bytes(), type=ClusterFile)
    except msgspec.MsgspecError as error:
        raise LaunchError(f"{path} is damaged ({error}): use another --data") from error
    if count is not None and count != len(cluster.members):
        raise LaunchError(
            f"the cluster in {path.parent} has {len(cluster.members)} members, not {count}: "
            "leave --members out, or use another --data"
        )
    if is_tls and not cluster.is_tls:
        raise LaunchError(
            f"the store in {path.parent} was made without certificates, which its members' "
            "addresses tell: leave --tls out, or use another --data"
        )
    return cluster


def save(folder: Path, cluster: ClusterFile) -> None:
    """Remember the cluster."""
    path = folder / _FILE_NAME
    partial = path.with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(cluster)) + b"\n")
    partial.replace(path)


def free_ports(cluster: ClusterFile) -> tuple[int, int]:
    """Client and peer port for one more member."""
    taken = {member.client_port for member in cluster.all_members}
    pairs = topology.port_pairs(topology.MEMBERS_MAX)
    return next(p for p in pairs if p[0] not in taken and all(map(_is_free, p)))


def _free_api_port() -> int:
    return next(port for port in topology.api_ports() if _is_free(port))


def _refuse_busy_ports(cluster: ClusterFile, *, has_apiserver: bool) -> None:
    used = [(m.name, port) for m in cluster.members for port in (m.client_port, m.peer_port)]
    if has_apiserver:
        used.append(("the API server", cluster.api_port))
    for name, port in used:
        if not _is_free(port):
            raise LaunchError(
                f"port {port} of {name} is in use by another program: stop it, "
                "or start a new cluster with another --data"
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
