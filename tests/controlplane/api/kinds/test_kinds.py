"""All kinds: what their files say fits the schema, and nothing that fits the schema breaks them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.api.defaulting import apply_defaults
from controlplane.api.errors import Cause
from controlplane.api.pruning import prune
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Schema
from controlplane.api.validation import validate
from tests.controlplane.api.kinds.served import REGISTRY, both_tables, resource, row

OURS = (
    "Pod",
    "Node",
    "Service",
    "Endpoints",
    "EndpointSlice",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "StorageClass",
    "Ingress",
    "IngressClass",
    "NetworkPolicy",
)
RESOURCES = [one for one in REGISTRY.all() if one.kind in OURS]


def ids(resources: list[Resource]) -> list[str]:
    return [f"{one.kind}-{one.version}" for one in resources]


every_kind = pytest.mark.parametrize("kind", RESOURCES, ids=ids(RESOURCES))


def has(schema: Schema | None, path: str) -> bool:
    """Whether a path of a table leads to something; `[]` steps into a list."""
    for part in path.strip(".").split("."):
        name, is_list = part.removesuffix("[]"), part.endswith("[]")
        schema = schema.at(name) if schema else None
        if schema is not None and is_list:
            schema = schema.items
    return schema is not None


@every_kind
def test_every_path_of_its_file_is_in_its_schema(kind: Resource) -> None:
    of_columns = [one.path for one in kind.columns if one.path]
    paths = [*kind.defaults, *kind.immutable, *kind.field_labels, *of_columns, *(kind.scale or ())]
    assert [path for path in paths if not has(kind.schema, path)] == []


@every_kind
def test_every_default_has_the_type_of_its_field(kind: Resource) -> None:
    python = {"string": str, "integer": int, "boolean": bool, "object": dict}
    for path, value in kind.defaults.items():
        schema: Any = kind.schema
        for part in path.split("."):
            schema = schema.at(part.removesuffix("[]"))
            schema = schema.items if part.endswith("[]") else schema
        assert type(value) is python[schema.type], path


API_RESOURCES = """
pods                       po      v1                     true   Pod                      all
nodes                      no      v1                     false  Node
services                   svc     v1                     true   Service                  all
endpoints                  ep      v1                     true   Endpoints
endpointslices                     discovery.k8s.io/v1    true   EndpointSlice
replicasets                rs      apps/v1                true   ReplicaSet               all
deployments                deploy  apps/v1                true   Deployment               all
statefulsets               sts     apps/v1                true   StatefulSet              all
daemonsets                 ds      apps/v1                true   DaemonSet                all
jobs                               batch/v1               true   Job                      all
cronjobs                   cj      batch/v1               true   CronJob                  all
horizontalpodautoscalers   hpa     autoscaling/v2         true   HorizontalPodAutoscaler  all
horizontalpodautoscalers   hpa     autoscaling/v1         true   HorizontalPodAutoscaler  all
poddisruptionbudgets       pdb     policy/v1              true   PodDisruptionBudget
persistentvolumes          pv      v1                     false  PersistentVolume
persistentvolumeclaims     pvc     v1                     true   PersistentVolumeClaim
storageclasses             sc      storage.k8s.io/v1      false  StorageClass
ingresses                  ing     networking.k8s.io/v1   true   Ingress
ingressclasses                     networking.k8s.io/v1   false  IngressClass
networkpolicies            netpol  networking.k8s.io/v1   true   NetworkPolicy
"""
"""As `kubectl api-resources -o wide` of Kubernetes documents them."""


def test_kinds_are_known_by_kubernetes_names() -> None:
    found = {
        (
            one.plural,
            *one.short_names,
            one.api_version,
            str(one.is_namespaced).lower(),
            one.kind,
            *one.categories,
        )
        for one in RESOURCES
    }
    assert found == {tuple(line.split()) for line in API_RESOURCES.strip().splitlines()}


def test_these_kinds_scale() -> None:
    # 2.13
    paths = ("spec.replicas", "status.replicas", "spec.selector")
    scaled = {one.kind: one.scale for one in RESOURCES if "scale" in one.subresources}
    assert scaled == dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet"), paths)


def test_pods_can_be_bound_evicted_and_debugged() -> None:
    # 7.2, 8.1
    assert {"binding", "eviction", "ephemeralcontainers", "status"} <= set(
        resource({"apiVersion": "v1", "kind": "Pod"}).subresources
    )


WORDS = st.sampled_from(
    (
        "",
        "a",
        "A b",
        "TCP",
        "Always",
        "Indexed",
        "-1",
        "10Gi",
        "50%",
        "10.0.0.1",
        "::1",
        "a/b",
        "/x",
    )
)


PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "string": WORDS,
    "integer": st.integers(-2, 70_000),
    "number": st.floats(-2, 2),
    "boolean": st.booleans(),
}


def trees(schema: Schema, depth: int, *, has_holes: bool = False) -> st.SearchStrategy[Any]:
    """Whatever has the right types: fields may be missing or null; with holes, elements too."""
    if schema.is_int_or_string:
        return st.one_of(st.integers(-2, 70_000), WORDS)
    if schema.format == "date-time":
        return st.sampled_from(("2023-11-14T22:13:20Z", "2024-01-01T00:00:00.000001Z"))
    if schema.type in PRIMITIVES:
        return PRIMITIVES[schema.type]
    if schema.items is not None:
        element = trees(schema.items, depth, has_holes=has_holes)
        return st.lists(st.none() | element if has_holes else element, max_size=2)
    if depth == 0:
        return st.just({})
    if schema.properties:
        return objects(schema, depth - 1, has_holes)
    if schema.values is not None:
        return st.dictionaries(
            WORDS, trees(schema.values, depth - 1, has_holes=has_holes), max_size=2
        )
    return st.just({})


@st.composite
def objects(draw: st.DrawFn, schema: Schema, depth: int, has_holes: bool) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(schema.properties)), max_size=4))
    names |= {
        name for name in ("spec", "containers", "template", "metadata", "status") if depth > 3
    }
    return {
        name: draw(st.one_of(st.none(), *[trees(field, depth, has_holes=has_holes)] * 9))
        for name in sorted(names)
        if (field := schema.properties.get(name)) is not None
    }


def admitted(kind: Resource, tree: Object) -> Iterator[Cause]:
    """All that the server does with a new object, and then with a change to nothing."""
    strategy = kind.strategy
    name = {"name": "a"}
    obj: Object = {**tree, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": name}
    wrong = validate(kind.schema, obj, with_required=False)
    obj = prune(kind.schema, obj)
    status = obj.get("status")
    obj = apply_defaults(kind.defaults, obj)
    for change in (strategy.default, strategy.prepare_create, strategy.default):
        obj = obj if change is None else change(obj)
    yield from strategy.validate(obj) if strategy.validate else ()
    # What the server fills in fits the schema, or is wrong as what it was made of: limits are
    # also requests.
    told = {cause.message for cause in validate(kind.schema, obj, with_required=False)}
    assert told <= {cause.message for cause in wrong}
    both_tables(kind, obj)
    both_tables(kind, {**obj, "status": status})
    minimal: Object = {**obj, "spec": {}, "status": {}}
    if strategy.validate_create is not None:
        yield from strategy.validate_create(obj)
    for new, old in ((obj, minimal), (minimal, obj), (obj, obj)):
        after = strategy.prepare_update(new, old) if strategy.prepare_update else new
        if strategy.validate_update is not None:
            found = list(strategy.validate_update(after, old))
            assert after != old or not found
            yield from found
        for through in strategy.validate_through.values():
            yield from through(new, old)


@every_kind
def test_what_fits_the_schema_gives_causes_and_never_an_exception(kind: Resource) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(kind.schema, 7, has_holes=True))
    def check(tree: dict[str, Any]) -> None:
        for cause in admitted(kind, tree):
            assert re.fullmatch(r"FieldValue[A-Z][A-Za-z]+", cause.reason)
            assert cause.field
            assert cause.message

    check()


@every_kind
def test_defaults_are_the_same_when_they_are_filled_in_again(kind: Resource) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(kind.schema, 7, has_holes=True))
    def check(tree: dict[str, Any]) -> None:
        default = kind.strategy.default or (lambda obj: obj)
        once = default(apply_defaults(kind.defaults, prune(kind.schema, tree)))
        assert default(apply_defaults(kind.defaults, once)) == once

    check()


@every_kind
def test_a_bare_object_has_a_row(kind: Resource) -> None:
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    cells = row(obj)
    assert cells["Name"] == "a"
    assert cells["Age"] == "<unknown>"
    assert all(cell is not None for cell in cells.values())
