"""Schedules, against crontab(5) and what Kubernetes says of wrong ones (kube-behaviour 4.14)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import cron


def fields(text: str) -> cron.Schedule:
    schedule = cron.parse(text)
    assert isinstance(schedule, cron.Schedule)
    return schedule


def test_fields_allow_what_crontab_says() -> None:
    # 4.14
    schedule = fields("5,10-12 */8 1-10/4 jan,3 mon-fri")
    assert schedule.minutes == {5, 10, 11, 12}
    assert schedule.hours == {0, 8, 16}
    assert schedule.days == {1, 5, 9}
    assert schedule.months == {1, 3}
    assert schedule.weekdays == {1, 2, 3, 4, 5}


def test_a_step_after_a_number_goes_on_to_the_end() -> None:
    assert fields("40/5 * * * *").minutes == {40, 45, 50, 55}


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
    schedule = fields(text)
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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("90s", 90),
        (".5m", 30),
        ("1500ms", 1),
        ("1m0.9999s", 60),
        ("10ms", 1),
        ("0", 1),
        ("+5s", 5),
        ("-5s", 1),
        ("1h1h", 7200),
        ("2562047h47m16.854775807s", 9_223_372_036),
    ],
)
def test_a_schedule_may_be_how_long_to_wait(text: str, seconds: int) -> None:
    """4.14: from whenever on, and a second at least."""
    every = cron.parse(f"@every {text}")
    assert every == cron.Every(seconds)
    assert every.next_after(1_700_000_000.9) == 1_700_000_000 + seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "h",
        "1 h",
        "1d",
        "1h 5m",
        "5m-1h",
        "1e3s",
        "--1h",
        "٣s",
        "2562048h",
        "9" * 999 + "h",
    ],
)
def test_a_wrong_duration_is_explained(text: str) -> None:
    why = f'failed to parse duration @every {text}: time: invalid duration "{text}"'
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        cron.parse(f"@every {text}")


@given(st.text("0123456789.hmsnµ-+", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        every = cron.parse(f"@every {text}")
    except ValueError:
        return
    assert isinstance(every, cron.Every)
    assert every.seconds >= 1


@given(st.text("0123456789*/-,@ amonj?", max_size=30))
def test_any_text_is_a_schedule_or_a_value_error(text: str) -> None:
    try:
        schedule = fields(text)
    except ValueError:
        return
    assert schedule.minutes
    assert schedule.minutes <= set(range(60))
    assert schedule.hours <= set(range(24))
    assert schedule.days <= set(range(1, 32))
    assert schedule.months <= set(range(1, 13))
    assert schedule.weekdays <= set(range(7))
