"""Back-offs. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.node import restarts
from tests.controlplane.node.views import ran


def test_restarts_wait_ten_seconds_doubled_up_to_five_minutes() -> None:
    """10.4: CrashLoopBackOff 10 s x2 … 300 s; the first restart waits for nothing."""
    waited = []
    delay = restarts.next_delay(None)
    for attempt in range(8):
        crashed = ran("a", "exited", attempt=attempt, code=1, delay=delay)
        waited.append(restarts.delay_after(crashed))
        delay = restarts.next_delay(crashed)
    assert waited == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_minutes_of_good_run_are_a_new_beginning() -> None:
    """10.4: reset after 2 x 300 s."""
    long = ran("a", "exited", attempt=9, code=1, delay=300, seconds=601)
    assert restarts.delay_after(long) == 0
    assert restarts.next_delay(long) == 10
    short = ran("a", "exited", attempt=9, code=1, delay=300, seconds=600)
    assert restarts.delay_after(short) == 300


def test_pulls_wait_ten_seconds_doubled_up_to_five_minutes() -> None:
    """10.4."""
    failure, waits = None, []
    for _ in range(7):
        failure = restarts.failed(failure, "ErrImagePull", "no", now=5.0)
        waits.append(failure.seconds)
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    assert failure is not None
    assert failure.due == 305


def test_what_may_be_there_at_any_moment_is_looked_for_more_often() -> None:
    failure, waits = None, []
    for _ in range(5):
        failure = restarts.failed(failure, "CreateContainerConfigError", "no", now=0.0)
        waits.append(failure.seconds)
    assert waits == [1, 2, 4, 8, 10]
    assert restarts.failed(failure, "ErrImagePull", "no", now=0.0).seconds == 10


@pytest.mark.parametrize("note", ["", "x", "-4", "1e9"])
def test_note_of_a_stranger_delays_nothing_for_ever(note: str) -> None:
    container = ran("a", "exited", code=1)
    config = container.config
    noted = type(config)(
        name="a", attempt=0, image="i", log_path="l", annotations={restarts.DELAY: note}
    )
    found = type(container)(
        id="x",
        sandbox_id="s",
        config=noted,
        state="exited",
        created_at=0.0,
        exit_code=1,
    )
    assert 0 <= restarts.delay_after(found) <= 300
