"""Sets of characters are lists of where something changes."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import charsets

RANGES = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=6).map(
    lambda spans: [(first, first + more) for first, more in spans]
)


@given(RANGES, RANGES)
def test_sets_have_what_their_ranges_have(
    some: list[tuple[int, int]], more: list[tuple[int, int]]
) -> None:
    """Of an independent model: Python's own sets."""
    one, other = (
        {code for first, last in ranges for code in range(first, last + 1)}
        for ranges in (some, more)
    )
    sets = charsets.of_ranges(some), charsets.of_ranges(more)
    for code in range(400):
        assert charsets.has(sets[0], code) is (code in one)
        assert charsets.has(charsets.negated(sets[0]), code) is (code not in one)
        assert charsets.has(charsets.union(sets), code) is (code in one | other)
    assert charsets.negated(charsets.negated(sets[0])) == sets[0]
    assert charsets.union([charsets.negated(sets[0]), sets[0]]) in (charsets.ANY, (0, 0x110000))


@given(st.lists(RANGES, max_size=4))
def test_an_alphabet_tells_apart_what_its_sets_do(ranges: list[list[tuple[int, int]]]) -> None:
    sets = [charsets.of_ranges(one) for one in ranges]
    alphabet = charsets.Alphabet(sets)
    text = "".join(map(chr, range(400)))
    found: dict[int, set[tuple[bool, ...]]] = {}
    for code, symbol in enumerate(alphabet.symbols(text)):
        found.setdefault(symbol, set()).add(tuple(charsets.has(one, code) for one in sets))
    assert all(len(told) == 1 for told in found.values())
    assert len(set.union(set(), *found.values())) == len(found)
    assert list(alphabet.symbols(text[:128])) == list(alphabet.symbols(text))[:128]


def test_letters_have_all_their_cases() -> None:
    for letters in ("aA", "kK\u212a", "sS\u017f", "ß\u1e9e", "σςΣ", "µμΜ"):
        for letter in letters:
            assert charsets.folded(charsets.of(letter)) == charsets.of(letters)
    assert charsets.folded(charsets.of("\u0131\u01301")) == charsets.of("\u0131\u01301")


def test_only_two_planes_have_letters_with_cases() -> None:
    rest = map(chr, range(charsets._CASED_CODES, sys.maxunicode + 1))
    assert all(one == one.casefold() == one.lower() == one.upper() for one in rest)
