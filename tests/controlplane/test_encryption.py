"""Secrets at rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.encryption import Encryption
from tests.controlplane.apiserver.asked import resource

SECRETS, PODS = resource("secrets"), resource("pods")
KEY = b"/registry/core/secrets/shop/a"
ONE, TWO = ("one", b"1" * 32), ("two", b"2" * 16)


def is_unreadable(encryption: Encryption, stored: bytes, key: bytes = KEY) -> bool:
    with pytest.raises(ApiError) as caught:
        encryption.decode(SECRETS, key, stored)
    return caught.value.code == 500


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_what_was_encoded_comes_back(plain: bytes, key: bytes) -> None:
    encryption = Encryption([ONE])
    stored = encryption.encode(SECRETS, key, plain)
    head, behind = b"k8s:enc:aesgcm:v1:one:", stored[22:]
    assert stored == head + behind
    assert len(plain) < 5 or plain not in behind, "fewer bytes may be there by chance"
    assert encryption.decode(SECRETS, key, stored) == plain


def test_equal_objects_do_not_look_equal() -> None:
    encryption = Encryption([ONE])
    assert len({encryption.encode(SECRETS, KEY, b"{}") for _ in range(10)}) == 10


def test_bytes_put_in_the_place_of_another_object_are_refused() -> None:
    encryption = Encryption([ONE])
    stored = encryption.encode(SECRETS, KEY, b"{}")
    assert is_unreadable(encryption, stored, b"/registry/core/secrets/shop/b")


@given(st.integers(0, 500), st.integers(1, 255))
def test_altered_bytes_are_refused(position: int, change: int) -> None:
    encryption = Encryption([ONE])
    stored = bytearray(encryption.encode(SECRETS, KEY, b'{"data":{"a":"b"}}'))
    start = len(b"k8s:enc:aesgcm:v1:one:")
    stored[start + position % (len(stored) - start)] ^= change
    assert is_unreadable(encryption, bytes(stored))


def test_bytes_that_were_cut_short_are_refused() -> None:
    encryption = Encryption([ONE])
    stored = encryption.encode(SECRETS, KEY, b'{"data":{"a":"b"}}')
    for length in range(len(b"k8s:enc:aesgcm:v1:one:"), len(stored)):
        assert is_unreadable(encryption, stored[:length])


def test_a_key_that_is_gone_or_another_of_its_name_is_told() -> None:
    stored = Encryption([ONE]).encode(SECRETS, KEY, b"{}")
    assert is_unreadable(Encryption([TWO]), stored)
    assert is_unreadable(Encryption([]), stored)
    assert is_unreadable(Encryption([("one", b"x" * 32)]), stored)
    with pytest.raises(ApiError, match="no key named 'one'"):
        Encryption([TWO]).decode(SECRETS, KEY, stored)


def test_keys_are_changed_one_after_the_other() -> None:
    """As documented: the new one second, then first, all written again, then the old one goes."""
    old, both, new = Encryption([ONE]), Encryption([TWO, ONE]), Encryption([TWO])
    stored = old.encode(SECRETS, KEY, b"{}")
    assert Encryption([ONE, TWO]).decode(SECRETS, KEY, stored) == b"{}"
    assert both.is_stale(SECRETS, stored)
    again = both.encode(SECRETS, KEY, both.decode(SECRETS, KEY, stored))
    assert not both.is_stale(SECRETS, again)
    assert new.decode(SECRETS, KEY, again) == b"{}"


def test_what_was_plain_is_read_and_written_anew() -> None:
    encryption, plain = Encryption([ONE]), Encryption([])
    assert encryption.decode(SECRETS, KEY, b'{"kind":"Secret"}') == b'{"kind":"Secret"}'
    assert encryption.is_stale(SECRETS, b'{"kind":"Secret"}')
    assert plain.encode(SECRETS, KEY, b"{}") == b"{}"
    assert not plain.is_stale(SECRETS, b"{}")
    assert plain.is_stale(SECRETS, encryption.encode(SECRETS, KEY, b"{}"))


def test_other_kinds_stay_as_they_are() -> None:
    encryption = Encryption([ONE])
    assert encryption.encode(PODS, b"k", b"{}") == b"{}"
    assert not encryption.is_stale(PODS, b"{}")
    of_both = Encryption([ONE], [("", "secrets"), ("", "pods")])
    assert of_both.encode(PODS, b"k", b"{}") != b"{}"


@pytest.mark.parametrize("names", [("a:b", "a"), ("a", "a:b"), ("", "a"), ("a", "a"), ("ä:", "a")])
def test_any_two_names_of_keys_are_told_apart(names: tuple[str, str]) -> None:
    first, second = ((name, bytes([n]) * 32) for n, name in enumerate(names))
    both = Encryption([first, second])
    for one in (first, second):
        stored = Encryption([one]).encode(SECRETS, KEY, b"{}")
        assert both.decode(SECRETS, KEY, stored) == b"{}"
