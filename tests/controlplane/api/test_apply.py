"""Server-side apply: 2.15, after Kubernetes' "Server-Side Apply"."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.api import apply as applying
from controlplane.api.errors import ApiError
from controlplane.api.meta import ANNOTATIONS_BYTES_MAX
from controlplane.api.resource import Resource
from controlplane.api.schemas import schema_of

Json = Any
NOW = 1_700_000_000.0
TIME = "2023-11-14T22:13:20Z"
LATER = NOW + 60
LATER_TIME = "2023-11-14T22:14:20Z"


def _resource(group: str, version: str, kind: str, plural: str, *subresources: str) -> Resource:
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        is_namespaced=True,
        schema=schema_of(group, version, kind),
        subresources=subresources,
    )


CONFIG_MAPS = _resource("", "v1", "ConfigMap", "configmaps")
DEPLOYMENTS = _resource("apps", "v1", "Deployment", "deployments", "status", "scale")
SERVICES = _resource("", "v1", "Service", "services", "status")


def _apply(live: Json, applied: Json, manager: str = "me", **options: Any) -> Any:
    resource = {"ConfigMap": CONFIG_MAPS, "Deployment": DEPLOYMENTS, "Service": SERVICES}[
        applied["kind"]
    ]
    options = {"force": False, "now": NOW} | options
    return applying.apply(resource, live, applied, manager=manager, **options)


def _update(old: Json, new: Json, manager: str = "them", **options: Any) -> Any:
    resource = {"ConfigMap": CONFIG_MAPS, "Deployment": DEPLOYMENTS, "Service": SERVICES}[
        new["kind"]
    ]
    return applying.record_update(resource, old, new, manager=manager, **{"now": NOW, **options})


def _config_map(data: Mapping[str, str] | None = None, **meta: object) -> Json:
    obj: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}}
    return obj if data is None else obj | {"data": data}


def _deployment(*containers: Json, **spec: object) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {**spec, "template": {"spec": {"containers": list(containers)}}},
    }


def _fields(obj: Json, manager: str, operation: str = "Apply", subresource: str = "") -> Json:
    found = [
        entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", [])
        if (entry["manager"], entry["operation"]) == (manager, operation)
        and entry.get("subresource", "") == subresource
    ]
    return found[0] if found else None


def _containers(obj: Json) -> Json:
    return obj["spec"]["template"]["spec"]["containers"]


def _names(obj: Json) -> list[str]:
    return [container["name"] for container in _containers(obj)]


def test_the_first_apply_creates_and_owns_each_leaf() -> None:
    """2.15: as the documentation's example of a ConfigMap."""
    applied = _config_map({"key": "some value"}, labels={"test-label": "test"})
    created = _apply(None, applied, "kubectl")
    assert created["data"] == {"key": "some value"}
    assert created["metadata"]["managedFields"] == [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": TIME,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:test-label": {}}}, "f:data": {"f:key": {}}},
        }
    ]
    assert "managedFields" not in applied["metadata"]


def test_elements_of_lists_are_owned_by_their_keys() -> None:
    """2.15: FieldsV1 f:, k:, v: and `.`; an atomic list is one field."""
    applied = _deployment(
        {"name": "a", "image": "i", "args": ["x"], "ports": [{"containerPort": 80}]}
    )
    applied["metadata"]["finalizers"] = ["example.com/f"]
    assert _fields(_apply(None, applied), "me") == {
        "f:metadata": {"f:finalizers": {'v:"example.com/f"': {}}},
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"a"}': {
                            ".": {},
                            "f:name": {},
                            "f:image": {},
                            "f:args": {},
                            "f:ports": {
                                'k:{"containerPort":80,"protocol":"TCP"}': {
                                    ".": {},
                                    "f:containerPort": {},
                                }
                            },
                        }
                    }
                }
            }
        },
    }


def test_another_managers_value_is_a_conflict() -> None:
    """2.15: 409 with a cause for each field that names the manager."""
    live = _update(None, _config_map({"key": "theirs"}), "kube-controller-manager")
    with pytest.raises(ApiError) as caught:
        _apply(live, _config_map({"key": "mine"}))
    error = caught.value
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "kube-controller-manager" using v1: .data.key'
    )
    assert error.status["details"] == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kube-controller-manager" using v1',
                "field": ".data.key",
            }
        ]
    }


def test_all_conflicts_are_told_by_manager() -> None:
    """2.15"""
    live = _apply(None, _config_map({"b": "1"}), "zoe")
    live = _update(live, live | {"data": {"a": "1", "b": "1", "c": "1"}}, "adam")
    with pytest.raises(ApiError) as caught:
        _apply(live, _config_map({"a": "2", "b": "2", "c": "2", "d": "2"}))
    assert caught.value.message == (
        'Apply failed with 3 conflicts: conflicts with "adam" using v1:\n'
        "- .data.a\n- .data.c\n"
        'conflicts with "zoe":\n- .data.b'
    )
    assert len(caught.value.causes) == 3


def test_a_conflict_inside_of_an_element_names_its_keys() -> None:
    live = _update(None, _deployment({"name": "a", "image": "1"}), "kubectl-set")
    with pytest.raises(ApiError, match=r'\.containers\[name="a"\]\.image$'):
        _apply(live, _deployment({"name": "a", "image": "2"}))


def test_force_takes_the_field_away_from_its_manager() -> None:
    """2.15"""
    live = _update(None, _config_map({"key": "theirs", "other": "x"}))
    mine = _apply(live, _config_map({"key": "mine"}), force=True)
    assert mine["data"] == {"key": "mine", "other": "x"}
    assert _fields(mine, "me") == {"f:data": {"f:key": {}}}
    assert _fields(mine, "them", "Update") == {"f:data": {".": {}, "f:other": {}}}


def test_an_equal_value_is_shared() -> None:
    """2.15: no conflict, two owners."""
    live = _update(None, _config_map({"key": "same"}))
    shared = _apply(live, _config_map({"key": "same"}))
    assert _fields(shared, "me") == {"f:data": {"f:key": {}}}
    assert _fields(shared, "them", "Update") == {"f:data": {".": {}, "f:key": {}}}


def test_what_the_applier_leaves_out_goes() -> None:
    """2.15: … if nobody else owns it."""
    first = _config_map({"a": "1", "b": "1"}, labels={"x": "y"})
    live = _apply(None, first)
    left = _apply(live, _config_map({"b": "1"}), now=LATER)
    assert left["data"] == {"b": "1"}
    assert "labels" not in left["metadata"]
    assert left["metadata"]["name"] == "c"
    assert _fields(left, "me") == {"f:data": {"f:b": {}}}
    assert left["metadata"]["managedFields"][0]["time"] == LATER_TIME


def test_what_somebody_else_owns_as_well_stays() -> None:
    """2.15"""
    live = _apply(None, _config_map({"a": "1", "b": "1"}))
    live = _apply(live, _config_map({"a": "1"}), "other")
    left = _apply(live, _config_map({"b": "1"}))
    assert left["data"] == {"a": "1", "b": "1"}
    assert _fields(left, "other") == {"f:data": {"f:a": {}}}
    assert "data" not in _apply(_apply(left, _config_map()), _config_map(), "other")


def test_what_nobody_ever_applied_stays() -> None:
    """Defaults of the server belong to nobody."""
    live = _apply(None, _deployment({"name": "a", "image": "1"}, replicas=1))
    (container,) = _containers(live)
    container = container | {"imagePullPolicy": "Always"}
    live = live | {"spec": _deployment(container, replicas=1, paused=False)["spec"]}
    again = _apply(live, _deployment({"name": "a", "image": "2"}))
    assert _containers(again) == [{"name": "a", "image": "2", "imagePullPolicy": "Always"}]
    assert again["spec"]["paused"] is False
    assert "replicas" not in again["spec"]


def test_elements_of_different_appliers_live_side_by_side() -> None:
    live = _apply(None, _deployment({"name": "a", "image": "1"}, {"name": "b", "image": "1"}))
    live = _apply(live, _deployment({"name": "side", "image": "1"}), "injector")
    assert _names(live) == ["a", "b", "side"]
    live = _apply(live, _deployment({"name": "b", "image": "2"}))
    assert _names(live) == ["b", "side"]
    assert _names(_apply(live, _deployment(), "injector")) == ["b"]


def test_applied_elements_come_in_their_order() -> None:
    def one(name: str) -> Json:
        return {"name": name, "image": "1"}

    live = _apply(None, _deployment(one("a"), one("b"), one("c")))
    live = _apply(live, _deployment(one("x"), one("b"), one("y")), "other")
    assert _names(live) == ["a", "x", "b", "c", "y"]
    turned = _apply(live, _deployment(one("c"), one("b"), one("a")))
    assert _names(turned) == ["x", "c", "y", "b", "a"]


def test_an_atomic_list_or_map_has_one_owner_of_the_whole() -> None:
    """2.15: atomic by x-kubernetes-list-type and -map-type."""
    first = _deployment({"name": "a", "args": ["1", "2"]}, selector={"matchLabels": {"a": "b"}})
    live = _apply(None, first)
    other = _deployment(selector={"matchLabels": {"c": "d"}})
    with pytest.raises(ApiError, match=r"conflict with \"me\": \.spec\.selector$"):
        _apply(live, other, "other")
    taken = _apply(live, other, "other", force=True)
    assert taken["spec"]["selector"] == {"matchLabels": {"c": "d"}}
    args = _apply(live, _deployment({"name": "a", "args": ["2"]}, selector=None))
    assert _containers(args)[0]["args"] == ["2"]


def test_a_set_has_an_owner_for_each_element() -> None:
    """2.15: set: v:"…"."""
    live = _apply(None, _config_map(finalizers=["a/x", "a/y"]))
    live = _apply(live, _config_map(finalizers=["a/z", "a/y"]), "other")
    assert live["metadata"]["finalizers"] == ["a/x", "a/z", "a/y"]
    left = _apply(live, _config_map(finalizers=["a/x"]))
    assert left["metadata"]["finalizers"] == ["a/x", "a/z", "a/y"]
    left = _apply(live, _config_map(finalizers=["a/y"]))
    assert left["metadata"]["finalizers"] == ["a/z", "a/y"]


def test_a_port_without_protocol_is_the_tcp_one() -> None:
    def service(*ports: Json) -> Json:
        spec = {"ports": list(ports)}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}

    live = _apply(None, service({"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}))
    named = _apply(live, service({"port": 53, "name": "tcp"}), "other")
    assert named["spec"]["ports"] == [
        {"port": 53, "protocol": "TCP", "name": "tcp"},
        {"port": 53, "protocol": "UDP"},
    ]


def test_an_apply_that_changes_nothing_gives_the_same_object() -> None:
    """2.2: no write, so no new time."""
    applied = _deployment({"name": "a", "image": "1"}, replicas=2)
    live = _apply(None, applied)
    assert _apply(live, applied, now=LATER) is live
    assert _apply(live, applied, now=LATER, force=True) is live


def test_a_new_owner_of_equal_values_is_news() -> None:
    live = _apply(None, _config_map({"a": "1"}))
    both = _apply(live, _config_map({"a": "1"}), "other", now=LATER)
    assert [entry["time"] for entry in both["metadata"]["managedFields"]] == [TIME, LATER_TIME]


def test_null_is_nothing_and_takes_away() -> None:
    live = _update(None, _config_map({"a": "1", "b": "1"}))
    left = _apply(live, _config_map({"a": None, "c": None}), force=True)  # type: ignore[dict-item]
    assert left["data"] == {"b": "1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"apiVersion": "apps/v1beta1"},
            (
                "Incorrect version specified in apply patch. Specified patch version: apps/v1beta1,"
                " expected: apps/v1"
            ),
        ),
        ({"metadata": {"managedFields": [{}]}}, "metadata.managedFields must be nil"),
        ({"metadata": []}, "metadata.managedFields must be nil"),
        (
            {"spec": {"foo": 1}},
            (
                "failed to create typed patch object (default/web; apps/v1, Kind=Deployment):"
                " .spec.foo: field not declared in schema"
            ),
        ),
        ({"spec": []}, ".spec: expected map, got list"),
        ({"spec": {"template": {"spec": {"containers": {}}}}}, ".containers: expected list, got"),
        (
            {"spec": {"template": {"spec": {"containers": [{"image": "i"}]}}}},
            (
                ".containers: element 0: associative list with keys has an element that omits key"
                ' field "name" (and doesn\'t have default value)'
            ),
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}},
            '.containers: duplicate entries for key [name="a"]',
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "ports": [0]}]}}}},
            '.spec.containers[name="a"].ports: element 0: expected map, got 0',
        ),
        ({"spec": {"template": {"spec": {"containers": [{"name": {}}]}}}}, "omits key field"),
        (
            {"spec": {"template": {"spec": {"containers": ["a"]}}}},
            ".containers: element 0: expected map, got 'a'",
        ),
        (
            {"metadata": {"name": "web", "namespace": "default", "finalizers": [{}]}},
            ".metadata.finalizers: element 0: expected scalar, got map",
        ),
        ({"spec": {"x": 1, "y": 1}}, "errors:\n  .spec.x: field not declared in schema\n  .spec.y"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_bad_request(change: Json, message: str) -> None:
    applied = _deployment() | change
    if applied["metadata"] == []:
        applied["metadata"] = {"managedFields": [{"manager": "x"}]}
    with pytest.raises(ApiError) as caught:
        _apply(None, applied)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert message in caught.value.message


def test_the_first_apply_to_an_unmanaged_object_conflicts_with_before() -> None:
    """2.15: manager "before-first-apply"."""
    live = _config_map({"a": "1", "b": "1"}, uid="u")
    with pytest.raises(ApiError, match=r'"before-first-apply" using v1: \.data\.a'):
        _apply(live, _config_map({"a": "2"}))
    applied = _apply(live, _config_map({"a": "1"}))
    assert _fields(applied, "before-first-apply", "Update") == {
        "f:data": {".": {}, "f:a": {}, "f:b": {}}
    }


def test_status_is_applied_through_its_subresource_only() -> None:
    """2.13, 2.15: keyed by sub-resource as well."""
    applied = _deployment({"name": "a"}, replicas=1) | {"status": {"replicas": 7}}
    live = _apply(None, applied)
    assert "status" not in live
    status = _apply(
        live,
        _deployment(replicas=9) | {"status": {"replicas": 1, "conditions": [{"type": "A"}]}},
        subresource="status",
    )
    assert status["spec"] is live["spec"]
    assert status["status"] == {"replicas": 1, "conditions": [{"type": "A"}]}
    assert _fields(status, "me") == _fields(live, "me")
    assert _fields(status, "me", subresource="status") == {
        "f:status": {
            "f:replicas": {},
            "f:conditions": {'k:{"type":"A"}': {".": {}, "f:type": {}}},
        }
    }
    again = _apply(status, _deployment({"name": "a"}, replicas=1), now=LATER)
    assert again is status


def test_the_annotation_of_client_side_apply_never_tells_of_itself() -> None:
    note = {applying.LAST_APPLIED: "{}", "x": "y"}
    live = _apply(None, _config_map({"a": "1"}, annotations=note), "kubectl")
    told = json.loads(live["metadata"]["annotations"][applying.LAST_APPLIED])
    assert told == _config_map({"a": "1"}, annotations={"x": "y"})


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ("b", "A1 B A2"),
        ("bc", "A1 B A2 C"),
        ("cb", "A1 C B A2"),
        ("a", "A1 B"),  # whoever applies it has it once
        ("ba", "B A1"),
    ],
)
def test_what_is_there_twice_stays_where_it_is(applied: str, expected: str) -> None:
    """2.15: `env` may name a variable twice, and the last one counts."""
    env = [{"name": name, "value": value} for name, value in ("a1", "b1", "a2")]
    live = _update(None, _deployment({"name": "c", "image": "i", "env": env}))
    wanted = [{"name": name} for name in applied]
    taken = _apply(live, _deployment({"name": "c", "env": wanted}))
    told = " ".join(
        one["name"].upper() + (one["value"] if one["name"] == "a" else "")
        for one in _containers(taken)[0]["env"]
    )
    assert told == expected
    again = _apply(taken, _deployment({"name": "c", "env": wanted}), now=LATER)
    assert again is taken


def test_metadata_must_be_an_object() -> None:
    with pytest.raises(ApiError, match="metadata: must be an object") as caught:
        _apply(None, _config_map() | {"metadata": ["a"]})
    assert caught.value.code == 400


def test_the_server_keeps_what_it_sets() -> None:
    live = _apply(None, _config_map({"a": "1"}))
    live = live | {"metadata": live["metadata"] | {"uid": "u", "creationTimestamp": "t"}}
    again = _apply(live, _config_map({"a": "1"}, creationTimestamp=None, uid="x", generation=3))
    assert again is live


def test_kubectl_takes_over_from_its_client_side_apply() -> None:
    """2.15: migration by the last-applied annotation, which stays right."""
    first = _config_map({"a": "1", "b": "1"})
    note = {applying.LAST_APPLIED: json.dumps(first)}
    live = _update(
        None, _config_map({"a": "1", "b": "1"}, annotations=note), "kubectl-client-side-apply"
    )
    second = _config_map({"a": "2", "b": "1"})
    with pytest.raises(ApiError):
        _apply(live, second, "somebody")
    taken = _apply(live, second, "kubectl")
    assert taken["data"] == {"a": "2", "b": "1"}
    assert json.loads(taken["metadata"]["annotations"][applying.LAST_APPLIED]) == second
    changed = _update(live, live | {"data": {"a": "3", "b": "1"}}, "kubectl-edit")
    with pytest.raises(ApiError, match=r'"kubectl-edit" using v1: \.data\.a'):
        _apply(changed, second, "kubectl")


def test_the_annotation_of_client_side_apply_goes_where_it_would_be_too_long() -> None:
    """2.15: or nobody could apply what is larger than all annotations may be."""
    note = {applying.LAST_APPLIED: json.dumps(_config_map({"a": "1"})), "x": "y"}
    live = _update(None, _config_map({"a": "1"}, annotations=note), "kubectl-client-side-apply")
    large = "é" * (ANNOTATIONS_BYTES_MAX // 2)
    taken = _apply(live, _config_map({"a": large}), "kubectl")
    assert taken["data"] == {"a": large}
    assert taken["metadata"]["annotations"] == {"x": "y"}
    assert _apply(taken, _config_map({"a": large}), "kubectl", now=LATER) is taken


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"data": 1}', "[" * 5000, 250 * '{"a":'])
def test_a_last_applied_annotation_without_sense_allows_nothing(text: str) -> None:
    live = _update(None, _config_map({"a": "1"}, annotations={applying.LAST_APPLIED: text}))
    with pytest.raises(ApiError) as caught:
        _apply(live, _config_map({"a": "2"}), "kubectl")
    assert caught.value.code == 409
