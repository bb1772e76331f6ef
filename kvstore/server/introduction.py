"""What a cluster tells of itself to a member that wants to join it, and how that member asks.

A member that was added (`etcdctl member add`) knows peer URLs only. Any member tells it the
cluster's id, its own, who founded the cluster (the log begins with them) and who is in it now.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from kvstore.errors import ConfigError, OperatorError
from kvstore.members import MemberRecord
from kvstore.raft.codec import DECODE_ERRORS
from kvstore.urls import are_same_places

# A member that was added a moment ago may not be known everywhere yet.
ATTEMPTS = 20
PAUSE_SECONDS = 0.5

T = TypeVar("T")


class Introduction(msgspec.Struct, frozen=True, array_like=True):
    """A cluster, as one of its members knows it."""

    cluster_id: int
    founders: dict[int, MemberRecord]
    members: dict[int, MemberRecord]
    removed: tuple[int, ...] = ()
    applied_index: int = 0  # of the log, as this was told

    def member_at(self, peer_urls: tuple[str, ...]) -> int:
        """Id of the member with these peer URLs, in its spelling or, if that tells who is meant,
        in another; 0 if there is none."""
        members = self.members.items()
        same = [id_ for id_, record in members if sorted(record.peer_urls) == sorted(peer_urls)]
        if not same:
            same = [id_ for id_, record in members if are_same_places(record.peer_urls, peer_urls)]
        return same[0] if len(same) == 1 else 0


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
    except ConnectionError as error:
        raise ConnectionError(f"{url}: {error}") from None
    except DECODE_ERRORS as error:
        raise ConnectionError(f"{url} gave no introduction: {error}") from None


async def introductions_by(introducer: Introducer, urls: Sequence[str]) -> list[Introduction]:
    """Ask the members at all these peer URLs at the same time.

    Raises ConnectionError when none of them tells anything.
    """
    answers = await asyncio.gather(
        *(introduction_by(introducer, url) for url in urls), return_exceptions=True
    )
    introductions: list[Introduction] = []
    failure = ConnectionError("no other member is named")
    for answer in answers:
        if isinstance(answer, Introduction):
            introductions.append(answer)
        elif isinstance(answer, ConnectionError):
            failure = answer
        else:
            raise answer
    if not introductions:
        raise failure
    return introductions


def newest(introductions: Sequence[Introduction]) -> Introduction:
    """What the member says that has applied most. Raises ConfigError if they are of two clusters.

    A member says what it knew when the membership last changed for it, so none of them has missed
    a change that one with a lower index has seen.
    """
    if len({introduction.cluster_id for introduction in introductions}) > 1:
        raise ConfigError("the members that answer belong to different clusters")
    return max(introductions, key=lambda introduction: introduction.applied_index)


async def join(
    introducer: Introducer, urls: Sequence[str], place_in: Callable[[Introduction], T]
) -> T:
    """Ask all at `urls` until `place_in` finds what it wants in the newest answer.

    It raises the OperatorError of what keeps it out. All of them may pass, for who answers may be
    behind; after ten seconds the last one stands. Raises ConfigError when nobody answers.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return place_in(await _newest_at(introducer, urls))
        except OperatorError:
            await introducer.pause(PAUSE_SECONDS)
    return place_in(await _newest_at(introducer, urls))


async def _newest_at(introducer: Introducer, urls: Sequence[str]) -> Introduction:
    try:
        return newest(await introductions_by(introducer, urls))
    except ConnectionError as error:
        raise ConfigError(
            f"cannot join the cluster: {error}. Name running members in --initial-cluster; this"
            " one must have been added before (etcdctl member add NAME --peer-urls=…)"
        ) from None
