"""Custom resources come and go with their definitions (kube-behaviour 11.7)."""

import logging
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.registry import Registry
from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.definitions import Definitions
from controlplane.apiserver.selection import index_of

GROUP = "example.com"


def definition(plural: str = "widgets", group: str = GROUP, **version: Any) -> dict[str, Any]:
    kind = plural.capitalize().rstrip("s")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                    **version,
                }
            ],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


class Served:
    """A registry that follows a cache, which is written to by hand."""

    def __init__(self) -> None:
        self.registry = Registry.builtin()

        def index(group: str, plural: str) -> Any:
            return index_of(self.registry.storage("" if group == "core" else group, plural))

        self.cache = ObjectCache(index, "/registry/")
        self.definitions = Definitions(self.registry, lambda: self.cache)
        self._revision = 0

    def put(self, key: str, found: Any) -> None:
        self._revision += 1
        value = None if found is None else orjson.dumps(found)
        self.cache.apply([(key, value, self._revision)], self._revision)
        self.definitions.step()

    def define(self, found: dict[str, Any], name: str = "") -> None:
        self.put(self._key(name or found["metadata"]["name"]), found)

    def forget(self, name: str) -> None:
        self.put(self._key(name), None)

    def _key(self, name: str) -> str:
        return f"/registry/apiextensions.k8s.io/customresourcedefinitions/{name}"

    def is_served(self, plural: str = "widgets", version: str = "v1") -> bool:
        return self.registry.find(GROUP, version, plural) is not None


def test_a_definition_is_served_and_forgotten() -> None:
    served = Served()
    served.define(definition())
    assert served.is_served()
    served.forget("widgets.example.com")
    assert not served.is_served()


def test_what_is_not_established_is_not_served() -> None:
    served = Served()
    served.define({**definition(), "status": {}})
    assert not served.is_served()
    served.define(definition())
    assert served.is_served()
    conditions = [{"type": "Established", "status": "False"}]
    served.define({**definition(), "status": {"conditions": conditions}})
    assert not served.is_served()


def test_versions_that_are_not_served_are_not() -> None:
    served = Served()
    found = definition()
    schema = found["spec"]["versions"][0]["schema"]
    extra = {"name": "v2", "served": False, "storage": False, "schema": schema}
    found["spec"]["versions"].append(extra)
    served.define(found)
    assert (served.is_served(), served.is_served(version="v2")) == (True, False)
    extra["served"] = True
    served.define(found)
    assert served.is_served(version="v2")


def test_a_status_alone_changes_nothing() -> None:
    """Discovery and OpenAPI are made anew for each generation of the registry."""
    served = Served()
    served.define(definition())
    before = served.registry.generation
    found = definition()
    found["status"]["conditions"].append({"type": "NamesAccepted", "status": "True"})
    served.define(found)
    assert served.registry.generation == before
    served.put("/registry/core/pods/a/b", {"metadata": {}})
    assert served.registry.generation == before


def test_fields_may_be_selected_as_soon_as_they_are_named() -> None:
    served = Served()
    served.define(definition())
    size = {"type": "object", "properties": {"size": {"type": "integer"}}}
    properties = {"type": "object", "properties": {"spec": size}}
    served.put(f"/registry/{GROUP}/widgets/a/x", {"metadata": {"name": "x"}, "spec": {"size": 3}})
    fields = [{"jsonPath": ".spec.size"}]
    served.define(definition(schema={"openAPIV3Schema": properties}, selectableFields=fields))
    resource = served.registry.find(GROUP, "v1", "widgets")
    assert resource is not None
    assert resource.field_labels == ("spec.size",)
    (entry,) = served.cache.of(GROUP, "widgets").scan("")
    assert entry.fields["spec.size"] == "3"


@pytest.mark.parametrize(
    ("group", "plural"), [("apps", "deployments"), ("rbac.authorization.k8s.io", "clusterroles")]
)
def test_a_definition_does_not_take_the_place_of_a_built_in_kind(group: str, plural: str) -> None:
    served = Served()
    before = served.registry.find(group, "v1", plural)
    served.define(definition(plural, group))
    assert served.registry.find(group, "v1", plural) is before
    served.forget(f"{plural}.{group}")
    assert served.registry.find(group, "v1", plural) is before


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"group": GROUP},
        {"group": GROUP, "names": {"plural": "odd"}},
        {"group": GROUP, "names": {"plural": "odd"}, "versions": 7},
        {"group": GROUP, "names": "x"},
        "x",
    ],
)
def test_a_definition_that_cannot_be_served_does_not_stop_others(
    spec: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Written past the API server, or by a newer one."""
    served = Served()
    with caplog.at_level(logging.CRITICAL):
        served.define({**definition(), "spec": spec}, "odd.example.com")
        served.define(definition())
    assert served.is_served()
    assert not served.is_served("odd")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", None),
        ("subresources", 5),
        ("subresources", {"scale": {"specReplicasPath": 5, "statusReplicasPath": ".b"}}),
        ("selectableFields", [{"jsonPath": 5}]),
        ("schema", {"openAPIV3Schema": 5}),
        ("schema", {"openAPIV3Schema": {"type": "object", "properties": {"spec": 5}}}),
    ],
)
def test_what_was_served_before_stays_when_nothing_can_be_made_of_its_definition(
    field: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Written past the API server: whoever tells of changes would end, and the server with it."""
    served = Served()
    served.define(definition())
    served.define(definition(**{field: value}))
    assert "widgets.example.com cannot be served" in caplog.text
    assert served.is_served()
    served.define(definition(name="v2"))
    assert (served.is_served(), served.is_served(version="v2")) == (False, True)


def test_a_new_cache_is_looked_at_though_it_counts_from_zero() -> None:
    served = Served()
    served.define(definition())
    served.cache = ObjectCache(lambda group, plural: index_of(None), "/registry/")
    served.definitions.step()
    assert not served.is_served()


steps = st.tuples(
    st.sampled_from(["widgets", "gadgets"]),
    st.sampled_from(["gone", "waiting", "v1", "v2"]),
)


@settings(max_examples=30)
@given(st.lists(steps, max_size=8))
def test_what_is_served_is_what_the_definitions_say_however_they_came(
    sequence: list[tuple[str, str]],
) -> None:
    """Each change is looked at by itself: all of them together were read at each one before."""
    followed, newest = Served(), dict[str, str]()
    for plural, state in sequence:
        newest[plural] = state
        found = definition(plural, name=state)
        if state == "gone":
            followed.forget(f"{plural}.{GROUP}")
        else:
            followed.define({**found, "status": {}} if state == "waiting" else found)
    for plural in ("widgets", "gadgets"):
        for version in ("v1", "v2"):
            is_wanted = newest.get(plural) == version
            assert followed.is_served(plural, version) is is_wanted


def test_a_newer_cache_is_looked_at_as_a_whole() -> None:
    """The first one was read at another time; what went between the two was told by nobody."""
    served = Served()
    served.define(definition("widgets"))
    first, served.cache = served.cache, Served().cache
    served.define(definition("gadgets"))
    assert not served.is_served("widgets")
    assert served.is_served("gadgets")
    served.cache = first
    served.definitions.step()
    assert served.is_served("widgets")
    assert not served.is_served("gadgets")
