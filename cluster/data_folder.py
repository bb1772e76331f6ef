"""A cluster's data folder: who holds it, what it remembers, and ports that nobody else has."""

import contextlib
import fcntl
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from cluster import certificates, topology
from cluster.ports import Ports
from cluster.topology import Certificates, ClusterFile, MemberSpec

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
    folder: Path, count: int | None, ports: Ports, *, is_store_only: bool, is_tls: bool
) -> tuple[ClusterFile, Certificates | None]:
    """The cluster of a data folder; a new one gets free ports and remembers them.

    The store of a control plane has certificates from the start. None: nothing here needs any.
    Raises LaunchError.
    """
    path = folder / _FILE_NAME
    if path.exists():
        cluster = _load(path, count, is_tls=is_tls)
        has_apiserver = cluster.api_port != 0 and not is_store_only
        _take_known_ports(cluster, ports, has_apiserver=has_apiserver)
    else:
        pairs = [free_ports(ports) for _ in range(count or 3)]
        members = topology.members(count or 3, pairs, str(folder))
        cluster = ClusterFile(secrets.token_hex(8), members, is_tls or not is_store_only)
    if not is_store_only and cluster.api_port == 0:
        cluster = msgspec.structs.replace(cluster, api_port=_free_api_port(ports))
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


def free_ports(ports: Ports, members: Sequence[MemberSpec] = ()) -> tuple[int, int]:
    """Client and peer port for one more member, which none of those has or ever had."""
    known = {member.client_port for member in members}
    pairs = topology.port_pairs(topology.MEMBERS_MAX)
    return next(pair for pair in pairs if pair[0] not in known and ports.take(*pair))


def _free_api_port(ports: Ports) -> int:
    return next(port for port in topology.api_ports() if ports.take(port))


def _take_known_ports(cluster: ClusterFile, ports: Ports, *, has_apiserver: bool) -> None:
    used = [(m.name, port) for m in cluster.members for port in (m.client_port, m.peer_port)]
    if has_apiserver:
        used.append(("the API server", cluster.api_port))
    for name, port in used:
        if not ports.take(port):
            raise LaunchError(
                f"port {port} of {name} is in use by another program: stop it, "
                "or start a new cluster with another --data"
            )
