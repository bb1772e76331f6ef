"""URLs of members: which of them are the same place."""

import pytest

from kvstore.urls import comparable


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
    assert comparable((one,)) == comparable((other,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://localhost:1", "http://localhost:2"),
        ("http://localhost:1", "https://localhost:1"),
        ("http://127.0.0.1:1", "http://127.0.0.2:1"),
        ("http://[fe80::1%a]:1", "http://[fe80::1%b]:1"),
        ("http://a:1", "http://b:1"),
        ("no url", "nor this"),
    ],
)
def test_different_places(one: str, other: str) -> None:
    assert comparable((one,)) != comparable((other,))


def test_order_does_not_matter() -> None:
    urls = ("http://a:1", "http://b:1")
    assert comparable(urls) == comparable(urls[::-1])
