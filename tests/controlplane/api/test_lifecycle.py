"""The life of objects, rule by rule. Numbers are rows of kube-behaviour.md."""

import msgspec
import pytest

from controlplane.api import lifecycle, meta
from controlplane.api.errors import ApiError
from controlplane.api.lifecycle import GRACE_SECONDS_MAX, DeleteOptions, pod_grace_seconds
from controlplane.api.resource import Object, Strategy
from tests.controlplane.kinds import PODS, WIDGETS, widget, with_metadata

NOW = 1_700_000_000.0
MADE = lifecycle.created(WIDGETS, widget("n"), uid="u1", now=NOW)


def test_user_cannot_say_that_a_new_object_is_being_deleted() -> None:
    """2.12."""
    forged = widget("n", deletionTimestamp="x", deletionGracePeriodSeconds=5)
    made = lifecycle.created(WIDGETS, forged, uid="u1", now=NOW)
    assert "deletionTimestamp" not in made["metadata"]
    assert "deletionGracePeriodSeconds" not in made["metadata"]


def test_what_the_api_server_has_set_is_kept() -> None:
    """The uid is in the values of claims, which are made before the object is stored."""
    made = lifecycle.created(WIDGETS, widget("n", uid="u9"), uid="u1", now=NOW)
    assert made["metadata"]["uid"] == "u9"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [({"namespace": "n"}, "metadata.name"), ({"name": "a"}, "metadata.namespace")],
)
def test_object_needs_its_name_and_namespace(metadata: Object, field: str) -> None:
    """2.19."""
    with pytest.raises(ApiError) as caught:
        lifecycle.created(WIDGETS, {"metadata": metadata}, uid="u", now=NOW)
    assert (caught.value.code, caught.value.causes[0].field) == (422, field)
    assert caught.value.causes[0].reason == "FieldValueRequired"


def test_generation_of_custom_resources_counts_all_but_metadata_and_status() -> None:
    """2.12."""
    custom = msgspec.structs.replace(
        WIDGETS, is_custom=True, has_generation=False, subresources=("status",)
    )
    old = {**MADE, "data": 1}

    def generation(**changes: object) -> object:
        return lifecycle.updated(custom, {**old, **changes}, old)["metadata"]["generation"]

    assert generation() == generation(status={"x": 1}) == 1
    assert generation(data=2) == generation(other=1) == generation(spec={}) == 2


def test_generation_of_built_in_kinds_counts_the_spec() -> None:
    """2.12."""

    def generation(new: Object) -> object:
        return lifecycle.updated(WIDGETS, new, MADE)["metadata"]["generation"]

    assert generation({**MADE, "status": {}}) == 1
    assert generation(with_metadata(MADE, labels={"a": "b"}, generation=77)) == 1
    assert generation({**MADE, "spec": {}}) == 2


def test_hooks_hold_and_mark_what_is_deleted() -> None:
    """3.1: a namespace has finalizers of its own in spec, and is Terminating meanwhile."""
    strategy = Strategy(
        is_held=lambda obj: bool(obj["spec"].get("finalizers")),
        prepare_delete=lambda obj: {**obj, "status": {"phase": "Terminating"}},
    )
    kind = msgspec.structs.replace(WIDGETS, strategy=strategy)
    held = {**MADE, "spec": {"finalizers": ["kubernetes"]}}
    doomed = lifecycle.deleted(kind, held, DeleteOptions(), now=NOW)
    assert not doomed.is_gone
    assert doomed.object["status"] == {"phase": "Terminating"}
    assert not lifecycle.is_finished(kind, doomed.object)
    assert lifecycle.is_finished(kind, {**doomed.object, "spec": {}})
    assert lifecycle.deleted(kind, {**doomed.object, "spec": {}}, DeleteOptions(), now=NOW).is_gone


def test_living_object_is_not_finished() -> None:
    """2.16: only what is deleted goes with its last finalizer."""
    assert not lifecycle.is_finished(WIDGETS, MADE)
    waiting = with_metadata(MADE, deletionTimestamp="x", deletionGracePeriodSeconds=5)
    assert not lifecycle.is_finished(PODS, waiting), "its grace period is not over"


@pytest.mark.parametrize(
    ("spec", "phase", "requested", "seconds"),
    [
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Running", None, 7),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Running", 60, 60),
        ({"nodeName": "n", "terminationGracePeriodSeconds": -2}, "Running", None, 1),
        ({"nodeName": "n"}, "Pending", 0, 0),
        ({"nodeName": "n"}, "Succeeded", 60, 0),
        ({}, "Pending", 60, 0),
    ],
)
def test_grace_of_pods(spec: Object, phase: str, requested: int | None, seconds: int) -> None:
    """10.6, 2.16."""
    assert pod_grace_seconds({"spec": spec, "status": {"phase": phase}}, requested) == seconds


def test_grace_of_nothing_but_finalizers_is_none() -> None:
    """2.16: kinds that nobody runs ignore gracePeriodSeconds."""
    options = DeleteOptions(grace_period_seconds=60)
    assert lifecycle.deleted(WIDGETS, MADE, options, now=NOW).is_gone


@pytest.mark.parametrize("seconds", [GRACE_SECONDS_MAX, 10**12, 2**63 - 1])
@pytest.mark.parametrize("is_requested", [False, True])
def test_a_grace_of_ages_is_one_that_ends(seconds: int, is_requested: bool) -> None:
    """A pod that could not be marked would stay for ever, and its namespace with it."""
    spec = {"nodeName": "n", "terminationGracePeriodSeconds": seconds}
    pod = {**MADE, "spec": spec}
    options = DeleteOptions(grace_period_seconds=seconds if is_requested else None)
    marked = lifecycle.deleted(PODS, pod, options, now=NOW).object
    assert marked["metadata"]["deletionGracePeriodSeconds"] == GRACE_SECONDS_MAX
    assert meta.seconds_of(marked["metadata"]["deletionTimestamp"]) == NOW + GRACE_SECONDS_MAX
    assert marked["spec"] == spec
    sooner = lifecycle.deleted(PODS, marked, DeleteOptions(grace_period_seconds=5), now=NOW).object
    assert meta.seconds_of(sooner["metadata"]["deletionTimestamp"]) == NOW + 5
    assert lifecycle.deleted(PODS, marked, options, now=NOW).object == marked
