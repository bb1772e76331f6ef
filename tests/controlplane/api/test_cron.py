"""Schedules, against crontab(5) and what Kubernetes says of wrong ones (kube-behaviour 4.14)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import cron


def test_fields_allow_what_crontab_says() -> None:
    # 4.14
    schedule = cron.parse("5,10-12 */8 1-10/4 jan,3 mon-fri")
    assert schedule.minutes == {5, 10, 11, 12}
    assert schedule.hours == {0, 8, 16}
    assert schedule.days == {1, 5, 9}
    assert schedule.months == {1, 3}
    assert schedule.weekdays == {1, 2, 3, 4, 5}


def test_a_step_after_a_number_goes_on_to_the_end() -> None:
    assert cron.parse("40/5 * * * *").minutes == {40, 45, 50, 55}


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_words_stand_for_schedules(word: str, same: str) -> None:
    # 4.14
    assert cron.parse(word) == cron.parse(same)


@pytest.mark.parametrize(
    ("text", "friday_13th", "saturday_13th", "friday_14th"),
    [
        ("0 0 13 * *", True, True, False),
        ("0 0 * * 5", True, False, True),
        ("0 0 13 * 5", True, True, True),  # either, where both are said
        ("0 0 */2 * 5", True, True, True),
    ],
)
def test_a_day_is_due_by_date_or_weekday(
    text: str, friday_13th: bool, saturday_13th: bool, friday_14th: bool
) -> None:
    schedule = cron.parse(text)
    assert schedule.matches_day(1, 13, 5) is friday_13th
    assert schedule.matches_day(1, 13, 6) is saturday_13th
    assert schedule.matches_day(1, 14, 5) is friday_14th


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("@often", "unrecognized descriptor: @often"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
    ],
)
def test_a_wrong_schedule_is_explained(text: str, why: str) -> None:
    # 4.14
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        cron.parse(text)


@given(st.text("0123456789*/-,@ amonj?", max_size=30))
def test_any_text_is_a_schedule_or_a_value_error(text: str) -> None:
    try:
        schedule = cron.parse(text)
    except ValueError:
        return
    assert schedule.minutes
    assert schedule.minutes <= set(range(60))
    assert schedule.hours <= set(range(24))
    assert schedule.days <= set(range(1, 32))
    assert schedule.months <= set(range(1, 13))
    assert schedule.weekdays <= set(range(7))
