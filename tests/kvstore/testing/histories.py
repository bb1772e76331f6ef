"""Operations for the tests of the checker, in few words, and a store that answers truly."""

from random import Random
from typing import Literal, NamedTuple

import msgspec

from kvstore.testing.linearizability import Operation


def put(
    value: bytes,
    invoked: float,
    completed: float | None,
    *,
    key: bytes = b"k",
    revision: int = 0,
) -> Operation:
    return Operation(
        process=0,
        kind="put",
        key=key,
        value=value,
        invoked=invoked,
        completed=completed,
        revision=revision,
    )


def get(
    value: bytes | None,
    invoked: float,
    completed: float | None,
    *,
    key: bytes = b"k",
    revision: int = 0,
    mod_revision: int = 0,
) -> Operation:
    return Operation(
        process=1,
        kind="get",
        key=key,
        value=value,
        invoked=invoked,
        completed=completed,
        revision=revision,
        mod_revision=mod_revision,
    )


def delete(
    invoked: float, completed: float | None, *, succeeded: bool | None = None, revision: int = 0
) -> Operation:
    return Operation(
        process=2,
        kind="delete",
        key=b"k",
        invoked=invoked,
        completed=completed,
        succeeded=succeeded,
        revision=revision,
    )


def cas(
    value: bytes,
    expected: bytes | int | None,
    invoked: float,
    completed: float | None,
    *,
    succeeded: bool | None = None,
    revision: int = 0,
) -> Operation:
    """A number as `expected` is a mod_revision."""
    return Operation(
        process=3,
        kind="cas",
        key=b"k",
        value=value,
        expected_value=None if isinstance(expected, int) else expected,
        expected_revision=expected if isinstance(expected, int) else None,
        invoked=invoked,
        completed=completed,
        succeeded=succeeded,
        revision=revision,
    )


class TrueStore:
    """One copy of the data, on which calls happen one after the other."""

    def __init__(self) -> None:
        self._revision = 1
        self._values: dict[bytes, tuple[bytes, int]] = {}

    def version(self, key: bytes) -> tuple[bytes | None, int]:
        """The value and the mod_revision of a key."""
        return self._values.get(key, (None, 0))

    def call(self, operation: Operation, *, has_revisions: bool) -> Operation:
        """Do what an operation without an answer asks for, and answer it."""
        value, mod_revision = self.version(operation.key)
        succeeded: bool | None = None
        match operation.kind:
            case "delete":
                succeeded = value is not None
            case "cas" if operation.expected_revision is not None:
                succeeded = operation.expected_revision == mod_revision
            case "cas":
                succeeded = operation.expected_value == value
        if operation.kind == "put" or succeeded:
            self._write(operation)
        return msgspec.structs.replace(
            operation,
            value=value if operation.kind == "get" else operation.value,
            succeeded=succeeded,
            revision=self._revision if has_revisions else 0,
            mod_revision=mod_revision if has_revisions and operation.kind == "get" else 0,
            completed=operation.invoked,  # whoever measures the time sets it
        )

    def _write(self, operation: Operation) -> None:
        self._revision += 1
        if operation.value is None:
            del self._values[operation.key]
        else:
            self._values[operation.key] = (operation.value, self._revision)


def run(
    *,
    operations: int,
    keys: int,
    processes: int,
    has_revisions: bool,
    unknown: float = 0.0,
    seed: int = 1,
) -> list[Operation]:
    """A history of a true store: each process calls, waits for its answer, and calls again.

    unknown: the share of calls without an answer; half of them happen, at any time until 20 s on.
    """
    random = Random(seed)
    store = TrueStore()
    history = []
    for number, moment in enumerate(_moments(random, operations, processes, unknown)):
        key = b"k%d" % random.randrange(keys)
        call = _choose(random, store, key, number, moment, has_revisions=has_revisions)
        if moment.completed is None:
            history.append(call)
            if random.random() < 0.5:
                store.call(call, has_revisions=has_revisions)
        else:
            answer = store.call(call, has_revisions=has_revisions)
            history.append(msgspec.structs.replace(answer, completed=moment.completed))
    return history


class _Moment(NamedTuple):
    happens: float
    process: int
    invoked: float
    completed: float | None


def _moments(random: Random, operations: int, processes: int, unknown: float) -> list[_Moment]:
    moments = []
    free = [0.0] * processes
    for _ in range(operations):
        process = free.index(min(free))
        invoked = free[process] + random.random() * 0.1
        happens = invoked + random.random()
        free[process] = happens + random.random()
        if random.random() < unknown:
            moments.append(_Moment(invoked + random.random() * 20, process, invoked, None))
        else:
            moments.append(_Moment(happens, process, invoked, free[process]))
    return sorted(moments)


def _choose(
    random: Random,
    store: TrueStore,
    key: bytes,
    number: int,
    moment: _Moment,
    *,
    has_revisions: bool,
) -> Operation:
    kind: Literal["put", "get", "delete", "cas"] = random.choice(
        ("put", "put", "get", "get", "get", "cas", "cas", "delete")
    )
    value, mod_revision = store.version(key)
    is_by_revision = kind == "cas" and has_revisions and random.random() < 0.5
    if random.random() < 0.3:
        value, mod_revision = b"another", 1  # so that the cas fails
    return Operation(
        process=moment.process,
        kind=kind,
        key=key,
        value=b"%d" % number if kind in ("put", "cas") else None,
        expected_value=value if kind == "cas" and not is_by_revision else None,
        expected_revision=mod_revision if is_by_revision else None,
        invoked=moment.invoked,
    )
