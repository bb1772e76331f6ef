"""Sets of characters, and which characters a number of sets cannot tell apart. PURE.

Both are lists of the code points where something changes, so what a set costs does not depend on
how many characters it has: `\\P{L}` has a million.
"""

import string
import sys
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import groupby, repeat

CharSet = tuple[int, ...]
"""Code points from which on characters are in the set, out of it, in it again, and so on."""

_CODES = sys.maxunicode + 1
_CASED_CODES = 0x20000
"""Letters have cases in the first two planes of Unicode only."""


def has(chars: CharSet, code: int) -> bool:
    return bisect_right(chars, code) % 2 == 1


def of_ranges(ranges: Iterable[tuple[int, int]]) -> CharSet:
    """All characters from the first code point of a range to its last."""
    chars: list[int] = []
    for first, last in sorted(ranges):
        if chars and first <= chars[-1]:
            chars[-1] = max(chars[-1], last + 1)
        else:
            chars += (first, last + 1)
    return tuple(chars)


def of(characters: str) -> CharSet:
    return of_ranges((code, code) for code in map(ord, characters))


def union(sets: Iterable[CharSet]) -> CharSet:
    return of_ranges(one for chars in sets for one in _ranges(chars))


def negated(chars: CharSet, *, is_negated: bool = True) -> CharSet:
    if not is_negated:
        return chars
    return chars[1:] if chars[:1] == (0,) else (0, *chars)


def _ranges(chars: CharSet) -> Iterator[tuple[int, int]]:
    ends = (*chars[1::2], _CODES)
    return ((first, end - 1) for first, end in zip(chars[::2], ends, strict=False))


NEWLINE = of("\n")
NOT_NEWLINE = negated(NEWLINE)
ANY = negated(())
WORD = of(string.ascii_letters + string.digits + "_")
NAMED = {
    "d": of(string.digits),
    "s": of("\t\n\f\r "),
    "w": WORD,
    "[:alnum:]": of(string.ascii_letters + string.digits),
    "[:alpha:]": of(string.ascii_letters),
    "[:ascii:]": of_ranges([(0, 0x7F)]),
    "[:blank:]": of("\t "),
    "[:cntrl:]": of_ranges([(0, 0x1F), (0x7F, 0x7F)]),
    "[:digit:]": of(string.digits),
    "[:graph:]": of_ranges([(ord("!"), ord("~"))]),
    "[:lower:]": of(string.ascii_lowercase),
    "[:print:]": of_ranges([(ord(" "), ord("~"))]),
    "[:punct:]": of(string.punctuation),
    "[:space:]": of("\t\n\f\r \v"),
    "[:upper:]": of(string.ascii_uppercase),
    "[:word:]": WORD,
    "[:xdigit:]": of(string.hexdigits),
}


@lru_cache(maxsize=64)
def category(name: str) -> CharSet:
    """A general category, such as L or Lu."""
    return of_ranges(span for found, span in _categories() if found.startswith(name))


@lru_cache(maxsize=1)
def _categories() -> list[tuple[str, tuple[int, int]]]:
    """Categories, each with a range that has it; made when a pattern first asks: it takes long."""
    found = []
    first = 0
    for name, codes in groupby(map(unicodedata.category, map(chr, range(_CODES)))):
        count = sum(1 for _ in codes)
        found.append((name, (first, first + count - 1)))
        first += count
    return found


@lru_cache(maxsize=64)
def folded(chars: CharSet) -> CharSet:
    """These characters, each in all its cases."""
    cases = _cases()
    ranges = list(_ranges(chars))
    for first, last in tuple(ranges):
        here = cases[bisect_left(cases, (first, 0)) : bisect_left(cases, (last + 1, 0))]
        ranges += [(other, other) for _, other in here if not first <= other <= last]
    return of_ranges(ranges)


@lru_cache(maxsize=1)
def _cases() -> list[tuple[int, int]]:
    """Every character that has cases, with each of its others."""
    together: dict[str, list[int]] = defaultdict(list)
    for code in range(_CASED_CODES):
        together[_case_folded(chr(code))].append(code)
    return sorted(
        (one, other)
        for codes in together.values()
        if len(codes) > 1
        for one in codes
        for other in codes
        if one != other
    )


def _case_folded(character: str) -> str:
    """Folded as RE2 does it: to one character, so that ß is no ss."""
    for one in (character.casefold(), character.lower()):
        if len(one) == 1:
            return one
    return character


class Alphabet:
    """Symbols, one for all characters that are in the same ones of the sets.

    members  symbol -> the first of its characters; those of ASCII's have the first symbols
    """

    def __init__(self, sets: Collection[CharSet]) -> None:
        changes: dict[int, int] = {0: 0}
        for position, chars in enumerate(sets):
            for code in chars:
                changes[code] = changes.get(code, 0) ^ 1 << position
        self.members: list[int] = []
        self._firsts = sorted(changes)
        # Bisection tells how many changes there are up to a character, and that is never none.
        self._symbols = [0]
        known: dict[int, int] = {}
        inside = 0
        for code in self._firsts:
            inside ^= changes[code]
            if inside not in known:
                known[inside] = len(known)
                self.members.append(code)
            self._symbols.append(known[inside])
        ascii_ = bytes(self._symbols[bisect_right(self._firsts, code)] for code in range(128))
        self._of_ascii = ascii_ + bytes(128)

    def symbols(self, text: str) -> Iterable[int]:
        """One of each character."""
        if text.isascii():
            return text.encode().translate(self._of_ascii)
        changes = map(bisect_right, repeat(self._firsts), map(ord, text))
        return map(self._symbols.__getitem__, changes)
