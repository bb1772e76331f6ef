"""Patterns of custom resources' schemas (11.7) mean what RE2 means, at RE2's cost."""

import random
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controlplane.api import patterns
from controlplane.api.constraints import checks_of
from controlplane.api.errors import CAUSES_MAX
from controlplane.api.regex_syntax import DEPTH_MAX
from controlplane.api.schema import Schema
from controlplane.api.validation import validate

LETTERS = "".join(map(chr, range(0x100, 0xD800)))


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("", "", None),
        ("^$", "", "a"),
        ("^a+$", "aa", "aa\n"),
        ("b", "abc", "ac"),
        (r"\Aa\z", "a", "a\n"),
        ("(?m)^a$", "b\na\nc", "ba"),
        ("^.$", "a", "\n"),
        ("(?s)^.$", "\n", "ab"),
        ("(?i)^abc$", "aBC", "abd"),
        ("^(?i:a)b$", "Ab", "AB"),
        ("(?i)^[a-c](?-i)d$", "Bd", "BD"),
        ("(?i)^ß$", "ẞ", "SS"),
        ("(?i)^k$", "\u212a", "l"),
        ("(?i)^[^a]$", "b", "A"),
        (r"(?i)^[^\W_]$", "\u212a", "_"),
        (r"(?i)^\p{Lu}\P{Lu}$", "a1", "aa"),
        ("^[[:alpha:]_]+$", "aZ_", "a1"),
        ("^[^[:digit:]]$", "a", "1"),
        ("^[[:^digit:]]$", "a", "1"),
        (r"^\d+$", "12", "١٢"),
        (r"^[\d\-x]+$", "1-x", "a"),
        (r"^\w\W\s\S$", "a-\t.", "ab c"),
        (r"^[$^\]]+$", "$]", "a"),
        ("^[]a]+$", "]a", "b"),
        ("^[a-]+$", "-a", "b"),
        ("^[^a-c]$", "d", "b"),
        ("^(?P<x>a)(?:b)$", "ab", "a"),
        ("^(?<x>a)$", "a", "b"),
        (r"^\$\.\{$", "$.{", "x."),
        ("^a{2}$", "aa", "a"),
        ("^a{2,}$", "aaa", "a"),
        ("^a{1,2}$", "aa", "aaa"),
        ("^a{,2}$", "a{,2}", "a"),
        ("^a{$", "a{", "a"),
        ("^(a|bc|)d$", "bcd", "bd"),
        ("^a*?b+?c??$", "aabb", "ac"),
        (r"\bfoo\b", "a foo.", "afoo"),
        (r"a\Bb", "ab", "a b"),
        (r"^\x41\x{1F600}\n$", "A\U0001f600\n", "A"),
        (r"^\Qa.b\E$", "a.b", "axb"),
        (r"^\Q.*", ".*", "ab"),
        (r"^\pL\p{Lu}\P{N}$", "äÄx", "äÄ1"),
        (r"^[\p{^L}]$", "1", "a"),
        ("^(a*)*$", "aaa", "b"),
        ("^()*$", "", "a"),
    ],
)
def test_patterns_mean_what_re2_means(pattern: str, good: str, bad: str | None) -> None:
    assert patterns.compiled(pattern).search(good)
    assert bad is None or not patterns.compiled(pattern).search(bad)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "a)", "[a", "[b-a]", "[[:nope:]]", "*", "a**", "a{2}{3}", "a{2,1}", "a{1001}"),
        *("(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?P<>a)", "(?P<a b>c)", "(?#x)", "(?P=x)", "(?"),
        *(r"(a)\1", r"a\Z", "\\", r"\x{110000}", r"\xg0", r"\p{Greek}", r"\p{L", r"[\y]"),
    ],
)
def test_what_is_no_pattern_in_re2_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        patterns.compiled(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^([a-z]+)*$", "a" * 5_000 + "!"),
        ("^(a|a)*$", "a" * 5_000 + "b"),
        ("^(a|aa)+$", "a" * 5_000 + "b"),
        ("a*a*a*a*a*a*a*b", "a" * 5_000),
        ("^(.*,){20}x$", "," * 5_000),
        ("(a|b)*a(a|b){300}c", "ab" * 200),
    ],
)
def test_no_text_makes_a_pattern_expensive(pattern: str, text: str) -> None:
    """A backtracking matcher would be busy with most of these for longer than the world exists."""
    assert not patterns.compiled(pattern).search(text)


@pytest.mark.timeout(20)  # to the end it would be hours
@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("^(a|b)*a(a|b){900}c$", "ab"),
        ("^(a|b)*a(a|b){20}c$", "ab"),
        (f"^({'|'.join(LETTERS[:3_000])})*$", LETTERS[:3_000]),
    ],
)
def test_what_takes_too_long_is_not_known(pattern: str, letters: str) -> None:
    """A body has room for three million characters, and a state or a move of its own for each."""
    text = "".join(random.Random(1).choices(letters, k=3_000_000))
    with pytest.raises(patterns.TooMuchWorkError):
        patterns.compiled(pattern).search(text)


@pytest.mark.timeout(20)
def test_thousands_of_texts_take_no_longer_than_one() -> None:
    """11.7: each of them may be short; what nobody can judge is refused."""
    pattern = "^(a|b)*a(a|b){800}c$"
    dice = random.Random(2)
    texts = ["".join(dice.choices("ab", k=900)) for _ in range(3_000)]
    items = {"type": "string", "pattern": pattern}
    schema = Schema({"type": "object", "properties": {"a": {"type": "array", "items": items}}}, {})
    *_, last = validate(schema, {"a": texts})
    assert last.field == f"a[{CAUSES_MAX - 1}]"
    assert last.message.endswith(f"in body takes too long to be matched with '{pattern}'")
    # Another request may ask for as much.
    assert validate(schema, {"a": ["aac"]})[0].message.endswith(f"should match '{pattern}'")


UNKNOWN = {"pattern": "^(a|b)*a(a|b){901}c$"}
"""Of a long enough text."""


@pytest.mark.parametrize(
    "combination",
    [
        {"not": UNKNOWN},
        {"oneOf": [UNKNOWN, {"minLength": 1}]},
        {"oneOf": [UNKNOWN, {"anyOf": [{"maxLength": 1}, UNKNOWN]}, {"minLength": 1}]},
        {"anyOf": [UNKNOWN, {"maxLength": 1}]},
        {"allOf": [UNKNOWN, {"minLength": 1}]},
        {"not": {"not": UNKNOWN}},
        {"not": {"anyOf": [{"maxLength": 1}, UNKNOWN]}},
        {"not": {"anyOf": [{"allOf": [{"maxLength": 1}, UNKNOWN]}, {"maxLength": 1}]}},
        {"not": {"oneOf": [{"maxLength": 1}, UNKNOWN]}},
        {"not": {"allOf": [{"minLength": 1}, {"anyOf": [{"maxLength": 1}, UNKNOWN]}]}},
        {"oneOf": [{"anyOf": [{"maxLength": 1}, UNKNOWN]}, {"minLength": 1}]},
    ],
)
def test_what_is_not_known_makes_nothing_right(
    combination: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "WORK_MAX", 100_000)
    text = "".join(random.Random(3).choices("ab", k=3_000))
    schema = Schema({"type": "object", "properties": {"a": {"type": "string"} | combination}}, {})
    assert any("takes too long" in cause.message for cause in validate(schema, {"a": text}))
    certain = {"anyOf": [combination, {"minLength": 1}]}
    schema = Schema({"type": "object", "properties": {"a": {"type": "string"} | certain}}, {})
    assert not validate(schema, {"a": text})


@pytest.mark.parametrize("count", [1, 30, 1000])
def test_patterns_are_bounded(count: int) -> None:
    """Repetitions in repetitions are written out up to a limit; empty ones are not at all."""
    assert patterns.compiled(f"^(((){{{count}}}){{{count}}}){{{count}}}$").search("")
    huge = f"((a{{{count}}}){{{count}}}){{{count}}}"
    if count == 1:
        assert patterns.compiled(huge).search("a")
    else:
        with pytest.raises(ValueError, match="too large"):
            patterns.compiled(huge)


def test_a_pattern_is_only_so_long_however_few_steps_it_has() -> None:
    longest = f"[{'a' * (patterns.CHARACTERS_MAX - 2)}]"
    assert patterns.compiled(longest).search("a")
    with pytest.raises(ValueError, match="too large"):
        patterns.compiled(longest.replace("a]", "aa]"))


def test_nesting_is_bounded() -> None:
    deepest = "(" * DEPTH_MAX + "a" + ")*" * DEPTH_MAX
    assert patterns.compiled(f"^{deepest}$").search("aaa")
    with pytest.raises(ValueError, match="too deeply"):
        patterns.compiled(f"({deepest})")


@pytest.mark.parametrize(
    ("pattern", "letters", "length"),
    [
        ("^.{0,500}$", LETTERS, 500),
        ("^.{0,1000}$", "".join(map(chr, range(32, 127))), 1_000),
        ("^[ -~]{1,1000}$", "".join(map(chr, range(32, 127))), 1_000),
        ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "abc012", 20),
        (r"^(\w{1,63}\.)*\w{1,63}$", "abc012", 60),
        ("(.?){1000}b?$", LETTERS, 100_000),
        (r"(?i)^[\p{L}\P{L}]*$", LETTERS, 100_000),
    ],
)
def test_large_objects_of_ordinary_texts_are_judged(
    pattern: str, letters: str, length: int
) -> None:
    """Of a million characters, whether the pattern has seen such before or not."""
    dice = random.Random(4)
    texts = ["".join(dice.choices(letters, k=length)) for _ in range(1_000_000 // length)]
    schema = Schema({"type": "array", "items": {"type": "string", "pattern": pattern}}, {})
    texts_schema = Schema({"type": "object", "properties": {"a": schema.node}}, {})
    assert not validate(texts_schema, {"a": texts})
    assert not validate(texts_schema, {"a": texts})


def test_what_others_have_taught_makes_nothing_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that is unjudged today was not right yesterday."""
    pattern = patterns.compiled("^(a|b)*a(a|b){300}c$")
    text = "".join(random.Random(5).choices("ab", k=500))
    assert not pattern.search(text)
    monkeypatch.setattr(patterns, "WORK_MAX", 100_000)
    with pytest.raises(patterns.TooMuchWorkError):
        pattern.search(text)


def test_what_all_have_learnt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted in bytes as they are, and after one who learnt much others forget."""
    monkeypatch.setattr(patterns, "WORK_MAX", 100_000)
    monkeypatch.setattr(patterns, "LEARNT_BYTES_MAX", 500_000)
    dice = random.Random(6)
    texts = ["".join(dice.choices("ab", k=5_000)) for _ in range(3)]
    known = [patterns.compiled(f"^(a|b)*a(a|b){{{count}}}c$") for count in (13, 14, 500, 501, 502)]
    patterns._LEARNT.forget()
    tracemalloc.start()
    try:
        for text in texts:
            for pattern in known:
                with pytest.raises(patterns.TooMuchWorkError):
                    pattern.search(text)
                bytes_ = tracemalloc.get_traced_memory()[0]
                assert bytes_ < 1.3 * patterns._LEARNT.bytes < 3_000_000
    finally:
        tracemalloc.stop()


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LEARNT_BYTES_MAX", 0)
    pattern = patterns.compiled("^[^b]*$")
    for _ in range(3):
        assert pattern.search(LETTERS)
        assert not pattern.search(f"{LETTERS}b{LETTERS}")


def test_pattern_that_nobody_can_read_makes_no_object_invalid() -> None:
    """Such a definition is refused; one that is stored all the same must not lock its objects."""
    assert checks_of(Schema({"type": "string", "pattern": "(?=x)"}, {})) == []


ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", r"\b", r"\B", "^", "$", r"\Z"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda both: f"(?:{both[0]}|{both[1]})")
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        )
    ),
    max_leaves=8,
)


# Python documents that its `\B`, unlike others', does not match the empty text.
@given(
    st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?im)"]),
    PATTERNS,
    st.lists(st.text("abA1 -\nä€", min_size=1, max_size=7), max_size=4),
)
def test_same_answers_as_pythons_own_matcher(flags: str, pattern: str, texts: list[str]) -> None:
    """On what both know, whether moves are paid or not: another implementation is the oracle."""
    # Python's `$` also stands before a last line break.
    assume("m" in flags or "$" not in pattern)
    ours = patterns.compiled(flags + pattern.replace(r"\Z", r"\z"))
    theirs = re.compile(flags + pattern, re.ASCII)

    def found() -> list[bool]:
        return [ours.search(text) for text in texts]

    def found_marked() -> list[bool]:
        patterns._WORK.charge(patterns.WORK_MAX // 2)
        return found()

    expected = [theirs.search(text) is not None for text in texts]
    assert found() == patterns.together(found_marked) == expected
