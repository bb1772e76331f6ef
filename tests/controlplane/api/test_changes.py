"""Patches made of two structs never drop what structs do not know."""

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.changes import carry, merge_patch_of
from controlplane.api.record import Record, from_object, to_object
from controlplane.api.types import apps_v1, core_v1

replace = msgspec.structs.replace

LIVE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"a": "1", "b": "2"}, "futureMeta": 1},
    "spec": {
        "futureSpec": {"x": [1]},
        "containers": [
            {"name": "c", "image": "i", "futureContainer": True, "ports": [{"containerPort": 80}]},
            {"name": "d", "image": "j"},
        ],
        "tolerations": [{"key": "t", "futureToleration": 1}, {"key": "u"}],
    },
    "status": {
        "phase": "Pending",
        "conditions": [
            {"type": "Ready", "status": "False", "futureCondition": "f"},
            {"type": "Other", "status": "True"},
        ],
    },
}
BEFORE = from_object(core_v1.Pod, LIVE)


def apply_merge_patch(tree: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(tree) if isinstance(tree, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge_patch(result.get(name), value)
    return result


def test_no_change_is_no_patch_and_the_same_object() -> None:  # 2.2
    assert merge_patch_of(BEFORE, from_object(core_v1.Pod, LIVE)) == {}
    assert carry(LIVE, BEFORE, from_object(core_v1.Pod, LIVE)) is LIVE


def test_a_patch_has_what_was_changed_and_nothing_else() -> None:
    status = replace(BEFORE.status, phase="Running", pod_ip="10.0.0.1")
    meta = replace(BEFORE.metadata, labels={"b": "3", "c": "4"})
    after = replace(BEFORE, status=status, metadata=meta)
    assert merge_patch_of(BEFORE, after) == {
        "metadata": {"labels": {"a": None, "b": "3", "c": "4"}},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }


def test_a_patch_drops_no_unknown_field_beside_a_change() -> None:
    after = replace(BEFORE, spec=replace(BEFORE.spec, node_name="n1", tolerations=()))
    patched = apply_merge_patch(LIVE, merge_patch_of(BEFORE, after))
    assert patched["spec"]["futureSpec"] == {"x": [1]}
    assert patched["metadata"]["futureMeta"] == 1
    assert from_object(core_v1.Pod, patched) == after


def test_zero_is_written_where_a_field_must_be_there() -> None:
    before = apps_v1.ReplicaSetStatus(replicas=3, ready_replicas=3)
    after = apps_v1.ReplicaSetStatus(replicas=0, ready_replicas=0)
    assert merge_patch_of(before, after) == {"replicas": 0, "readyReplicas": None}


def test_what_is_taken_away_is_null() -> None:
    before = core_v1.PodSpec(priority=0, security_context=core_v1.PodSecurityContext())
    assert merge_patch_of(before, core_v1.PodSpec()) == {"priority": None, "securityContext": None}
    assert carry(to_object(before), before, core_v1.PodSpec()) == {"containers": []}


def test_an_element_is_found_by_its_merge_key_and_keeps_what_is_unknown() -> None:
    ready, other = BEFORE.status.conditions
    changed = replace(ready, status="True")
    status = replace(BEFORE.status, conditions=(other, changed))
    carried = carry(LIVE, BEFORE, replace(BEFORE, status=status))
    assert carried["status"]["conditions"] == [
        {"type": "Other", "status": "True"},
        {"type": "Ready", "status": "True", "futureCondition": "f"},
    ]
    assert carried["spec"] is LIVE["spec"]


def test_an_element_that_others_added_meanwhile_stays() -> None:
    added = {"type": "Mine", "status": "True"}
    conditions = [*LIVE["status"]["conditions"], added]
    live = {**LIVE, "status": {**LIVE["status"], "conditions": conditions}}
    ready = replace(BEFORE.status.conditions[0], status="True")
    after = replace(BEFORE, status=replace(BEFORE.status, conditions=(ready,)))
    carried = carry(live, BEFORE, after)
    assert [one["type"] for one in carried["status"]["conditions"]] == ["Ready", "Mine"]


def test_elements_without_a_key_keep_what_is_unknown_if_they_stand_unchanged() -> None:
    new = core_v1.Toleration(key="v")
    spec = replace(BEFORE.spec, tolerations=(new, BEFORE.spec.tolerations[0]))
    carried = carry(LIVE, BEFORE, replace(BEFORE, spec=spec))
    assert carried["spec"]["tolerations"] == [{"key": "v"}, {"key": "t", "futureToleration": 1}]


def test_what_others_changed_meanwhile_stays_where_nothing_else_was_changed() -> None:
    live = {**LIVE, "metadata": {**LIVE["metadata"], "labels": {"a": "9", "z": "0"}}}
    after = replace(BEFORE, metadata=replace(BEFORE.metadata, labels={"a": "1", "b": "3"}))
    assert carry(live, BEFORE, after)["metadata"]["labels"] == {"a": "9", "z": "0", "b": "3"}


# Any two pods.

WORDS = st.sampled_from(["", "a", "b", "c"])
LABELS = st.dictionaries(st.sampled_from("xyz"), WORDS, max_size=3)
PORTS = st.builds(
    core_v1.ContainerPort, container_port=st.integers(0, 2), protocol=WORDS, name=WORDS
)
CONTAINERS = st.builds(
    core_v1.Container,
    name=WORDS,
    image=WORDS,
    args=st.lists(WORDS, max_size=2).map(tuple),
    ports=st.lists(PORTS, max_size=3).map(tuple),
    security_context=st.none()
    | st.builds(core_v1.SecurityContext, privileged=st.none() | st.booleans()),
    resources=st.builds(core_v1.ResourceRequirements, limits=LABELS),
)
SPECS = st.builds(
    core_v1.PodSpec,
    containers=st.lists(CONTAINERS, max_size=3).map(tuple),
    tolerations=st.lists(st.builds(core_v1.Toleration, key=WORDS), max_size=3).map(tuple),
    node_name=WORDS,
    priority=st.none() | st.integers(0, 2),
    node_selector=LABELS,
)
PODS = st.builds(
    core_v1.Pod,
    spec=SPECS,
    metadata=st.builds(core_v1.Pod().metadata.__class__, labels=LABELS),
)


def with_unknown(tree: Any) -> Any:
    """Every known object gets a field that no struct has."""
    if isinstance(tree, Mapping):
        grown = {name: with_unknown(value) for name, value in tree.items()}
        is_free = all(isinstance(value, str) for value in tree.values()) and tree.keys() <= set(
            "xyz"
        )
        return grown if is_free else {**grown, "future": 1}
    return [with_unknown(element) for element in tree] if isinstance(tree, list) else tree


@given(PODS, PODS)
@settings(max_examples=200)
def test_a_patch_makes_one_pod_of_the_other(before: Record, after: Record) -> None:
    live = with_unknown(to_object(before))
    patched = apply_merge_patch(live, merge_patch_of(before, after))
    assert from_object(core_v1.Pod, patched) == after
    assert patched["future"] == 1
    if "spec" in live:
        assert patched["spec"]["future"] == 1


@given(PODS, PODS)
@settings(max_examples=200)
def test_carrying_makes_one_pod_of_the_other(before: core_v1.Pod, after: core_v1.Pod) -> None:
    live = with_unknown(to_object(before))
    carried = carry(live, before, after)
    assert from_object(core_v1.Pod, carried) == after
    assert carried["future"] == 1
    names = [container.name for container in before.spec.containers]
    for container in carried.get("spec", {}).get("containers", ()):
        if container["name"] in names and names.count(container["name"]) == 1:
            twins = [one for one in after.spec.containers if one.name == container["name"]]
            assert len(twins) > 1 or container["future"] == 1


@given(PODS)
def test_to_and_from_json_is_the_same_pod(pod: core_v1.Pod) -> None:
    assert from_object(core_v1.Pod, to_object(pod)) == pod
