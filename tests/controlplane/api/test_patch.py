"""JSON patch and merge patch: 2.14, RFC 6902, RFC 7386."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.decoding import DEPTH_MAX
from controlplane.api.errors import ApiError
from controlplane.api.patch import (
    COPIED_BYTES_MAX,
    OPERATIONS_MAX,
    is_same,
    json_patch,
    merge_patch,
)
from controlplane.api.strategic import strategic_merge

Json = Any

# The appendix of RFC 6902, and what it says in words.
JSON_PATCHES: list[tuple[Json, list[Json], Json]] = [
    ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": [2]}], {"a": [1, [2]]}),
    ({"a": [1]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
    ({"a": 1}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
    ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
    ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1, 2]}),
    ({"a": {"b": 1}}, [{"op": "replace", "path": "/a/b", "value": 2}], {"a": {"b": 2}}),
    ({"a": [1]}, [{"op": "replace", "path": "/a/0", "value": 2}], {"a": [2]}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 1}}], {"b": 1}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}],
     {"a": {}, "c": {"d": 1}}),
    ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}],
     {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": {"x": [1, "2"]}}, [{"op": "test", "path": "/a", "value": {"x": [1.0, "2"]}}],
     {"a": {"x": [1, "2"]}}),
    ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"},
                            {"op": "replace", "path": "/m~0n", "value": 3}], {"m~n": 3}),
    ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
    # What an object lacks is null to Kubernetes, whatever RFC 6902 says (test_kubectl_peer.py).
    ({"a": 1}, [{"op": "test", "path": "/b", "value": None}], {"a": 1}),
    ({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
    ({"a": 1}, [{"op": "copy", "from": "/b", "path": "/c"}], {"a": 1, "c": None}),
    ({"a": 1}, [], {"a": 1}),
    ({"a": 1}, [{"op": "test", "path": "", "value": {"a": 1}}], {"a": 1}),
    ({"a": [1]}, [{"op": "test", "path": "/a/0", "value": 1}], {"a": [1]}),
    ({"a": 1, "b": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1, "b": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "operations", "expected"), JSON_PATCHES)
def test_a_json_patch_does_what_its_operations_say(
    obj: Json, operations: list[Json], expected: Json
) -> None:
    """2.14"""
    before = copy.deepcopy(obj)
    assert json_patch(obj, operations) == expected
    assert obj == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/x/y", "value": None},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": "/a/b"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/x/y", "value": 1},
        {"op": "replace", "path": "/l/2", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "add", "path": "/l/3", "value": 1},
        {"op": "add", "path": "/l/01", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/l/", "value": 1},
        {"op": "add", "path": "/l/" + 50 * "9", "value": 1},
        {"op": "remove", "path": "/l/2"},
        {"op": "remove", "path": "/l/-"},
        {"op": "remove", "path": "/l/-3"},
        {"op": "add", "path": "/x"},
        {"op": "add", "path": "x", "value": 1},
        {"op": "add", "value": 1},
        {"op": "add", "path": 1, "value": 1},
        {"op": "add", "path": "", "value": []},
        {"op": "add", "path": 300 * "/a", "value": 1},
        {"op": "move", "path": "/x"},
        {"op": "move", "from": "/m", "path": "/m/n/o"},
        {"op": "copy", "from": "/x/y", "path": "/y"},
        {"op": "copy", "from": "/l/2", "path": "/y"},
        {"op": "dance", "path": "/a"},
        {"path": "/a"},
        {"op": ["add"], "path": "/a"},
    ],
)
def test_a_json_patch_that_cannot_be_applied_is_422(operation: Json) -> None:
    """2.14: a failed test is 422, and so is whatever does not fit the object."""
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1, "l": [1, 2], "m": {"n": {}}}, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.message == (
        "the server rejected our request due to an error in our request"
    )


@pytest.mark.parametrize("patch", [{}, "text", None, 1, [1], [[]]])
def test_what_is_no_list_of_operations_is_400(patch: Json) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch({}, patch)
    assert caught.value.code == 400
    assert caught.value.message.startswith("json: cannot unmarshal")


def test_a_json_patch_has_at_most_ten_thousand_operations() -> None:
    operation = {"op": "test", "path": "/a", "value": 1}
    assert json_patch({"a": 1}, [operation] * 10_000) == {"a": 1}
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1}, [operation] * 10_001)
    assert caught.value.code == 413
    assert caught.value.message == (
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    )


def test_copies_of_copies_are_bounded() -> None:
    """Each doubles the object: without a bound 40 of them are more than any memory."""
    bomb = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(40)]
    with pytest.raises(ApiError) as caught:
        json_patch({"a": ["x" * 100]}, bomb)
    assert caught.value.code == 422


@pytest.mark.parametrize("path", ["/list/-", "/map/x"])
def test_what_operations_lay_out_anew_is_bounded(path: str) -> None:
    """Each makes the list anew: 10,000 times 100,000 elements would take a minute."""
    add = {"op": "add", "path": path, "value": 1}
    count = OPERATIONS_MAX // 10
    few: Json = {"list": [0] * 1_000, "map": dict.fromkeys(map(str, range(1_000)), 0)}
    json_patch(few, [add] * count)
    many: Json = {"list": [0] * 100_000, "map": dict.fromkeys(map(str, range(100_000)), 0)}
    json_patch(many, [add] * 10)
    with pytest.raises(ApiError) as caught:
        json_patch(many, [add] * count)
    assert caught.value.code == 422


def test_what_is_moved_is_bounded() -> None:
    """Whether it gets too deep is looked at each time."""
    there, back = (
        {"op": "move", "from": f"/{one}", "path": f"/{other}"} for one, other in ("ab", "ba")
    )
    small: Json = {"a": ["x" * 1_000]}
    assert json_patch(small, [there, back] * 100) == small
    with pytest.raises(ApiError) as caught:
        json_patch({"a": ["x"] * COPIED_BYTES_MAX}, [there, back])
    assert caught.value.code == 422


@pytest.mark.parametrize("merge", [merge_patch, lambda *told: strategic_merge(None, *told)])
def test_each_field_is_compared_once_however_deep_it_is(merge: Callable[..., Json]) -> None:
    compared = 0

    class Counted(int):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    obj: Json = {"end": 1}
    patch: Json = {"end": 2}
    for _ in range(DEPTH_MAX - 1):
        obj = {**{f"f{number}": Counted(number) for number in range(10)}, "x": obj}
        patch = {"x": patch}
    assert merge(obj, patch) != obj
    compared = 0
    merge(obj, patch)
    assert compared <= 10 * DEPTH_MAX


def test_moving_things_into_each_other_is_bounded() -> None:
    deeper = [{"op": "copy", "from": "/a", "path": "/a/a"} for _ in range(300)]
    with pytest.raises(ApiError) as caught:
        json_patch({"a": {}}, deeper)
    assert caught.value.code == 422


# The table in the appendix of RFC 7386, as far as objects are patched by objects.
MERGE_PATCHES: list[tuple[Json, Json, Json]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": "text"}, {"a": {"b": None}}, {"a": {}}),
    ({"a": 1}, {"a": True}, {"a": True}),
]


@pytest.mark.parametrize(("obj", "patch", "expected"), MERGE_PATCHES)
def test_a_merge_patch_is_laid_over_the_object(obj: Json, patch: Json, expected: Json) -> None:
    """2.14"""
    before = copy.deepcopy(obj)
    result = merge_patch(obj, patch)
    assert is_same(result, expected)
    assert obj == before


@pytest.mark.parametrize("patch", [[], "text", None, 1])
def test_a_merge_patch_must_be_an_object(patch: Json) -> None:
    with pytest.raises(ApiError) as caught:
        merge_patch({"a": 1}, patch)
    assert (caught.value.code, caught.value.message) == (400, "Invalid JSON Patch")


def test_what_a_merge_patch_leaves_alone_is_shared() -> None:
    obj = {"spec": {"a": 1}, "status": {"b": [1]}}
    assert merge_patch(obj, {"spec": {"a": 1}, "status": {"b": [1], "c": None}}) is obj
    assert merge_patch(obj, {"spec": {"a": 2}})["status"] is obj["status"]


trees = st.recursive(
    st.integers(0, 2) | st.booleans() | st.text("ab", max_size=1),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)
patches = st.dictionaries(st.sampled_from("abc"), trees | st.none(), max_size=3)


@given(objects, patches)
def test_a_merge_patch_applied_twice_changes_nothing_more(obj: Json, patch: Json) -> None:
    once = merge_patch(obj, patch)
    assert merge_patch(once, patch) is once


operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": st.sampled_from(["", "/a", "/a/b", "/a/0", "/b/-", "/b/1", "/c/a/b"]),
        "from": st.sampled_from(["/a", "/b/0", "/c/a"]),
        "value": trees,
    }
)


@given(objects, st.lists(operations, max_size=5))
def test_any_json_patch_gives_an_object_or_422_and_leaves_the_old_one(
    obj: Json, patch: Json
) -> None:
    before = copy.deepcopy(obj)
    try:
        result: Json = json_patch(obj, patch)
    except ApiError as error:
        result = {"code": error.code} if error.code == 422 else None
    assert isinstance(result, dict)
    assert is_same(obj, before)


def test_patches_as_deep_as_a_body_may_be_are_merged() -> None:
    deep: Json = {"end": 1}
    for _ in range(DEPTH_MAX - 1):
        deep = {"x": deep}
    assert merge_patch({}, deep) == deep
    assert merge_patch(deep, deep) is deep
    assert strategic_merge(None, {}, deep) == deep
    assert strategic_merge(None, deep, deep) is deep
    at_top = [{"op": "add", "path": "/a", "value": deep["x"]}]
    assert json_patch({}, at_top)["a"] is deep["x"]
    below = [{"op": "add", "path": "/a/b", "value": deep["x"]}]
    with pytest.raises(ApiError) as caught:
        json_patch({"a": {}}, below)
    assert caught.value.code == 422
