"""Frames and members in the words of the traces."""

from collections.abc import Sequence
from functools import singledispatch

from kvstore.raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    Message,
    Propose,
    ReadIndexReply,
    ReadIndexRequest,
    RequestVote,
    VoteReply,
)

from .cluster import Frame
from .member import Member, SnapshotStream


def describe_frame(frame: Frame) -> str:
    """`1->2 t3 AppendEntries after 4/2 commit 4: 5/3 "x"`."""
    name = type(frame).__name__
    return f"{frame.sender}->{frame.to} t{frame.term} {name}{_details(frame)}"


@singledispatch
def _details(frame: Message | SnapshotStream) -> str:
    return ""


@_details.register
def _(frame: RequestVote) -> str:
    flags = " pre" * frame.pre_vote + " transfer" * frame.transfer
    return f"{flags} last {frame.last_index}/{frame.last_term}"


@_details.register
def _(frame: VoteReply) -> str:
    return f"{' pre' * frame.pre_vote} {'granted' if frame.granted else 'refused'}"


@_details.register
def _(frame: AppendEntries) -> str:
    previous = f"after {frame.previous_index}/{frame.previous_term}"
    wish = "" if frame.needs_reply else " without reply"
    return f" {previous} commit {frame.commit}: {_describe_entries(frame.entries)}{wish}"


@_details.register
def _(frame: AppendReply) -> str:
    if frame.is_rejected:
        return f" rejected {frame.rejected_index}, hint {frame.hint_index}/{frame.hint_term}"
    return f" match {frame.match_index}"


@_details.register
def _(frame: Heartbeat) -> str:
    return f" commit {frame.commit}" + f" round {frame.read_context}" * bool(frame.read_context)


@_details.register
def _(frame: HeartbeatReply) -> str:
    return f" round {frame.read_context}" * bool(frame.read_context)


@_details.register
def _(frame: ReadIndexRequest) -> str:
    return f" context {frame.context}"


@_details.register
def _(frame: ReadIndexReply) -> str:
    return f" context {frame.context} index {frame.index}"


@_details.register
def _(frame: Propose) -> str:
    return " " + " ".join(f'"{data.decode()}"' for data in frame.data)


@_details.register
def _(frame: SnapshotStream) -> str:
    return f" up to {frame.meta.index}/{frame.meta.term}"


def _describe_entries(entries: Sequence[Entry]) -> str:
    if not entries:
        return "none"
    return " ".join(f'{e.index}/{e.term} "{e.data.decode()}"' for e in entries)


def describe_member(member: Member) -> str:
    """One line of what a member is, without what is zero or empty."""
    if not member.is_up:
        return f"{member.member_id} down"
    raft = member.raft
    words = [f"{member.member_id} {raft.role.name} term={raft.term}"]
    facts = {"vote": raft.vote, "leader": raft.leader_id, "commit": raft.commit_index}
    words += [f"{name}={value}" for name, value in facts.items() if value]
    words.append(f"log={_describe_log(member)}")
    if member.reads:
        words.append("reads=" + ",".join(f"{context}@{index}" for context, index in member.reads))
    if member.rejected_reads:
        words.append("rejected=" + ",".join(map(str, member.rejected_reads)))
    for to, progress in sorted(raft.state.progress.items()):
        if to != member.member_id:
            name = progress.state.name.lower()
            words.append(f"{to}:{name}({progress.match},{progress.next})")
    return " ".join(words)


def _describe_log(member: Member) -> str:
    """Terms along the log: `[1 1 2]`, or behind a compaction point `(4/2)[3]`."""
    log = member.raft.state.log
    terms = [str(e.term) for e in log.entries(log.compacted_index + 1, log.last_index)]
    point = f"({log.compacted_index}/{log.compacted_term})" * bool(log.compacted_index)
    return f"{point}[{' '.join(terms)}]"
