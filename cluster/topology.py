"""A cluster's shape: members, ports, folders and the command lines that start them.

Pure: from a spec to values; the launcher does what they say.
"""

import shlex

import msgspec

from cluster.network import Network

MEMBERS_MAX = 9
# etcd's own local example uses these; later members follow in steps of 10000, then of 10.
_FIRST_CLIENT_PORT = 2379
_LAST_PORT = 32767  # above it the kernel hands out ephemeral ports
_FIRST_API_PORT = 6443  # Kubernetes' own
_LAST_API_PORT = 29_999  # node ports follow
# A control plane writes for ever; the history that its clients may ask for is five minutes long.
# The API server compacts, too: here the store does it also while there is none.
_COMPACTION = ("--auto-compaction-mode=periodic", "--auto-compaction-retention=5m")


class MemberSpec(msgspec.Struct, frozen=True):
    """One store member of a local cluster."""

    name: str
    client_port: int
    peer_port: int
    folder: str
    has_joined: bool = False  # it was added to the running cluster
    is_intended: bool = False  # … or is to be: nobody knows yet whether the store has it
    is_removed: bool = False  # … or taken out of it, for good


class ClusterFile(msgspec.Struct, frozen=True):
    """What `cluster.json` in the data folder remembers, so that a restart finds its members.

    `all_members` has also those that were removed: founders are started with all founders' names.
    """

    token: str
    all_members: tuple[MemberSpec, ...] = msgspec.field(name="members")
    is_tls: bool = False  # of the store; the control plane always is
    api_port: int = 0  # 0 = it never had a control plane
    is_encrypted: bool = False  # Secrets in the store are; the key is one of `policies`
    nodes: int = 0  # how many node agents run pods
    hollow: int = 0  # how many nodes more only say that they do
    block: int = 0  # 0 = it never had nodes

    @property
    def network(self) -> Network:
        """Its addresses, once it has some."""
        assert self.block
        return Network(self.block)

    @property
    def members(self) -> tuple[MemberSpec, ...]:
        """Who is in the cluster."""
        return tuple(m for m in self.all_members if not m.is_removed and not m.is_intended)

    @property
    def intended(self) -> MemberSpec | None:
        """Who is to be added, and perhaps was already; one at a time."""
        return next((m for m in self.all_members if m.is_intended), None)

    def with_member(self, member: MemberSpec) -> "ClusterFile":
        """The cluster with one more member, or with what is new of one that it has."""
        others = tuple(known for known in self.all_members if known.name != member.name)
        return msgspec.structs.replace(self, all_members=(*others, member))

    def without_member(self, member: MemberSpec) -> "ClusterFile":
        """The cluster after a member was removed."""
        gone = msgspec.structs.replace(member, is_removed=True, is_intended=False)
        marked = tuple(gone if known.name == member.name else known for known in self.all_members)
        return msgspec.structs.replace(self, all_members=marked)

    def without_intended(self) -> "ClusterFile":
        """The cluster after the store has refused who was to be added."""
        known = tuple(member for member in self.all_members if not member.is_intended)
        return msgspec.structs.replace(self, all_members=known)


class TlsFiles(msgspec.Struct, frozen=True):
    """Paths of one identity: certificate and key, and the authority that others are known by."""

    authority: str
    certificate: str
    key: str


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """Every identity in a cluster, and the key that signs tokens of service accounts.

    The first are the store's: its members, a person with etcdctl, and its clients; so are
    `node_agents`. The others are the API's: `kubelet_client` is the API server's, to agents, and
    `node_servers` are what these show it. Both are in the order of the nodes.
    """

    member: TlsFiles
    store_admin: TlsFiles
    apiserver_store: TlsFiles
    controllers: TlsFiles
    scheduler: TlsFiles
    proxy: TlsFiles
    hollow: TlsFiles
    apiserver: TlsFiles
    admin: TlsFiles
    kubelet_client: TlsFiles
    service_account_key: str
    node_agents: tuple[TlsFiles, ...] = ()
    node_servers: tuple[TlsFiles, ...] = ()


def port_pairs(count: int) -> list[tuple[int, int]]:
    """Candidate (client port, peer port) pairs, preferred first; `count` is how many at least."""
    preferred = [
        (_FIRST_CLIENT_PORT + step, _FIRST_CLIENT_PORT + step + 1)
        for step in range(0, _LAST_PORT - _FIRST_CLIENT_PORT, 10_000)
    ]
    further = [(port, port + 1) for port in range(23_790, _LAST_PORT, 10)]
    assert count <= len(preferred) + len(further)
    return preferred + further


def api_ports() -> list[int]:
    """Candidate ports of the API server, preferred first."""
    preferred = range(_FIRST_API_PORT, _LAST_API_PORT, 10_000)
    return [*preferred, *range(preferred[-1] + 10, _LAST_API_PORT, 10)]


def members(count: int, pairs: list[tuple[int, int]], folder: str) -> tuple[MemberSpec, ...]:
    """`m1` … `mN` with their ports and data folders."""
    return tuple(
        MemberSpec(f"m{number}", client, peer, f"{folder}/m{number}")
        for number, (client, peer) in zip(range(1, count + 1), pairs, strict=False)
    )


def moved(cluster: ClusterFile, folder: str) -> ClusterFile:
    """The cluster whose data folder lies there now: where it lay, members would begin anew."""
    known = tuple(
        msgspec.structs.replace(member, folder=f"{folder}/{member.name}")
        for member in cluster.all_members
    )
    return msgspec.structs.replace(cluster, all_members=known)


def next_member(cluster: ClusterFile, ports: tuple[int, int], folder: str) -> MemberSpec:
    """A further member to be added, under the next number that was never used."""
    number = len(cluster.all_members) + 1
    name, member_folder = f"m{number}", f"{folder}/m{number}"
    return MemberSpec(name, *ports, member_folder, has_joined=True, is_intended=True)


def added(member: MemberSpec) -> MemberSpec:
    """A member that was intended, now that the store has it."""
    return msgspec.structs.replace(member, is_intended=False)


def scheme(cluster: ClusterFile) -> str:
    """`https` when the cluster has certificates."""
    return "https" if cluster.is_tls else "http"


def client_url(cluster: ClusterFile, member: MemberSpec) -> str:
    """Where clients reach a member."""
    return f"{scheme(cluster)}://127.0.0.1:{member.client_port}"


def api_url(cluster: ClusterFile) -> str:
    """Where kubectl reaches the API server."""
    return f"https://127.0.0.1:{cluster.api_port}"


def peer_url(cluster: ClusterFile, member: MemberSpec) -> str:
    """Where other members reach a member."""
    return f"{scheme(cluster)}://127.0.0.1:{member.peer_port}"


def store_arguments(cluster: ClusterFile, member: MemberSpec, tls: TlsFiles | None) -> list[str]:
    """The arguments of `kvstore` (the same that etcd takes) for one member."""
    founders = [m for m in cluster.all_members if not m.has_joined]
    # Once it has joined, a member asks its data folder, not this flag.
    named = cluster.members if member.has_joined else founders
    initial = ",".join(f"{m.name}={peer_url(cluster, m)}" for m in named)
    arguments = [
        f"--name={member.name}",
        f"--data-dir={member.folder}",
        f"--listen-client-urls={client_url(cluster, member)}",
        f"--advertise-client-urls={client_url(cluster, member)}",
        f"--listen-peer-urls={peer_url(cluster, member)}",
        f"--initial-advertise-peer-urls={peer_url(cluster, member)}",
        f"--initial-cluster={initial}",
        f"--initial-cluster-token={cluster.token}",
        f"--initial-cluster-state={'existing' if member.has_joined else 'new'}",
    ]
    if cluster.api_port:
        arguments += _COMPACTION
    if tls is not None:
        for prefix in ("", "peer-"):
            arguments += [
                f"--{prefix}cert-file={tls.certificate}",
                f"--{prefix}key-file={tls.key}",
                f"--{prefix}trusted-ca-file={tls.authority}",
                f"--{prefix}client-cert-auth",
            ]
    return arguments


def paste_lines(cluster: ClusterFile, tls: TlsFiles | None, kvctl: str) -> list[str]:
    """Lines that a person can paste to talk to the store."""
    endpoints = ",".join(client_url(cluster, m) for m in cluster.members)
    flags = [f"--endpoints={endpoints}"]
    if tls is not None:
        flags += [f"--cacert={tls.authority}", f"--cert={tls.certificate}", f"--key={tls.key}"]
    words = [*flags, "endpoint", "status", "-w", "table"]
    return [shlex.join(["etcdctl", *words]), shlex.join([kvctl, *words])]
