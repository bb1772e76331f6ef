"""The search for an order of one key's calls that explains all answers.

Wing & Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's cache ("Testing for
linearizability", 2017): depth first, the next call is one that no pending call precedes, and a
pair of (calls done, state) that was met before is not entered again. Sets of calls are bit masks,
kept from the first pending call on, so they stay short whatever the length of the history.

What is pruned, and why no legal history is lost:

1. **Revisions.** An answer's revision says exactly where in the order of the store's writes its
   call happened. So a call waits for each pending one whose place is surely before its own.
   Hence an acknowledged write is reached in the order of revisions, and a get that saw the store
   at revision r comes after the writes up to r and before those beyond.
2. **Observations.** A pending call that surely changes nothing and fits the present state comes
   next, without an alternative, unless its revision is beyond what the order has reached: an
   order that has it later stays one when it is moved here.
3. **Lost values.** An order ends where a write overwrites a value that a pending call needs and
   that no call can write again.
4. **Calls without an answer** are used only right before a call that cannot be next without them.
   Take an order in which such a call u comes before x, which fits without u as well. If x
   overwrites the key, u was not observed: drop it. If x changes nothing, u is moved behind x,
   since a call without an answer may happen as late as one likes. One thing forbids this: x has a
   revision beyond what is reached, and u's is lower; so there both ways are tried. The same holds
   for a chain u₁ u₂ x: only a cas u₂ can need u₁. So a write that no observation can tell (its
   value is never read or compared, and there is no failed cas and no delete that found something)
   is never used: it is as if it had been dropped.
5. **Twins.** Calls without an answer that would do the same are used in the order of `invoked`:
   whenever a later one may be used, an earlier one may, and swapping both gives an order again.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from kvstore.testing.linearizability.model import INITIAL, MISSING, Call, Register, State


class Outcome(msgspec.Struct, frozen=True):
    """`is_legal` is None when the budget ran out.

    The rest tells the furthest point: how many answered calls were in order there, what the key
    held, and the positions (in `Register.required`) of the calls of which none could be next.
    """

    is_legal: bool | None
    states_visited: int
    done_count: int = 0
    state: State = INITIAL
    pending: tuple[int, ...] = ()


class _Node(NamedTuple):
    """A set of calls that are done, and a state that they can lead to."""

    first: int  # required calls before it are done, it is not
    later: int  # bit n: required call first + n is done
    used: int  # bit n: optional call n has taken effect
    state: State

    @property
    def done_count(self) -> int:
        return self.first + self.later.bit_count()


def search(register: Register, *, states_max: int, is_thorough: bool = False) -> Outcome:
    """Find an order that explains all answers, or that there is none.

    states_max: how many states may be visited before it gives up.
    is_thorough: do without rule 3, to tell how far an order can get.
    """
    steps = _Steps(register, is_thorough=is_thorough)
    deepest = start = _Node(0, 0, 0, INITIAL)
    seen = {start}
    stack = [steps.successors(start)]
    while stack and deepest.first < len(register.required):
        node, is_dead_end = next(stack[-1], (None, True))
        if node is None:
            stack.pop()
        elif node not in seen:
            if len(seen) >= states_max:
                return Outcome(None, len(seen))
            seen.add(node)
            deepest = max(deepest, node, key=lambda node: node.done_count)
            if not is_dead_end:
                stack.append(steps.successors(node))
    if deepest.first == len(register.required):
        return Outcome(True, len(seen))
    pending, _ = steps.pending(deepest)
    return Outcome(False, len(seen), deepest.done_count, deepest.state, tuple(pending))


class _Steps:
    def __init__(self, register: Register, *, is_thorough: bool) -> None:
        self._is_thorough = is_thorough
        self._register = register
        self._calls = register.required
        self._optional = register.optional
        self._twins = _twins(self._optional)
        self._helpers = _Helpers(self._optional)
        self._writer_counts: dict[int, int] = {}
        for call in (*self._calls, *self._optional):
            if call.kind in ("put", "cas"):
                self._writer_counts[call.value] = self._writer_counts.get(call.value, 0) + 1
        self._readers = _readers(self._calls)

    def pending(self, node: _Node) -> tuple[list[int], float]:
        """Give the calls that may be next, and the time by which one of them was answered."""
        answered, order = math.inf, sys.maxsize
        found: list[int] = []
        for position in range(node.first, len(self._calls)):
            call = self._calls[position]
            if call.invoked > answered:
                break  # and so are all after it, which were invoked later still
            if not node.later >> (position - node.first) & 1:
                found.append(position)
                answered = min(answered, call.completed)
                order = min(order, call.order_high)
        candidates = [
            position
            for position in found
            if self._calls[position].invoked <= answered
            and self._calls[position].order_low <= order
        ]
        return candidates, answered

    def successors(self, node: _Node) -> Iterator[tuple[_Node, bool]]:
        """Give what can be next, and whether it is seen already that nothing leads on from it."""
        candidates, answered = self.pending(node)
        state = node.state
        for position in candidates:
            call = self._calls[position]
            is_free = call.is_observation and call.revision <= state[2]
            if is_free and self._register.step(state, call):
                yield self._done(node, position, node.used, state), False
                return
        for position in candidates:
            for used, after in self._ways(node.used, state, self._calls[position], answered):
                successor = self._done(node, position, used, after)
                is_lost = after[0] != state[0] and self._is_needed(state[0], successor)
                yield successor, is_lost

    def _ways(
        self, used: int, state: State, call: Call, answered: float
    ) -> Iterator[tuple[int, State]]:
        """Give how `call` can be next, with no more optional calls before it than it needs."""
        direct = self._register.step(state, call)
        for after in direct:
            yield used, after
        if direct and not (call.is_observation and call.revision > state[2]):
            return
        for number in self._helpers.of(call):
            helper, twin = self._optional[number], self._twins[number]
            if used >> number & 1 or (twin >= 0 and not used >> twin & 1):
                continue
            if helper.invoked > answered:
                break  # helpers are in the order of `invoked`
            for used_then, between in self._ways(used | 1 << number, state, helper, answered):
                for after in self._register.step(between, call):
                    yield used_then, after

    def _done(self, node: _Node, position: int, used: int, state: State) -> _Node:
        later = node.later | 1 << (position - node.first)
        finished = (~later & (later + 1)).bit_length() - 1  # ones at the low end
        return _Node(node.first + finished, later >> finished, used, state)

    def _is_needed(self, value: int, node: _Node) -> bool:
        """Tell whether a pending call needs a value that will never be there again."""
        if self._is_thorough or self._writer_counts.get(value) != 1:
            return False
        for position in reversed(self._readers.get(value, ())):
            if position < node.first:
                return False
            if not node.later >> (position - node.first) & 1:
                return True
        return False


class _Helpers:
    """Which optional calls can make a call possible, by what they leave in the key."""

    def __init__(self, optional: Sequence[Call]) -> None:
        numbers = range(len(optional))
        self._all = tuple(numbers)
        self._puts = tuple(n for n in numbers if optional[n].value != MISSING)
        self._by_value: dict[int, list[int]] = {}
        for number in numbers:
            self._by_value.setdefault(optional[number].value, []).append(number)

    def of(self, call: Call) -> Sequence[int]:
        """Give them in the order of `invoked`. Only what a cas or a reader saw can need any."""
        match call.kind:
            case "get":
                return self._by_value.get(call.value, ())
            case "delete" if not call.is_optional and call.succeeded is not None:
                return self._puts if call.succeeded else self._by_value.get(MISSING, ())
            case "cas" if not call.succeeded:
                return self._all
            case "cas" if call.expected_revision is None:
                return self._by_value.get(call.expected_value, ())
            case "cas":
                return self._puts if call.expected_revision else self._by_value.get(MISSING, ())
            case _:
                return ()


def _twins(optional: Sequence[Call]) -> list[int]:
    """Give for each call the one before it that does the same, or -1."""
    twins: list[int] = []
    last: dict[tuple[object, ...], int] = {}
    for number, call in enumerate(optional):
        does = (call.kind, call.value, call.expected_value, call.expected_revision)
        twins.append(last.get(does, -1))
        last[does] = number
    return twins


def _readers(calls: Sequence[Call]) -> dict[int, list[int]]:
    """Give for each value the positions of the calls that are possible only while it is there."""
    readers: dict[int, list[int]] = {}
    for position, call in enumerate(calls):
        if call.kind == "get":
            readers.setdefault(call.value, []).append(position)
        elif call.kind == "cas" and call.succeeded and call.expected_revision is None:
            readers.setdefault(call.expected_value, []).append(position)
    return readers
