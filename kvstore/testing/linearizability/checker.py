"""The verdict: revisions across all keys first, then the search, key by key."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from kvstore.testing.linearizability.model import Register
from kvstore.testing.linearizability.operation import Operation
from kvstore.testing.linearizability.revisions import find_contradiction
from kvstore.testing.linearizability.search import Outcome, search
from kvstore.testing.linearizability.window import shrink

# For each key, and once more for the shrinking of a violation. A legal history of eight clients
# needs one or two states a call. This many took 24 s and less than 100 MB where the search had
# the most to try, and one that is not through by then hardly ever gets through.
STATES_MAX = 200_000


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the checker found. Only "ok" is a pass: "unknown" says that its budget ran out.

    key            of a violation (None: it is one across keys), or of what stayed unknown
    window         of a violation: operations that are impossible together, in the order of
                   `invoked`; none can be left out by the rules of `window`
    explanation    one sentence; empty when ok
    states_visited a measure of the work
    """

    kind: Literal["ok", "violation", "unknown"]
    key: bytes | None = None
    window: tuple[Operation, ...] = ()
    explanation: str = ""
    states_visited: int = 0


def check(operations: Sequence[Operation], *, states_max: int = STATES_MAX) -> Verdict:
    """Tell whether one copy of the data could have given all these answers.

    operations: of any keys, in any order. All writes to their keys must be among them.
    states_max: how many states the search of one key may visit before it is given up.
    """
    contradiction = find_contradiction(operations)
    if contradiction is not None:
        keys = {operation.key for operation in contradiction.window}
        return Verdict(
            kind="violation",
            key=keys.pop() if len(keys) == 1 else None,
            window=tuple(sorted(contradiction.window, key=lambda operation: operation.invoked)),
            explanation=contradiction.explanation,
        )
    states_visited = 0
    unknown: Verdict | None = None
    for key, of_key in _by_key(operations).items():
        outcome = search(Register(of_key), states_max=states_max)
        states_visited += outcome.states_visited
        if outcome.is_legal is False:
            return _violation(key, of_key, states_max, states_visited)
        if outcome.is_legal is None:
            why = f"{states_max} states were visited, and neither an order nor a violation is found"
            unknown = Verdict(kind="unknown", key=key, explanation=why)
    if unknown is not None:  # only now: another key's violation is worth more
        return msgspec.structs.replace(unknown, states_visited=states_visited)
    return Verdict(kind="ok", states_visited=states_visited)


def _by_key(operations: Sequence[Operation]) -> dict[bytes, list[Operation]]:
    by_key: dict[bytes, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    return by_key


def _violation(
    key: bytes, operations: Sequence[Operation], states_max: int, states_visited: int
) -> Verdict:
    states_left = states_max

    def is_impossible(part: Sequence[Operation]) -> bool:
        nonlocal states_left
        if states_left <= 0:
            return False
        outcome = search(Register(part), states_max=states_left)
        states_left -= outcome.states_visited
        return outcome.is_legal is False

    window, part = shrink(operations, is_impossible)
    register = Register(part, is_for_telling=True)
    return Verdict(
        kind="violation",
        key=key,
        window=tuple(window),
        explanation=_explain(register, _furthest(register, states_max)),
        states_visited=states_visited + states_max - states_left,
    )


def _furthest(register: Register, states_max: int) -> Outcome:
    thorough = search(register, states_max=states_max, is_thorough=True)
    is_found = thorough.is_legal is not None
    return thorough if is_found else search(register, states_max=states_max)


def _explain(register: Register, outcome: Outcome) -> str:
    """Give the first find of something that nobody wrote, or where the search got stuck."""
    if outcome.is_legal is None:
        return "no order explains them"
    unwritten = register.first_unwritten()
    if unwritten is not None:
        return f"{unwritten!r} was found, and nobody wrote it"
    stuck = "; ".join(register.answered[position].told() for position in outcome.pending)
    return (
        f"at most {outcome.done_count} of {len(register.answered)} answers fit one order: "
        f"then {register.told(outcome.state)}, and none of these can be next: {stuck}"
    )
