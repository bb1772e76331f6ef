"""Leases that end too soon or too late, and the times that only look like it."""

from math import inf

import msgspec
import pytest

from kvstore.testing.history import ViolationError, Write
from kvstore.testing.torture import lease_promises
from kvstore.testing.torture.answers import Answer, Answers
from kvstore.testing.torture.lease_promises import (
    ALLOWANCE_SECONDS,
    ELECTION_SECONDS,
    UNBOUNDED_MAX,
    LeasedKey,
)

LEASE = LeasedKey(key=b"l", ttl_seconds=4, promised_until=13.9, renewed_by=10.0)
END = 20
ORDER = (Write(2, b"l", b"l"), Write(END, b"l", None))


def serving(begin: int, end: int, *, term: int = 1, revision: int = 10) -> list[Answer]:
    """A write every second, each answered after 0.1 s."""
    return [Answer(float(at), at + 0.1, revision, term, is_write=True) for at in range(begin, end)]


def ends_by(*answers: Answer, lease: LeasedKey = LEASE) -> float:
    return lease_promises.ends_by(lease, Answers(answers))


def test_a_lease_ends_with_its_ttl_while_the_cluster_serves() -> None:
    assert ends_by(*serving(1, 30)) == pytest.approx(14.1 + ALLOWANCE_SECONDS)


def test_it_may_last_while_no_write_is_acknowledged() -> None:
    assert ends_by(*serving(1, 13), *serving(25, 30)) == pytest.approx(25.1 + ALLOWANCE_SECONDS)


def test_each_leader_that_finds_it_begins_it_afresh() -> None:
    """The new term is known at 13.1, and served since 14: that is when it may begin again."""
    answers = (*serving(1, 13), *serving(13, 60, term=2))
    due = 14.1 + ELECTION_SECONDS + 4
    assert ends_by(*answers) == pytest.approx(
        Answers(answers).served_since(due) + ALLOWANCE_SECONDS
    )
    again = (*serving(1, 13), *serving(13, 16, term=2), *serving(16, 60, term=5))
    assert ends_by(*again) > ends_by(*answers)


def test_a_leader_that_comes_when_it_must_be_gone_extends_nothing() -> None:
    answers = (*serving(1, 40), *serving(40, 60, term=2))
    assert ends_by(*answers) == pytest.approx(14.1 + ALLOWANCE_SECONDS)


def test_a_renewal_without_an_answer_may_be_done_at_any_time() -> None:
    lease = msgspec.structs.replace(LEASE, renewed_by=inf)
    assert ends_by(*serving(1, 30), lease=lease) == inf


def test_a_lease_that_is_still_there_after_its_latest_end_is_too_late() -> None:
    """A read that began at 20 was told a revision before the deletion."""
    in_time = [*serving(1, 30, revision=10), Answer(19.0, 20.5, END - 1)]
    still_there = [*serving(1, 19, revision=10), *serving(19, 30, revision=END + 1)]
    assert lease_promises.check([LEASE], ORDER, Answers(still_there)).count == 1
    with pytest.raises(ViolationError, match=r"ended 9\.900 s too late"):
        lease_promises.check([LEASE], ORDER, Answers(in_time))


def test_an_old_event_is_no_proof_that_it_was_still_there() -> None:
    answers = [*serving(1, 19, revision=10), *serving(19, 30, revision=END + 1)]
    answers.append(Answer(-inf, 29.0, 10))
    assert lease_promises.check([LEASE], ORDER, Answers(answers)).count == 1


@pytest.mark.parametrize("invoked", [13.0, -inf])
def test_any_answer_that_knew_of_the_end_too_soon_proves_it(invoked: float) -> None:
    answers = [*serving(1, 13), Answer(invoked, 13.4, END + 3), Answer(-inf, 17.0, END)]
    with pytest.raises(ViolationError, match=r"ended 0\.500 s too soon"):
        lease_promises.check([LEASE], ORDER, Answers(answers))


def test_a_key_whose_put_was_never_applied_was_promised_nothing() -> None:
    assert lease_promises.check([LEASE], (), Answers(serving(1, 30))).count == 0


def test_a_key_that_was_never_deleted_is_missed() -> None:
    with pytest.raises(ViolationError, match="outlived"):
        lease_promises.check([LEASE], ORDER[:1], Answers(serving(1, 30)))


def test_the_slack_is_what_lies_between_the_promise_and_the_latest_end() -> None:
    answers = Answers([*serving(1, 19, revision=10), *serving(19, 30, revision=END + 1)])
    bounds = lease_promises.check([LEASE], ORDER, answers)
    latest_end = lease_promises.ends_by(LEASE, answers)
    assert bounds.median_slack_seconds == pytest.approx(latest_end - LEASE.promised_until)
    assert bounds.median_slack_seconds > ALLOWANCE_SECONDS


def many(count: int, renewed_by: float) -> tuple[list[LeasedKey], list[Write]]:
    """All put at revision 2, and deleted at END."""
    keys = [b"l%d" % n for n in range(count)]
    leases = [msgspec.structs.replace(LEASE, key=key, renewed_by=renewed_by) for key in keys]
    puts = [Write(2, key, key) for key in keys]
    return leases, [*puts, *(Write(END, key, None) for key in keys)]


def test_where_no_lease_has_a_latest_end_the_harness_is_to_blame() -> None:
    answers = Answers([*serving(1, 19, revision=10), *serving(19, 30, revision=END + 1)])
    few, order = many(UNBOUNDED_MAX - 1, inf)
    assert lease_promises.check(few, order, answers).count == 0
    leases, order = many(UNBOUNDED_MAX, inf)
    with pytest.raises(ViolationError, match=r"any of 20 leases .* its own clients are"):
        lease_promises.check(leases, order, answers)
    leases[0] = msgspec.structs.replace(leases[0], renewed_by=LEASE.renewed_by)
    assert lease_promises.check(leases, order, answers).count == 1
