"""What holds of any history of applies and updates: 2.15."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.apply import apply, record_update
from controlplane.api.errors import ApiError
from controlplane.api.fieldset import Path, members
from controlplane.api.managers import UPDATES_MAX
from controlplane.api.merging import fields_of
from controlplane.api.shapes import shape_of
from tests.controlplane.api.small_schemas import DEPLOYMENTS

Json = Any
NOW = 1_700_000_000.0

values = st.sampled_from(["1", "2"])
names = st.sampled_from("abc")
ports = st.lists(
    st.fixed_dictionaries({"containerPort": st.integers(1, 2)}, optional={"name": values}),
    min_size=1,
    max_size=2,
    unique_by=lambda port: port["containerPort"],
)
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={"image": values, "args": st.lists(values, max_size=1), "ports": ports},
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda container: container["name"],
)
objects = st.fixed_dictionaries(
    {
        "apiVersion": st.just("apps/v1"),
        "kind": st.just("Deployment"),
        "metadata": st.fixed_dictionaries(
            {"name": st.just("d")},
            optional={
                "labels": st.dictionaries(names, values, max_size=2),
                "finalizers": st.lists(names, min_size=1, max_size=2, unique=True),
            },
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 2),
                "template": st.fixed_dictionaries(
                    {"spec": st.fixed_dictionaries({}, optional={"containers": containers})}
                ),
            },
        ),
    }
)
managers = st.sampled_from(["one", "two", "three"])
steps = st.tuples(st.sampled_from(["apply", "update"]), managers, objects)
histories = st.lists(steps, max_size=4)


def _after(history: list[tuple[str, str, Json]]) -> Json:
    live: Json = None
    for number, (operation, manager, obj) in enumerate(history):
        live = _step(live, operation, manager, obj, NOW + number)
    return live


def _step(live: Json, operation: str, manager: str, obj: Json, now: float) -> Any:
    if operation == "apply":
        return apply(DEPLOYMENTS, live, obj, manager=manager, force=True, now=now)
    return record_update(DEPLOYMENTS, live, obj, manager=manager, now=now)


def _leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Scalars and atomic lists, by the names and keys on the way to them."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _leaves(child, (*path, name))
    elif isinstance(value, list) and path[-1] != "args":
        for item in value:
            key = item if isinstance(item, str) else json.dumps(item.get("name"))
            if isinstance(item, dict) and "containerPort" in item:
                key = str(item["containerPort"])
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _owned(obj: Json) -> set[Path]:
    return {
        path for entry in obj["metadata"].get("managedFields", ())
        for path in members(entry["fieldsV1"])
    }  # fmt: skip


def _present(obj: Json) -> set[Path]:
    """Paths of all parts of an object, on every level."""
    bare = obj | {"metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
    faults: list[str] = []
    leaves = members(fields_of(shape_of(DEPLOYMENTS), bare, faults))
    assert not faults
    return {path[:length] for path in leaves for length in range(1, len(path) + 1)}


@given(histories, managers, objects)
def test_what_is_applied_by_force_is_there(
    history: list[tuple[str, str, Json]], manager: str, obj: Json
) -> None:
    live = _after(history)
    before = json.dumps([live, obj])
    result = apply(DEPLOYMENTS, live, obj, manager=manager, force=True, now=NOW)
    assert dict(_leaves(obj)).items() <= dict(_leaves(result)).items()
    assert json.dumps([live, obj]) == before


@given(histories, managers, objects)
def test_the_same_apply_again_changes_nothing(
    history: list[tuple[str, str, Json]], manager: str, obj: Json
) -> None:
    once = apply(DEPLOYMENTS, _after(history), obj, manager=manager, force=True, now=NOW)
    assert apply(DEPLOYMENTS, once, obj, manager=manager, force=False, now=NOW + 60) is once


@given(histories)
def test_nobody_owns_what_is_not_there(history: list[tuple[str, str, Json]]) -> None:
    live = _after(history)
    if live is None:
        return
    present = _present(live)
    assert _owned(live) <= present
    assert len(live["metadata"].get("managedFields", ())) <= UPDATES_MAX + 3


@given(histories, managers, objects)
def test_a_conflict_names_what_others_own_and_force_settles_it(
    history: list[tuple[str, str, Json]], manager: str, obj: Json
) -> None:
    live = _after(history)
    forced = apply(DEPLOYMENTS, live, obj, manager=manager, force=True, now=NOW)
    try:
        calm = apply(DEPLOYMENTS, live, obj, manager=manager, force=False, now=NOW)
    except ApiError as error:
        told = f"Apply failed with {len(error.causes)} conflict"
        is_right = error.code == 409 and error.message.startswith(told)
    else:
        is_right = calm == forced
    assert is_right


@given(objects, objects)
def test_an_applier_that_wants_nothing_leaves_what_others_want(one: Json, two: Json) -> None:
    empty = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    alone = apply(DEPLOYMENTS, None, one, manager="one", force=True, now=NOW)
    both = apply(DEPLOYMENTS, alone, two, manager="two", force=True, now=NOW)
    left = apply(DEPLOYMENTS, both, empty, manager="two", force=True, now=NOW)
    kept = {path for entry in both["metadata"].get("managedFields", ())
            if entry["manager"] == "one" for path in members(entry["fieldsV1"])}  # fmt: skip
    assert kept <= _owned(left)
    assert _owned(left) <= _present(left)
