"""When leases are renewed, and when they are given up."""

from kvstore.client.lease_schedule import LeaseSchedule


def held(ttl_seconds: int = 9, at: float = 100.0) -> LeaseSchedule:
    schedule = LeaseSchedule()
    schedule.hold(1, ttl_seconds, at)
    return schedule


def test_a_lease_is_renewed_every_third_of_its_ttl() -> None:
    schedule = held()
    assert schedule.take_due(102.9) == []
    assert schedule.seconds_until_next(102.0) == 1.0
    assert schedule.take_due(103.0) == [1]
    assert schedule.renewed(1, 9, 103.5)
    assert schedule.take_due(105.9) == []
    assert schedule.take_due(106.0) == [1]  # counted from the request, not the answer


def test_one_request_at_a_time() -> None:
    schedule = held()
    assert schedule.take_due(103.0) == [1]
    assert schedule.take_due(105.0) == []


def test_a_lease_counts_from_when_its_renewal_was_sent() -> None:
    schedule = held()
    schedule.take_due(103.0)
    schedule.renewed(1, 9, 108.0)
    assert schedule.expired(111.9) == []
    assert schedule.expired(112.0) == [1]


def test_a_lease_that_the_server_does_not_know_is_lost() -> None:
    schedule = held()
    schedule.take_due(103.0)
    assert not schedule.renewed(1, 0, 103.1)


def test_an_unanswered_request_stalls_the_stream_after_another_third() -> None:
    schedule = held()
    schedule.take_due(103.0)
    assert not schedule.is_stalled(105.9)
    assert schedule.is_stalled(106.0)
    schedule.disconnected()
    assert not schedule.is_stalled(106.0)
    assert schedule.take_due(106.0) == [1]


def test_an_answer_for_a_dropped_lease_changes_nothing() -> None:
    schedule = held()
    schedule.drop([1, 2])
    assert schedule.is_empty
    assert schedule.renewed(1, 0, 103.0)
    assert schedule.seconds_until_next(103.0) is None


def test_a_new_ttl_is_taken_over() -> None:
    schedule = held()
    schedule.take_due(103.0)
    schedule.renewed(1, 3, 103.0)
    assert schedule.take_due(104.0) == [1]
    assert schedule.expired(106.0) == [1]
