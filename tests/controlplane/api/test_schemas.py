"""The data file holds Kubernetes 1.33's types as Kubernetes publishes them."""

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from controlplane.api import schemas
from generators.schemas import definitions as restored

DATA = Path(schemas.__file__).parent / "data"


def _nodes(node: Any, *, are_names: bool = False) -> Iterator[dict[str, Any]]:
    """Every schema in a document; the keys of `properties` and `definitions` are names."""
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part)
    elif isinstance(node, dict):
        if not are_names:
            yield node
        for word, value in node.items():
            yield from _nodes(value, are_names=not are_names and word == "properties")


def test_all_types_and_kinds_of_kubernetes_are_there() -> None:
    """Counts: measurements-controlplane.md, section 1."""
    assert len(schemas.definitions()) == 707
    kinds = {
        (told["group"], told["version"], told["kind"])
        for node in schemas.definitions().values()
        for told in node.get("x-kubernetes-group-version-kind", ())
    }
    assert len(kinds) == 301


def test_patch_and_list_extensions_are_all_there() -> None:
    """2.14 and 2.15 stand on them; counts of Kubernetes' own document."""
    nodes = list(_nodes(schemas.definitions(), are_names=True))
    counts = {
        word: sum(word in node for node in nodes)
        for word in ("x-kubernetes-patch-merge-key", "x-kubernetes-list-map-keys")
    }
    assert counts["x-kubernetes-patch-merge-key"] == 61
    assert counts["x-kubernetes-list-map-keys"] >= 73


@pytest.mark.parametrize(
    ("path", "merge_key"),
    [
        (("spec", "containers"), "name"),
        (("spec", "volumes"), "name"),
        (("spec", "hostAliases"), "ip"),
        (("spec", "topologySpreadConstraints"), "topologyKey"),
        (("spec", "tolerations"), ""),
        (("metadata", "ownerReferences"), "uid"),
        (("status", "conditions"), "type"),
        (("status", "podIPs"), "ip"),
    ],
)
def test_main_merge_keys_of_pods(path: tuple[str, ...], merge_key: str) -> None:
    """2.14."""
    found = schemas.schema_of("", "v1", "Pod").at(*path)
    assert found is not None
    assert found.patch_merge_key == merge_key


def test_additions_of_the_package_are_gone() -> None:
    for node in _nodes(schemas.definitions(), are_names=True):
        assert "oneOf" not in node
        assert isinstance(node.get("type", ""), str)
        assert not str(node.get("$ref", "#/definitions/")).startswith("#/$defs")
    fields = schemas.schema_of("", "v1", "Pod").properties
    assert "enum" not in fields["apiVersion"].node
    assert "enum" not in fields["kind"].node


def test_every_reference_leads_somewhere() -> None:
    for node in _nodes(schemas.definitions(), are_names=True):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/definitions/") in schemas.definitions()


def test_fields_that_are_called_like_keywords_survive() -> None:
    """A CustomResourceDefinition's schema has fields named enum, $ref, type, properties."""
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    fields = schemas.named(name).properties
    assert {"$ref", "$schema", "enum", "oneOf", "properties", "type"} <= fields.keys()
    assert fields["enum"].type == "array"
    assert fields["type"].type == "string"


def test_quantities_and_ints_or_strings_have_a_format() -> None:
    limits = schemas.schema_of("", "v1", "Pod").at("spec", "overhead")
    assert limits is not None
    assert limits.values is not None
    assert (limits.values.type, limits.values.format) == ("string", "quantity")
    port = schemas.schema_of("", "v1", "Service").properties["spec"].properties["ports"].items
    assert port is not None
    assert port.properties["targetPort"].is_int_or_string


def test_descriptions_are_kept_for_explain() -> None:
    """1.4."""
    replicas = schemas.schema_of("apps", "v1", "Deployment").at("spec", "replicas")
    assert replicas is not None
    assert replicas.description.startswith("Number of desired pods.")


def test_a_kind_has_one_schema_so_that_what_is_compiled_is_shared() -> None:
    assert schemas.schema_of("", "v1", "Pod") is schemas.schema_of("", "v1", "Pod")


def test_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        schemas.schema_of("apps", "v1", "Pod")


def test_generator_takes_away_no_more_than_was_added() -> None:
    document = {
        "$defs": {
            "a.Kind": {
                "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Kind"}],
                "type": ["object", "null"],
                "properties": {
                    "apiVersion": {"type": ["string", "null"], "enum": ["v1"]},
                    "enum": {"$ref": "#/$defs/a.Part"},
                },
            },
            "a.Part": {"type": "object", "properties": {"kind": {"type": "string", "enum": ["x"]}}},
        }
    }
    made = restored(document)
    assert made["a.Kind"]["type"] == "object"
    assert made["a.Kind"]["properties"] == {
        "apiVersion": {"type": "string"},
        "enum": {"$ref": "#/definitions/a.Part"},
    }
    # No kind of its own: this enum is Kubernetes' and not the package's.
    assert made["a.Part"]["properties"]["kind"]["enum"] == ["x"]


def test_data_file_says_whose_it_is_and_under_which_licence() -> None:
    notice = (DATA / "NOTICE").read_text()
    assert "The Kubernetes Authors" in notice
    assert "Apache License 2.0" in notice
    loaded = orjson.loads(lzma.decompress((DATA / "schemas.json.xz").read_bytes()))
    assert loaded == schemas.definitions()
