"""URLs of members: which of them are the same place."""

import pytest

from kvstore.urls import are_same_places, is_same_place


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
