"""When the loop may sync by itself."""

from kvstore.storage.pace import (
    QUICK_PER_SLOW,
    QUICK_SECONDS,
    QUICK_SPARE_MAX,
    QUICK_WANTED_MAX,
    QUICK_WANTED_MIN,
    SMALL_BYTES_MAX,
    STALL_SECONDS,
    Pace,
)

SIZE = SMALL_BYTES_MAX


def quick_until_trusted(pace: Pace) -> int:
    count = 0
    while not pace.is_quick(SIZE):
        pace.count(SIZE, QUICK_SECONDS)
        count += 1
    return count


def test_a_disk_is_trusted_after_so_many_quick_syncs() -> None:
    pace = Pace()
    assert quick_until_trusted(pace) == QUICK_WANTED_MIN
    pace.count(SIZE, STALL_SECONDS)  # slow, but no stall
    assert not pace.is_quick(SIZE)
    assert quick_until_trusted(pace) == QUICK_PER_SLOW


def test_few_slow_syncs_among_many_are_borne_and_many_are_not() -> None:
    pace = Pace()
    for _ in range(QUICK_WANTED_MIN + QUICK_SPARE_MAX + 1000):
        pace.count(SIZE, QUICK_SECONDS)
    for _ in range(QUICK_SPARE_MAX // QUICK_PER_SLOW):
        assert pace.is_quick(SIZE)
        pace.count(SIZE, STALL_SECONDS)
    assert pace.is_quick(SIZE)
    pace.count(SIZE, STALL_SECONDS)
    assert not pace.is_quick(SIZE)


def test_a_disk_that_is_often_slow_is_never_trusted() -> None:
    pace = Pace()
    for _ in range(1000):
        for _ in range(QUICK_PER_SLOW - 1):
            pace.count(SIZE, QUICK_SECONDS)
            assert not pace.is_quick(SIZE)
        pace.count(SIZE, STALL_SECONDS)


def test_each_stall_doubles_what_is_asked_for_up_to_a_bound() -> None:
    pace = Pace()
    wanted = []
    for _ in range(14):
        wanted.append(quick_until_trusted(pace))
        pace.count(SIZE, 2 * STALL_SECONDS)
    assert wanted[:4] == [QUICK_WANTED_MIN * factor for factor in (1, 2, 4, 8)]
    assert wanted[-1] == wanted[-2] == QUICK_WANTED_MAX


def test_what_is_large_says_nothing_and_is_never_quick() -> None:
    pace = Pace()
    quick_until_trusted(pace)
    for _ in range(100):
        pace.count(SMALL_BYTES_MAX + 1, 2 * STALL_SECONDS)
    assert pace.is_quick(SIZE)
    assert not pace.is_quick(SMALL_BYTES_MAX + 1)
