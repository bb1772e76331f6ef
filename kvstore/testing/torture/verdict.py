"""Was every promise kept? What the clients recorded, against what the members have in the end.

PURE. Two independent checkers look at the same histories: `history` against the store's own order
of writes, exactly, and `linearizability` from outside, without it.
"""

import itertools
from collections.abc import Sequence

import msgspec

from kvstore.testing import history, linearizability, watch_checker
from kvstore.testing.history import ViolationError, Write
from kvstore.testing.history_file import Recording
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture import authors, lease_promises
from kvstore.testing.torture.answers import Answers
from kvstore.testing.torture.lease_promises import LeasedKey
from kvstore.testing.torture.readback import Readback
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Resumption

# Processes of what no client did, for telling: nobody else has such a number.
_LESSOR = -1_000
_ETCDCTL = -1_001
_REST_SECONDS = 1.0  # etcdctl reads when all else is over: any time will do


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How much was checked, and found right."""

    operations: int
    keys: int
    unknown: int
    written: int
    writes: int
    watches: int
    watches_without_events: int
    resumptions: int
    fragments: int
    events: int
    leases: int
    leases_bounded: int
    lease_slack_seconds: float
    hash_kv: int

    @property
    def told(self) -> str:
        """A block for people."""
        return "\n".join(
            (
                f"{self.operations:,} operations on {self.keys:,} keys are linearizable",
                f"{self.unknown:,} operations had no answer",
                f"{self.written:,} acknowledged writes of single keys are all there",
                f"{self.writes:,} writes of the store all have an author",
                f"{self.watches:,} watches got {self.events:,} events as promised",
                f"{self.watches_without_events:,} of them got none, and none was due",
                f"{self.resumptions:,} times the raw watch was resumed without a hole or repeat",
                f"{self.fragments:,} fragments of responses to it were put together",
                f"{self.leases:,} leases lasted as long as promised, and ended",
                f"{self.leases_bounded:,} of them had a latest end, and kept it",
                f"{self.lease_slack_seconds:.1f} s lay between promise and latest end (median)",
                f"etcdctl reads what was written; HashKV {self.hash_kv} on all members",
            )
        )


def recording(recorder: Recorder, readback: Readback | None) -> Recording:
    """Everything that was recorded, for a file that `check` judges again.

    readback: None where a run did not come to its end; then watches cannot be judged.
    """
    operations = [*_asked_for(recorder), *_ends_of(recorder.leased)]
    if readback is not None:
        operations += final_gets(operations, readback)
    return Recording(
        operations=tuple(operations),
        watches=tuple(recorded.watch() for recorded in recorder.watches),
        writes=() if readback is None else readback.writes,
    )


def judge(recorder: Recorder, readback: Readback) -> Verdict:
    """Raise ViolationError that names the first promise that was broken."""
    operations, writes = _asked_for(recorder), readback.writes
    history.check([_for_the_order(operation) for operation in operations], writes)
    _check_refused(recorder.refused, writes)
    _check_state(readback)
    answers = Answers(recorder.answers)
    authors.check(operations, recorder.leased, writes, answers)
    whole = [*operations, *_ends_of(recorder.leased)]
    check_linearizable([*whole, *final_gets(whole, readback)])
    events = _check_watches(recorder.watches, writes)
    bounds = lease_promises.check(recorder.leased, writes, answers)
    return Verdict(
        operations=len(recorder.operations),
        keys=len({operation.key for operation in recorder.operations}),
        unknown=recorder.unknown,
        written=sum(put.completed is not None for put in recorder.written.values()),
        writes=len(writes),
        watches=len(recorder.watches),
        watches_without_events=events.count(0),
        resumptions=sum(
            isinstance(item, Resumption)
            for recorded in recorder.watches
            for item in recorded.received
        ),
        fragments=sum(
            isinstance(item, Batch) and item.is_fragment
            for recorded in recorder.watches
            for item in recorded.received
        ),
        events=sum(events),
        leases=len(recorder.leased),
        leases_bounded=bounds.count,
        lease_slack_seconds=bounds.median_slack_seconds,
        hash_kv=readback.hash_kv,
    )


def _asked_for(recorder: Recorder) -> tuple[Operation, ...]:
    """All operations of all clients."""
    return (*recorder.operations, *recorder.written.values())


def _ends_of(leased: Sequence[LeasedKey]) -> list[Operation]:
    """The end of each lease: a deletion of which only its beginning is known."""
    return [
        Operation(process=_LESSOR, kind="delete", key=lease.key, invoked=lease.promised_until)
        for lease in leased
    ]


def final_gets(operations: Sequence[Operation], readback: Readback) -> list[Operation]:
    """What etcdctl read in the end of each key that was touched, found or not."""
    times = itertools.chain.from_iterable(
        (operation.invoked, operation.completed or 0.0) for operation in operations
    )
    at = max(times, default=0.0) + _REST_SECONDS
    gets = []
    for key in sorted({operation.key for operation in operations}):
        found = readback.state.get(key)
        gets.append(
            Operation(
                process=_ETCDCTL,
                kind="get",
                key=key,
                invoked=at,
                completed=at + _REST_SECONDS,
                value=None if found is None else found.value,
                mod_revision=0 if found is None else found.mod_revision,
                revision=readback.revision,
            )
        )
    return gets


def _check_refused(refused: set[bytes], writes: Sequence[Write]) -> None:
    for write in writes:
        if write.value in refused:
            raise ViolationError(f"{write} was applied, although its client was told it was not")


def _check_state(readback: Readback) -> None:
    """A client that is not ours reads what the order of writes ends with."""
    state: dict[bytes, Write] = {}
    for write in readback.writes:
        if write.value is None:
            state.pop(write.key, None)
        else:
            state[write.key] = write
    for key in sorted(state.keys() | readback.state.keys()):
        last, found = state.get(key), readback.state.get(key)
        if (
            last is None
            or found is None
            or (last.value, last.revision) != msgspec.structs.astuple(found)
        ):
            raise ViolationError(f"etcdctl reads {found} for {key!r}; the last write was {last}")


def check_linearizable(operations: Sequence[Operation]) -> None:
    """Raise ViolationError unless it is proven; "unknown" is not."""
    verdict = linearizability.check(operations)
    if verdict.kind == "ok":
        return
    told = "\n".join(f"  {operation.told()}" for operation in verdict.window)
    raise ViolationError(f"{verdict.kind}: key {verdict.key!r}: {verdict.explanation}\n{told}")


def _check_watches(watches: Sequence[RecordedWatch], writes: Sequence[Write]) -> list[int]:
    """The number of events of each."""
    order = watch_checker.Order(writes)
    seen = [recorded.watch() for recorded in watches]
    return [watch_checker.check(watch, order.part_for(watch)) for watch in seen]


def _for_the_order(operation: Operation) -> history.Operation:
    """The same call in the words of the checker that knows the order of writes."""
    return history.Operation(
        kind=operation.kind,
        key=operation.key,
        value=operation.value or b"",
        expected=operation.expected_value or b"",
        invoked=operation.invoked,
        completed=operation.completed,
        revision=operation.revision,
        mod_revision=operation.mod_revision,
        is_effective=operation.kind == "get" or operation.is_effective,
    )
