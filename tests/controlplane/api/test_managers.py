"""managedFields of writes that are no apply, and of custom resources: 2.15."""

from typing import Any

import pytest

from controlplane.api import merging
from controlplane.api.apply import apply, record_update
from controlplane.api.errors import ApiError
from controlplane.api.resource import Resource
from controlplane.api.schema import Schema
from controlplane.api.shapes import Form, Shape, shape_of
from tests.controlplane.api.small_schemas import DEPLOYMENTS

Json = Any
NOW = 1_700_000_000.0


def _deployment(**spec: object) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "u", "labels": {"app": "web"}},
        "spec": spec,
    }


def _update(old: Json, new: Json, manager: str, *, second: int = 0, subresource: str = "") -> Any:
    return record_update(
        DEPLOYMENTS, old, new, manager=manager, now=NOW + second, subresource=subresource
    )


def _entries(obj: Json) -> Json:
    return obj["metadata"].get("managedFields", [])


def _set(obj: Json, **spec: object) -> Json:
    return obj | {"spec": obj["spec"] | spec}


def test_a_create_is_an_update_of_all_that_it_says() -> None:
    """2.15: operation Update; what an object always has, such as spec, is nobody's."""
    template = {"spec": {"containers": [{"name": "a", "resources": {}}]}}
    obj = _deployment(replicas=1, template=template, strategy={"rollingUpdate": {"maxSurge": 1}})
    created = _update(None, obj | {"status": {}}, "kubectl-create")
    assert _entries(created) == [
        {
            "manager": "kubectl-create",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": "2023-11-14T22:13:20Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
                    "f:template": {
                        "f:spec": {
                            "f:containers": {
                                'k:{"name":"a"}': {".": {}, "f:name": {}, "f:resources": {}}
                            }
                        }
                    },
                },
            },
        }
    ]


def test_a_write_takes_what_it_changes_and_no_more() -> None:
    """2.15"""
    first = _update(None, _deployment(replicas=1, paused=False), "one")
    second = _update(first, _set(first, replicas=2), "two", second=60)
    one, two = _entries(second)
    assert one["fieldsV1"]["f:spec"] == {"f:paused": {}}
    assert two["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert (one["time"], two["time"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")


def test_what_is_gone_has_no_owner() -> None:
    first = _update(None, _deployment(replicas=1, paused=False), "one")
    left = _update(first, first | {"spec": {"paused": False}}, "two", second=60)
    (one,) = _entries(left)
    assert one["fieldsV1"]["f:spec"] == {"f:paused": {}}
    assert one["time"] == "2023-11-14T22:13:20Z"


def test_a_write_that_changes_nothing_leaves_managed_fields_alone() -> None:
    """2.2: a no-op update is no write."""
    first = _update(None, _deployment(replicas=1), "one")
    assert _update(first, _set(first), "two", second=60) == first
    bare = {name: value for name, value in first["metadata"].items() if name != "managedFields"}
    again = _update(first, first | {"metadata": bare}, "two", second=60)
    assert again == first
    assert _entries(again) is _entries(first)


def test_an_update_takes_a_field_from_its_applier() -> None:
    """… who then gets a conflict."""
    applied = _deployment(replicas=1)
    live = apply(DEPLOYMENTS, None, applied, manager="me", force=False, now=NOW)
    scaled = _update(live, _set(live, replicas=5), "hpa", subresource="scale")
    assert [(entry["manager"], entry.get("subresource")) for entry in _entries(scaled)] == [
        ("me", None),
        ("hpa", "scale"),
    ]
    with pytest.raises(ApiError) as caught:
        apply(DEPLOYMENTS, scaled, applied, manager="me", force=False, now=NOW)
    assert caught.value.message.endswith(
        'conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas'
    )


def test_a_status_write_owns_status_only() -> None:
    first = _update(None, _deployment(replicas=1), "one")
    status = first | {"status": {"replicas": 1}}
    written = _update(first, status, "controller", second=60, subresource="status")
    assert _entries(written)[1]["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert _entries(written)[1]["subresource"] == "status"


def test_ten_updaters_are_kept_and_the_oldest_become_ancient_changes() -> None:
    """2.15: > 10 Update entries are merged into one."""
    live = _update(None, _deployment(replicas=0), "m0")
    for number in range(1, 10):
        labels = live["metadata"]["labels"] | {f"l{number}": "x"}
        new = live | {"metadata": live["metadata"] | {"labels": labels}}
        live = _update(live, new, f"m{number}", second=number)
    names = [entry["manager"] for entry in _entries(live)]
    assert names == [f"m{number}" for number in range(10)]
    eleventh = _update(live, _set(live, paused=True), "m10", second=10)
    names = [entry["manager"] for entry in _entries(eleventh)]
    assert names == ["ancient-changes", *(f"m{number}" for number in range(2, 11))]
    ancient = _entries(eleventh)[0]
    assert ancient["time"] == "2023-11-14T22:13:21Z"
    assert ancient["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:l1": {}}},
        "f:spec": {"f:replicas": {}},
    }
    twelfth = _update(eleventh, _set(eleventh, replicas=3), "m11", second=11)
    assert len(_entries(twelfth)) == 10
    assert _entries(twelfth)[0]["fieldsV1"]["f:metadata"]["f:labels"]["f:l2"] == {}


def test_appliers_are_never_put_together() -> None:
    live = apply(DEPLOYMENTS, None, _deployment(), manager="a0", force=False, now=NOW)
    for number in range(1, 15):
        live = apply(
            DEPLOYMENTS, live, _deployment(replicas=1), manager=f"a{number}", force=False, now=NOW
        )
    assert len(_entries(live)) == 15


def test_managed_fields_are_cleared_by_an_empty_entry() -> None:
    """2.15: `managedFields: [{}]` clears, and nothing is recorded from then on."""
    first = _update(None, _deployment(replicas=1), "one")
    reset = first | {"metadata": first["metadata"] | {"managedFields": [{}]}}
    cleared = _update(first, _set(reset, replicas=2), "two")
    assert "managedFields" not in cleared["metadata"]
    assert "managedFields" not in _update(cleared, _set(cleared, replicas=3), "two")["metadata"]


def test_users_may_write_managed_fields() -> None:
    """As `kubectl apply --server-side` does when it takes over from client-side apply."""
    first = _update(None, _deployment(replicas=1), "kubectl-client-side-apply")
    (entry,) = _entries(first)
    moved = [entry | {"manager": "kubectl", "operation": "Apply"}]
    new = first | {"metadata": first["metadata"] | {"managedFields": moved}}
    assert _entries(_update(first, new, "kubectl")) == moved
    through = _update(first, new, "kubectl", subresource="status")
    assert _entries(through) == _entries(first)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        {},
        "text",
        [1],
        [{"manager": "x"}],
        [{"manager": "x", "operation": "Dance", "fieldsV1": {}}],
        [{"manager": 1, "operation": "Update", "fieldsV1": {}}],
        [{"manager": "x", "operation": "Update", "fieldsType": "FieldsV2", "fieldsV1": {}}],
        [{"manager": "x", "operation": "Update", "fieldsV1": {"spec": {}}}],
        [{"manager": "x", "operation": "Update", "fieldsV1": []}, {}],
    ],
)
def test_managed_fields_without_sense_are_those_that_were(entries: Json) -> None:
    first = _update(None, _deployment(replicas=1), "one")
    new = first | {"metadata": first["metadata"] | {"managedFields": entries}}
    assert _entries(_update(first, new, "two")) == _entries(first)


def test_null_in_a_created_object_belongs_to_nobody() -> None:
    obj = _deployment(replicas=1, paused=None)
    obj["metadata"] |= {"creationTimestamp": None}
    (entry,) = _entries(_update(None, obj, "one"))
    assert entry["fieldsV1"]["f:spec"] == {"f:replicas": {}}


def test_null_that_takes_a_value_away_is_a_removal() -> None:
    first = _update(None, _deployment(replicas=1, paused=None), "one")
    gone = _update(first, _set(first, replicas=None, paused=True), "two", second=60)
    one, two = _entries(gone)
    assert "f:spec" not in one["fieldsV1"]
    assert two["fieldsV1"] == {"f:spec": {"f:paused": {}}}


def test_old_types_say_only_by_patch_strategy_that_a_list_is_merged() -> None:
    merged = {"type": "array", "x-kubernetes-patch-strategy": "merge"}
    by_key = Shape(Schema(merged | {"x-kubernetes-patch-merge-key": "name"}, {}))
    assert (by_key.form, by_key.step({"name": "a"})) == (Form.LIST_MAP, 'k:{"name":"a"}')
    assert Shape(Schema(merged, {})).form is Form.SET
    assert by_key.step({"name": {}}) is None


def test_elements_with_the_same_key_all_stay() -> None:
    """Kubernetes warns of doubled environment variables and keeps them."""
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B", "value": "1"}]
    container = {"name": "a", "env": env}
    live = _update(None, _deployment(template={"spec": {"containers": [container]}}), "one")
    more = {"name": "a", "env": [{"name": "C", "value": "1"}]}
    applied = _deployment(template={"spec": {"containers": [more]}})
    both = apply(DEPLOYMENTS, live, applied, manager="me", force=False, now=NOW)
    (container,) = both["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [*env, {"name": "C", "value": "1"}]
    applied = _deployment(template={"spec": {"containers": [{"name": "a"}]}})
    left = apply(DEPLOYMENTS, both, applied, manager="me", force=False, now=NOW)
    (container,) = left["spec"]["template"]["spec"]["containers"]
    assert container["env"] == env


WIDGETS = Resource(
    group="example.com",
    version="v1",
    kind="Widget",
    plural="widgets",
    singular="widget",
    is_namespaced=True,
    is_custom=True,
    schema=Schema(
        {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": {
                    "type": "object",
                    "properties": {
                        "size": {"type": "integer"},
                        "nothing": {"type": "string", "nullable": True},
                        "parts": {
                            "type": "array",
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["id"],
                            "items": {
                                "type": "object",
                                "properties": {
                                    "id": {"type": "integer"},
                                    "color": {"type": "string"},
                                },
                            },
                        },
                        "free": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        },
                        "pod": {
                            "type": "object",
                            "x-kubernetes-embedded-resource": True,
                            "x-kubernetes-preserve-unknown-fields": True,
                        },
                    },
                },
            },
        },
        {},
    ),
)


def _widget(**spec: object) -> Json:
    meta = {"name": "w", "labels": {"a": "b"}}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": meta, "spec": spec}


def _apply_widget(live: Json, applied: Json, manager: str = "me", *, force: bool = False) -> Any:
    return apply(WIDGETS, live, applied, manager=manager, force=force, now=NOW)


def test_custom_resources_follow_their_own_schema() -> None:
    """2.15: x-kubernetes-list-map-keys; metadata is that of every object."""
    free = {"x": {"y": [1, 2]}, "z": None}
    obj = _widget(size=1, parts=[{"id": 1, "color": "red"}], free=free, nothing=None)
    live = _apply_widget(None, obj)
    assert live["spec"]["free"] == {"x": {"y": [1, 2]}}
    assert live["spec"]["nothing"] is None
    (entry,) = _entries(live)
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {
            "f:size": {},
            "f:nothing": {},
            "f:parts": {"k:{\"id\":1}": {".": {}, "f:id": {}, "f:color": {}}},
            "f:free": {"f:x": {".": {}, "f:y": {}}, "f:z": {}},
        },
    }  # fmt: skip
    assert _apply_widget(live, obj) is live
    blue = _widget(parts=[{"id": 1, "color": "blue"}])
    with pytest.raises(ApiError, match=r"\.spec\.parts\[id=1\]\.color$"):
        _apply_widget(live, blue, "other")
    with pytest.raises(ApiError, match=r"\.spec\.sizes: field not declared in schema"):
        _apply_widget(live, _widget(sizes=1))


def test_a_created_custom_resource_has_a_spec_that_somebody_made() -> None:
    created = record_update(WIDGETS, None, _widget(size=1), manager="one", now=NOW)
    assert _entries(created)[0]["fieldsV1"]["f:spec"] == {".": {}, "f:size": {}}


def test_a_whole_spec_can_be_taken_back() -> None:
    live = _apply_widget(None, _widget(size=1))
    obj = _widget()
    del obj["spec"]
    left = _apply_widget(live, obj)
    assert "spec" not in left
    assert left["metadata"]["labels"] == {"a": "b"}


def test_unknown_values_may_change_their_type() -> None:
    live = _apply_widget(None, _widget(free={"x": {"y": 1}}))
    for free in ({"x": "text"}, {"x": [1]}, {"x": True}, {"x": 1}):
        new = live | {"spec": live["spec"] | {"free": free}}
        live = record_update(WIDGETS, live, new, manager="two", now=NOW)
        assert _entries(live)[1]["fieldsV1"] == {"f:spec": {"f:free": {"f:x": {}}}}


def test_deep_objects_are_walked_to_their_end() -> None:
    """As deep as a request's body may be."""
    free: Json = {"end": 1}
    for _ in range(190):
        free = {"x": free}
    live = _apply_widget(None, _widget(free=free))
    assert _apply_widget(live, _widget(free=free)) is live
    assert _apply_widget(live, _widget())["spec"] == {}
    changed = merging.compare(shape_of(WIDGETS), {}, _widget(free=free))[0]
    assert changed is not None
