"""What all the answers of a run prove of time: by when a revision was there, and until when not.

PURE. Times are monotonic seconds of the clients. What is said here is true of a store that is
linearizable; whether it is, others check.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import inf

import msgspec


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The revision of the store and Raft's term that somebody was told.

    invoked   when it was asked for. -inf: it may be older than the question, as a watch's event is
    completed when it was told
    term      0: it was not told
    is_write  a write was acknowledged, or what else takes a commit
    """

    invoked: float
    completed: float
    revision: int
    term: int = 0
    is_write: bool = False


class TermStart(msgspec.Struct, frozen=True, kw_only=True):
    """When a term's leader can have begun to lead.

    not_before  a call that was begun then was still answered in an older term
    served_at   a write was acknowledged that was begun after the term was known; inf: none was
    """

    term: int
    not_before: float
    served_at: float


class Answers:
    """Everything that was answered, for many questions."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        by_time = sorted(answers, key=lambda answer: answer.completed)
        self._completed = [answer.completed for answer in by_time]
        self._newest = list(accumulate((answer.revision for answer in by_time), max))
        by_revision = sorted(answers, key=lambda answer: answer.revision)
        self._revisions = [answer.revision for answer in by_revision]
        self._latest = list(accumulate((answer.invoked for answer in by_revision), max))
        writes = sorted((a for a in answers if a.is_write), key=lambda answer: answer.invoked)
        self._begun = [write.invoked for write in writes]
        soonest = accumulate((write.completed for write in reversed(writes)), min)
        self._soonest = list(soonest)[::-1]
        self.terms = self._term_starts(by_time)
        """In their order; the first is of the term in which the run began."""

    def happened_by(self, revision: int) -> float:
        """The earliest moment at which somebody had been told of it, or of a later one."""
        position = bisect_left(self._newest, revision)
        return self._completed[position] if position < len(self._completed) else inf

    def not_yet_at(self, revision: int) -> float:
        """The latest moment of which it is proven that the revision was still to come."""
        position = bisect_left(self._revisions, revision)
        return self._latest[position - 1] if position else -inf

    def served_since(self, moment: float) -> float:
        """When the first write was acknowledged that was begun at `moment` or later."""
        position = bisect_left(self._begun, moment)
        return self._soonest[position] if position < len(self._soonest) else inf

    def _term_starts(self, by_time: Sequence[Answer]) -> tuple[TermStart, ...]:
        told = sorted((answer for answer in by_time if answer.term), key=lambda a: a.term)
        terms = [answer.term for answer in told]
        latest = list(accumulate((answer.invoked for answer in told), max))
        starts: list[TermStart] = []
        for answer in by_time:
            if answer.term > (starts[-1].term if starts else 0):
                older = bisect_left(terms, answer.term)
                starts.append(
                    TermStart(
                        term=answer.term,
                        not_before=latest[older - 1] if older else -inf,
                        served_at=self.served_since(answer.completed),
                    )
                )
        return tuple(starts)
