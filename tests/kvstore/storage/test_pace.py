"""When the loop may sync by itself."""

from kvstore.storage.pace import (
    QUICK_IN_A_ROW_MAX,
    QUICK_IN_A_ROW_MIN,
    QUICK_SECONDS,
    STALL_SECONDS,
    Pace,
)


def quick_until_trusted(pace: Pace) -> int:
    count = 0
    while not pace.is_quick:
        pace.count(QUICK_SECONDS)
        count += 1
    return count


def test_a_disk_is_trusted_after_a_row_of_quick_syncs_and_no_more_after_a_slow_one() -> None:
    pace = Pace()
    for _ in range(3):
        assert quick_until_trusted(pace) == QUICK_IN_A_ROW_MIN
        pace.count(STALL_SECONDS)
        assert not pace.is_quick


def test_each_stall_doubles_what_is_asked_for_up_to_a_bound() -> None:
    pace = Pace()
    wanted = []
    for _ in range(14):
        wanted.append(quick_until_trusted(pace))
        pace.count(2 * STALL_SECONDS)
    assert wanted[:4] == [QUICK_IN_A_ROW_MIN * factor for factor in (1, 2, 4, 8)]
    assert wanted[-1] == wanted[-2] == QUICK_IN_A_ROW_MAX
