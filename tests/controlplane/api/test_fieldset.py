"""Sets of fields (FieldsV1), checked against plain sets of paths."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import fieldset
from controlplane.api.fieldset import Fields, Path

steps = st.sampled_from(["f:a", "f:b", 'k:{"name":"a"}', 'v:"x"'])
paths = st.sets(st.lists(steps, min_size=1, max_size=3).map(tuple), max_size=6)


def _made(chosen: set[Path]) -> Fields:
    """Path by path, from the definition of FieldsV1."""
    root: dict[str, Any] = {}
    for path in sorted(chosen, key=len):
        node = root
        for position, step in enumerate(path):
            # A member that gets something below it says that it is one.
            if not node and position:
                node["."] = {}
            node = node.setdefault(step, {})
    for path in chosen:
        node = root
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    for path in list(_all(root)):
        if path not in chosen:
            _at(root, path).pop(".", None)
    return root


def _all(node: Fields, path: Path = ()) -> Any:
    for step, child in node.items():
        if step != ".":
            yield (*path, step)
            yield from _all(child, (*path, step))


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node


def _members(fields: Fields) -> set[Path]:
    return set(fieldset.members(fields))


@given(paths)
def test_members_are_what_a_set_was_made_of(chosen: set[Path]) -> None:
    assert _members(_made(chosen)) == chosen


@given(paths, paths)
def test_sets_of_fields_are_sets(one: set[Path], other: set[Path]) -> None:
    left, right = _made(one), _made(other)
    before = json.dumps([left, right])
    assert fieldset.union(left, right) == _made(one | other)
    assert fieldset.difference(left, right) == _made(one - other)
    assert fieldset.intersection(left, right) == _made(one & other)
    assert json.dumps([left, right]) == before


def test_a_child_with_children_is_a_member_if_it_says_so() -> None:
    fields: Fields = {"f:labels": {".": {}, "f:app": {}}, "f:spec": {"f:replicas": {}}}
    assert list(fieldset.members(fields)) == [
        ("f:labels",),
        ("f:labels", "f:app"),
        ("f:spec", "f:replicas"),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:c", 'k:{"name":"a"}', "f:image"), '.c[name="a"].image'),
        (("f:p", 'k:{"containerPort":80,"protocol":"TCP"}'), '.p[containerPort=80,protocol="TCP"]'),
        (("f:finalizers", 'v:"x/y"'), '.finalizers[="x/y"]'),
        (("f:args", "i:3"), ".args[3]"),
        (("f:c", "k:not json"), ".c[not json]"),
        (("f:c", "k:[1]"), ".c[[1]]"),
    ],
)
def test_a_path_is_spelled_as_in_messages(path: Path, text: str) -> None:
    assert fieldset.text_of(path) == text


def test_keys_are_sorted_and_values_are_json() -> None:
    assert fieldset.step_of_keys({"protocol": "TCP", "port": 80}) == (
        'k:{"port":80,"protocol":"TCP"}'
    )
    assert fieldset.step_of_value('a"b') == 'v:"a\\"b"'
    assert fieldset.step_of_value(True) == "v:true"


@pytest.mark.parametrize(
    ("fields", "is_valid"),
    [
        ({}, True),
        ({"f:a": {".": {}, 'k:{"a":1}': {}}}, True),
        ({"f:a": 1}, False),
        ({"a": {}}, False),
        ({".": {"f:a": {}}}, False),
        ({".": 1}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_tree_from_outside_is_checked(fields: object, is_valid: bool) -> None:
    assert fieldset.is_valid(fields) is is_valid
