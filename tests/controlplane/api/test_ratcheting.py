"""Custom resources whose schema became stricter: what is as wrong as before stays (11.7)."""

from typing import Any

import pytest

from controlplane.api import meta, preparation
from controlplane.api.customresources import resources_of
from controlplane.api.errors import CAUSES_MAX, ApiError
from controlplane.api.resource import Resource
from tests.controlplane.api.served import CRONTABS

SHORT = {"type": "string", "maxLength": 3}
PAIR = {
    "type": "object",
    "required": ["name", "size"],
    "properties": {"name": {"type": "string"}, "size": {"type": "integer", "maximum": 5}},
}


def listed(items: Any, list_type: str | None = None, *keys: str) -> dict[str, Any]:
    told = {"type": "array", "items": items}
    if list_type:
        told["x-kubernetes-list-type"] = list_type
    if keys:
        told["x-kubernetes-list-map-keys"] = list(keys)
    return told


STRICT = {
    "one": SHORT,
    "other": SHORT,
    "pair": PAIR,
    "names": {"type": "object", "additionalProperties": SHORT},
    "places": listed(SHORT),
    "whole": listed(SHORT, "atomic"),
    "tags": listed(SHORT, "set"),
    "keyed": listed(PAIR, "map", "name"),
    "either": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}],
    },
}


def kind(**properties: Any) -> Resource:
    spec = {"type": "object", "required": ["one"], "properties": properties}
    root = {"spec": spec, "status": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    version = CRONTABS["spec"]["versions"][0] | {
        "schema": {"openAPIV3Schema": {"type": "object", "properties": root}},
        "additionalPrinterColumns": [],
        "selectableFields": [],
    }
    [made] = resources_of({**CRONTABS, "spec": CRONTABS["spec"] | {"versions": [version]}})
    return made


def stored(**spec: Any) -> dict[str, Any]:
    """As it was made when everything was allowed."""
    metadata = {"name": "a", "namespace": "ns", "uid": "u", "finalizers": ["example.com/f"]}
    head = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
    return {**head, "metadata": metadata | {"creationTimestamp": "2024-01-01T00:00:00Z"}} | {
        "spec": spec
    }


def faults(new: Any, old: Any, *, subresource: str = "", **properties: Any) -> list[str]:
    """Fields of all that is wrong with an update under the strict schema."""
    made = kind(**(properties or STRICT))
    new = meta.prepare_update(made, preparation.defaulted(made, new), old, subresource=subresource)
    try:
        preparation.require_valid(made, new, old, subresource=subresource)
    except ApiError as error:
        return [cause.field for cause in error.causes]
    return []


def changed(old: dict[str, Any], **spec: Any) -> list[str]:
    return faults({**old, "spec": {**old["spec"], **spec}}, old)


def test_metadata_changes_while_the_rest_stays_as_wrong_as_it_was() -> None:
    """A finalizer can be taken away, or the object would never go."""
    old = stored(one="long", keyed=[{"name": "x", "size": 6}], either={})
    bare = {name: value for name, value in old["metadata"].items() if name != "finalizers"}
    assert faults({**old, "metadata": bare}, old) == []
    unsaid = stored()  # `one` is required now
    assert faults({**unsaid, "metadata": bare}, unsaid) == []
    many = stored(one="a", places=["long"] * CAUSES_MAX)
    assert faults({**many, "metadata": bare}, many) == []


def test_metadata_itself_is_judged() -> None:
    old = stored(one="long")
    labels = {**old, "metadata": {**old["metadata"], "labels": {"a b": "c"}}}
    assert faults(labels, old) == ["metadata.labels"]
    owned = {**old, "metadata": {**old["metadata"], "ownerReferences": [{"uid": 5}]}}
    assert "metadata.ownerReferences[0].uid" in faults(owned, old)


def test_a_status_is_written_while_the_spec_stays_as_wrong_as_it_was() -> None:
    old = stored(one="long", either={})
    assert faults({**old, "status": {"n": 1}}, old, subresource="status") == []
    assert faults({**old, "status": {"n": "x"}}, old, subresource="status") == ["status.n"]


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        # Fields, by name.
        ({"one": "long", "other": "x"}, {"other": "y"}, []),
        ({"one": "long", "other": "x"}, {"other": "also long"}, ["spec.other"]),
        ({"one": "long"}, {"one": "longer"}, ["spec.one"]),
        ({"one": "a", "pair": {"name": "x"}}, {"one": "b"}, []),
        (
            {"one": "a", "pair": {"name": "x", "size": 5}},
            {"pair": {"name": "x"}},
            ["spec.pair.size"],
        ),
        ({"one": "a", "pair": {"name": "x"}}, {"pair": {"name": "y"}}, ["spec.pair.size"]),
        ({"one": "a", "names": {"a.b": "long"}}, {"names": {"a.b": "long", "c": "x"}}, []),
        (
            {"one": "a", "names": {"a.b": "long"}},
            {"names": {"a.b": "long", "a": "long"}},
            ["spec.names.a"],
        ),
        # No elements: the list is one value.
        ({"one": "a", "places": ["long", "x"]}, {"places": ["long", "y"]}, ["spec.places[0]"]),
        ({"one": "a", "places": ["x"]}, {"places": ["x", "long"]}, ["spec.places[1]"]),
        ({"one": "a", "places": ["long", "x"]}, {"one": "b"}, []),
        ({"one": "a", "whole": ["long", "x"]}, {"whole": ["long", "y"]}, ["spec.whole[0]"]),
        ({"one": "a", "whole": ["long", "x"]}, {"one": "b"}, []),
        ({"one": "a", "tags": ["long", "x"]}, {"tags": ["long"]}, ["spec.tags[0]"]),
        ({"one": "a", "tags": ["long", "x"]}, {"one": "b"}, []),
        # By keys.
        (
            {"one": "a", "keyed": [{"name": "x", "size": 6}, {"name": "y", "size": 1}]},
            {"keyed": [{"name": "y", "size": 2}, {"name": "x", "size": 6}]},
            [],
        ),
        (
            {"one": "a", "keyed": [{"name": "x", "size": 6}]},
            {"keyed": [{"name": "z", "size": 6}, {"name": "x", "size": 7}]},
            ["spec.keyed[0].size", "spec.keyed[1].size"],
        ),
        # The whole.
        ({"one": "a", "either": {"b": "x"}}, {"one": "b"}, []),
        (
            {"one": "a", "either": {"b": "x"}},
            {"either": {"b": "y"}},
            ["spec.either", "spec.either.a"],
        ),
    ],
)
def test_what_is_new_is_judged_and_what_was_there_is_not(
    before: dict[str, Any], change: dict[str, Any], expected: list[str]
) -> None:
    assert changed(stored(**before), **change) == expected


def test_more_faults_than_are_told_stay_too_and_hide_nothing() -> None:
    many = stored(one="a", places=["long"] * CAUSES_MAX, other="x")
    assert changed(many, other="y") == []
    assert changed(many, other="also long") == ["spec.other"]
    assert faults({**many, "status": {"n": 1}}, many, subresource="status") == []
    fresh = {f"n{number}": "long" for number in range(CAUSES_MAX + 1)}
    assert len(changed(many, names=fresh)) == CAUSES_MAX


def test_a_field_with_a_dot_is_not_taken_for_one_below_another() -> None:
    """A cause tells a path as text: `a.b` is a field of `a`, or a field of that name."""
    names = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": SHORT}}, "a.b": SHORT},
        "required": ["a.b"],
    }
    old = stored(one="x", names={"a": {"b": "long"}, "a.b": "x"})
    for told in ({"a": {"b": "long"}, "a.b": "also long"}, {"a": {"b": "long"}}):
        assert faults(stored(one="x", names=told), old, one=SHORT, names=names) == [
            "spec.names.a.b"
        ]


def test_an_embedded_object_says_what_it_is_wherever_it_is_new() -> None:
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": PAIR},
    }
    wrong = {"apiVersion": "v1", "metadata": {"labels": 5}, "spec": {"name": "x", "size": 6}}
    old = stored(one="x", pod=wrong)
    assert faults(stored(one="y", pod=wrong), old, one=SHORT, pod=embedded) == []
    anew = stored(one="x", pod={**wrong, "kind": "", "apiVersion": "v2"})
    assert faults(anew, old, one=SHORT, pod=embedded) == [
        "spec.pod.metadata.labels",
        "spec.pod.kind",
    ]


def test_an_element_that_is_there_twice_is_new_though_it_is_as_the_first() -> None:
    pair = {"name": "x", "size": 1}
    once = stored(one="a", keyed=[pair])
    assert changed(once, keyed=[pair, pair]) == ["spec.keyed[1]"]
    fresh = {"name": "y", "size": 1}
    assert changed(once, keyed=[pair, fresh, fresh]) == ["spec.keyed[2]"]


def test_who_has_something_twice_may_have_it_less_often_and_change_the_rest() -> None:
    """As in Kubernetes: what was twice anywhere in the object may be so everywhere."""
    tags = stored(one="a", tags=["a", "a", "a"])
    assert changed(tags, one="b") == []
    assert changed(tags, tags=["a", "a"]) == []
    assert changed(tags, tags=["b", "a", "a"], keyed=[{"name": "x", "size": 1}] * 2) == []
    pair = {"name": "x", "size": 1}
    keyed = stored(one="a", keyed=[pair, pair, {"name": "y", "size": 1}])
    assert changed(keyed, keyed=[pair, pair, {"name": "y", "size": 2}]) == []
    assert changed(keyed, keyed=[pair, pair, {"name": "y", "size": 6}]) == ["spec.keyed[2].size"]


def test_of_elements_that_had_the_same_keys_the_first_one_stays() -> None:
    first, second = {"name": "x", "size": 6}, {"name": "x", "size": 7}
    old = stored(one="a", keyed=[first, second])
    assert changed(old, keyed=[first]) == []
    assert changed(old, keyed=[second]) == ["spec.keyed[0].size"]


def test_1_and_true_are_two_values() -> None:
    integer = {"type": "integer", "minimum": 5}
    assert faults(stored(one=True), stored(one=1), one=integer) == ["spec.one"]


def test_a_new_object_is_judged_as_a_whole() -> None:
    made = kind(**STRICT)
    with pytest.raises(ApiError) as caught:
        preparation.require_valid(made, stored(one="long"))
    assert [cause.field for cause in caught.value.causes] == ["spec.one"]
