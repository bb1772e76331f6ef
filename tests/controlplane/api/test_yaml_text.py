"""JSON as YAML, and back by our own reader and by PyYAML's (kube-behaviour 2.21)."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import decoding, yaml_text

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    (
        *(
            "yes",
            "No",
            "on",
            "y",
            "n",
            "null",
            "~",
            "",
            " ",
            "0777",
            "0o17",
            "1e3",
            "1_000",
            "0x1F",
        ),
        *(
            "22:22",
            "2020-01-01",
            ".inf",
            "-.NaN",
            "<<",
            "=",
            "- a",
            "a: b",
            "# c",
            "a #b",
            "|",
            ">",
        ),
        *(
            "one\ntwo",
            "one\ntwo\n",
            "\n",
            "  two\n three",
            "a\n\n\n",
            "tab\there",
            "\ufeff",
            "\x85",
        ),
        *(
            "trailing \nspace",
            "'",
            '"',
            "\\",
            "{}",
            "[]",
            "&a",
            "*a",
            "!!str",
            "%",
            "@",
            "`",
            "---",
        ),
    )
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_TEXTS, children, max_size=4),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(_TEXTS, _VALUES, max_size=5)


def read(body: bytes) -> Any:
    return decoding.decode_yaml(body)[0]


@given(_OBJECTS)
def test_what_is_written_is_read_as_the_same(value: dict[str, Any]) -> None:
    """2.21."""
    assert read(yaml_text.dump(value)) == value


@given(st.lists(_OBJECTS, min_size=1, max_size=4))
def test_items_of_a_list_are_read_as_the_same(values: list[dict[str, Any]]) -> None:
    lines = b"".join(map(yaml_text.item, values))
    assert read(b"items:\n" + lines) == {"items": values}


@given(_TEXTS)
def test_a_text_is_a_text_for_readers_of_yaml_1_1_as_well(text: str) -> None:
    found = yaml.safe_load(yaml_text.dump({"x": text}))["x"]
    assert isinstance(found, str)
    assert found == text


@pytest.mark.parametrize("text", ["yes", "y", "1e3", "0o17", "0777", "null", "1.5", "true", "12"])
def test_what_looks_like_something_else_is_quoted(text: str) -> None:
    quoted = (f'x: "{text}"\n', f"x: '{text}'\n")
    assert yaml_text.dump({"x": text}).decode() in quoted


def test_it_looks_as_go_writes_it() -> None:
    """Keys sorted, lists at the column of their field, many lines as they are, none folded."""
    found = yaml_text.dump(
        {
            "kind": "X",
            "apiVersion": "v1",
            "data": {"b": "one\ntwo\n", "a": "word " * 40 + "end"},
            "list": [{"name": "a", "more": [1]}, {}],
        }
    )
    assert found.decode().splitlines() == [
        "apiVersion: v1",
        "data:",
        "  a: " + "word " * 40 + "end",
        "  b: |",
        "    one",
        "    two",
        "kind: X",
        "list:",
        "- more:",
        "  - 1",
        "  name: a",
        "- {}",
    ]


def test_equal_parts_are_no_aliases() -> None:
    shared = {"a": [1]}
    assert b"*" not in yaml_text.dump({"x": shared, "y": shared})
