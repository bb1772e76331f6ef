"""Changes of the membership on their way to the leader, and what it refuses before it proposes.

What can be judged by the replicated members alone is judged when the change is applied
(`kvstore.members`), by rules that can never change. Here are etcd's checks of what only the leader
sees: who has started, who is connected, how far a learner has got (`--strict-reconfig-check`); and
the rules about URLs that may differ from version to version. They are sound here, because no other
change is under way when one is proposed.
"""

import logging
from collections.abc import Callable

import msgspec

from kvstore.apply import MembershipResult
from kvstore.commands import (
    AddMember,
    MembershipCommand,
    PromoteMember,
    RemoveMember,
    UpdateMember,
)
from kvstore.errors import (
    KvError,
    LearnerNotReadyError,
    MembersNotStartedError,
    MemberTooLargeError,
    NotLeaderError,
    PeerUrlExistsError,
    RequestTimeoutError,
    UnhealthyClusterError,
)
from kvstore.members import MemberRecord
from kvstore.raft.codec import DECODE_ERRORS
from kvstore.raft.types import NO_MEMBER
from kvstore.rpc_errors import Status, error_of, status_of
from kvstore.server.node import Node
from kvstore.server.waiters import Done, Waiters
from kvstore.urls import are_bounded, is_same_place

logger = logging.getLogger(__name__)

MEMBERSHIP_FRAME = b"M"

LEARNER_READY_SHARE = 0.9
"""A learner with this share of the leader's log may be promoted (etcd's)."""

Records = dict[int, MemberRecord]
Answer = Callable[["MembershipAnswer"], None]


class MembershipAsk(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """A member asks the leader for a change."""

    request_id: int
    command: MembershipCommand


class MembershipAnswer(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """The leader's answer: the members after the change, or why there was none.

    `is_leader` False: nothing was tried, ask whoever leads.
    """

    request_id: int
    is_leader: bool
    members: Records = {}
    refusal: Status | None = None
    index: int = 0  # where the change is in the log


_decoder = msgspec.msgpack.Decoder(MembershipAsk | MembershipAnswer)


class MembershipKeeper:
    """Brings the changes that one node is asked for to the leader, and judges them as leader."""

    def __init__(self, node: Node, *, is_strict: bool = True) -> None:
        """`is_strict`: refuse what might cost the quorum (`--strict-reconfig-check`)."""
        self._node = node
        self._is_strict = is_strict
        self._unsent: dict[int, MembershipAsk] = {}  # for the leader, once there is one
        self._asked: dict[int, MembershipAsk] = {}  # with a leader, that may refuse to be one
        self._unapplied: list[MembershipAnswer] = []  # the leader is ahead of us
        self._waiters: Waiters[MembershipAnswer] = Waiters(
            node.random.getrandbits(46) << 16, node.request_timeout_seconds
        )
        node.frame_handlers[MEMBERSHIP_FRAME] = self
        node.on_tick.append(self._tick)
        node.on_applied.append(self._resolve_applied)
        node.on_leader_change.append(self._send_unsent)

    def change(self, command: MembershipCommand, done: Done[Records]) -> None:
        """Change the membership; `done` gets the members after it, or the error.

        It is tried once: a leader that is lost meanwhile leaves a RequestTimeoutError, and the
        list of members says what became of it.
        """

        def answered(answer: MembershipAnswer | KvError) -> None:
            if isinstance(answer, KvError):
                done(answer)
            elif answer.refusal is not None:
                done(error_of(*answer.refusal))
            else:
                done(answer.members)

        try:
            request_id = self._waiters.add(self._node.clock.now(), answered)
        except KvError as error:
            done(error)
            return
        self._unsent[request_id] = MembershipAsk(request_id, command)
        self._send_unsent()

    # ------------------------------------------------------------------ asking

    def _send_unsent(self) -> None:
        if not self._node.leader_id:
            return
        unsent, self._unsent = self._unsent, {}
        self._asked |= unsent
        for ask in unsent.values():
            if self._node.is_leader:
                self._serve(ask, self._on_answer)
            else:
                self._send(self._node.leader_id, ask)

    def _send(self, to: int, message: MembershipAsk | MembershipAnswer) -> None:
        self._node.transport.send(to, [MEMBERSHIP_FRAME + msgspec.msgpack.encode(message)])

    def _on_answer(self, answer: MembershipAnswer) -> None:
        ask = self._asked.pop(answer.request_id, None)
        if answer.is_leader and self._is_ahead(answer):
            self._unapplied.append(answer)
        elif answer.is_leader:
            self._waiters.resolve(answer.request_id, answer)
        elif ask is not None:
            self._unsent[ask.request_id] = ask  # for the next tick, or the next leader

    def _is_ahead(self, answer: MembershipAnswer) -> bool:
        """Who asks this member next shall see the change; a removed one may never see it."""
        node = self._node
        return answer.index > node.machine.applied_index and node.member_id in answer.members

    def _resolve_applied(self) -> None:
        if self._unapplied:
            answers, self._unapplied = self._unapplied, []
            for answer in answers:
                self._on_answer(answer)

    def _tick(self, now: float) -> None:
        self._unapplied = [a for a in self._unapplied if a.request_id in self._waiters]
        self._waiters.expire(now, RequestTimeoutError)
        for asks in (self._unsent, self._asked):
            for request_id in [r for r in asks if r not in self._waiters]:
                del asks[request_id]
        self._send_unsent()

    # ------------------------------------------------------------------ answering

    def on_frame(self, sender: int, payload: bytes) -> None:
        """A question of another member or the leader's answer."""
        try:
            message = _decoder.decode(payload)
        except DECODE_ERRORS as error:
            logger.warning("peer %x sent a membership frame that is none: %s", sender, error)
            return
        if isinstance(message, MembershipAnswer):
            self._on_answer(message)
        else:
            self._serve(message, lambda answer: self._send(sender, answer))

    def _serve(self, ask: MembershipAsk, answer: Answer) -> None:
        node = self._node
        if not node.raft.is_settled:  # nor does a new leader know yet what it would judge
            answer(MembershipAnswer(ask.request_id, is_leader=False))
            return
        refusal = self._refusal_of(ask.command)
        if refusal is not None:
            answer(MembershipAnswer(ask.request_id, True, refusal=status_of(refusal)))
        elif ask.command == RemoveMember(node.member_id):
            self._hand_over(ask, answer)
        else:
            self._propose(ask, answer)

    def _propose(self, ask: MembershipAsk, answer: Answer) -> None:
        node, request_id = self._node, ask.request_id

        def done(result: MembershipResult | KvError) -> None:
            if isinstance(result, NotLeaderError):
                answer(MembershipAnswer(request_id, is_leader=False))
            elif isinstance(result, KvError):
                answer(MembershipAnswer(request_id, True, refusal=status_of(result)))
            else:
                machine = node.machine
                records, index = machine.members.records, machine.applied_index
                answer(MembershipAnswer(request_id, True, records, index=index))

        node.propose_membership(ask.command, done)

    def _hand_over(self, ask: MembershipAsk, answer: Answer) -> None:
        """A leader that is to be removed lets its successor do it: nobody waits for an election.

        It never does it itself: it would lead until only it knows that it is gone.
        """
        node = self._node
        successor = node.best_successor()
        if successor == NO_MEMBER:
            refusal = status_of(UnhealthyClusterError())
            answer(MembershipAnswer(ask.request_id, True, refusal=refusal))
            return

        def tried(_: KvError | None) -> None:
            # Also if it failed: whoever leads now knows by now who does not answer.
            answer(MembershipAnswer(ask.request_id, is_leader=False))

        seconds = 2 * node.options.election_seconds
        node.transfer_leadership(successor, tried, timeout_seconds=seconds)

    # ------------------------------------------------------------------ judging

    def _refusal_of(self, command: MembershipCommand) -> KvError | None:
        match command:
            case AddMember(peer_urls=peer_urls):
                refusal = self._refusal_of_addition(command) if self._is_strict else None
                return refusal or self._refusal_of_urls(peer_urls, but=NO_MEMBER)
            case UpdateMember(member_id, peer_urls):
                return self._refusal_of_urls(peer_urls, but=member_id)
            case RemoveMember(member_id):
                return self._refusal_of_removal(member_id)
            case PromoteMember(member_id):
                return self._refusal_of_promotion(member_id)

    def _refusal_of_addition(self, command: AddMember) -> KvError | None:
        voters = self._voters()
        count_after = len(voters) + 1
        # One member alone may always become two: so a cluster is brought back from its data.
        is_growing_from_one = _started(voters) == 1 and count_after == 2
        is_short = _started(voters) < _majority(count_after) and not is_growing_from_one
        if not command.is_learner and is_short:
            return MembersNotStartedError()
        return None if self._connected(voters) == len(voters) else UnhealthyClusterError()

    def _refusal_of_removal(self, member_id: int) -> KvError | None:
        """Also without strictness: the last voter stays, or there would be no cluster."""
        voters = self._voters()
        rest = {voter: record for voter, record in voters.items() if voter != member_id}
        if not rest or (self._is_strict and _started(rest) < _majority(len(rest))):
            return MembersNotStartedError()
        is_down = member_id not in voters or not self._is_connected(member_id)
        if is_down or not self._is_strict:
            return None
        connected_after = self._connected(voters) - 1
        return None if connected_after >= _majority(len(rest)) else UnhealthyClusterError()

    def _refusal_of_promotion(self, member_id: int) -> KvError | None:
        record = self._node.machine.members.records.get(member_id)
        if record is None or not record.is_learner:
            return None  # that is judged when it is applied
        if not self._node.raft.has_caught_up(member_id, LEARNER_READY_SHARE):
            return LearnerNotReadyError()
        after = self._voters() | {member_id: record}
        is_short = _started(after) < _majority(len(after))
        return MembersNotStartedError() if self._is_strict and is_short else None

    def _refusal_of_urls(self, peer_urls: tuple[str, ...], *, but: int) -> KvError | None:
        """`but`: who may have them already."""
        if not are_bounded(peer_urls):
            return MemberTooLargeError()
        records = self._node.machine.members.records
        taken = [url for id_, record in records.items() if id_ != but for url in record.peer_urls]
        is_taken = any(is_same_place(url, other) for url in peer_urls for other in taken)
        return PeerUrlExistsError() if is_taken else None

    def _voters(self) -> Records:
        records = self._node.machine.members.records
        return {member: record for member, record in records.items() if not record.is_learner}

    def _connected(self, members: Records) -> int:
        return sum(map(self._is_connected, members))

    def _is_connected(self, member_id: int) -> bool:
        node = self._node
        return member_id == node.member_id or node.transport.is_connected(member_id)


def _started(members: Records) -> int:
    return sum(record.is_started for record in members.values())


def _majority(count: int) -> int:
    return count // 2 + 1
