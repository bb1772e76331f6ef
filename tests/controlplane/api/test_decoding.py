"""Bodies become objects, or a clear refusal; nothing that a stranger sends is unbounded."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controlplane.api.decoding import (
    BODY_BYTES_MAX,
    DEPTH_MAX,
    JSON,
    YAML,
    Decoded,
    decode,
    decode_applied,
    decode_json,
    decoders,
)
from controlplane.api.errors import ApiError
from controlplane.api.yaml_documents import ALIASED_NODES_MAX, NODES_MAX

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
# YAML's keys without a "?" have at most 1,024 characters, here each of them may be \uXXXX.
KEYS = st.text(max_size=150)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
OBJECTS = st.dictionaries(KEYS, TREES, max_size=5)


def refusal(body: bytes, content_type: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode(body, content_type)
    return caught.value


@given(OBJECTS)
def test_json_objects_come_back_as_they_are(obj: dict[str, Any]) -> None:
    assert decode(orjson.dumps(obj), JSON) == Decoded(obj)
    assert decode(orjson.dumps(obj, option=orjson.OPT_INDENT_2), JSON) == Decoded(obj)


@given(OBJECTS)
def test_json_is_yaml(obj: dict[str, Any]) -> None:
    """YAML has no number but its value: 1.0 is 1, as it is once JSON was written by Go."""
    text = json.dumps(obj, ensure_ascii=True)
    # Surrogate pairs are JSON's way to escape, not YAML's; and floats beyond 64 bits are floats.
    if "\\ud" not in text:
        assert decode(text.encode(), YAML).object == obj


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1e3", 1000.0),
        ("1.5", 1.5),
    ],
)
def test_numbers_keep_their_kind(text: str, value: object) -> None:
    found = decode(f'{{"a":{text}}}'.encode(), JSON).object["a"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1}x', b'{"a":"\xff"}'],
)
def test_malformed_json_is_a_bad_request(body: bytes) -> None:
    found = refusal(body, JSON)
    assert (found.code, found.reason) == (400, "BadRequest")
    assert found.message.startswith("couldn't get version/kind; json parse error: ")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"true", b"null"])
@pytest.mark.parametrize("content_type", [JSON, YAML])
def test_body_that_is_no_object_is_a_bad_request(body: bytes, content_type: str) -> None:
    assert refusal(body, content_type).code == 400


def test_unknown_content_type_is_refused_by_name() -> None:
    """2.18, 2.21."""
    found = refusal(b"{}", "text/plain; charset=utf-8")
    assert (found.code, found.reason) == (415, "UnsupportedMediaType")
    assert "application/json, application/yaml" in found.message


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "Application/JSON; charset=UTF-8", "application/yaml"]
)
def test_content_types_that_are_taken(content_type: str) -> None:
    assert decode(b'{"a": 1}', content_type).object == {"a": 1}


def test_further_decoders_are_found_by_their_media_type() -> None:
    decoders["application/x-test"] = lambda body: Decoded({"length": len(body)})
    try:
        assert decode(b"abc", "application/x-test").object == {"length": 3}
    finally:
        del decoders["application/x-test"]


@pytest.mark.parametrize("content_type", [JSON, YAML])
def test_body_above_the_limit_is_refused_before_it_is_read(content_type: str) -> None:
    """2.12: 3 MiB."""
    assert BODY_BYTES_MAX == 3 * 1024 * 1024
    fits = b'{"a":1}'.ljust(BODY_BYTES_MAX)
    assert decode(fits, content_type).object == {"a": 1}
    found = refusal(fits + b" ", content_type)
    assert (found.code, found.reason) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("content_type", [JSON, YAML])
def test_nesting_is_bounded(content_type: str) -> None:
    lists = DEPTH_MAX - 1
    fits = b'{"a":' + b"[" * lists + b"]" * lists + b"}"
    assert decode(fits, content_type).object["a"] is not None
    for extra in (1, 800, 100_000):
        deep = b'{"a":' + b"[" * (lists + extra) + b"]" * (lists + extra) + b"}"
        assert refusal(deep, content_type).code == 400


@pytest.mark.parametrize("content_type", [JSON, YAML])
def test_width_is_not_depth(content_type: str) -> None:
    wide: list[Any] = [{"a": [[]]} for _ in range(10 * DEPTH_MAX)]
    assert decode(orjson.dumps({"wide": wide}), content_type).object == {"wide": wide}


@pytest.mark.parametrize(
    ("body", "duplicates"),
    [
        (b'{"a":1,"a":2}', ("a",)),
        (b'{"a":1,"a":2,"a":3}', ("a",)),
        (b'{"spec":{"x":[{"y":1},{"y":1,"y":2}]}}', ("spec.x[1].y",)),
        (b'{"a":1, "a" : 2}', ("a",)),
        (b'{"a":1,"\\u0061":2}', ("a",)),
        (b'{"a\\\\":1,"a\\\\":2}', ("a\\",)),
        (b'{"a":":","b":1,"b":":"}', ("b",)),
        (b'{"a":"\\":","b":1,"b":2}', ("b",)),
        (b'{"a":"\\u003a","b":1,"b":":"}', ("b",)),
        (b'{"a\n":1}'.replace(b"\n", b"\\n"), ()),
        (b'{"a":":x","\\"b\\":":"\\":"}', ()),
    ],
)
def test_duplicate_fields_are_told_and_the_last_one_counts(
    body: bytes, duplicates: tuple[str, ...]
) -> None:
    """2.11."""
    found = decode(body, JSON)
    assert found.duplicates == duplicates
    assert found.object == json.loads(body)


class _Pairs(list[tuple[str, Any]]):
    pass


def _has_duplicates(text: str) -> bool:
    """The plainest way to find out."""
    seen: list[bool] = []

    def of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    json.loads(text, object_pairs_hook=of_pairs)
    return any(seen)


TRICKY = st.text('":\\ {}[],\t\nabu', max_size=6)


def _written(tree: Any, spaces: list[str]) -> str:
    """JSON of a tree in which objects are lists of pairs, with the given white space in turn."""
    space = spaces[0] if spaces else ""
    rest = spaces[1:]
    if isinstance(tree, _Pairs):
        fields = [
            f"{space}{json.dumps(name)}{space}:{space}{_written(value, rest)}"
            for name, value in tree
        ]
        return f"{{{','.join(fields)}}}"
    if isinstance(tree, list):
        return f"[{','.join(_written(part, rest) for part in tree)}]"
    return json.dumps(tree)


@given(
    st.recursive(
        TRICKY | st.integers(0, 3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.lists(st.tuples(TRICKY, inner), max_size=4).map(_Pairs)
        ),
        max_leaves=12,
    ).filter(lambda tree: isinstance(tree, _Pairs)),
    st.lists(st.sampled_from(["", " ", "\n", "\t"]), max_size=4),
)
@example(_Pairs([("a", ":"), ("a", 1)]), [])
@example(_Pairs([("\\", 1), ("\\", 1)]), [" "])
def test_no_duplicate_is_missed_and_none_is_made_up(tree: Any, spaces: list[str]) -> None:
    """2.11: the quick look at a text never disagrees with a parse that keeps all fields."""
    text = _written(tree, spaces)
    assert bool(decode(text.encode(), JSON).duplicates) == _has_duplicates(text)


def test_json_patches_are_lists_and_are_decoded_with_the_same_bounds() -> None:
    assert decode_json(b'[{"op":"test"}]') == [{"op": "test"}]
    with pytest.raises(ApiError) as caught:
        decode_json(b"[" * 500 + b"]" * 500)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("y", True),
        ("~", None),
        ("", None),
        ("Null", None),
        ("0x1F", 31),
        ("0o17", 15),
        ("0777", 511),
        ("-0777", -511),
        ("0b11", 3),
        ("1_000", 1000),
        ("08", 8),
        ("1e3", 1000),
        ("1.0", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("1e999", "1e999"),
        ("22:22", "22:22"),
        ("2001-01-01", "2001-01-01"),
        ("1.2.3", "1.2.3"),
        ("500m", "500m"),
        ("+", "+"),
        ("'1'", "1"),
        ('"yes"', "yes"),
        ("!!str 1", "1"),
        ("!!binary aGk=", "hi"),
    ],
)
def test_yaml_scalars_are_what_kubernetes_takes_them_for(text: str, value: object) -> None:
    """2.21."""
    found = decode(f"a: {text}\n".encode(), YAML).object["a"]
    assert (type(found), found) == (type(value), value)


def test_yaml_keys_are_strings() -> None:
    assert decode(b"1: a\ntrue: b\n1.5: c\n", YAML).object == {"1": "a", "true": "b", "1.5": "c"}


def test_yaml_merge_key_brings_what_is_not_there() -> None:
    body = b"x: &x {a: 1, b: 1}\nz: &z {c: 1}\nu:\n  a: 2\n  <<: [*x, *z]\n"
    assert decode(body, YAML).object["u"] == {"a": 2, "b": 1, "c": 1}
    assert decode(b'"<<": {a: 1}\nb: <<\n', YAML).object == {"<<": {"a": 1}, "b": "<<"}


def test_yaml_tells_duplicates_and_the_last_one_counts() -> None:
    found = decode(b"a: 1\nb:\n- c: 1\n  c: 2\na: 2\n", YAML)
    assert found == Decoded({"a": 2, "b": [{"c": 2}]}, ("b[0].c", "a"))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"a: 1\n---\nb: 2\n", "more than one document"),
        (b"a: [", "flow"),
        (b"a: .nan", "unsupported value"),
        (b"a: -.inf", "unsupported value"),
        (b"? [a]\n: 1", "unsupported map key"),
        (b"a: &a [*a]", "unknown anchor"),
        (b"a: *b", "anchor"),
        (b"<<: 1", "merge"),
        (b"a: !!binary '!'", "base64"),
        (b"a: \xff", "yaml parse error"),
        (b"\ta: 1", "yaml parse error"),
    ],
)
def test_malformed_yaml_is_a_bad_request(body: bytes, why: str) -> None:
    found = refusal(body, YAML)
    assert found.code == 400
    assert why in found.message


def test_yaml_has_only_so_many_values() -> None:
    """Each takes some microseconds; JSON has a parser that is fast enough for any body."""
    most = b"a: [" + b"1, " * (NODES_MAX - 3) + b"]"
    assert len(decode(most, YAML).object["a"]) == NODES_MAX - 3
    found = refusal(most.replace(b"[", b"[1, "), YAML)
    assert (found.code, "send them as JSON" in found.message) == (400, True)
    assert len(decode_applied(b'{"a": [' + b"1, " * NODES_MAX + b"1]}").object["a"]) > NODES_MAX


@given(
    st.dictionaries(
        st.text("a: 1.eé\n,[", max_size=9),
        st.recursive(
            st.integers(-(2**65), 2**65)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.sampled_from((None, True, 1.0, -0.0, 1e21, "1.0", ": 1.5")),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
)
def test_what_is_applied_as_json_is_what_it_is_in_yaml(obj: dict[str, Any]) -> None:
    """But for pairs of surrogates and long keys, which YAML has not."""
    body = json.dumps(obj).encode()
    found, wanted = decode_applied(body), decode(body, YAML)
    assert found == wanted
    assert repr(found.object) == repr(wanted.object), "1.0 is 1"


def test_what_is_applied_may_be_yaml_that_begins_as_json_does() -> None:
    assert decode_applied(b"{a: 1, b: [x]}").object == {"a": 1, "b": ["x"]}
    assert decode_applied(b' {"a": 1, "a": 2}') == Decoded({"a": 2}, ("a",))
    with pytest.raises(ApiError) as caught:
        decode_applied(b'{"a": ')
    assert (caught.value.code, "yaml parse error" in caught.value.message) == (400, True)


@pytest.mark.parametrize(("content_type", "mark"), [(JSON, ""), (YAML, "? ")])
def test_what_is_told_of_duplicates_is_short(content_type: str, mark: str) -> None:
    """A key may be as long as the body, and stand in the path of thousands of duplicates."""
    key = "k" * 100_000
    twice = ", ".join(['{"a": 1, "a": 2}'] * 1_000)
    found = decode(f'{{{mark}"{key}": [{twice}]}}'.encode(), content_type)
    assert len(found.duplicates) == 100
    assert {len(path) for path in found.duplicates} == {1_024}


def test_aliases_that_multiply_are_refused() -> None:
    """Ten levels of ten aliases each would be 10,000,000,000 nodes."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "excessive aliasing" in refusal("\n".join(lines).encode(), YAML).message


def test_aliases_count_by_what_they_stand_for() -> None:
    many = ", ".join(["*a"] * (ALIASED_NODES_MAX // 2))
    assert decode(f"a: &a [1]\nb: [{many}]".encode(), YAML).object["b"][-1] == [1]
    assert refusal(f"a: &a [1]\nb: [*a, {many}]".encode(), YAML).code == 400


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEPTH_MAX + 5))]
    assert "nested deeper" in refusal("\n".join(lines).encode(), YAML).message


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!|>'\"% \n#ab01?<~", max_size=40).map(str.encode))
@pytest.mark.parametrize("content_type", [JSON, YAML])
def test_any_body_gives_an_object_or_a_refusal(content_type: str, body: bytes) -> None:
    found: Decoded | ApiError
    try:
        found = decode(body, content_type)
    except ApiError as error:
        found = error
    if isinstance(found, ApiError):
        assert found.code == 400
    else:
        assert isinstance(found.object, dict)
        orjson.dumps(found.object)
