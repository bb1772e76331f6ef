"""When the loop may sync by itself."""

import pytest

from kvstore.storage.pace import (
    AVERAGED_SYNCS,
    QUICK_SECONDS,
    SMALL_BYTES_MAX,
    STALL_SECONDS,
    UNSTALLED_MAX,
    UNSTALLED_MIN,
    Pace,
)

SIZE = SMALL_BYTES_MAX


def syncs_until_trusted(pace: Pace) -> int:
    count = 0
    while not pace.is_quick(SIZE):
        pace.count(SIZE, QUICK_SECONDS / 2)
        count += 1
    return count


def trusted_share(slow_seconds: float, *, quick_per_slow: int) -> float:
    """How often a disk with quick and slow syncs is trusted in the long run."""
    pace = Pace()
    trusted = count = 0
    for _ in range(1000):
        for seconds in (*[QUICK_SECONDS / 4] * quick_per_slow, slow_seconds):
            trusted += pace.is_quick(SIZE)
            count += 1
            pace.count(SIZE, seconds)
    return trusted / count


def test_a_disk_is_trusted_after_so_many_syncs_without_a_stall() -> None:
    pace = Pace()
    for _ in range(UNSTALLED_MIN):
        assert not pace.is_quick(SIZE)
        pace.count(SIZE, QUICK_SECONDS)
    assert pace.is_quick(SIZE)


@pytest.mark.parametrize(
    ("slow_seconds", "quick_per_slow", "is_trusted"),
    [
        (2 * QUICK_SECONDS, 9, True),
        (10 * QUICK_SECONDS, 50, True),
        (10 * QUICK_SECONDS, 9, False),
        (STALL_SECONDS, 50, False),
        (4 * QUICK_SECONDS, 1, False),
    ],
)
def test_what_counts_is_the_average(
    slow_seconds: float, quick_per_slow: int, is_trusted: bool
) -> None:
    share = trusted_share(slow_seconds, quick_per_slow=quick_per_slow)
    assert share > 0.9 if is_trusted else share < 0.1


def test_a_disk_that_turned_slow_is_not_trusted_for_long() -> None:
    pace = Pace()
    syncs_until_trusted(pace)
    count = 0
    while pace.is_quick(SIZE):
        pace.count(SIZE, 4 * QUICK_SECONDS)
        count += 1
    assert count < AVERAGED_SYNCS / 2


def test_each_stall_doubles_what_is_asked_for_up_to_a_bound() -> None:
    pace = Pace()
    wanted = []
    for _ in range(14):
        wanted.append(syncs_until_trusted(pace))
        pace.count(SIZE, 2 * STALL_SECONDS)
        assert not pace.is_quick(SIZE)
    assert wanted[:4] == [UNSTALLED_MIN * factor for factor in (1, 2, 4, 8)]
    assert wanted[-1] == wanted[-2] == UNSTALLED_MAX


def test_what_is_large_says_nothing_and_is_never_quick() -> None:
    pace = Pace()
    syncs_until_trusted(pace)
    for _ in range(100):
        pace.count(SMALL_BYTES_MAX + 1, 2 * STALL_SECONDS)
    assert pace.is_quick(SIZE)
    assert not pace.is_quick(SMALL_BYTES_MAX + 1)
