"""A state with a key missing, old, strange or cut short: each is told from the right one."""

import pytest

from kvstore.testing.history import ViolationError
from kvstore.testing.snapshot_contents import Contents, value_of

STATE = {
    b"lag/0": value_of(b"lag/0", 2),
    b"state/0": value_of(b"state/0", 1),
    b"state/1": value_of(b"state/1", 1),
    b"writer/0": b"8",
}


def judge(state: dict[bytes, bytes]) -> int:
    contents = Contents()
    for fill, key in ((1, b"state/0"), (1, b"state/1"), (1, b"lag/0"), (2, b"lag/0")):
        contents.filled(key, fill)
    contents.counted(b"writer/0", acknowledged=7, begun=8)
    contents.counted(b"writer/1", acknowledged=0, begun=1)
    reading = contents.reading("m1")
    pairs = sorted(state.items())
    reading.page(pairs[:2])
    reading.page(pairs[2:])
    return reading.end()


def test_what_was_written_last_is_right() -> None:
    assert judge(STATE) == 4
    assert judge({**STATE, b"writer/1": b"1"}) == 5, "nobody was told, but it was asked for"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({b"lag/0": value_of(b"lag/0", 1)}, "which fill 2 wrote last"),
        ({b"state/0": value_of(b"state/1", 1)}, "in b'state/0', which fill 1 wrote last"),
        ({b"state/0": value_of(b"state/0", 1)[:-1]}, "32767 bytes"),
        ({b"state/2": b""}, "b'state/2', which nobody wrote"),
        ({b"writer/0": b"6"}, "7 was acknowledged"),
        ({b"writer/0": b"9"}, "up to 8 was asked for"),
        ({b"writer/0": b"seven"}, "b'seven' in b'writer/0': 7 was acknowledged"),
        ({b"writer/0": b""}, "b'' in b'writer/0': 7 was acknowledged"),
        ({b"writer/0": b"7" * 5_000}, "7 was acknowledged"),
    ],
)
def test_a_key_that_holds_something_else_is_named(change: dict[bytes, bytes], words: str) -> None:
    with pytest.raises(ViolationError, match=words):
        judge({**STATE, **change})


@pytest.mark.parametrize("key", [b"state/1", b"lag/0", b"writer/0"])
def test_a_key_that_is_missing_is_named(key: bytes) -> None:
    with pytest.raises(ViolationError, match=f"m1 lacks 1 acknowledged keys: {key!r}"):
        judge({k: value for k, value in STATE.items() if k != key})
