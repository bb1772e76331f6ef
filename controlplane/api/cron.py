"""Schedules as crontab has them: five fields, a word such as `@daily`, or `@every 1h30m`. PURE.

Source: crontab(5); Kubernetes, "CronJob", "Schedule syntax"; kube-behaviour 4.14; Go's
documentation of `time.ParseDuration`.
"""

import re
from fractions import Fraction

import msgspec


class Field(msgspec.Struct, frozen=True):
    """Bounds of one of the five fields, and names that stand for numbers."""

    least: int
    most: int
    names: tuple[str, ...] = ()
    """In order, from `least`."""


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (Field(0, 59), Field(0, 23), Field(1, 31), Field(1, 12, _MONTHS), Field(0, 6, _DAYS))
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_TEXT_MAX = 1024
_EVERY = "@every "
_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PARTS = re.compile(r"([\d.]+)([a-zµμ]+)", re.ASCII)
_SECONDS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
_SECONDS_MAX = Fraction(2**63 - 1, 10**9)
"""Of a duration, which Go holds as nanoseconds."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What each field allows.

    any_day, any_weekday  the field says `*`: otherwise a day matches if either of both does
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def matches_day(self, month: int, day: int, weekday: int) -> bool:
        """Whether it is due on a day; `weekday` 0 is Sunday."""
        if month not in self.months:
            return False
        on_day, on_weekday = day in self.days, weekday in self.weekdays
        if self.any_day or self.any_weekday:
            return on_day and on_weekday
        return on_day or on_weekday


class Every(msgspec.Struct, frozen=True):
    """A schedule without a clock: again and again, from whenever on."""

    seconds: int
    """At least one."""

    def next_after(self, time: float) -> int:
        """When it is due after a time, both in seconds since 1970."""
        return int(time) + self.seconds


def parse(text: str) -> Schedule | Every:
    """A schedule; ValueError tells what is wrong with it."""
    if len(text) > _TEXT_MAX:
        raise ValueError(f"schedule is longer than {_TEXT_MAX} characters")
    if text.startswith(_EVERY):
        return _every(text.removeprefix(_EVERY))
    words = _WORDS.get(text, text).split()
    if not words:
        raise ValueError("empty spec string")
    if words[0].startswith("@"):
        raise ValueError(f"unrecognized descriptor: {text}")
    if len(words) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    sets = [_field(word, field) for word, field in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = sets
    return Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        any_day=_is_any(words[2]),
        any_weekday=_is_any(words[4]),
    )


def _every(text: str) -> Every:
    """Whole seconds: what is left of one is cut off, and less than one is one."""
    is_one = _DURATION.fullmatch(text) is not None
    parts = _PARTS.findall(text) if is_one else ()
    seconds = sum((Fraction(number) * _SECONDS[unit] for number, unit in parts), Fraction(0))
    if not is_one or seconds > _SECONDS_MAX:
        why = f'time: invalid duration "{text}"'
        raise ValueError(f"failed to parse duration {_EVERY}{text}: {why}")
    return Every(1 if text.startswith("-") else max(1, int(seconds)))


def _is_any(word: str) -> bool:
    """`*/2` is not: it leaves days out."""
    return any(part in ("*", "?", "*/1", "?/1") for part in word.split(","))


def _field(word: str, field: Field) -> frozenset[int]:
    return frozenset(number for part in word.split(",") for number in _range(part, field))


def _range(part: str, field: Field) -> range:
    """`*`, `5`, `1-5`, `*/2`, `1-10/3`, `4/2` (from 4 on)."""
    bounds, slash, step_text = part.partition("/")
    if "/" in step_text:
        raise ValueError(f"too many slashes: {part}")
    step = _number(step_text) if slash else 1
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    first, last = _bounds(bounds, field, part, is_open=bool(slash))
    if first < field.least:
        raise ValueError(f"beginning of range ({first}) below minimum ({field.least}): {part}")
    if last > field.most:
        raise ValueError(f"end of range ({last}) above maximum ({field.most}): {part}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    return range(first, last + 1, step)


def _bounds(bounds: str, field: Field, part: str, *, is_open: bool) -> tuple[int, int]:
    if bounds in ("*", "?"):
        return field.least, field.most
    first_text, dash, last_text = bounds.partition("-")
    if "-" in last_text:
        raise ValueError(f"too many hyphens: {part}")
    first = _value(first_text, field)
    if dash:
        return first, _value(last_text, field)
    return first, field.most if is_open else first


def _value(text: str, field: Field) -> int:
    name = text.lower()
    return field.least + field.names.index(name) if name in field.names else _number(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        why = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ValueError(f"failed to parse int from {text}: {why}")
    return int(text)
