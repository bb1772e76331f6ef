"""Who this member is: ids computed from the flags as etcd does, and checked against the folder.

Ids of a static cluster are digests of its token and peer URLs, so that members agree on them
without a word, and clients of etcd see the ids that etcd would have had. Only the identity file
is read and written here; WAL and snapshots are `kvstore.storage`'s.
"""

import hashlib

import msgspec

from kvstore.errors import ConfigError, DataFolderError
from kvstore.seams import Files
from kvstore.server.config import Settings

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
    """The cluster as it was first started, and which of its members this one is."""

    cluster_id: int
    member_id: int
    members: dict[int, MemberSpec]

    @property
    def peer_addresses(self) -> dict[int, tuple[str, ...]]:
        """Id → peer URLs of the other members."""
        return {
            member_id: member.peer_urls
            for member_id, member in self.members.items()
            if member_id != self.member_id
        }


class Bootstrap(msgspec.Struct, frozen=True):
    """The outcome: the identity, and whether the folder was in use before."""

    spec: ClusterSpec
    is_restart: bool


class _IdentityFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity as it lies in the data folder (ids in hex, for whoever reads it)."""

    cluster_id: str
    member_id: str
    members: dict[str, MemberSpec]


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


async def bootstrap(files: Files, settings: Settings) -> Bootstrap:
    """Create the data folder's identity, or check it against the flags (DataFolderError).

    A used folder started without --initial-cluster keeps its own identity, as with etcd.
    """
    folder = settings.data_dir
    files.make_folder(folder)
    if IDENTITY_NAME not in files.list(folder):
        _require_unused(files, folder)
        spec = cluster_spec(settings)
        await _write_identity(files, folder, spec)
        return Bootstrap(spec, is_restart=False)
    stored = _read_identity(files, folder)
    if settings.is_initial_cluster_given:
        _require_same(folder, stored, cluster_spec(settings))
    elif stored.members[stored.member_id].name != settings.name:
        raise _other_member(folder, stored, settings.name)
    return Bootstrap(stored, is_restart=True)


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
    owner = stored.members[stored.member_id].name
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
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataFolderError(
            f"{path} is damaged ({error}): bring it back from a copy, or remove the whole folder"
            " and let the member catch up from the others"
        ) from None
    if spec.member_id not in spec.members:
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
    )
    file = files.create(new_path)
    file.append(msgspec.json.format(msgspec.json.encode(content)))
    await file.sync()
    file.close()
    await files.rename(new_path, f"{folder}/{IDENTITY_NAME}")
    await files.sync_folder(folder)
