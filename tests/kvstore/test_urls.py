"""URLs of members: what is one, and which of them are the same place."""

import pytest

from kvstore.errors import ConfigError
from kvstore.urls import Url, are_same_places, is_same_place, parse_known_url, parse_url, parse_urls


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost:1", "http://127.0.0.1:1"),
        ("http://localhost:1", "http://[::1]:1"),
        ("http://[0:0:0:0:0:0:0:1]:1", "http://[::1]:1"),
        ("http://[::ffff:10.0.0.1]:1", "http://10.0.0.1:1"),
        ("http://[FD00::A]:1", "http://[fd00:0::a]:1"),
        ("http://Host.Example:1", "http://host.example:1"),
        ("http://host.example.:1", "http://host.example:1"),
        ("http://a:01", "http://a:1"),
    ],
)
def test_the_same_place(one: str, other: str) -> None:
    assert is_same_place(one, other)
    assert is_same_place(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost:1", "http://localhost:2"),
        ("http://localhost:1", "https://localhost:1"),
        ("http://127.0.0.1:1", "http://127.0.0.2:1"),
        ("http://127.0.0.1:1", "http://[::1]:1"),  # two sockets, each with a listener of its own
        ("http://[fe80::1%a]:1", "http://[fe80::1%b]:1"),
        ("http://a:1", "http://b:1"),
        ("no url", "nor this"),
    ],
)
def test_different_places(one: str, other: str) -> None:
    assert not is_same_place(one, other)
    assert not is_same_place(other, one)


A, B, A_LOCAL = "http://127.0.0.1:1", "http://b:1", "http://localhost:1"


@pytest.mark.parametrize(
    ("urls", "others", "are_same"),
    [
        ((A, B), (B, A), True),
        ((A, B), (B, A_LOCAL), True),
        ((A,), (A, B), False),
        ((A, B), (A, A_LOCAL), False),
        ((A, A_LOCAL), (A, B), False),
    ],
)
def test_lists_name_the_same_places(
    urls: tuple[str, ...], others: tuple[str, ...], are_same: bool
) -> None:
    assert are_same_places(urls, others) is are_same


@pytest.mark.parametrize(
    ("text", "host", "port", "is_tls"),
    [
        ("http://127.0.0.1:2380", "127.0.0.1", 2380, False),
        ("HTTPS://Host.Example.:02380", "host.example.", 2380, True),
        ("http://[FD00::A]:1", "fd00::a", 1, False),
        ("http://[fe80::1%eth0]:1", "fe80::1%eth0", 1, False),
        ("http://127.0.0.1:0", "127.0.0.1", 0, False),
    ],
)
def test_a_url_is_taken_apart(text: str, host: str, port: int, is_tls: bool) -> None:
    assert parse_url(text) == Url(text, host, port, is_tls)


LENIENT = [
    "http://h:1?", "http://h:1#", "http://h\n:1", "http://h:\t1", "http://h :1", " http://h:1",
    "http://[::1]x:1", "http://h\u200b:1", "http://h\udcff:1",
]  # fmt: skip


@pytest.mark.parametrize("text", [*LENIENT, "http://h:1 ", "http://h:\u0661", "http://[h]:1"])
def test_what_is_more_or_less_than_a_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_url(text)


@pytest.mark.parametrize("text", LENIENT)
def test_what_earlier_versions_took_is_still_reached(text: str) -> None:
    assert parse_known_url(text).port == 1
    assert is_same_place(text, text)


def test_others_are_told_a_port() -> None:
    assert parse_urls("http://b:1, http://a:1") == ("http://a:1", "http://b:1")
    with pytest.raises(ConfigError, match="must name the port"):
        parse_urls("http://b:1,http://a:0")
