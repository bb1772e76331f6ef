"""What happens to an object on its way to the store (rows 2.9, 2.12, 2.13, 2.19, 11.4)."""

from typing import Any

import msgspec
import pytest

from controlplane.admission.review import Review
from controlplane.api import immutables
from controlplane.api.customresources import resources_of
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.api.schema import Schema
from controlplane.apiserver.options import WriteOptions
from controlplane.apiserver.pipeline import Pipeline
from tests.controlplane.api.served import CRONTABS
from tests.controlplane.apiserver.asked import NOW, container, pod, resource, review
from tests.controlplane.kinds import WIDGETS

PODS, DEPLOYMENTS = resource("pods"), resource("deployments", "apps")
SPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "default", "namespace": "shop"},
}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "namespace": "shop", "resourceVersion": "3"},
    "spec": {"hard": {"pods": "1"}},
    "status": {"used": {"pods": "0"}},
}


def untouched(asked: Review, found: Object) -> Object:
    return found


(CRON_TABS,) = resources_of(CRONTABS)
PIPELINE = Pipeline(untouched, lambda: "new-uid")


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{WIDGETS.plural}.{WIDGETS.group}", "resourceVersion": "3"},
}


def creation(kind: Any = PODS, *more: Object) -> Review:
    return review("CREATE", kind, SPACE, ACCOUNT, DEFINITION, *more)


def created(found: Object, kind: Any = PODS, *more: Object) -> Any:
    return PIPELINE.created(creation(kind, *more), found, NOW)


def updated(new: Object, old: Object, kind: Any = PODS, subresource: str = "") -> Any:
    asked = review("UPDATE", kind, SPACE, ACCOUNT, old=old, subresource=subresource)
    return PIPELINE.updated(asked, new, old)


def faults(call: Any, *arguments: Any) -> list[str]:
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    assert caught.value.code == 422
    return [cause.field for cause in caught.value.causes]


def stored(found: Any) -> Any:
    return {**found, "metadata": {**found["metadata"], "resourceVersion": "5"}}


def deployment(**spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def with_offsets(found: Any) -> Any:
    """The same object as a client of another language writes its times."""
    if isinstance(found, dict):
        return {name: with_offsets(value) for name, value in found.items()}
    if isinstance(found, list):
        return [with_offsets(value) for value in found]
    if isinstance(found, str) and found.endswith("0Z"):
        return found.removesuffix("Z") + "+00:00"
    return found


@pytest.mark.parametrize("kind", [PODS, CRON_TABS], ids=["built-in", "custom"])
def test_times_that_are_spelled_otherwise_are_no_change(kind: Any) -> None:
    """2.12. Also those that tell who manages what."""
    asked = review("CREATE", kind, SPACE, ACCOUNT, stored(CRONTABS))
    made = {**pod(container()), "apiVersion": kind.api_version, "kind": kind.kind}
    made = made if kind is PODS else {**made, "spec": {"cronSpec": "* * * * *", "replicas": 1}}
    options = WriteOptions(manager="me")
    recorded = PIPELINE.recorded(asked, options, None, PIPELINE.created(asked, made, NOW), NOW)
    assert recorded["metadata"]["managedFields"][0]["time"] == "2023-11-14T22:13:20Z"
    old = stored(recorded)
    spelled = with_offsets(old)
    assert spelled["metadata"]["managedFields"][0]["time"] == "2023-11-14T22:13:20+00:00"
    asked = review("UPDATE", kind, SPACE, ACCOUNT, old=old)
    updated = PIPELINE.updated(asked, spelled, old)
    assert stored(PIPELINE.recorded(asked, options, old, updated, NOW + 60)) == old


# --------------------------------------------------------------------------- creations


def test_the_server_sets_what_is_its_own() -> None:
    """2.12. Whatever the writer says."""
    lies = {"uid": "x", "creationTimestamp": "1999-01-01T00:00:00Z", "generation": 7}
    wanted = deployment()
    wanted["metadata"] |= lies
    metadata = created(wanted, DEPLOYMENTS)["metadata"]
    assert metadata["uid"] == "new-uid"
    assert metadata["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert metadata["generation"] == 1


def test_defaults_are_filled_in_and_unknown_fields_dropped() -> None:
    found = created({**deployment(surprise=1), "odd": True}, DEPLOYMENTS)
    assert found["spec"]["replicas"] == 1
    assert found["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    assert "surprise" not in found["spec"]
    assert "odd" not in found


def test_nobody_brings_a_status_along() -> None:
    """2.13."""
    found = created({**deployment(), "status": {"replicas": 5}}, DEPLOYMENTS)
    assert found.get("status", {}) == {}


def test_admission_has_seen_it_before_it_is_judged() -> None:
    """11.4: mutation first; the account and the class of a pod are admission's."""
    spec = created(pod(container()))["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["priority"] == 0
    assert len(spec["tolerations"]) == 2


BOUNDS = {
    "type": "Container",
    "default": {"cpu": "200m"},
    "defaultRequest": {"cpu": "100m"},
    "max": {"cpu": "1"},
}
LIMITS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "l", "namespace": "shop"},
    "spec": {"limits": [BOUNDS]},
}


def test_the_class_of_a_pod_counts_what_admission_gave_it() -> None:
    """8.3, 8.6."""
    found = created(pod(container()), PODS, LIMITS)
    assert found["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m"},
        "requests": {"cpu": "100m"},
    }
    assert found["status"]["qosClass"] == "Burstable"


def test_a_broken_bound_is_told_once() -> None:
    """8.3: a limit that is too high makes a request of the same size."""
    with pytest.raises(ApiError) as caught:
        created(pod(container(resources={"limits": {"cpu": "2"}})), PODS, LIMITS)
    assert caught.value.message == (
        'pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2'
    )


def test_all_that_is_wrong_is_told_at_once() -> None:
    """2.19."""
    bad = pod(container("A b"), container("c", image=""), restartPolicy="Sometimes")
    found = faults(created, bad)
    assert "spec.containers[0].name" in found
    assert "spec.containers[1].image" in found
    assert "spec.restartPolicy" in found


def test_one_fault_is_told_in_kubernetes_words() -> None:
    with pytest.raises(ApiError) as caught:
        created({**pod(container(name="")), "metadata": {"name": "x", "namespace": "shop"}})
    assert caught.value.message == 'Pod "x" is invalid: spec.containers[0].name: Required value'


def test_a_base_of_a_name_is_enough() -> None:
    """2.9. The store makes a name of it."""
    found = created({**pod(container()), "metadata": {"generateName": "a-", "namespace": "shop"}})
    assert "name" not in found["metadata"]
    bad = {**pod(container()), "metadata": {"generateName": "A_", "namespace": "shop"}}
    assert faults(created, bad) == ["metadata.generateName"]


def test_a_new_object_has_no_version() -> None:
    with pytest.raises(ApiError, match="resourceVersion should not be set") as caught:
        created(stored(pod(container())))
    assert caught.value.code == 400


def test_what_is_refused_uses_nothing_up() -> None:
    """11.4: quota last."""
    good, bad = creation(PODS, QUOTA), creation(PODS, QUOTA)
    PIPELINE.created(good, pod(container()), NOW)
    assert len(good.claims) == 1
    with pytest.raises(ApiError):
        PIPELINE.created(bad, pod(container("A b")), NOW)
    assert bad.claims == []


def test_services_are_given_addresses_once_they_are_known_to_be_good() -> None:
    services, given = resource("services"), []

    def allocate(asked: Review, found: Object) -> Object:
        given.append(found)
        return {**found, "spec": {**found["spec"], "clusterIP": "10.96.0.9"}}

    pipeline = Pipeline(allocate, lambda: "u")
    body = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}
    found = pipeline.created(creation(services), body, NOW)
    assert found["spec"]["clusterIP"] == "10.96.0.9"
    bad = {**body, "spec": {"ports": [{"port": 99_999}]}}
    with pytest.raises(ApiError):
        pipeline.created(creation(services), bad, NOW)
    assert len(given) == 1


# --------------------------------------------------------------------------- updates


def test_a_change_of_the_spec_counts_and_others_do_not() -> None:
    """2.12."""
    old = stored(created(deployment(), DEPLOYMENTS))
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert updated(labelled, old, DEPLOYMENTS)["metadata"]["generation"] == 1
    scaled = {**old, "spec": {**old["spec"], "replicas": 3}}
    assert updated(scaled, old, DEPLOYMENTS)["metadata"]["generation"] == 2
    template = old["spec"]["template"]
    volumes = {"volumes": [{"name": "v", "image": {"reference": "i"}}]}  # which are off
    template = {**template, "spec": {**template["spec"], **volumes}}
    dropped = updated({**old, "spec": {**old["spec"], "template": template}}, old, DEPLOYMENTS)
    assert (dropped["spec"], dropped["metadata"]["generation"]) == (old["spec"], 1)


def test_each_door_leads_to_its_own_room() -> None:
    """2.13: status only through /status, spec only past it."""
    old = stored(created(deployment(), DEPLOYMENTS))
    new = {**old, "spec": {**old["spec"], "replicas": 3}, "status": {"replicas": 3}}
    through_main = updated(new, old, DEPLOYMENTS)
    assert (through_main["spec"]["replicas"], through_main.get("status", {})) == (3, {})
    through_status = updated(new, old, DEPLOYMENTS, "status")
    assert through_status["spec"]["replicas"] == 1
    assert through_status["status"] == {"replicas": 3}
    assert through_status["metadata"]["generation"] == 1


def test_who_leaves_out_what_the_server_set_leaves_it_as_it_is() -> None:
    old = stored(created(deployment(), DEPLOYMENTS))
    found = updated(deployment(), old, DEPLOYMENTS)
    for field in ("uid", "creationTimestamp", "generation"):
        assert found["metadata"][field] == old["metadata"][field]
    assert found["spec"] == old["spec"]


def test_what_is_immutable_is() -> None:
    """2.19."""
    old = stored(created(deployment(), DEPLOYMENTS))
    other = {"matchLabels": {"app": "web", "x": "y"}}
    new = {**old, "spec": {**old["spec"], "selector": other}}
    with pytest.raises(ApiError, match="field is immutable") as caught:
        updated(new, old, DEPLOYMENTS)
    assert "spec.selector" in [cause.field for cause in caught.value.causes]
    renewed = {**old, "metadata": {**old["metadata"], "uid": "another"}}
    assert "metadata.uid" in faults(updated, renewed, old, DEPLOYMENTS)


def test_an_old_pod_may_be_labelled_whatever_bounds_came_after_it() -> None:
    """8.3."""
    old = stored(created(pod(container())))
    asked = review("UPDATE", PODS, SPACE, ACCOUNT, LIMITS, old=old)
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert PIPELINE.updated(asked, labelled, old)["metadata"]["labels"] == {"a": "b"}


# --------------------------------------------------------------------- custom resources


def test_custom_resources_have_defaults_and_bounds_of_their_schema() -> None:
    """11.7."""
    size = {"type": "integer", "minimum": 1, "default": 3}
    spec = {"type": "object", "properties": {"size": size}, "required": ["size"]}
    tree = {"type": "object", "properties": {"spec": spec}}
    kind = msgspec.structs.replace(WIDGETS, is_custom=True, schema=Schema(tree, {}))
    body = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"color": "red"}}
    assert created(body, kind)["spec"] == {"size": 3}
    assert faults(created, {**body, "spec": {"size": 0}}, kind) == ["spec.size"]


# -------------------------------------------------------------------------- managers


def test_who_wrote_which_fields_is_recorded() -> None:
    """2.15."""
    new = created(deployment(), DEPLOYMENTS)
    options = WriteOptions(manager="kubectl")
    found = PIPELINE.recorded(creation(DEPLOYMENTS), options, None, new, NOW)
    (entry,) = found["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("kubectl", "Update")
    assert "f:selector" in entry["fieldsV1"]["f:spec"]


# ------------------------------------------------------------------------ immutables


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}, "c": 2}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": {"b": 1}}, {}, ["a.b"]),
        ({}, {"a": {"b": 1}}, ["a.b"]),
        ({"a": {"b": []}}, {}, []),
        ({}, {"a": {"b": {}}}, []),
        ({"a": "x"}, {"a": "y"}, []),
    ],
)
def test_immutable_paths(old: Any, new: Any, paths: list[str]) -> None:
    kind = msgspec.structs.replace(WIDGETS, immutable=("a.b",))
    assert [cause.field for cause in immutables.changed(kind, new, old)] == paths


# ------------------------------------------------------------------------ quantities


def test_quantities_are_stored_in_one_form() -> None:
    """2.12: who reads them back reads what Kubernetes would have written."""
    demand = {"requests": {"cpu": "1000m"}, "limits": {"cpu": 1}}
    old = stored(created(pod(container(resources=demand))))
    assert old["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"cpu": "1"},
    }
    (kept,) = old["spec"]["containers"]
    again = {**old, "spec": {**old["spec"], "containers": [{**kept, "resources": demand}]}}
    assert updated(again, old)["spec"] == old["spec"]


def test_custom_resources_have_no_quantities() -> None:
    """11.7."""
    spec = {"type": "object", "properties": {"cpu": {"type": "string", "format": "quantity"}}}
    tree = {"type": "object", "properties": {"spec": spec}}
    kind = msgspec.structs.replace(WIDGETS, is_custom=True, schema=Schema(tree, {}))
    body = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"cpu": "1000m"}}
    assert created(body, kind)["spec"] == {"cpu": "1000m"}
