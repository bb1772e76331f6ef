"""Pauses of those who were overtaken."""

import random

from hypothesis import given
from hypothesis import strategies as st

from controlplane.contention import ATTEMPTS_MAX, PAUSE_SECONDS_MAX, SECONDS_MAX, Contention


@given(st.integers(), st.floats(0, 1e6))
def test_first_attempt_after_the_first_is_made_at_once_and_later_ones_ever_later(
    seed: int, now: float
) -> None:
    contention = Contention(random.Random(seed), now)
    assert contention.pause_seconds(now) == 0.0
    for number in range(20):
        pause = contention.pause_seconds(now)
        assert pause is not None
        assert 0 <= pause < min(0.01 * 2**number, PAUSE_SECONDS_MAX)


def test_pauses_differ() -> None:
    """Or those who met once would meet again and again."""
    contentions = [Contention(random.Random(seed), 0.0) for seed in range(32)]
    for contention in contentions:
        contention.pause_seconds(0.0)
    assert len({contention.pause_seconds(0.0) for contention in contentions}) == 32


def test_it_is_given_up_when_its_time_is_over_or_after_very_many_attempts() -> None:
    contention = Contention(random.Random(1), 5.0)
    for _ in range(9):
        assert contention.pause_seconds(5.0 + SECONDS_MAX - 0.001) is not None
    assert contention.pause_seconds(5.0 + SECONDS_MAX) is None
    patient = Contention(random.Random(1), 0.0)
    pauses = [patient.pause_seconds(0.0) for _ in range(ATTEMPTS_MAX)]
    assert pauses.index(None) == ATTEMPTS_MAX - 1
