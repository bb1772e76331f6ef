"""A cluster's data folder: what it remembers, and ports that nobody else has."""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cluster import certificates, policies, private_files, topology
from cluster.errors import LaunchError
from cluster.folder_lock import unusable
from cluster.network import BLOCKS, Network
from cluster.policies import Policies
from cluster.ports import Ports
from cluster.topology import Certificates, ClusterFile, MemberSpec

NODES = 3
_FILE_NAME = "cluster.json"
# Of a launcher that was killed the members go at once, but not in no time.
_PORT_SECONDS_MAX = 5.0
_LOOK_SECONDS = 0.1


class Loaded(msgspec.Struct, frozen=True):
    """What a data folder has for a launcher.

    certificates  None: a store alone, without any
    policies      None: a store alone
    """

    cluster: ClusterFile
    certificates: Certificates | None
    policies: Policies | None


def is_one(folder: Path) -> bool:
    """Whether a cluster was ever here."""
    return (folder / _FILE_NAME).exists()


def load_or_create(
    folder: Path,
    count: int | None,
    ports: Ports,
    *,
    is_store_only: bool,
    is_tls: bool,
    nodes: int | None = None,
) -> Loaded:
    """The cluster of a data folder; a new one gets free ports and addresses, and remembers them.

    nodes  how many there are to be; None: as many as before, or NODES

    The store of a control plane has certificates from the start. Raises LaunchError.
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
    if not is_store_only:
        if cluster.api_port == 0:
            cluster = msgspec.structs.replace(cluster, api_port=_free_api_port(ports))
        block = _block(cluster, ports)
        wanted = nodes if nodes is not None else cluster.nodes if cluster.block else NODES
        cluster = msgspec.structs.replace(cluster, block=block, nodes=wanted)
    try:
        return _ensured(folder, cluster, is_store_only=is_store_only)
    except OSError as error:
        raise unusable(folder, error) from error
    except (policies.KeyLostError, certificates.UnreadableError) as error:
        raise LaunchError(str(error)) from error


def _ensured(folder: Path, cluster: ClusterFile, *, is_store_only: bool) -> Loaded:
    """With all files. The key of Secrets is there before it is said that it must be."""
    needs_any = cluster.is_tls or not is_store_only
    identities = None
    if needs_any:
        network = Network(cluster.block) if cluster.block else None
        place = folder / "certificates"
        identities = certificates.ensure(place, network=network, nodes=cluster.nodes)
    if is_store_only:
        save(folder, cluster)
        return Loaded(cluster, identities, None)
    chosen = policies.ensure(folder, is_encrypted=cluster.is_encrypted)
    cluster = msgspec.structs.replace(cluster, is_encrypted=True)
    save(folder, cluster)
    return Loaded(cluster, identities, chosen)


def _load(path: Path, count: int | None, *, is_tls: bool) -> ClusterFile:
    try:
        cluster = msgspec.json.decode(path.read_bytes(), type=ClusterFile)
    except msgspec.MsgspecError as error:
        raise LaunchError(f"{path} is damaged ({error}): use another --data") from error
    except OSError as error:
        raise LaunchError(f"cannot read {path}: {error.strerror}") from error
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
    return topology.moved(cluster, str(path.parent))


def save(folder: Path, cluster: ClusterFile) -> None:
    """Remember the cluster. Raises OSError; what is remembered already needs no room."""
    path, text = folder / _FILE_NAME, msgspec.json.format(msgspec.json.encode(cluster)) + b"\n"
    if not (path.exists() and path.read_bytes() == text):
        private_files.write(path, text)


def free_ports(ports: Ports, members: Sequence[MemberSpec] = ()) -> tuple[int, int]:
    """Client and peer port for one more member, which none of those has or ever had.

    Raises LaunchError.
    """
    known = {member.client_port for member in members}
    pairs = topology.port_pairs(topology.MEMBERS_MAX)
    for pair in pairs:
        if pair[0] not in known and ports.take(*pair):
            return pair
    raise LaunchError("no port is free for a member: stop something that listens")


def _free_api_port(ports: Ports) -> int:
    for port in topology.api_ports():
        if ports.take(port):
            return port
    raise LaunchError("no port is free for the API server: stop something that listens")


def _block(cluster: ClusterFile, ports: Ports) -> int:
    """The block of addresses that it has, or one that nobody has."""
    deadline = time.monotonic() + _PORT_SECONDS_MAX
    while cluster.block:
        if ports.take_block(cluster.block):
            return cluster.block
        if time.monotonic() > deadline:
            raise LaunchError(
                f"another cluster has the addresses 127.{cluster.block}.0.0: "
                "stop it, or start a new cluster with another --data"
            )
        time.sleep(_LOOK_SECONDS)
    for block in BLOCKS:
        if ports.take_block(block):
            return block
    raise LaunchError(f"{len(BLOCKS)} clusters run on this machine: stop one of them")


def _take_known_ports(cluster: ClusterFile, ports: Ports, *, has_apiserver: bool) -> None:
    used = [(m.name, port) for m in cluster.members for port in (m.client_port, m.peer_port)]
    if has_apiserver:
        used.append(("the API server", cluster.api_port))
    deadline = time.monotonic() + _PORT_SECONDS_MAX
    for name, port in used:
        while not ports.take(port):
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"port {port} of {name} is in use by another program: stop it, "
                    "or start a new cluster with another --data"
                )
            time.sleep(_LOOK_SECONDS)
