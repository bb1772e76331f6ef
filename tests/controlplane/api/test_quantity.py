"""Quantities against the rules of Kubernetes' documentation ("Quantity", serialization format)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("100m", Fraction(1, 10)),
        ("1", 1),
        (1, 1),
        (0.5, Fraction(1, 2)),
        ("+1.5", Fraction(3, 2)),
        ("-2", -2),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("1k", 1000),
        ("12e6", 12_000_000),
        ("1E3", 1000),
        ("1e-3", Fraction(1, 1000)),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("3u", Fraction(3, 10**6)),
        ("3n", Fraction(3, 10**9)),
        (" 1 ", 1),
    ],
)
def test_a_quantity_is_an_exact_number(text: str | float, number: Fraction | int) -> None:
    assert quantity.parse(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "1.1.M", "1+1.0M", "0.1am", "aoeu", "1 Mi", "1e1.5", "0x10", "1_000", "nan", "inf"),
        *("1KiB", "\u0663", "1" * 300, True, None, [], {}),
    ],
)
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0.1mi", ".5i", "1i", "-3.01e-", "1e", "1mk", "-", "."])
def test_a_suffix_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        quantity.parse(text)


def test_an_exponent_is_bounded() -> None:
    with pytest.raises(ValueError, match="suffix"):
        quantity.parse("1e999999999")
    assert quantity.parse("1e-999999999") == Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Mi", "0"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("0.5", "500m"),
        ("1000", "1k"),
        (1000, "1k"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("1025Ki", "1025Ki"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("1000Ki", "1000Ki"),
        ("-1Gi", "-1Gi"),
        ("12e6", "12e6"),
        ("1.5e3", "1500"),
        ("1000e0", "1e3"),
        ("10e-4", "1e-3"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1234567.1234567891", "1234567123456790n"),
        ("16Ei", "9223372036854775807"),
        ("1000E", "1000E"),
        ("1e21", "1e21"),
        ("1e30", "1e30"),
        ("1e19", "10e18"),
    ],
)
def test_there_is_one_way_to_write_each(text: str | int, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


def test_what_is_out_of_bounds_is_cut_or_rounded_up() -> None:
    """No more than 2^63-1 with a binary suffix, nothing finer than a nano, and never zero."""
    assert quantity.parse("9000000Pi") == 2**63 - 1
    assert quantity.parse("0.0000000001") == Fraction(1, 10**9)


def test_sums_are_written_as_the_first_is() -> None:
    assert quantity.add("1Gi", "512Mi") == "1536Mi"
    assert quantity.add("1", "500m") == "1500m"
    assert quantity.add("0", "1Ki") == "1Ki"


def test_a_quantity_remembers_how_it_is_written() -> None:
    assert quantity.format_of("1Ki") == "BinarySI"
    assert quantity.format_of("1k") == "DecimalSI"
    assert quantity.format_of("1e3") == "DecimalExponent"
    assert quantity.format_of("0.0001Ki") == "DecimalSI"


def test_comparison_looks_at_the_number_only() -> None:
    assert quantity.compare("1", "1000m") == 0
    assert quantity.compare("1Ki", "1k") == 1
    assert quantity.compare("-1", "0") == -1


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(["", "n", "u", "m", "k", "M", "Ki", "Mi", "Gi", "e2", "e-2", "E4"]),
)
def test_the_canonical_form_is_the_same_number_and_stays(count: int, suffix: str) -> None:
    text = f"{count}{suffix}"
    once = quantity.canonical(text)
    assert quantity.parse(once) == quantity.parse(text)
    assert quantity.canonical(once) == once
    assert "." not in once
