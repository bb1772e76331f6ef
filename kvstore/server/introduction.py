"""What a cluster tells of itself to a member that wants to join it, and how that member asks.

A member that was added (`etcdctl member add`) knows peer URLs only. Any member tells it the
cluster's id, its own, who founded the cluster (the log begins with them) and who is in it now.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from kvstore.errors import ConfigError
from kvstore.members import MemberRecord
from kvstore.raft.codec import DECODE_ERRORS
from kvstore.server.urls import comparable

# A member that was added a moment ago may not be known everywhere yet.
ATTEMPTS = 20
PAUSE_SECONDS = 0.5


class Introduction(msgspec.Struct, frozen=True, array_like=True):
    """A cluster, as one of its members knows it."""

    cluster_id: int
    founders: dict[int, MemberRecord]
    members: dict[int, MemberRecord]
    removed: tuple[int, ...] = ()

    def member_at(self, peer_urls: tuple[str, ...]) -> int:
        """Id of the member with these peer URLs; 0 if there is none."""
        for member_id, record in self.members.items():
            if comparable(record.peer_urls) == comparable(peer_urls):
                return member_id
        return 0


_decoder = msgspec.msgpack.Decoder(Introduction)


class Introducer(Protocol):
    """The way to members whose ids nobody knows yet."""

    async def ask(self, url: str) -> bytes:
        """The introduction by the member at a peer URL. Raises ConnectionError."""

    async def pause(self, seconds: float) -> None:
        """Wait."""


def encode(introduction: Introduction) -> bytes:
    """Bytes for who asks."""
    return msgspec.msgpack.encode(introduction)


async def introduction_by(introducer: Introducer, url: str) -> Introduction:
    """Ask the member at a peer URL. Raises ConnectionError, also when it answers nonsense."""
    try:
        return _decoder.decode(await introducer.ask(url))
    except DECODE_ERRORS as error:
        raise ConnectionError(f"{url} gave no introduction: {error}") from None


async def introduction_to(
    introducer: Introducer, urls: Sequence[str], own_urls: tuple[str, ...]
) -> tuple[Introduction, int]:
    """Ask at `urls` until a member knows one with `own_urls`; returns it and our id.

    Raises ConfigError when nobody answers, or nobody knows us, for ten seconds.
    """
    failure = "no other member is named"
    for attempt in range(ATTEMPTS):
        if attempt:
            await introducer.pause(PAUSE_SECONDS)
        for url in urls:
            try:
                introduction = await introduction_by(introducer, url)
            except ConnectionError as error:
                failure = f"{url}: {error}"
                continue
            member_id = introduction.member_at(own_urls)
            if member_id:
                return introduction, member_id
            failure = f"the member at {url} knows no member with the peer URLs {','.join(own_urls)}"
    raise ConfigError(
        f"cannot join the cluster: {failure}. Add this member first (etcdctl member add NAME"
        f" --peer-urls={','.join(own_urls)}) and name running members in --initial-cluster"
    )
