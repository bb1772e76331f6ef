"""Writes down a simulated run for its story, without any influence on it: no dice, no callbacks."""

import asyncio
from collections.abc import Sequence

from kvstore.raft import codec
from kvstore.raft.types import RequestVote, Role, TimeoutNow, VoteReply
from kvstore.testing.history import Operation
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.faults import Fault
from kvstore.testing.simulation.member import SimulatedMember
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.story import (
    DOWN,
    Band,
    FaultSpan,
    MessageLine,
    Story,
    Violation,
)

MESSAGES_MAX = 3000
"""Lines beyond it would only make the page black."""

_RAFT_FRAME = b"R"


class StoryRecorder:
    """See `scenario.Recorder`."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # member id → lane
        self._names: list[str] = []
        self._bands: list[Band] = []
        self._open: dict[int, Band] = {}  # the last band of each lane
        self._faults: list[FaultSpan] = []
        self._faults_open: dict[int, FaultSpan] = {}
        self._messages: list[MessageLine] = []
        self._messages_left_out = 0
        self._by_client: Sequence[Sequence[Operation]] = ()
        self._violation: Violation | None = None
        self._latest = 0.0

    def begins(self, cluster: SimulatedCluster, by_client: Sequence[Sequence[Operation]]) -> None:
        """See `Recorder`."""
        self._numbers = {member.member_id: n for n, member in enumerate(cluster.members)}
        self._names = [member.name for member in cluster.members]
        self._by_client = by_client

    def travelled(
        self, link: Link, data: bytes, *, sent_at: float, at: float, is_lost: bool
    ) -> None:
        """See `Witness`: of members' messages, those that elections are made of."""
        source, target = map(self._numbers.get, link)
        if source is None or target is None or data[:1] != _RAFT_FRAME:
            return
        message = codec.decode(data[1:])
        match message:
            case RequestVote():
                text = f"{'pre-' if message.pre_vote else ''}vote request, term {message.term}"
            case VoteReply():
                verdict = "granted" if message.granted else "refused"
                text = f"{'pre-' if message.pre_vote else ''}vote {verdict}, term {message.term}"
            case TimeoutNow():
                text = f"leadership transfer, term {message.term}"
            case _:
                return
        if len(self._messages) == MESSAGES_MAX:
            self._messages_left_out += 1
        else:
            self._messages.append(MessageLine(source, target, sent_at, at, text, is_lost))

    def looked(self, members: list[SimulatedMember]) -> None:
        """See `Observer`."""
        for member in members:
            if member.member is not None:
                raft = member.member.node.raft
                self._band(member, Role(raft.role).name.lower(), raft.term)

    def died(self, member: SimulatedMember, cause: str) -> None:
        """See `Observer`."""
        self._band(member, DOWN, 0, cause or "crash")

    def joined(self, member: SimulatedMember) -> None:
        """See `Observer`."""
        self._numbers[member.member_id] = len(self._names)
        self._names.append(member.name)

    def fault_begins(self, fault: Fault) -> None:
        """See `Recorder`."""
        lanes = [self._numbers[member.member_id] for member in fault.members]
        span = FaultSpan(fault.kind, lanes if len(lanes) < len(self._names) else [], self._now(), 0)
        self._faults.append(span)
        self._faults_open[id(fault)] = span

    def fault_ends(self, fault: Fault) -> None:
        """See `Recorder`."""
        self._faults_open.pop(id(fault)).end = self._now()

    def violated(self, text: str) -> None:
        """See `Recorder`; the first counts."""
        if self._violation is None:
            self._violation = Violation(self._now(), text)

    def story(self, title: str) -> Story:
        """All of it."""
        for band in self._open.values():
            band.end = self._latest
        for span in self._faults_open.values():
            span.end = self._latest
        return Story(
            title=title,
            seconds=self._latest,
            members=self._names,
            bands=self._bands,
            faults=self._faults,
            messages=self._messages,
            messages_left_out=self._messages_left_out,
            by_client=[list(operations) for operations in self._by_client],
            violation=self._violation,
        )

    def _band(self, member: SimulatedMember, role: str, term: int, why: str = "") -> None:
        """The member is this now; nothing to write down if it was before."""
        lane, now = self._numbers[member.member_id], self._now()
        before = self._open.get(lane)
        if before is not None:
            before.end = now
            if (before.role, before.term) == (role, term):
                return
        self._open[lane] = band = Band(lane, role, term, now, now, why)
        self._bands.append(band)

    def _now(self) -> float:
        self._latest = asyncio.get_running_loop().time()
        return self._latest
