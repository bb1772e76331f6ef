"""This member's proposals: those that wait for a leader, those that one has, and who waits.

A leader that fails takes with it what was submitted to it and not committed. What was lost is
known exactly: logs never go back in term, so once an entry of a later term is applied here, nothing
of an earlier term will be any more. What is lost goes to the new leader, once and in order, and
clients see a pause, not an error.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from kvstore import commands
from kvstore.commands import Command, Proposal
from kvstore.errors import KvError, TooManyRequestsError
from kvstore.server.waiters import Done, Waiters

# Bytes of proposals that may wait for a leader, and that go to the core as one batch.
PENDING_BYTES_MAX = 64 * 1024 * 1024
BATCH_BYTES_MAX = 8 * 1024 * 1024


class Proposals:
    """Requests on their way into the log."""

    def __init__(self, member_id: int, first_id: int, timeout_seconds: float) -> None:
        self._member_id = member_id
        self._waiters: Waiters[Any] = Waiters(first_id, timeout_seconds)
        self._pending: deque[tuple[int, bytes]] = deque()
        self._pending_bytes = 0
        self._submitted: dict[int, tuple[int, bytes]] = {}  # id → term and data

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def has_pending(self) -> bool:
        """Tell whether some wait to be submitted."""
        return bool(self._pending)

    def add(self, now: float, command: Command, done: Done[Any]) -> None:
        """Let a command wait for its turn; `done` gets its result, or the error at once."""
        try:
            request_id = self._waiters.add(now, done)
        except KvError as error:
            done(error)
            return
        data = commands.encode(Proposal(self._member_id, request_id, command))
        if self._pending_bytes + len(data) > PENDING_BYTES_MAX:
            self._waiters.resolve(request_id, TooManyRequestsError())
            return
        self._pending.append((request_id, data))
        self._pending_bytes += len(data)

    def await_result(self, now: float, done: Done[Any]) -> int:
        """Let `done` wait for a command that its caller proposes; returns its request id.

        If it is lost it is not proposed again. Raises TooManyRequestsError.
        """
        return self._waiters.add(now, done)

    def submit(self, propose: Callable[[list[bytes]], bool], term: int) -> None:
        """Hand what waits to the core, in its present term, as far as it takes it."""
        while self._pending and self._pending[0][0] not in self._waiters:
            self._take_pending()  # timed out while there was no leader
        while self._pending:
            batch: list[bytes] = []
            batch_bytes = 0
            for _, data in self._pending:
                batch.append(data)
                batch_bytes += len(data)
                if batch_bytes >= BATCH_BYTES_MAX:
                    break
            if not propose(batch):
                break
            for _ in batch:
                request_id, data = self._take_pending()
                self._submitted[request_id] = (term, data)

    def resolve(self, request_id: int, result: Any) -> None:
        """The command is applied."""
        self._submitted.pop(request_id, None)
        self._waiters.resolve(request_id, result)

    def on_term_applied(self, term: int) -> None:
        """The first entry of a term is applied: what went to earlier leaders and is not is lost."""
        lost = [
            (request_id, data)
            for request_id, (submitted_in, data) in self._submitted.items()
            if submitted_in < term
        ]
        for request_id, data in reversed(lost):
            del self._submitted[request_id]
            if request_id in self._waiters:  # or nobody expects it any more
                self._pending.appendleft((request_id, data))
                self._pending_bytes += len(data)

    def on_snapshot(self) -> None:
        """The state jumped ahead: what was submitted may be in it, and is never sent again."""
        self._submitted.clear()

    def expire(self, now: float) -> None:
        """Fail the requests whose deadline has passed."""
        self._waiters.expire(now)
        while self._submitted and (oldest := next(iter(self._submitted))) not in self._waiters:
            del self._submitted[oldest]

    def fail_all(self, error: type[KvError]) -> None:
        """Fail every request."""
        self._waiters.fail_all(error)

    def _take_pending(self) -> tuple[int, bytes]:
        taken = self._pending.popleft()
        self._pending_bytes -= len(taken[1])
        return taken
