"""Was every promise kept? What the clients recorded, against what the members have in the end.

PURE. Two independent checkers look at the same histories: `history` against the store's own order
of writes, exactly, and `linearizability` from outside, without it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from kvstore.testing import history, linearizability, watch_checker
from kvstore.testing.history import LostWriteError, ViolationError, Write
from kvstore.testing.history_file import Recording
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.readback import Readback
from kvstore.testing.torture.recorder import LeasedKey, Recorder


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How much was checked, and found right."""

    operations: int
    keys: int
    unknown: int
    written: int
    watches: int
    events: int
    leases: int
    hash_kv: int

    @property
    def told(self) -> str:
        """A block for people."""
        return "\n".join(
            (
                f"{self.operations:,} operations on {self.keys:,} keys are linearizable",
                f"{self.unknown:,} operations had no answer",
                f"{self.written:,} acknowledged writes of single keys are all there",
                f"{self.watches:,} watches got {self.events:,} events as promised",
                f"{self.leases:,} leases lasted as long as promised, and ended",
                f"etcdctl reads what was written; HashKV {self.hash_kv} on all members",
            )
        )


def recording(recorder: Recorder, writes: tuple[Write, ...] = ()) -> Recording:
    """Everything that was recorded, for a file that `check` judges again.

    writes: the store's own order, where it is known; watches cannot be judged without.
    """
    return Recording(
        operations=tuple(recorder.operations),
        watches=tuple(recorded.watch() for recorded in recorder.watches),
        writes=writes,
    )


def judge(recorder: Recorder, readback: Readback) -> Verdict:
    """Raise ViolationError that names the first promise that was broken."""
    operations, writes = recorder.operations, readback.writes
    _check_written(recorder.written, writes)
    _check_refused(recorder.refused, writes)
    _check_state(readback)
    history.check([_for_the_order(operation) for operation in operations], writes)
    check_linearizable(operations)
    order = watch_checker.Order(writes)
    watches = [recorded.watch() for recorded in recorder.watches]
    events = sum(watch_checker.check(watch, order.part_for(watch)) for watch in watches)
    _check_leases(recorder.leased, recorder.deleted_at)
    return Verdict(
        operations=len(operations),
        keys=len({operation.key for operation in operations}),
        unknown=recorder.unknown,
        written=len(recorder.written),
        watches=len(recorder.watches),
        events=events,
        leases=len(recorder.leased),
        hash_kv=readback.hash_kv,
    )


def _check_written(written: Mapping[bytes, bytes], writes: Sequence[Write]) -> None:
    """Keys that are written once, and never deleted."""
    found: dict[bytes, bytes | None] = {}
    for write in writes:
        if write.key in written and write.key in found:
            raise ViolationError(f"{write} was written before: {found[write.key]!r}")
        found[write.key] = write.value
    for key, value in written.items():
        if found.get(key) != value:
            raise LostWriteError(f"{key!r} = {value!r} was acknowledged, and is lost")


def _check_refused(refused: set[bytes], writes: Sequence[Write]) -> None:
    for write in writes:
        if write.value in refused:
            raise ViolationError(f"{write} was applied, although its client was told it was not")


def _check_state(readback: Readback) -> None:
    """A client that is not ours reads what the order of writes ends with."""
    state: dict[bytes, bytes] = {}
    for write in readback.writes:
        if write.value is None:
            state.pop(write.key, None)
        else:
            state[write.key] = write.value
    for key in sorted(state.keys() | readback.state.keys()):
        if state.get(key) != readback.state.get(key):
            raise ViolationError(
                f"etcdctl reads {readback.state.get(key)!r} for {key!r}; "
                f"the last write was {state.get(key)!r}"
            )


def check_linearizable(operations: Sequence[Operation]) -> None:
    """Raise ViolationError unless it is proven; "unknown" is not."""
    verdict = linearizability.check(operations)
    if verdict.kind == "ok":
        return
    told = "\n".join(f"  {operation.told()}" for operation in verdict.window)
    raise ViolationError(f"{verdict.kind}: key {verdict.key!r}: {verdict.explanation}\n{told}")


def _check_leases(leased: Sequence[LeasedKey], deleted_at: Mapping[bytes, float]) -> None:
    for lease in leased:
        if lease.key not in deleted_at:
            raise ViolationError(f"{lease.key!r} has outlived its lease")
        early_seconds = lease.promised_until - deleted_at[lease.key]
        if early_seconds > 0:
            raise ViolationError(f"the lease of {lease.key!r} ended {early_seconds:.3f} s too soon")


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
