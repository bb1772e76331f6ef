"""The registry, and the files that fill it."""

import msgspec
import pytest

from controlplane.api.registry import Registry, load_kind, version_rank
from controlplane.api.resource import VERBS, Strategy
from controlplane.api.subresources import resource_for
from tests.controlplane.api.served import (
    AUTOSCALER,
    DEPLOYMENT,
    POD,
    STRATEGIES,
    registry,
    resource,
)


def test_a_resource_is_found_by_its_path() -> None:
    known = registry()
    pods = known.find("", "v1", "pods")
    assert pods is not None
    assert pods.key("ns", "a") == "/registry/core/pods/ns/a"
    assert known.find("", "v2", "pods") is None
    assert known.find("apps", "v1", "pods") is None


def test_groups_come_in_kubernetes_order_and_custom_ones_last() -> None:
    """1.1: clients take the first group that has a name; `events` are the core's."""
    assert registry().groups() == [
        "",
        "apps",
        "events.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "stable.example.com",
    ]


def test_versions_sort_by_priority() -> None:
    """11.7: the documented order of CustomResourceDefinition versions."""
    best_first = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2"]
    best_first += ["foo1", "foo10"]
    by_name = sorted(best_first)
    assert sorted(by_name, key=version_rank) == best_first
    assert registry().versions("autoscaling") == ["v2", "v1"]


def test_the_storage_version_is_found_from_any_other() -> None:
    stored = registry().storage("autoscaling", "horizontalpodautoscalers")
    assert stored is not None
    assert stored.version == "v2"
    assert registry().storage("autoscaling", "pods") is None


def test_what_is_stored_follows_changes() -> None:
    """11.7: the storage version need not be served."""
    known = registry()
    v1 = msgspec.structs.replace(resource("crontabs"), storage_version="v2")
    known.add(v1)
    assert known.storage("stable.example.com", "crontabs") is v1
    v2 = msgspec.structs.replace(v1, version="v2")
    known.add(v2)
    assert known.storage("stable.example.com", "crontabs") is v2
    known.remove("stable.example.com", "crontabs")
    assert known.storage("stable.example.com", "crontabs") is None


def test_sub_resources_take_kinds_of_their_own() -> None:
    """2.13"""
    pods = resource("pods")
    assert resource_for(pods, "status") is pods
    eviction = resource_for(pods, "eviction")
    assert (eviction.api_version, eviction.kind) == ("policy/v1", "Eviction")
    assert eviction.schema.at("deleteOptions", "gracePeriodSeconds") is not None
    assert resource_for(resource("deployments"), "scale").api_version == "autoscaling/v1"
    with pytest.raises(KeyError):
        resource_for(pods, "exec")


def test_all_are_listed_best_version_first() -> None:
    listed = [(one.group, one.version, one.plural) for one in registry().all()]
    assert listed[:2] == [("", "v1", "namespaces"), ("", "v1", "pods")]
    autoscalers = [one for one in listed if one[0] == "autoscaling"]
    assert [version for _, version, _ in autoscalers] == ["v2", "v1"]


def test_each_change_makes_a_generation() -> None:
    known = registry()
    before = known.generation
    known.remove("stable.example.com", "crontabs")
    assert known.generation == before + 1
    assert known.find("stable.example.com", "v1", "crontabs") is None
    known.remove("stable.example.com", "crontabs")
    assert known.generation == before + 1
    known.add(resource("crontabs"))
    assert known.generation == before + 2
    assert "stable.example.com" in known.groups()


def test_adding_replaces_also_under_another_kind() -> None:
    known = registry()
    renamed = msgspec.structs.replace(resource("crontabs"), kind="Tab")
    known.add(renamed)
    assert known.find("stable.example.com", "v1", "crontabs") is renamed
    assert [one.kind for one in known.of("stable.example.com", "v1")] == ["Tab"]


def test_a_file_says_only_what_is_not_obvious() -> None:
    (pod,) = load_kind(POD, STRATEGIES)
    assert (pod.singular, pod.list_kind, pod.storage_version) == ("pod", "PodList", "v1")
    assert pod.verbs == VERBS
    assert pod.schema.at("spec", "nodeName") is not None
    assert pod.strategy is STRATEGIES["pods"]


def test_a_version_may_differ() -> None:
    v1, v2 = load_kind(AUTOSCALER, {})
    assert (v1.version, v1.short_names, v2.short_names) == ("v1", (), ("hpa",))
    assert v1.storage_version == v2.storage_version == "v2"
    assert v1.defaults == v2.defaults == {"spec.minReplicas": 1}
    assert v1.schema is not v2.schema


SHARED = {
    "template": 'include = { "spec" = "pod" }\nimmutable = ["x"]\n[defaults]\n"metadata.a" = 1',
    "pod": '[defaults]\n"restartPolicy" = "Always"\n"containers[].image" = "i"',
    "round": 'include = { "a" = "round" }',
}


def test_shared_tables_get_a_path() -> None:
    text = (
        DEPLOYMENT + 'include = { "spec.template" = "template" }\nimmutable = ["spec.selector"]\n'
    )
    text += '[defaults]\n"spec.replicas" = 1\n"spec.template.spec.restartPolicy" = "Never"'
    (made,) = load_kind(text, {}, shared=SHARED)
    assert made.defaults == {
        "spec.template.metadata.a": 1,
        "spec.template.spec.containers[].image": "i",
        "spec.replicas": 1,
        "spec.template.spec.restartPolicy": "Never",
    }
    # Its own rows are filled in last.
    assert list(made.defaults)[2:] == ["spec.replicas", "spec.template.spec.restartPolicy"]
    assert made.immutable == ("spec.template.x", "spec.selector")


def test_several_tables_may_stand_in_one_place() -> None:
    text = DEPLOYMENT + 'include = { "" = ["pod", "template"] }\n'
    (made,) = load_kind(text, {}, shared=SHARED)
    assert list(made.defaults) == [
        "restartPolicy",
        "containers[].image",
        "spec.restartPolicy",
        "spec.containers[].image",
        "metadata.a",
    ]


def test_a_strategy_may_be_named() -> None:
    strategies = {"other": Strategy(), "here": Strategy()}
    assert load_kind(DEPLOYMENT, strategies, name="here")[0].strategy is strategies["here"]
    named = DEPLOYMENT + 'strategy = "other"\n'
    assert load_kind(named, strategies, name="here")[0].strategy is strategies["other"]


COLUMN = '[[columns]]\nname = "X"\n'


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("colour = 1", "colour"),
        ("kind = 1", "kind|overwrite"),
        ('verbs = "get"', "verbs"),
        ('subresources = ["stauts"]', "sub-resource 'stauts'"),
        ('scale = ["a"]', "scale"),
        ('strategy = "absent"', "strategy 'absent'"),
        ('include = { "" = "absent" }', "'absent'"),
        ('include = { "" = "round" }', "include each other"),
        ("[defaults]\nspec.replicas = 1", "quote"),
        (COLUMN, "path or a cell"),
        (COLUMN + 'path = ".a"\ncell = "b"', "path or a cell"),
        (COLUMN + 'cell = "b"', "no cell 'b'"),
        (COLUMN + 'path = "a"', "JSONPath"),
        (COLUMN + 'path = ".a"\nwidth = 1', "width"),
        ('[[versions_override]]\nversion = "v7"', "v7"),
        ("[[versions_override]]\ncolumns = []", "version"),
        ("=", "TOML|statement|[Ii]nvalid"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(more: str, why: str) -> None:
    text = DEPLOYMENT.replace('subresources = ["scale", "status"]\n', "")
    text = text.replace('scale = ["spec.replicas", "status.replicas", "spec.selector"]\n', "")
    with pytest.raises(ValueError, match=f"^kind deployments: .*({why})"):
        load_kind(text + more, {}, name="deployments", shared=SHARED)


def test_a_kind_needs_a_schema() -> None:
    with pytest.raises(ValueError, match="no schema of apps/v1 Deplyoment"):
        load_kind(DEPLOYMENT.replace('"Deployment"', '"Deplyoment"'), {})


def test_the_built_in_kinds_load() -> None:
    """Every file of the package is right, and no two of them serve the same."""
    known = Registry.builtin()
    assert known.generation == len(known.all())
