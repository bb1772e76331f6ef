"""The syntax of regular expressions in Kubernetes: RE2's, read into a tree. PURE.

Source: RE2's syntax page. Python's own syntax differs: `$` there also stands before a last line
break, `\\z` and `[[:alpha:]]` do not exist, `\\d` takes any script's digits.
"""

import string
from collections.abc import Sequence

import msgspec

from controlplane.api import charsets
from controlplane.api.charsets import CharSet

DEPTH_MAX = 100
REPEAT_MAX = 1000
"""RE2's own bound for `{n,m}`."""

CHANGES_MAX = 50_000
"""Of all the different sets of a pattern: `\\p{L}` alone has a thousand."""


class Chars(msgspec.Struct, frozen=True):
    """One character out of a set."""

    chars: CharSet


class Assertion(msgspec.Struct, frozen=True):
    """A place: begin, end, begin-line, end-line, word, not-word."""

    place: str


class Concat(msgspec.Struct, frozen=True):
    """One after another; none: the empty text."""

    parts: Sequence["Node"]


class Alternatives(msgspec.Struct, frozen=True):
    """One of these."""

    parts: Sequence["Node"]


class Repeat(msgspec.Struct, frozen=True):
    """At least `least` times, at most `most` times; None: without end."""

    part: "Node"
    least: int
    most: int | None


Node = Chars | Assertion | Concat | Alternatives | Repeat


_ASSERTIONS = {"A": "begin", "z": "end", "b": "word", "B": "not-word"}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse(pattern: str) -> Node:
    """The tree of a pattern.

    ValueError: it is none in RE2, which has no look-around and no back-references.
    """
    reader = _Reader(pattern)
    node = reader.alternatives(0)
    if not reader.is_done:
        raise ValueError("unexpected )")
    return node


class _Reader:
    """Where the parse is, and the flags that hold there: i, m, s, U."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._flags: frozenset[str] = frozenset()
        self._sets: dict[CharSet, Chars] = {}
        self._changes = 0

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._text)

    def _take(self, prefix: str) -> bool:
        if self._text.startswith(prefix, self._at):
            self._at += len(prefix)
            return True
        return False

    def _next(self, where: str) -> str:
        if self.is_done:
            raise ValueError(f"missing or trailing {where}")
        self._at += 1
        return self._text[self._at - 1]

    def _until(self, end: str, where: str) -> str:
        found = self._text.find(end, self._at)
        if found < 0:
            raise ValueError(f"missing {end} of {where}")
        part, self._at = self._text[self._at : found], found + len(end)
        return part

    def alternatives(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise ValueError("expression nests too deeply")
        parts = [self._concat(depth)]
        while self._take("|"):
            parts.append(self._concat(depth))
        return parts[0] if len(parts) == 1 else Alternatives(parts)

    def _concat(self, depth: int) -> Node:
        parts: list[Node] = []
        while not self.is_done and self._text[self._at] not in "|)":
            if self._take("\\Q"):
                end = self._text.find("\\E", self._at)
                quoted = self._text[self._at : end if end >= 0 else None]
                self._at += len(quoted) + (2 if end >= 0 else 0)
                parts += [self._literal(character) for character in quoted]
            else:
                parts.append(self._repeated(self._atom(depth)))
        return Concat(parts)

    def _repeated(self, atom: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return atom
        self._take("?")  # Lazy or greedy: the same texts match.
        if self._bounds() is not None:
            raise ValueError("invalid nested repetition operator")
        least, most = bounds
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise ValueError("invalid repeat count")
        return Repeat(atom, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        found = self._text.find("}", self._at, self._at + 12)
        if not self._text.startswith("{", self._at) or found < 0:
            return None
        least, comma, most = self._text[self._at + 1 : found].partition(",")
        if not _is_number(least) or not (_is_number(most) or not most):
            return None  # A brace that is no repetition stands for itself.
        self._at = found + 1
        if not comma:
            return int(least), int(least)
        return int(least), int(most) if most else None

    def _atom(self, depth: int) -> Node:
        character = self._next("expression")
        match character:
            case "(":
                return self._group(depth)
            case "[":
                return self._chars(self._class())
            case ".":
                return self._chars(charsets.ANY if "s" in self._flags else charsets.NOT_NEWLINE)
            case "^":
                return Assertion("begin-line" if "m" in self._flags else "begin")
            case "$":
                return Assertion("end-line" if "m" in self._flags else "end")
            case "*" | "+" | "?":
                raise ValueError(f"missing argument to repetition operator: {character}")
            case "\\":
                return self._escape()
        return self._literal(character)

    def _literal(self, character: str) -> Node:
        return self._chars(self._folded(charsets.of(character)))

    def _folded(self, chars: CharSet) -> CharSet:
        """To be asked for before a set is negated: `(?i)[^a]` is neither a nor A."""
        return charsets.folded(chars) if "i" in self._flags else chars

    def _chars(self, chars: CharSet) -> Chars:
        known = self._sets.get(chars)
        if known is None:
            self._changes += len(chars)
            if self._changes > CHANGES_MAX:
                raise ValueError("expression too large")
            known = self._sets[chars] = Chars(chars)
        return known

    def _group(self, depth: int) -> Node:
        outside = self._flags
        if self._take("?") and not self._take_name():
            is_group = self._take_flags()
            if not is_group:
                return Concat(())  # The flags hold to the end of the group around.
        node = self.alternatives(depth + 1)
        if not self._take(")"):
            raise ValueError("missing )")
        self._flags = outside
        return node

    def _take_name(self) -> bool:
        if not self._take("P<") and not (
            self._take("<") and self._text[self._at : self._at + 1] not in ("=", "!")
        ):
            return False
        name = self._until(">", "group name")
        if not name or not all(charsets.has(charsets.WORD, ord(it)) for it in name):
            raise ValueError(f"invalid named capture: {name}")
        return True

    def _take_flags(self) -> bool:
        """Flags of a group, or, where it is none, of all that follows."""
        flags, is_on = set(self._flags), True
        while (character := self._next("group")) not in ":)":
            if character == "-" and is_on:
                is_on = False
            elif character not in "imsU":
                raise ValueError(f"invalid or unsupported Perl syntax: (?{character}")
            elif is_on:
                flags.add(character)
            else:
                flags.discard(character)
        self._flags = frozenset(flags)
        return character == ":"

    def _escape(self) -> Node:
        character = self._next("backslash")
        if character in _ASSERTIONS:
            return Assertion(_ASSERTIONS[character])
        return self._chars(self._escaped_set(character))

    def _escaped_set(self, character: str) -> CharSet:
        """What an escape stands for, in classes and outside."""
        if character in "dswDSW":
            chars = self._folded(charsets.NAMED[character.lower()])
            return charsets.negated(chars, is_negated=character.isupper())
        if character in "pP":
            return charsets.negated(self._category(), is_negated=character == "P")
        return self._folded(charsets.of(self._escaped_character(character)))

    def _escaped_character(self, character: str) -> str:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character == "x":
            digits = (
                self._until("}", "\\x{")
                if self._take("{")
                else self._next("\\x") + self._next("\\x")
            )
            return _of_code(digits)
        if character.isascii() and character.isalnum():
            raise ValueError(f"invalid escape sequence: \\{character}")
        return character

    def _category(self) -> CharSet:
        """A general category, such as L or Lu; scripts are not known here."""
        name = self._until("}", "\\p{") if self._take("{") else self._next("\\p")
        is_negated, name = name.startswith("^"), name.removeprefix("^")
        if name not in _CATEGORIES:
            raise ValueError(f"invalid character class range: \\p{{{name}}}")
        return charsets.negated(self._folded(charsets.category(name)), is_negated=is_negated)

    def _class(self) -> CharSet:
        is_negated = self._take("^")
        sets: list[CharSet] = []
        is_first = True
        while is_first or not self._take("]"):
            sets.append(self._class_part())
            is_first = False
        return charsets.negated(charsets.union(sets), is_negated=is_negated)

    def _class_part(self) -> CharSet:
        if self._text.startswith("[:", self._at) and ":]" in self._text[self._at :]:
            return self._named_class()
        first = self._next("closing ]")
        if first == "\\":
            escape = self._next("backslash")
            if escape in "dswDSWpP":
                return self._escaped_set(escape)
            first = self._escaped_character(escape)
        if not self._text.startswith("-", self._at) or self._text.startswith("-]", self._at):
            return self._folded(charsets.of(first))
        self._at += 1
        last = self._next("closing ]")
        if last == "\\":
            last = self._escaped_character(self._next("backslash"))
        if last < first:
            raise ValueError(f"invalid character class range: {first}-{last}")
        return self._folded(charsets.of_ranges([(ord(first), ord(last))]))

    def _named_class(self) -> CharSet:
        self._at += 2
        name = self._until(":]", "class name")
        known = charsets.NAMED.get(f"[:{name.removeprefix('^')}:]")
        if known is None:
            raise ValueError(f"invalid character class range: [:{name}:]")
        return charsets.negated(self._folded(known), is_negated=name.startswith("^"))


_MINOR = {
    "C": "cfos",
    "L": "lmotu",
    "M": "cen",
    "N": "dlo",
    "P": "cdefios",
    "S": "ckmo",
    "Z": "lps",
}
_CATEGORIES = frozenset(
    (*_MINOR, *(f"{major}{minor}" for major, minors in _MINOR.items() for minor in minors))
)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _of_code(digits: str) -> str:
    if not digits or not set(digits) <= set(string.hexdigits) or int(digits, 16) > 0x10FFFF:
        raise ValueError(f"invalid escape sequence: \\x{digits}")
    return chr(int(digits, 16))
