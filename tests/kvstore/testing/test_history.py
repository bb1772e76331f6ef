"""The checker itself: it must accept what can be, and name what cannot."""

import pytest

from kvstore.testing.history import Operation, ViolationError, Write, check

WRITES = [Write(2, b"a", b"1"), Write(3, b"a", b"2"), Write(4, b"a", None), Write(5, b"b", b"3")]


def put(value: bytes, revision: int, invoked: float, completed: float | None) -> Operation:
    return Operation(
        kind="put", key=b"a", value=value, revision=revision, invoked=invoked, completed=completed
    )


def get(value: bytes, mod_revision: int, revision: int, invoked: float) -> Operation:
    return Operation(
        kind="get",
        key=b"a",
        value=value,
        mod_revision=mod_revision,
        revision=revision,
        invoked=invoked,
        completed=invoked + 1,
    )


def test_a_true_history_is_accepted() -> None:
    check(
        [put(b"1", 2, 0, 1), put(b"2", 3, 0.5, 2), get(b"2", 3, 3, 2.5), get(b"", 0, 4, 4)], WRITES
    )


def test_an_acknowledged_write_must_be_there() -> None:
    with pytest.raises(ViolationError, match="is lost"):
        check([put(b"9", 6, 0, 1)], WRITES)


def test_an_acknowledged_write_must_have_the_revision_of_its_answer() -> None:
    with pytest.raises(ViolationError, match="is lost"):
        check([put(b"1", 3, 0, 1)], WRITES)


def test_a_write_without_an_answer_may_or_may_not_be_there() -> None:
    check([put(b"1", 0, 0, None), put(b"9", 0, 0, None)], WRITES)


def test_no_value_is_applied_twice() -> None:
    with pytest.raises(ViolationError, match="twice"):
        check([], [*WRITES, Write(6, b"a", b"1")])


def test_a_cas_that_answered_no_is_not_applied() -> None:
    operation = Operation(
        kind="cas", key=b"a", value=b"2", revision=3, invoked=0, completed=1, is_effective=False
    )
    with pytest.raises(ViolationError, match="answered no"):
        check([operation], WRITES)


def test_a_read_must_not_be_older_than_what_was_answered_before_it_began() -> None:
    with pytest.raises(ViolationError, match="although 3"):
        check([put(b"2", 3, 0, 1), get(b"1", 2, 2, 1.5)], WRITES)


def test_a_read_that_overlaps_a_write_may_miss_it() -> None:
    check([put(b"2", 3, 0, 5), get(b"1", 2, 2, 1.5)], WRITES)


def test_a_write_that_began_later_has_a_later_revision() -> None:
    with pytest.raises(ViolationError, match="although 3"):
        check([put(b"2", 3, 0, 1), put(b"1", 2, 1.5, 2)], WRITES)


def test_a_read_returns_what_was_there_at_its_revision() -> None:
    with pytest.raises(ViolationError, match="read b'1' where the order has b'2'"):
        check([get(b"1", 2, 3, 0)], WRITES)


def test_a_read_does_not_find_what_was_deleted() -> None:
    with pytest.raises(ViolationError, match="where the order has None"):
        check([get(b"2", 3, 4, 0)], WRITES)
