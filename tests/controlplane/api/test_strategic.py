"""Strategic merge patch: 2.14 and what kubectl sends (kubectl-needs.md, section 3)."""

from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.strategic import strategic_merge
from tests.controlplane.api.small_schemas import schema

Json = Any
POD_SPEC = schema("PodSpec")
META = schema("ObjectMeta")
DEPLOYMENT = schema("Deployment")


def _containers(*names: str, image: str = "i") -> Json:
    return [{"name": name, "image": image} for name in names]


def _names(obj: Json, field: str = "containers") -> list[str]:
    return [item["name"] for item in obj[field]]


def test_elements_of_a_list_are_merged_by_their_key() -> None:
    """2.14: containers=name, env=name."""
    live = {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}]}
    patch = {"containers": [{"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}]}
    (container,) = strategic_merge(POD_SPEC, live, patch)["containers"]
    assert container["image"] == "2"
    assert {one["name"]: one["value"] for one in container["env"]} == {"X": "1", "Y": "2"}


def test_an_element_with_a_new_key_is_added_in_front() -> None:
    """As in the documentation's example of `kubectl patch` with a second container."""
    live = {"containers": _containers("a")}
    assert _names(strategic_merge(POD_SPEC, live, {"containers": _containers("b")})) == ["b", "a"]


def test_ports_merge_by_their_number() -> None:
    """2.14: container ports=containerPort."""
    live = {"ports": [{"containerPort": 80}, {"containerPort": 81}]}
    patch = {"ports": [{"containerPort": 80, "name": "web"}]}
    assert strategic_merge(schema("Container"), live, patch)["ports"] == [
        {"containerPort": 80, "name": "web"},
        {"containerPort": 81},
    ]


def test_null_removes_a_field_and_is_never_stored() -> None:
    live = {"restartPolicy": "Never", "nodeSelector": {"a": "b", "c": "d"}}
    patch = {"restartPolicy": None, "nodeSelector": {"a": None}, "volumes": None}
    assert strategic_merge(POD_SPEC, live, patch) == {"nodeSelector": {"c": "d"}}
    fresh = strategic_merge(POD_SPEC, {}, {"containers": [{"name": "a", "image": None}]})
    assert fresh == {"containers": [{"name": "a"}]}


def test_an_element_is_deleted_by_its_directive() -> None:
    """2.14: $patch: delete."""
    live = {"containers": _containers("a", "b")}
    patch = {"containers": [{"name": "a", "$patch": "delete"}]}
    assert _names(strategic_merge(POD_SPEC, live, patch)) == ["b"]
    assert strategic_merge(POD_SPEC, {}, patch) == {"containers": []}


class Counted(str):
    """A name that counts how often one is compared with another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def test_deleting_many_elements_takes_time_in_proportion_to_their_number() -> None:
    live = {"containers": [{"name": Counted(f"c{number}")} for number in range(500)]}
    gone = [{"name": f"c{number}", "$patch": "delete"} for number in range(1, 900)]
    Counted.times = 0
    assert _names(strategic_merge(POD_SPEC, live, {"containers": gone})) == ["c0"]
    assert Counted.times < 5_000


def test_deleting_many_of_a_set_takes_time_in_proportion_to_their_number() -> None:
    live = {"finalizers": [Counted(f"x/f{number}") for number in range(500)]}
    gone = [f"x/f{number}" for number in range(1, 900)]
    Counted.times = 0
    deleted = strategic_merge(META, live, {"$deleteFromPrimitiveList/finalizers": [{}, *gone]})
    assert deleted["finalizers"] == ["x/f0"]
    assert Counted.times < 5_000


def test_retaining_many_keys_takes_time_in_proportion_to_their_number() -> None:
    live = {"nodeSelector": {Counted(f"k{number}"): "" for number in range(500)}}
    kept = [f"k{number}" for number in range(1, 900)]
    Counted.times = 0
    left = strategic_merge(POD_SPEC, live, {"nodeSelector": {"$retainKeys": [{}, *kept]}})
    assert left["nodeSelector"].keys() == {f"k{number}" for number in range(1, 500)}
    assert Counted.times < 5_000


def test_a_list_is_replaced_by_its_directive() -> None:
    """2.14: $patch: replace."""
    live = {"containers": _containers("a", "b")}
    patch = {"containers": [{"$patch": "replace"}, *_containers("c")]}
    assert _names(strategic_merge(POD_SPEC, live, patch)) == ["c"]


def test_a_map_is_replaced_or_emptied_by_its_directive() -> None:
    live = {"nodeSelector": {"a": "b"}}
    replace = {"nodeSelector": {"$patch": "replace", "c": "d", "e": None}}
    assert strategic_merge(POD_SPEC, live, replace) == {"nodeSelector": {"c": "d"}}
    delete = {"nodeSelector": {"$patch": "delete"}}
    assert strategic_merge(POD_SPEC, live, delete) == {"nodeSelector": {}}


def test_an_atomic_list_is_replaced() -> None:
    """2.14: tolerations: atomic."""
    live = {"tolerations": [{"key": "a"}, {"key": "b"}]}
    patch = {"tolerations": [{"key": "c"}]}
    assert strategic_merge(POD_SPEC, live, patch) == patch


def test_the_order_of_elements_is_set() -> None:
    """What `kubectl set image` sends; unnamed ones keep their place among the live ones."""
    live = {"containers": _containers("a", "b", "c")}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [{"name": "a", "image": "new"}],
    }
    merged = strategic_merge(POD_SPEC, live, patch)
    assert [(one["name"], one["image"]) for one in merged["containers"]] == [
        ("b", "i"),
        ("c", "i"),
        ("a", "new"),
    ]
    assert set(merged) == {"containers"}


def test_the_order_alone_moves_elements() -> None:
    live = {"containers": _containers("a", "b")}
    patch = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    assert _names(strategic_merge(POD_SPEC, live, patch)) == ["b", "a"]
    assert strategic_merge(POD_SPEC, {}, patch) == {}


def test_new_elements_take_the_places_of_those_that_the_same_patch_deletes() -> None:
    """As kubectl does it, which `test_kubectl_peer` met: only then `b` stands before `d`."""
    live = {"containers": _containers("c", "b", "a")}
    order = {"$setElementOrder/containers": [{"name": "c"}, {"name": "d"}]}
    new = [{"name": "c"}, {"name": "d"}]
    assert _names(strategic_merge(POD_SPEC, live, {**order, "containers": new})) == list("cdba")
    gone = {"name": "a", "$patch": "delete"}
    patch = {**order, "containers": [*new, gone]}
    assert _names(strategic_merge(POD_SPEC, live, patch)) == list("cbd")


def test_patched_elements_must_come_in_the_order_that_is_set() -> None:
    patch = {
        "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        "containers": _containers("b", "a"),
    }
    with pytest.raises(ApiError, match="The order in patch list") as caught:
        strategic_merge(POD_SPEC, {"containers": _containers("a", "b")}, patch)
    assert caught.value.code == 400


def test_finalizers_are_a_set() -> None:
    """2.14: finalizers: set merge, $deleteFromPrimitiveList."""
    live = {"finalizers": ["a", "b"]}
    assert strategic_merge(META, live, {"finalizers": ["c", "a"]})["finalizers"] == ["c", "a", "b"]
    patch = {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}
    assert strategic_merge(META, live, patch) == {"finalizers": ["b"]}
    both = {**patch, "finalizers": ["d"], "$setElementOrder/finalizers": ["d", "b"]}
    assert strategic_merge(META, live, both) == {"finalizers": ["d", "b"]}
    assert strategic_merge(META, {}, patch) == {}


def test_null_and_other_types_win_over_instructions_beside_them() -> None:
    order = {"$setElementOrder/finalizers": ["a"]}
    live = {"finalizers": ["a"]}
    assert strategic_merge(META, live, {**order, "finalizers": None}) == {}
    assert strategic_merge(META, live, {**order, "finalizers": "x"}) == {"finalizers": "x"}
    assert strategic_merge(META, {}, {"labels": {"$patch": "delete"}}) == {}


def test_retained_keys_are_all_that_is_left() -> None:
    """What `kubectl apply` sends for a change of a volume's source or of the strategy."""
    live = {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}, {"name": "w"}]}
    patch = {
        "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]
    }
    assert strategic_merge(POD_SPEC, live, patch)["volumes"] == [
        {"name": "v", "configMap": {"name": "c"}},
        {"name": "w"},
    ]
    strategy = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    recreate = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic_merge(DEPLOYMENT, strategy, recreate) == {
        "spec": {"strategy": {"type": "Recreate"}}
    }


def test_a_patch_may_set_only_retained_keys() -> None:
    patch = {"$retainKeys": ["type"], "type": "a", "rollingUpdate": {}}
    with pytest.raises(ApiError, match="invalid patch format of retainKeys") as caught:
        strategic_merge(None, {}, patch)
    assert caught.value.code == 400


def test_instructions_are_never_stored() -> None:
    patch = {
        "$unknown": 1,
        "metadata": {"$x": 1, "labels": {"$y": "z", "a": "b"}},
        "spec": {
            "template": {
                "spec": {
                    "tolerations": [{"key": "k", "$patch": "merge", "$z": 1}],
                    "containers": [{"name": "a", "$setElementOrder/env": [{"name": "X"}]}],
                }
            }
        },
    }
    assert strategic_merge(DEPLOYMENT, {}, patch) == {
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "template": {"spec": {"tolerations": [{"key": "k"}], "containers": [{"name": "a"}]}}
        },
    }


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        ([], 400, "invalid JSON document"),
        (None, 400, "invalid JSON document"),
        (
            {"containers": [{"image": "x"}]},
            400,
            'map: {"image":"x"} does not contain declared merge key: name',
        ),
        ({"containers": [{"name": {}}]}, 400, "does not contain declared merge key: name"),
        ({"containers": [{"$patch": "delete"}]}, 400, "does not contain declared merge key: name"),
        ({"containers": [{"name": "a", "$patch": "x"}]}, 400, "unknown patch type: x in map"),
        ({"containers": [{"name": "a", "$patch": "merge"}]}, 400, "merging lists cannot yet be"),
        ({"containers": ["a", {"name": "a"}]}, 400, "list element types are not identical"),
        ({"containers": ["a"]}, 400, "list element types are not identical"),
        ({"containers": [["a"]]}, 422, "the server rejected our request"),
        ({"containers": [None]}, 400, "list element types are not identical"),
        ({"nodeSelector": {"$patch": []}}, 400, "unknown patch type"),
        ({"$setElementOrder/containers": {}}, 400, "invalid patch format of setElementOrder list"),
        ({"$setElementOrder/containers": ["a"]}, 400, "does not contain declared merge key"),
        ({"$retainKeys": "containers"}, 400, "invalid patch format of retainKeys"),
    ],
)
def test_a_patch_without_sense_is_refused(patch: Json, code: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        strategic_merge(POD_SPEC, {"containers": _containers("a"), "nodeSelector": {}}, patch)
    assert caught.value.code == code
    assert message in caught.value.message


@pytest.mark.parametrize("instruction", ["nonsense", "n" * 100_000, ["n" * 100_000]])
def test_what_is_told_of_a_patch_is_short(instruction: Json) -> None:
    for patch in (
        {"nodeSelector": {"$patch": instruction, "a": "v" * 100_000}},
        {"containers": [{"image": "v" * 100_000}]},
    ):
        with pytest.raises(ApiError) as caught:
            strategic_merge(POD_SPEC, {"containers": _containers("a"), "nodeSelector": {}}, patch)
        assert len(caught.value.message) < 3_000


@pytest.mark.parametrize(
    "patch",
    [
        {"$setElementOrder/finalizers": [{}]},
        {"$setElementOrder/finalizers": 1},
        {"$deleteFromPrimitiveList/finalizers": {}},
        {"finalizers": ["a", ["b"]]},
        {"finalizers": ["a", {"b": 1}]},
    ],
)
def test_instructions_for_a_set_are_checked(patch: Json) -> None:
    with pytest.raises(ApiError) as caught:
        strategic_merge(META, {"finalizers": ["a"]}, patch)
    assert caught.value.code in (400, 422)


def test_another_type_takes_the_place_of_what_was() -> None:
    """Whether it may is for validation to say."""
    live = {"containers": {"a": 1}, "nodeSelector": ["x"]}
    patch = {"containers": _containers("b"), "nodeSelector": {"a": "b"}}
    assert strategic_merge(POD_SPEC, live, patch) == patch
    assert strategic_merge(POD_SPEC, patch, {"containers": 7})["containers"] == 7


def test_a_patch_that_changes_nothing_gives_the_same_object() -> None:
    live = {"containers": _containers("a", "b"), "nodeSelector": {"x": "y"}}
    same = {
        "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        "containers": [{"name": "b", "image": "i"}],
        "nodeSelector": {"x": "y", "gone": None},
        "restartPolicy": None,
    }
    assert strategic_merge(POD_SPEC, live, same) is live


def test_what_a_patch_leaves_alone_is_shared() -> None:
    live = {"containers": _containers("a", "b"), "nodeSelector": {"x": "y"}}
    merged = strategic_merge(POD_SPEC, live, {"containers": [{"name": "a", "image": "2"}]})
    assert merged["nodeSelector"] is live["nodeSelector"]
    assert merged["containers"][1] is live["containers"][1]
    assert _names(live) == ["a", "b"]
