"""Who the members are, replicated: names, URLs, learners, and the ids that are used up.

Pure. Every rule here is judged when a change is applied, on all members alike, whenever they
replay the log and whatever version they run: a rule that becomes stricter or laxer would make two
clusters of one. So no limit and no notion of equal addresses may enter; what a leader refuses
before it proposes (also too few started members, a learner that lags) is
`kvstore.server.membership_keeper`'s. Who votes follows from this by way of `kvstore.raft`.
"""

from collections.abc import Mapping

import msgspec

from kvstore.commands import (
    AddMember,
    MembershipCommand,
    PromoteMember,
    PublishMember,
    RemoveMember,
    UpdateMember,
)
from kvstore.errors import (
    MemberExistsError,
    MemberNotFoundError,
    MemberNotLearnerError,
    PeerUrlExistsError,
    TooManyLearnersError,
)
from kvstore.raft.types import MembershipChange

LEARNERS_MAX = 1
"""etcd's limit: each learner is one more that the leader has to feed."""


class MemberRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One member. It has no name until it has started and published it."""

    name: str = ""
    client_urls: tuple[str, ...] = ()
    peer_urls: tuple[str, ...] = ()
    is_learner: bool = False

    @property
    def is_started(self) -> bool:
        """Tell whether it ever ran."""
        return bool(self.name)


class Members:
    """The members as of the applied index."""

    def __init__(
        self,
        records: Mapping[int, MemberRecord] | None = None,
        removed: frozenset[int] = frozenset(),
    ) -> None:
        """`removed`: ids that were members once and never will be again."""
        self.records = dict(records or {})
        self.removed = removed

    def complete(self, founders: Mapping[int, MemberRecord]) -> None:
        """Add what a snapshot of the time before changes of membership does not tell."""
        for member_id, founder in founders.items():
            known = self.records.get(member_id, MemberRecord())
            if member_id not in self.removed and not known.peer_urls:
                self.records[member_id] = msgspec.structs.replace(
                    known, peer_urls=founder.peer_urls
                )

    def publish(self, command: PublishMember) -> None:
        """A member tells its name and client URLs. Raises MemberNotFoundError."""
        self.records[command.member_id] = msgspec.structs.replace(
            self._record(command.member_id), name=command.name, client_urls=command.client_urls
        )

    def change(self, command: MembershipCommand) -> MembershipChange | None:
        """Carry a change out; returns what it means for who votes, None = nothing.

        Raises the RequestError of the rule that it breaks, and changes nothing then.
        """
        match command:
            case AddMember():
                return self._add(command)
            case RemoveMember(member_id):
                self._record(member_id)
                del self.records[member_id]
                self.removed |= {member_id}
                return MembershipChange(removed=(member_id,))
            case UpdateMember(member_id, peer_urls):
                record = self._record(member_id)
                self._require_new(peer_urls, but=member_id)
                self.records[member_id] = msgspec.structs.replace(record, peer_urls=peer_urls)
                return None
            case PromoteMember(member_id):
                record = self._record(member_id)
                if not record.is_learner:
                    raise MemberNotLearnerError
                self.records[member_id] = msgspec.structs.replace(record, is_learner=False)
                return MembershipChange(voters=(member_id,))

    def _add(self, command: AddMember) -> MembershipChange:
        member_id = command.member_id
        if member_id in self.removed:
            raise MemberNotFoundError  # so etcd calls an id that is used up
        if member_id in self.records:
            raise MemberExistsError
        self._require_new(command.peer_urls)
        learners = sum(record.is_learner for record in self.records.values())
        if command.is_learner and learners >= LEARNERS_MAX:
            raise TooManyLearnersError
        self.records[member_id] = MemberRecord(
            peer_urls=command.peer_urls, is_learner=command.is_learner
        )
        added = (member_id,)
        if command.is_learner:
            return MembershipChange(learners=added)
        return MembershipChange(voters=added)

    def _record(self, member_id: int) -> MemberRecord:
        record = self.records.get(member_id)
        if record is None:
            raise MemberNotFoundError
        return record

    def _require_new(self, peer_urls: tuple[str, ...], *, but: int = 0) -> None:
        for member_id, record in self.records.items():
            if member_id != but and not set(record.peer_urls).isdisjoint(peer_urls):
                raise PeerUrlExistsError
