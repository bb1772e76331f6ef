"""The checker against one that is too simple to be wrong: it tries everything."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.testing.linearizability import MalformedHistoryError, Operation, check
from kvstore.testing.linearizability.model import Register
from kvstore.testing.linearizability.search import search
from kvstore.testing.linearizability.window import shrink
from tests.kvstore.testing.histories import TrueStore, cas, delete, get, put

OPERATIONS_MAX = 6
VALUES = (b"1", b"2", b"3")

State = tuple[bytes | None, int, int]  # value, mod_revision, revision reached


def is_possible(operations: Sequence[Operation]) -> bool:
    """Try every order that agrees with real time, and every revision that was not answered."""
    mentioned = [max(o.revision, o.mod_revision, o.expected_revision or 0) for o in operations]
    highest = max(mentioned, default=0)
    return _is_possible(operations, (None, 0, 0), highest)


def _is_possible(left: Sequence[Operation], state: State, highest: int) -> bool:
    if all(operation.completed is None for operation in left):
        return True  # none of them need ever take effect
    ends = [operation.completed for operation in left if operation.completed is not None]
    for position, operation in enumerate(left):
        if any(end < operation.invoked for end in ends):
            continue
        rest = [*left[:position], *left[position + 1 :]]
        for after in _outcomes(operation, state, highest):
            if _is_possible(rest, after, highest):
                return True
    return False


def _outcomes(operation: Operation, state: State, highest: int) -> Iterator[State]:
    value, mod_revision, reached = state
    is_effective = _does_write(operation, value, mod_revision)
    if operation.kind == "get":
        is_read = operation.value == value and operation.mod_revision in (0, mod_revision)
        if operation.completed is not None and not is_read:
            return
    elif operation.succeeded not in (None, is_effective):
        return
    if not is_effective:
        if operation.revision == 0:
            yield state
        elif operation.revision >= reached:
            yield value, mod_revision, operation.revision
        return
    # Beyond the highest that is mentioned, and where none is, any will do.
    revisions = range(reached + 1, max(reached, highest) + 2)
    for revision in (operation.revision,) if operation.revision else revisions:
        if revision > reached:
            yield operation.value, revision if operation.value is not None else 0, revision


def _does_write(operation: Operation, value: bytes | None, mod_revision: int) -> bool:
    match operation.kind:
        case "get":
            return False
        case "put":
            return True
        case "delete":
            return value is not None
        case "cas" if operation.expected_revision is not None:
            return mod_revision == operation.expected_revision
        case "cas":
            return value == operation.expected_value


@st.composite
def histories(draw: st.DrawFn, *, has_revisions: bool) -> list[Operation]:
    """What a true store answers, each call at its moment: 0, 1, 2 …"""
    store = TrueStore()
    history = []
    for moment in range(draw(st.integers(1, OPERATIONS_MAX))):
        kind: Literal["put", "get", "delete", "cas"] = draw(
            st.sampled_from(("put", "get", "cas", "delete"))
        )
        is_by_revision = kind == "cas" and has_revisions and draw(st.booleans())
        expected = draw(st.sampled_from((*VALUES, None)))
        call = Operation(
            process=moment,
            kind=kind,
            key=b"k",
            value=draw(st.sampled_from(VALUES)) if kind in ("put", "cas") else None,
            expected_value=expected if kind == "cas" and not is_by_revision else None,
            expected_revision=draw(st.integers(0, 5)) if is_by_revision else None,
            invoked=moment - draw(st.sampled_from((0.1, 0.5, 1.2, 2.3, 9.0))),
        )
        fate = draw(st.sampled_from(("answered",) * 6 + ("lost before", "lost after")))
        if fate == "lost before":
            history.append(call)
            continue
        answer = store.call(call, has_revisions=has_revisions and draw(st.integers(0, 9)) > 0)
        completed = moment + draw(st.sampled_from((0.1, 0.5, 1.2, 2.3, 9.0)))
        is_answered = fate == "answered"
        history.append(
            msgspec.structs.replace(answer, completed=completed) if is_answered else call
        )
    return history


@st.composite
def mutated(draw: st.DrawFn, *, has_revisions: bool) -> list[Operation]:
    """… and then up to three answers are changed, which may or may not be possible still."""
    history = draw(histories(has_revisions=has_revisions))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(history) - 1))
        change: dict[str, object] = draw(
            st.one_of(
                st.builds(lambda value: {"value": value}, st.sampled_from((*VALUES, None))),
                st.builds(lambda done: {"succeeded": done}, st.sampled_from((True, False, None))),
                st.builds(lambda end: {"completed": end}, st.sampled_from((1.6, 3.6, 9.6))),
                st.builds(lambda start: {"invoked": start}, st.sampled_from((0.4, 1.4, 3.4))),
                st.builds(lambda r: {"revision": r}, st.integers(0, 6 * has_revisions)),
                st.builds(lambda r: {"mod_revision": r}, st.integers(0, 6 * has_revisions)),
            )
        )
        try:
            history[position] = msgspec.structs.replace(history[position], **change)
        except MalformedHistoryError:
            continue
    return history


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_search_finds_an_order_exactly_when_there_is_one(
    data: st.DataObject, has_revisions: bool
) -> None:
    history = data.draw(mutated(has_revisions=has_revisions))
    possible = is_possible(history)
    assert search(Register(history), states_max=10**6).is_legal is possible
    assert check(history).kind == ("ok" if possible else "violation")


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_a_true_store_answers_is_accepted(data: st.DataObject, has_revisions: bool) -> None:
    verdict = check(data.draw(histories(has_revisions=has_revisions)))
    assert verdict.kind == "ok", verdict


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_window_is_impossible_by_itself(data: st.DataObject, has_revisions: bool) -> None:
    history = data.draw(mutated(has_revisions=has_revisions))
    verdict = check(history)
    if verdict.kind == "violation":
        assert not is_possible(verdict.window)
        assert all(operation in history for operation in verdict.window)


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@settings(max_examples=200, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_cut_never_makes_a_possible_history_impossible(
    data: st.DataObject, has_revisions: bool, seed: int
) -> None:
    """Whatever the judge says, so that all kinds of parts come up."""
    history = data.draw(histories(has_revisions=has_revisions))
    random = Random(seed)
    parts: list[Sequence[Operation]] = []

    def judge(part: Sequence[Operation]) -> bool:
        parts.append(part)
        return random.random() < 0.5

    if any(operation.completed is not None for operation in history):
        shrink(history, judge)
    for part in parts:
        assert is_possible(part), part


@pytest.mark.parametrize(
    "history",
    [
        [put(b"1", 0, 1), cas(b"2", 5, 2, None), get(b"2", 3, 4)],
        [put(b"1", 0, 1), delete(2, 9, succeeded=True), put(b"3", 3, 4), get(b"3", 10, 11)],
        [
            put(b"1", 0, 1),
            cas(b"2", b"1", 2, 3, succeeded=True),
            put(b"3", 4, 5),
            put(b"2", 6, 7),
            get(b"2", 8, 9),
        ],
    ],
    ids=["by a call without an answer", "by what overlaps a later put", "by a cas that is kept"],
)
def test_a_write_that_is_needed_is_not_cut(history: list[Operation]) -> None:
    parts: list[Sequence[Operation]] = []

    def judge(part: Sequence[Operation]) -> bool:
        parts.append(part)
        return history[-1] in part

    shrink(history, judge)
    assert parts
    assert all(is_possible(part) for part in parts)
