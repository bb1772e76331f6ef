"""Selectors: 2.20. Texts and meanings as Kubernetes documents them."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import selectors
from controlplane.api.errors import ApiError

LABELS = {"app": "web", "tier": "front", "weight": "7", "empty": ""}


@pytest.mark.parametrize(
    ("text", "is_match"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (web,db)", True),
        ("app in ( web )", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("missing notin (db)", True),
        ("app notin (web,db)", False),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("! app", False),
        ("empty=", True),
        ("empty", True),
        ("missing=", False),
        ("empty in (,a)", True),
        ("empty in (a,)", True),
        ("weight>6", True),
        ("weight>7", False),
        ("weight<8", True),
        ("missing<8", False),
        ("app>1", False),
        ("in in (in,notin)", False),
        ("example.com/app!=x", True),
        ("app,tier,!missing,app in (web),weight>1", True),
        ("app,tier,missing", False),
    ],
)
def test_a_label_selector_selects(text: str, is_match: bool) -> None:
    """2.20"""
    assert selectors.parse_labels(text).matches(LABELS) is is_match


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        (
            "a in ()",
            (
                "unable to parse requirement: values: Invalid value: []: for 'in', 'notin'"
                " operators, values set can't be empty"
            ),
        ),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (
            "a>b",
            (
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt'"
                " operators, the value must be an integer"
            ),
        ),
    ],
)
def test_a_malformed_label_selector_is_a_bad_request(text: str, message: str) -> None:
    """2.20"""
    with pytest.raises(ApiError) as caught:
        selectors.parse_labels(text)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist'),
        ("a/b/c", 'unable to parse requirement: <nil>: Invalid value: "a/b/c": a qualified name'),
        ("/b", 'unable to parse requirement: <nil>: Invalid value: "/b": prefix part must be non-'),
        ("A/b", 'unable to parse requirement: <nil>: Invalid value: "A/b": prefix part a lowercas'),
        ("a/", 'unable to parse requirement: <nil>: Invalid value: "a/": name part must be non-em'),
        ("a=-b", 'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label m'),
        (
            "a=" + 64 * "b",
            f'unable to parse requirement: values[0][a]: Invalid value: "{64 * "b"}"',
        ),
        (
            64 * "a",
            f'unable to parse requirement: <nil>: Invalid value: "{64 * "a"}": name part mu',
        ),
    ],
)
def test_keys_and_values_must_be_labels(text: str, start: str) -> None:
    """2.12: label value <= 63."""
    with pytest.raises(ApiError) as caught:
        selectors.parse_labels(text)
    assert caught.value.code == 400
    assert caught.value.message.startswith(start)


def test_labels_of_63_characters_are_allowed() -> None:
    """2.12"""
    key, value = 63 * "k", 63 * "v"
    assert selectors.parse_labels(f"{key}={value}").matches({key: value})


@given(st.text(alphabet="ab=!<>(), in/\\.\n\0", max_size=30))
def test_any_text_is_a_selector_or_a_bad_request(text: str) -> None:
    assert _code(selectors.parse_labels, text) in (200, 400)
    assert _code(selectors.parse_fields, text) in (200, 400)


def _code(parse: Callable[[str], object], text: str) -> int:
    try:
        parse(text)
    except ApiError as error:
        return error.code
    return 200


words = st.text(alphabet="abc", min_size=1, max_size=2)


@given(words, st.sets(words, min_size=1), st.dictionaries(words, words))
def test_in_and_notin_are_opposites(key: str, values: set[str], labels: Mapping[str, str]) -> None:
    listed = ",".join(values)
    inside = selectors.parse_labels(f"{key} in ({listed})")
    outside = selectors.parse_labels(f"{key} notin ({listed})")
    assert inside.matches(labels) is (labels.get(key) in values)
    assert outside.matches(labels) is not inside.matches(labels)


def test_no_selector_object_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_object(None).matches({})
    assert selectors.from_object({}).matches({})
    assert selectors.from_object({}).is_everything


def test_a_selector_object_means_all_of_its_terms() -> None:
    selector = selectors.from_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "gone", "operator": "DoesNotExist"},
                {"key": "empty", "operator": "Exists"},
                {"key": "app", "operator": "NotIn", "values": ["db"]},
            ],
        }
    )
    assert selector.matches(LABELS)
    assert not selector.matches(LABELS | {"gone": ""})
    assert not selector.matches(LABELS | {"tier": "x"})
    assert not selector.matches({"app": "web", "tier": "back"})


def test_a_selector_of_a_plain_map_wants_all_of_it() -> None:
    assert selectors.from_labels({"app": "web"}).matches(LABELS)
    assert not selectors.from_labels({"app": "web", "x": "y"}).matches(LABELS)


def test_all_that_is_wrong_with_a_selector_object_is_told() -> None:
    """2.19"""
    causes = selectors.validate_selector(
        {
            "matchLabels": {"-a": "b", "c": "d e"},
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "a", "operator": "Exists", "values": ["b"]},
                {"key": "a", "operator": "Is", "values": ["b"]},
                {"key": "a b", "operator": "NotIn", "values": ["c/d"]},
            ],
        },
        "spec.selector",
    )
    told = [(cause.reason, cause.field, cause.message) for cause in causes]
    terms = "spec.selector.matchExpressions"
    assert [(reason, field) for reason, field, _ in told] == [
        ("FieldValueInvalid", "spec.selector.matchLabels"),
        ("FieldValueInvalid", "spec.selector.matchLabels"),
        ("FieldValueRequired", f"{terms}[0].values"),
        ("FieldValueForbidden", f"{terms}[1].values"),
        ("FieldValueInvalid", f"{terms}[2].operator"),
        ("FieldValueInvalid", f"{terms}[3].key"),
        ("FieldValueInvalid", f"{terms}[3].values[0]"),
    ]
    assert told[2][2] == "Required value: must be specified when `operator` is 'In' or 'NotIn'"
    assert told[3][2] == (
        "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    )
    assert told[4][2] == 'Invalid value: "Is": not a valid selector operator'


@pytest.mark.parametrize(
    "selector",
    [
        "text",
        {"matchLabels": []},
        {"matchLabels": {"a": 1}},
        {"matchExpressions": {"a": 1}},
        {"matchExpressions": ["a"]},
        {"matchExpressions": [{"key": 1, "operator": {}, "values": "x"}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]},
    ],
)
def test_a_selector_object_of_wrong_types_is_refused(selector: Mapping[str, object]) -> None:
    assert selectors.validate_selector(selector, "s")
    with pytest.raises(ApiError) as caught:
        selectors.from_object(selector)
    assert caught.value.code == 400


def test_no_selector_object_has_no_faults() -> None:
    assert selectors.validate_selector(None, "spec.selector") == []


def test_a_selector_is_bounded() -> None:
    for parse in (selectors.parse_labels, selectors.parse_fields):
        with pytest.raises(ApiError, match="must have at most 65536 characters") as caught:
            parse("a=b," * 20_000)
        assert caught.value.code == 400


FIELDS = {"metadata.name": "a,b", "status.phase": "Running"}


@pytest.mark.parametrize(
    ("text", "is_match"),
    [
        ("", True),
        ("status.phase=Running", True),
        ("status.phase==Running", True),
        ("status.phase!=Running", False),
        ("status.phase!=Failed,status.phase!=Succeeded", True),
        ("metadata.name=a\\,b", True),
        ("metadata.name=a\\,b,status.phase=Failed", False),
        ("spec.nodeName=", True),
        ("spec.nodeName!=", False),
    ],
)
def test_a_field_selector_selects(text: str, is_match: bool) -> None:
    """2.20"""
    selector = selectors.parse_fields(text)
    assert selector.matches(lambda path: FIELDS.get(path, "")) is is_match


def test_escapes_of_a_field_selector_are_undone() -> None:
    (requirement,) = selectors.parse_fields("a=\\\\\\,\\=").requirements
    assert requirement == selectors.FieldRequirement("a", "\\,=")
    assert selectors.parse_fields("a=b,c!=d").exact("a") == "b"
    assert selectors.parse_fields("a=b,c!=d").exact("c") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\b", "invalid field selector: invalid escape sequence: \\b"),
    ],
)
def test_a_malformed_field_selector_is_a_bad_request(text: str, message: str) -> None:
    """2.20"""
    with pytest.raises(ApiError) as caught:
        selectors.parse_fields(text)
    assert (caught.value.code, caught.value.message) == (400, message)
