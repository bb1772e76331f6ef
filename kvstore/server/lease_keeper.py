"""Leases at run time: expiry by the leader, renewals forwarded to it, checkpoints.

The rules of time are `kvstore.lease`'s. A renewal is not a log entry: the leader confirms that
it still leads (a read index), extends the lease in memory, and answers.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from kvstore.commands import LeaseCheckpoint, LeaseRevoke
from kvstore.errors import KvError, RequestTimeoutError
from kvstore.lease import LeaseTimeToLive
from kvstore.raft.codec import DECODE_ERRORS
from kvstore.server.node import Node
from kvstore.server.waiters import Done, Waiters

logger = logging.getLogger(__name__)

LEASE_FRAME = b"L"
# Leases revoked per tick at most, so that a million expiring at once do not flood the log.
_REVOKES_PER_TICK = 500


class LeaseAsk(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """A follower asks the leader: renew a lease, or how long it lives."""

    request_id: int
    lease_id: int
    is_renewal: bool


class LeaseAnswer(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """The leader's answer; `is_leader` False: ask whoever leads now."""

    request_id: int
    is_leader: bool
    ttl_seconds: int = 0
    time_to_live: LeaseTimeToLive | None = None


_decoder = msgspec.msgpack.Decoder(LeaseAsk | LeaseAnswer)


class LeaseKeeper:
    """Runs the leases of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asks: dict[int, LeaseAsk] = {}  # forwarded, not answered yet
        self._ask_again_at = 0.0
        self._outbox: dict[int, list[bytes]] = {}  # frames of this turn of the loop, by member
        self._waiters: Waiters[Any] = Waiters(
            node.random.getrandbits(46) << 16, node.request_timeout_seconds
        )
        node.frame_handlers[LEASE_FRAME] = self
        node.on_applied.append(self._date)
        node.on_tick.append(self._tick)
        node.on_leader_change.append(self._ask_again)

    def renew(self, lease_id: int, done: Done[int]) -> None:
        """Extend a lease by its full TTL; `done` gets the TTL, 0 if there is no such lease."""
        self._ask(lease_id, True, lambda answer: done(_map(answer, lambda a: a.ttl_seconds)))

    def time_to_live(self, lease_id: int, done: Done[LeaseTimeToLive]) -> None:
        """`done` gets what the leader knows of a lease (TTL -1: there is no such lease)."""
        self._ask(lease_id, False, lambda answer: done(_map(answer, lambda a: a.time_to_live)))

    # ------------------------------------------------------------------ asking

    def _ask(
        self, lease_id: int, is_renewal: bool, done: Callable[[LeaseAnswer | KvError], None]
    ) -> None:
        try:
            request_id = self._waiters.add(self._node.clock.now(), done)
        except KvError as error:
            done(error)
            return
        ask = LeaseAsk(request_id, lease_id, is_renewal)
        self._asks[request_id] = ask
        self._forward(ask)

    def _forward(self, ask: LeaseAsk) -> None:
        if self._node.is_leader:
            self._serve(ask, self._on_answer)
        elif self._node.leader_id:
            self._send(self._node.leader_id, ask)

    def _send(self, to: int, message: LeaseAsk | LeaseAnswer) -> None:
        """Send together what the clients of this turn ask for: most of the cost is a write's."""
        if not self._outbox:
            self._node.clock.call_later(0, self._flush)
        frame = LEASE_FRAME + msgspec.msgpack.encode(message)
        self._outbox.setdefault(to, []).append(frame)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for to, frames in outbox.items():
            self._node.transport.send(to, frames)

    def _ask_again(self) -> None:
        for ask in list(self._asks.values()):
            self._forward(ask)

    def _on_answer(self, answer: LeaseAnswer) -> None:
        if answer.is_leader and self._asks.pop(answer.request_id, None) is not None:
            self._waiters.resolve(answer.request_id, answer)

    # ------------------------------------------------------------------ answering

    def on_frame(self, sender: int, payload: bytes) -> None:
        """A question of a follower or an answer of the leader."""
        try:
            message = _decoder.decode(payload)
        except DECODE_ERRORS as error:
            logger.warning("peer %x sent a lease frame that is none: %s", sender, error)
            return
        if isinstance(message, LeaseAnswer):
            self._on_answer(message)
            return

        def answer(result: LeaseAnswer) -> None:
            self._send(sender, result)

        self._serve(message, answer)

    def _serve(self, ask: LeaseAsk, answer: Callable[[LeaseAnswer], None]) -> None:
        """Answer as leader, after a quorum confirmed that we are: a deposed leader must not
        promise a TTL that its successor knows nothing of."""
        node = self._node
        refusal = LeaseAnswer(ask.request_id, is_leader=False)
        asked_at = node.clock.now()

        def confirmed(error: KvError | None) -> None:
            lessor = node.machine.lessor
            # A quorum followed us at some moment since; a successor extends leases by no more
            # than an election timeout, so an older confirmation says nothing about its TTLs.
            is_fresh = node.clock.now() - asked_at <= node.options.election_seconds
            if error is not None or not (lessor.is_primary and node.is_leader and is_fresh):
                answer(refusal)
            elif ask.is_renewal:
                self._renew(ask, answer)
            else:
                found = lessor.time_to_live(ask.lease_id, self._node.clock.now())
                answer(LeaseAnswer(ask.request_id, is_leader=True, time_to_live=found))

        if self._node.is_leader:
            self._node.read_index(confirmed)
        else:
            answer(refusal)

    def _renew(self, ask: LeaseAsk, answer: Callable[[LeaseAnswer], None]) -> None:
        lessor = self._node.machine.lessor
        ttl = lessor.renew(ask.lease_id, self._node.clock.now())
        renewed = LeaseAnswer(ask.request_id, is_leader=True, ttl_seconds=ttl)
        if not ttl or not lessor.is_checkpointed(ask.lease_id):
            answer(renewed)
            return
        # The members know a shorter remaining TTL: it must be gone before we promise the full one.
        refusal = LeaseAnswer(ask.request_id, is_leader=False)
        self._node.propose(
            LeaseCheckpoint(((ask.lease_id, 0),)),
            lambda result: answer(refusal if isinstance(result, KvError) else renewed),
        )

    # ------------------------------------------------------------------ time

    def _date(self) -> None:
        if self._node.machine.lessor.is_primary:
            self._node.machine.lessor.date(self._node.clock.now())

    def _tick(self, now: float) -> None:
        self._waiters.expire(now, RequestTimeoutError)
        for request_id in [r for r in self._asks if r not in self._waiters]:
            del self._asks[request_id]
        if now >= self._ask_again_at:
            # A frame was lost, or the leader refused; asking twice does no harm.
            self._ask_again_at = now + self._node.options.election_seconds
            self._ask_again()
        node = self._node
        if not node.machine.lessor.is_primary:
            return
        for lease_id in node.machine.lessor.expired(now, _REVOKES_PER_TICK):
            node.propose_as_leader(LeaseRevoke(lease_id))
        due = node.machine.lessor.checkpoints_due(now)
        if due:
            node.propose_as_leader(LeaseCheckpoint(due))


def _map(answer: LeaseAnswer | KvError, field: Callable[[LeaseAnswer], Any]) -> Any:
    return answer if isinstance(answer, KvError) else field(answer)
