"""Writes that nobody can have asked for, one kind at a time; and those that somebody may have."""

import math

import pytest

from kvstore.testing.history import ViolationError, Write
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture import authors
from kvstore.testing.torture.answers import Answer, Answers
from kvstore.testing.torture.lease_promises import LeasedKey

PUT = Operation(process=0, kind="put", key=b"k", value=b"v", invoked=1.0)
DELETE = Operation(process=0, kind="delete", key=b"k", invoked=1.0)
LEASE = LeasedKey(key=b"k", ttl_seconds=1, promised_until=0.0, renewed_by=0.0)


def delete(*, succeeded: bool, revision: int) -> Operation:
    return Operation(
        process=0,
        kind="delete",
        key=b"k",
        invoked=1.0,
        completed=2.0,
        succeeded=succeeded,
        revision=revision,
    )


def cas(*, succeeded: bool) -> Operation:
    return Operation(
        process=0,
        kind="cas",
        key=b"k",
        value=b"v",
        expected_revision=0,
        invoked=1.0,
        completed=2.0,
        succeeded=succeeded,
        revision=2,
    )


def check(
    operations: list[Operation],
    *writes: Write,
    leased: tuple[LeasedKey, ...] = (),
    answers: tuple[Answer, ...] = (),
) -> None:
    authors.check(operations, leased, writes, Answers(answers))


def test_whoever_has_no_answer_may_be_the_author() -> None:
    check([PUT, DELETE], Write(2, b"k", b"v"), Write(3, b"k", None))
    check([cas(succeeded=True)], Write(2, b"k", b"v"))
    check([delete(succeeded=True, revision=3)], Write(3, b"k", None))
    check([], Write(3, b"k", None), leased=(LEASE,))


@pytest.mark.parametrize(
    ("operations", "write"),
    [
        ([], Write(2, b"k", b"v")),
        ([PUT], Write(2, b"k", b"w")),
        ([PUT], Write(2, b"other", b"v")),
        ([cas(succeeded=False)], Write(2, b"k", b"v")),
        ([PUT], Write(2, b"k", None)),
        ([DELETE], Write(2, b"other", None)),
        ([delete(succeeded=True, revision=3)], Write(4, b"k", None)),
        ([delete(succeeded=False, revision=3)], Write(3, b"k", None)),
    ],
)
def test_a_write_without_an_author_is_named(operations: list[Operation], write: Write) -> None:
    with pytest.raises(ViolationError, match=f"Write.revision={write.revision}.*has no author"):
        check(operations, write)


def test_an_author_deletes_once() -> None:
    twice = (Write(2, b"k", None), Write(4, b"k", None))
    check([DELETE, DELETE], *twice)
    for operations, leased in (([DELETE], ()), ([], (LEASE,))):
        with pytest.raises(ViolationError, match=r"revision=4.*has no author"):
            check(operations, *twice, leased=leased)


@pytest.mark.parametrize(
    ("operation", "write"),
    [
        (PUT, Write(2, b"k", b"v")),
        (DELETE, Write(2, b"k", None)),
        (delete(succeeded=True, revision=2), Write(2, b"k", None)),
    ],
)
def test_nothing_is_older_than_its_author(operation: Operation, write: Write) -> None:
    check([operation], write, answers=(Answer(-math.inf, 1.5, 2),))
    with pytest.raises(ViolationError, match=r"before it was asked for|has no author"):
        check([operation], write, answers=(Answer(-math.inf, 0.5, 2),))
