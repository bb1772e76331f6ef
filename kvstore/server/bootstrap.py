"""Who this member is: ids computed from the flags as etcd does, and checked against the folder.

Ids of a static cluster are digests of its token and peer URLs, so that members agree on them
without a word, and clients of etcd see the ids that etcd would have had. A member that joins later
asks the others who it is. Only the identity file is read and written here; WAL and snapshots are
`kvstore.storage`'s.
"""

import hashlib
from itertools import combinations

import msgspec

from kvstore.errors import ConfigError, DataFolderError
from kvstore.members import MemberRecord
from kvstore.seams import Files
from kvstore.server.config import Settings
from kvstore.server.introduction import (
    Introducer,
    Introduction,
    introductions_by,
    join,
    newest,
)
from kvstore.urls import are_same_places, is_same_place

IDENTITY_NAME = "identity.json"
_IDENTITY_NEW_NAME = "identity.json.new"
# What may lie in a folder that was never used: a half-written identity, and ext4's own.
_HARMLESS_NAMES = frozenset({_IDENTITY_NEW_NAME, "lost+found"})
_ID_BYTES = 8


class MemberSpec(msgspec.Struct, frozen=True):
    """One first member of the cluster."""

    name: str
    peer_urls: tuple[str, ...]


class ClusterSpec(msgspec.Struct, frozen=True):
    """The cluster as it was first started, and who this member is.

    One that joined later is none of the founders (`members`) and has `contacts`: whoever was in
    the cluster then, by id, with peer URLs.
    """

    cluster_id: int
    member_id: int
    members: dict[int, MemberSpec]
    name: str = ""
    contacts: dict[int, tuple[str, ...]] = {}

    @property
    def founders(self) -> dict[int, MemberRecord]:
        """Whom the log begins with. They have no names before they publish them."""
        return {
            member_id: MemberRecord(peer_urls=member.peer_urls)
            for member_id, member in self.members.items()
        }

    @property
    def own_name(self) -> str:
        """The name that this member was first started with."""
        own = self.members.get(self.member_id)
        return self.name if own is None else own.name

    @property
    def peer_addresses(self) -> dict[int, tuple[str, ...]]:
        """Id → peer URLs of the others, as long as the log says nothing newer."""
        founders = {member_id: member.peer_urls for member_id, member in self.members.items()}
        addresses = self.contacts or founders
        return {id_: urls for id_, urls in addresses.items() if id_ != self.member_id}


class Bootstrap(msgspec.Struct, frozen=True):
    """The outcome: the identity, and whether the folder was in use before."""

    spec: ClusterSpec
    is_restart: bool


class _IdentityFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity as it lies in the data folder (ids in hex, for whoever reads it)."""

    cluster_id: str
    member_id: str
    members: dict[str, MemberSpec]
    name: str = ""
    contacts: dict[str, tuple[str, ...]] = {}


def member_id_of(peer_urls: tuple[str, ...], token: str) -> int:
    """etcd's id of a first member: SHA-1 over its sorted peer URLs and the cluster's token."""
    digest = hashlib.sha1("".join((*sorted(peer_urls), token)).encode(), usedforsecurity=False)
    return int.from_bytes(digest.digest()[:_ID_BYTES], "big")


def cluster_id_of(member_ids: list[int]) -> int:
    """etcd's id of a static cluster: SHA-1 over the sorted ids of its first members."""
    packed = b"".join(member_id.to_bytes(_ID_BYTES, "big") for member_id in sorted(member_ids))
    digest = hashlib.sha1(packed, usedforsecurity=False)
    return int.from_bytes(digest.digest()[:_ID_BYTES], "big")


def cluster_spec(settings: Settings) -> ClusterSpec:
    """The cluster that the flags describe."""
    token = settings.initial_cluster_token
    members = {
        member_id_of(urls, token): MemberSpec(name, urls)
        for name, urls in settings.initial_cluster.items()
    }
    if len(members) != len(settings.initial_cluster):
        raise ConfigError("--initial-cluster gives two members the same peer URLs")
    own_id = next(
        member_id for member_id, member in members.items() if member.name == settings.name
    )
    return ClusterSpec(cluster_id_of(list(members)), own_id, members)


async def bootstrap(
    files: Files, settings: Settings, introducer: Introducer | None = None
) -> Bootstrap:
    """Create the data folder's identity, or check it against the flags (DataFolderError).

    A used folder started without --initial-cluster keeps its own identity, as with etcd; one that
    joined a running cluster does in any case. `introducer` is the way to the others, needed to
    join and to notice that this member has lost its data. Raises ConfigError when it cannot join.
    """
    folder = settings.data_dir
    files.make_folder(folder)
    if IDENTITY_NAME not in files.list(folder):
        _require_unused(files, folder)
        spec = await _new_spec(settings, introducer)
        await _write_identity(files, folder, spec)
        return Bootstrap(spec, is_restart=False)
    stored = _read_identity(files, folder)
    is_founder = stored.member_id in stored.members
    is_new = settings.initial_cluster_state == "new"
    if settings.is_initial_cluster_given and is_founder and is_new:
        _require_same(folder, stored, cluster_spec(settings))
    elif stored.own_name != settings.name:
        raise _other_member(folder, stored, settings.name)
    return Bootstrap(stored, is_restart=True)


async def _new_spec(settings: Settings, introducer: Introducer | None) -> ClusterSpec:
    """Who an unused folder is to belong to."""
    if settings.initial_cluster_state == "existing":
        if introducer is None:
            raise ConfigError("--initial-cluster-state=existing needs other members to ask")
        return await _joining_spec(settings, introducer)
    _require_apart(settings)
    spec = cluster_spec(settings)
    if introducer is not None:
        urls = [url for urls in spec.peer_addresses.values() for url in urls]
        await _require_no_past(spec, introducer, urls)
    return spec


def _require_apart(settings: Settings) -> None:
    """A folder that is in use already was made by rules that compared texts; it is not asked."""
    urls = sorted(url for of_member in settings.initial_cluster.values() for url in of_member)
    for one, other in combinations(urls, 2):
        if is_same_place(one, other):
            raise ConfigError(
                f"--initial-cluster has one place by two names, {one} and {other}: give each member"
                " an address or a port of its own"
            )


async def _joining_spec(settings: Settings, introducer: Introducer) -> ClusterSpec:
    others = [
        url
        for name, urls in settings.initial_cluster.items()
        if name != settings.name
        for url in urls
    ]
    return await join(introducer, others, lambda introduction: _place_in(introduction, settings))


def _place_in(introduction: Introduction, settings: Settings) -> ClusterSpec:
    """Who we are in a cluster that we are to join."""
    own_urls = settings.initial_advertise_peer_urls
    own_id = introduction.member_at(own_urls)
    if not own_id:
        raise ConfigError(
            "cannot join the cluster: it knows no member with the peer URLs"
            f" {','.join(own_urls)}. Add this member first: etcdctl member add NAME"
            f" --peer-urls={','.join(own_urls)}"
        )
    _require_complete(settings, introduction)
    if introduction.members[own_id].is_started:
        raise _lost_data(own_id)
    founders = {
        member_id: MemberSpec(
            introduction.members.get(member_id, record).name, tuple(record.peer_urls)
        )
        for member_id, record in introduction.founders.items()
    }
    contacts = {member_id: record.peer_urls for member_id, record in introduction.members.items()}
    return ClusterSpec(introduction.cluster_id, own_id, founders, settings.name, contacts)


def _require_complete(settings: Settings, introduction: Introduction) -> None:
    """etcd's rule: --initial-cluster names all members there are, and no others."""
    named = list(settings.initial_cluster.values())
    known = [record.peer_urls for record in introduction.members.values()]
    is_complete = len(named) == len(known) and all(
        any(are_same_places(urls, others) for others in there)
        for here, there in ((named, known), (known, named))
        for urls in here
    )
    if not is_complete:
        urls_there = " ".join(sorted(url for of_member in known for url in of_member))
        raise ConfigError(
            "--initial-cluster must name exactly the members of the running cluster, this one"
            f" included. Their peer URLs are: {urls_there}"
        )


async def _require_no_past(spec: ClusterSpec, introducer: Introducer, urls: list[str]) -> None:
    """A member that lost its data must not come back under its id: it could vote twice.

    Only who runs can tell; before a cluster first starts nobody does.
    """
    try:
        answers = await introductions_by(introducer, urls)
    except ConnectionError:
        return
    ours = [answer for answer in answers if answer.cluster_id == spec.cluster_id]
    if not ours:
        return
    introduction = newest(ours)
    if spec.member_id in introduction.removed:
        raise _removed(spec.member_id)
    own = introduction.members.get(spec.member_id)
    if own is None or own.is_started:
        raise _lost_data(spec.member_id)


def _removed(member_id: int) -> DataFolderError:
    return DataFolderError(
        f"member {member_id:x} was removed from this cluster for good. To bring the machine back,"
        " add a new member (etcdctl member add NAME --peer-urls=…) and start it with"
        " --initial-cluster-state=existing"
    )


def _lost_data(member_id: int) -> DataFolderError:
    return DataFolderError(
        f"member {member_id:x} has been part of this cluster, but its data folder is empty. Bring"
        f" the folder back, or replace the member: etcdctl member remove {member_id:x}, etcdctl"
        " member add NAME --peer-urls=…, then start it with --initial-cluster-state=existing"
    )


def _require_unused(files: Files, folder: str) -> None:
    """A folder without an identity must be empty: it may be etcd's, or somebody's home."""
    names = [name for name in files.list(folder) if name not in _HARMLESS_NAMES]
    if names:
        raise DataFolderError(
            f"data folder {folder} holds {', '.join(names[:3])} but no {IDENTITY_NAME}: it is not"
            " one of ours (or etcd's), or not whole. Choose an empty --data-dir"
        )


def _require_same(folder: str, stored: ClusterSpec, wanted: ClusterSpec) -> None:
    if stored.cluster_id != wanted.cluster_id:
        raise DataFolderError(
            f"data folder {folder} belongs to another cluster: {stored.cluster_id:x}"
            f" ({_words(stored)}), but the flags describe {wanted.cluster_id:x}"
            f" ({_words(wanted)}). Start with the flags (--initial-cluster,"
            " --initial-cluster-token) that the folder was made with, or choose an empty --data-dir"
        )
    if stored.member_id != wanted.member_id:
        raise _other_member(folder, stored, wanted.members[wanted.member_id].name)


def _other_member(folder: str, stored: ClusterSpec, name: str) -> DataFolderError:
    owner = stored.own_name
    return DataFolderError(
        f"data folder {folder} belongs to another member: {owner!r} ({stored.member_id:x}), not"
        f" {name!r}. Each member needs a --data-dir of its own; or start with --name {owner}"
    )


def _words(spec: ClusterSpec) -> str:
    return ", ".join(
        f"{member.name}={'+'.join(member.peer_urls)}"
        for member in sorted(spec.members.values(), key=lambda member: member.name)
    )


def _read_identity(files: Files, folder: str) -> ClusterSpec:
    path = f"{folder}/{IDENTITY_NAME}"
    try:
        stored = msgspec.json.decode(files.read(path), type=_IdentityFile)
        spec = ClusterSpec(
            int(stored.cluster_id, 16),
            int(stored.member_id, 16),
            {int(member_id, 16): member for member_id, member in stored.members.items()},
            stored.name,
            {int(member_id, 16): urls for member_id, urls in stored.contacts.items()},
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataFolderError(
            f"{path} is damaged ({error}): bring it back from a copy, or replace this member:"
            " etcdctl member remove, etcdctl member add, then start it with an empty --data-dir and"
            " --initial-cluster-state=existing"
        ) from None
    if not spec.own_name:
        raise DataFolderError(f"{path} is damaged: it does not name its own member")
    return spec


async def _write_identity(files: Files, folder: str, spec: ClusterSpec) -> None:
    """Atomically and durably, before anything else is written into the folder."""
    new_path = f"{folder}/{_IDENTITY_NEW_NAME}"
    if files.exists(new_path):
        await files.remove(new_path)
    content = _IdentityFile(
        f"{spec.cluster_id:x}",
        f"{spec.member_id:x}",
        {f"{member_id:x}": member for member_id, member in spec.members.items()},
        spec.name,
        {f"{member_id:x}": urls for member_id, urls in spec.contacts.items()},
    )
    file = files.create(new_path)
    file.append(msgspec.json.format(msgspec.json.encode(content)))
    await file.sync()
    file.close()
    await files.rename(new_path, f"{folder}/{IDENTITY_NAME}")
    await files.sync_folder(folder)
