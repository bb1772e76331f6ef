"""Quantities: `100m`, `1.5Gi`, `1e3`. Exact numbers, and the one way to write each. PURE.

Source: Kubernetes' documentation of `resource.Quantity` (serialization format, canonical form).
A number finer than a nano is rounded away from zero; one with a binary suffix is cut at 2^63-1.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Text = str | int | float
Format = Literal["BinarySI", "DecimalSI", "DecimalExponent"]

BINARY_MAX = 2**63 - 1
TEXT_CHARACTERS_MAX = 256
EXPONENT_MAX = 100
"""Nothing has 10^100 of anything; without a bound a short text is a number of gigabytes."""
CACHED_MAX = 4096
"""Distinct quantities are few: most pods ask for the same."""

_PATTERN = re.compile(
    r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?", re.ASCII
)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_NANO = 10**9

_ALMOST = re.compile(r"[+-]?\d*\.?\d*[eEinumkKMGTP]*[-+]?\d*", re.ASCII)
"""A number with a suffix that there is not."""

WRONG_SUFFIX = "unable to parse quantity's suffix"
WRONG_FORMAT = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def parse(text: Text) -> Fraction:
    """The number. Raises ValueError with Kubernetes' words."""
    return _read(_text(text))[0]


def format_of(text: Text) -> Format:
    """How it is written: with binary suffixes, decimal ones, or an exponent."""
    return _read(_text(text))[1]


@lru_cache(CACHED_MAX)
def _canonical(text: str) -> str:
    return render(*_read(text))


def canonical(text: Text) -> str:
    """The same number with the largest suffix that leaves no fraction. Raises ValueError."""
    return _canonical(_text(text))


def compare(left: Text, right: Text) -> int:
    """-1, 0 or 1."""
    one, other = parse(left), parse(right)
    return (one > other) - (one < other)


def add(left: Text, right: Text) -> str:
    """The sum, in canonical form, written as `left` is (as `right`, where left is zero)."""
    (one, like), (other, otherwise) = _read(_text(left)), _read(_text(right))
    return render(one + other, like if one else otherwise)


def render(number: Fraction, form: Format) -> str:
    """A number in canonical form."""
    if not number:
        return "0"
    # As a fraction of a binary unit it would be rounded: Kubernetes writes it as a decimal then.
    if form == "BinarySI" and number.denominator == 1 and abs(number) >= 1024:
        mantissa, power = _without_factor(number.numerator, 1024, max(_BINARY_SUFFIX))
        return f"{mantissa}{_BINARY_SUFFIX.get(power, '')}"
    nanos = _nanos(number)
    power_max = EXPONENT_MAX if form == "DecimalExponent" else max(_DECIMAL_SUFFIX)
    mantissa, power = _without_factor(nanos, 1000, (power_max + 9) // 3)
    exponent = 3 * power - 9
    if form == "DecimalExponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"


def _without_factor(number: int, factor: int, power_max: int) -> tuple[int, int]:
    """(m, p) with m * factor**p == number and p as large as it gets."""
    power = 0
    while power < power_max and number % factor == 0:
        number //= factor
        power += 1
    return number, power


def _text(text: Text) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, bool) or not isinstance(text, int | float):
        raise ValueError(WRONG_FORMAT)
    return repr(text)


@lru_cache(CACHED_MAX)
def _read(text: str) -> tuple[Fraction, Format]:
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ValueError(WRONG_FORMAT)
    text = text.strip()
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(WRONG_SUFFIX if text and _ALMOST.fullmatch(text) else WRONG_FORMAT)
    sign, digits, binary, decimal, exponent = match.groups()
    number = Fraction(digits if digits[-1] != "." else digits[:-1])
    form: Format = "DecimalSI"
    if binary:
        form = "BinarySI"
        number = min(number * 1024 ** _BINARY[binary], Fraction(BINARY_MAX))
        if number < 1:
            form = "DecimalSI"
    elif exponent is not None:
        form = "DecimalExponent"
        number *= _power_of_ten(int(exponent))
    elif decimal:
        number *= _power_of_ten(_DECIMAL[decimal])
    if _NANO % number.denominator:
        number = Fraction(_nanos(number), _NANO)
    return (-number if sign == "-" else number), form


def _power_of_ten(exponent: int) -> Fraction:
    if exponent > EXPONENT_MAX:
        raise ValueError(WRONG_SUFFIX)
    # Whatever is finer than the longest text's last digit becomes one nano all the same.
    return Fraction(10) ** max(exponent, -TEXT_CHARACTERS_MAX - EXPONENT_MAX)


def _nanos(number: Fraction) -> int:
    """In units of 10^-9, rounded away from zero: who asks for a little gets a little."""
    scaled = abs(number) * _NANO
    nanos = -(-scaled.numerator // scaled.denominator)
    return nanos if number > 0 else -nanos
