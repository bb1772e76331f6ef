"""The model: one key is a register with compare-and-set, and what each call does to it.

Values become small numbers here, so that states are cheap to keep and to compare. How an order
of the calls is found (`search`) may not enter.

A state is (value, mod_revision, reached): what the key holds, the revision that wrote it, and the
lowest revision that the store can be at. Numbers of other keys' writes lie between, so a revision
may be skipped, never used twice.

**Values that nobody mentions** (no get found them, no cas compares with them) are one value,
`UNSEEN`: no operation can tell them apart. Two orders that differ in them only are one order.

**Revisions of calls without an answer** are not known. Such a write took one that some
operation mentions and that no acknowledged write of the key has (`dangling`), each of which is
tried, or one that nobody mentions, `ANONYMOUS`: then the lowest that is free is the best choice,
because all that a later call asks of it is to be lower than its own.
"""

import math
import sys
from collections.abc import Sequence

import msgspec

from kvstore.testing.linearizability.operation import Operation

MISSING = 0  # a value: there is none
UNSEEN = 1  # a value that no operation mentions
ANONYMOUS = -1  # a mod_revision that no operation mentions

State = tuple[int, int, int]
INITIAL: State = (MISSING, 0, 0)


class Call(msgspec.Struct, frozen=True, gc=False):
    """An operation in the model's numbers. One without an answer is `is_optional`.

    `order_low` and `order_high` bound its place among the calls whose revision is known: a write
    of revision r is at 2r, what saw the store at revision r without changing it at 2r + 1.
    """

    kind: str
    invoked: float
    completed: float  # infinite without an answer
    value: int
    expected_value: int
    expected_revision: int | None
    succeeded: bool | None  # of an optional call True: only when it takes effect, it is in an order
    revision: int
    mod_revision: int
    is_optional: bool
    is_observation: bool
    order_low: int
    order_high: int


class Register:
    """One key's calls, and the steps that they can take.

    `required` (answered) and `optional` (without an answer) are in the order of `invoked`. A get
    without an answer tells nothing and is neither.
    """

    def __init__(self, operations: Sequence[Operation], *, is_for_telling: bool = False) -> None:
        """Take the operations of one key, in any order.

        is_for_telling: keep values apart that no operation can, so that `told` knows them.
        """
        self._symbols = _symbols(operations, is_for_telling=is_for_telling)
        self._dangling = _dangling(operations, self._symbols)
        self._has_revisions = any(
            operation.revision or operation.mod_revision or operation.expected_revision
            for operation in operations
        )
        ordered = sorted(operations, key=lambda operation: operation.invoked)
        self.answered = tuple(o for o in ordered if o.completed is not None)
        self.required = tuple(map(self._call, self.answered))
        self.optional = tuple(
            self._call(operation)
            for operation in ordered
            if operation.completed is None and operation.kind != "get"
        )

    def first_unwritten(self) -> bytes | None:
        """Give the first value that a get found and that no call writes, if there is one."""
        written = {call.value for call in (*self.required, *self.optional) if call.kind != "get"}
        for call, operation in zip(self.required, self.answered, strict=True):
            if call.kind == "get" and call.value not in (MISSING, *written):
                return operation.value
        return None

    def told(self, state: State) -> str:
        """Give a state in words."""
        value, mod_revision, _ = state
        if value == MISSING:
            return "the key does not exist"
        if value == UNSEEN:
            text = "the key holds a value that nobody read"
        else:
            seen = next(seen for seen, symbol in self._symbols.items() if symbol == value)
            text = f"the key holds {seen!r}"
        return f"{text} of revision {mod_revision}" if mod_revision > 0 else text

    def step(self, state: State, call: Call) -> Sequence[State]:
        """Give every state that `call` can lead to from `state`; none: it is impossible there."""
        value, mod_revision, reached = state
        if call.kind == "get":
            is_effective = False
            if call.value != value:
                return ()
            if call.mod_revision not in (0, mod_revision):
                return ()
        else:
            is_effective = _is_effective(state, call)
            if call.succeeded is not None and call.succeeded != is_effective:
                return ()
        if is_effective:
            return self._written(reached, call)
        if call.revision == 0:
            return (state,)
        return ((value, mod_revision, call.revision),) if call.revision >= reached else ()

    def _written(self, reached: int, call: Call) -> Sequence[State]:
        value, revision = call.value, call.revision
        if revision:
            if revision <= reached:
                return ()
            return ((value, revision if value != MISSING else 0, revision),)
        if not self._has_revisions:
            return ((value, 0, 0),)
        free = reached + 1
        if value == MISSING:  # no operation can mention a delete's revision
            return ((MISSING, 0, free),)
        while free in self._dangling:
            free += 1
        pinned = [
            (value, revision, revision)
            for revision, read in self._dangling.items()
            if revision > reached and read in (None, value)
        ]
        return (*pinned, (value, ANONYMOUS, free))

    def _call(self, operation: Operation) -> Call:
        is_optional = operation.completed is None
        revision = operation.revision
        low, high = 0, sys.maxsize
        if revision:
            low = 2 * revision + operation.is_observation
            high = 2 * revision + (not operation.is_effective)
        return Call(
            kind=operation.kind,
            invoked=operation.invoked,
            completed=math.inf if operation.completed is None else operation.completed,
            value=self._symbol(operation.value),
            expected_value=self._symbol(operation.expected_value),
            expected_revision=operation.expected_revision,
            succeeded=True if is_optional else operation.succeeded,
            revision=revision,
            mod_revision=operation.mod_revision,
            is_optional=is_optional,
            is_observation=operation.is_observation,
            order_low=low,
            order_high=high,
        )

    def _symbol(self, value: bytes | None) -> int:
        return MISSING if value is None else self._symbols.get(value, UNSEEN)


def _is_effective(state: State, call: Call) -> bool:
    """Tell whether a write writes there: what etcd's txn and delete decide by."""
    value, mod_revision, _ = state
    match call.kind:
        case "put":
            return True
        case "delete":
            return value != MISSING
        case _ if call.expected_revision is None:
            return value == call.expected_value
        case _ if call.expected_revision == 0:
            return value == MISSING
        case _:
            return mod_revision == call.expected_revision


def _symbols(operations: Sequence[Operation], *, is_for_telling: bool) -> dict[bytes, int]:
    """Number the values that an operation mentions other than by writing them."""
    symbols: dict[bytes, int] = {}
    for operation in operations:
        is_read = operation.kind == "get" or is_for_telling
        for seen in (operation.value if is_read else None, operation.expected_value):
            if seen is not None:
                symbols.setdefault(seen, UNSEEN + 1 + len(symbols))
    return symbols


def _dangling(operations: Sequence[Operation], symbols: dict[bytes, int]) -> dict[int, int | None]:
    """Give the revisions that are mentioned but not acknowledged, with the value read there."""
    dangling: dict[int, int | None] = {}
    for operation in operations:
        if operation.expected_revision:
            dangling.setdefault(operation.expected_revision, None)
        if operation.mod_revision and operation.value is not None:
            dangling[operation.mod_revision] = symbols[operation.value]
    for operation in operations:
        if operation.is_effective and operation.kind != "delete":
            dangling.pop(operation.revision, None)
    return dangling
