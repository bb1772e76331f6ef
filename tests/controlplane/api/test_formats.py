"""Formats of custom resources' schemas: 11.7."""

import sys

import pytest

from controlplane.api.formats import FORMATS, is_quantity

GOOD = {
    "byte": ["", "aGk=", "aG\nk="],
    "cidr": ["10.0.0.0/8", "10.1.2.3/8", "::1/128"],
    "date": ["2026-11-29", "2024-02-29"],
    "date-time": ["2026-11-29T08:00:00Z", "2026-11-29T08:00:00.123456789+01:00"],
    "duration": ["1h30m", "1.5s", "0", "-2ms", "3us"],
    "email": ["a@b.c"],
    "hexcolor": ["#fff", "00ff00"],
    "hostname": ["a", "a.example.com", "A-1"],
    "ipv4": ["10.0.0.1"],
    "ipv6": ["::1", "fe80::1"],
    "mac": ["01:23:45:67:89:ab", "01-23-45-67-89-AB", "0123.4567.89ab"],
    "uri": ["https://example.com/x?y=z", "/path", "urn:x"],
    "uuid": ["6F1D8C0E-0000-4000-8000-000000000001", "6f1d8c0e00004000800000000000000f"],
    "uuid3": ["6f1d8c0e-0000-3000-8000-000000000001"],
    "uuid4": ["6f1d8c0e-0000-4000-8000-000000000001"],
    "uuid5": ["6f1d8c0e-0000-5000-8000-000000000001"],
}
BAD = {
    "byte": ["a", "aGk", "%%%%", "ä==="],
    "cidr": ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/255.0.0.0"],
    "date": ["2026-02-30", "29.11.2026", "2026-1-1", "20261129"],
    "date-time": ["2026-11-29", "2026-11-29 08:00:00Z", "2026-13-01T00:00:00Z", "", "x"],
    "duration": ["", "1", "1d", "h", "1h 2m"],
    "email": ["a", "@b", "a@", "a b@c"],
    "hexcolor": ["#ff", "red"],
    "hostname": ["", "-a", "a..b", "a_b", "a" * 64],
    "ipv4": ["10.0.0", "10.0.0.256", "::1", ""],
    "ipv6": ["10.0.0.1", ":::"],
    "mac": ["01:23:45", "01:23:45:67:89:zz"],
    "uri": ["", "no scheme", "example.com"],
    "uuid": ["6f1d8c0e", "6f1d8c0e-0000-4000-8000-00000000000g"],
    "uuid3": ["6f1d8c0e-0000-4000-8000-000000000001"],
    "uuid4": ["6f1d8c0e-0000-4000-0000-000000000001"],
    "uuid5": ["6f1d8c0e-0000-4000-8000-000000000001"],
}


def test_every_format_has_its_examples() -> None:
    assert GOOD.keys() == BAD.keys() == FORMATS.keys() - {"datetime"}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_formats_tell_good_from_bad(name: str) -> None:
    for text in GOOD[name]:
        assert FORMATS[name](text), text
    for text in BAD[name]:
        assert not FORMATS[name](text), text


@pytest.mark.parametrize("name", [*sorted(FORMATS), "quantity"])
def test_long_texts_of_clients_are_not_kept(name: str) -> None:
    """Each may be megabytes, and what is remembered of them are thousands."""
    text = "9" * 1_000
    before = sys.getrefcount(text)
    {**FORMATS, "quantity": is_quantity}[name](text)
    assert sys.getrefcount(text) == before


def test_a_date_may_be_long() -> None:
    assert FORMATS["date-time"](f"2026-11-29T08:00:00.{'1' * 100}Z")


@pytest.mark.parametrize("text", ["1" * 1_000_000, "1h" * 500_000 + "1", "1." + "1" * 1_000_000])
@pytest.mark.timeout(60)  # squares of these lengths are hours
def test_long_durations_take_time_in_proportion_to_their_length(text: str) -> None:
    assert not FORMATS["duration"](text)
