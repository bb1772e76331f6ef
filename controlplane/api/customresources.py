"""Custom resources: what their definition must be, and the resources that follow from it. PURE.

A definition adds rows to the registry; from there on nobody can tell them from built-in ones.

Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions" and the reference of
CustomResourceDefinition v1; kube-behaviour.md, 11.7. Rules in CEL are kept but not evaluated, and
versions differ by their name only (conversion None).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from controlplane.api.causes import (
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
    too_many,
)
from controlplane.api.defaulting import apply_schema_defaults, has_schema_defaults
from controlplane.api.errors import Cause
from controlplane.api.resource import Column, Object, Resource, Strategy
from controlplane.api.schema import Node, Schema
from controlplane.api.schema_nodes import without_nulls
from controlplane.api.structural import unknown_in_defaults, validate_schema
from controlplane.api.syntaxes import faults_of_label_1035, faults_of_subdomain

SELECTABLE_FIELDS_MAX = 8

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_FIELD_PATH = re.compile(r"(\.[A-Za-z_][A-Za-z0-9_-]*)+")


# -- from a definition to resources -------------------------------------------------------------


def resources_of(crd: Object) -> list[Resource]:
    """Its served versions. The definition is valid: `validate_definition` found nothing."""
    return _resources(crd["spec"], lambda one: bool(one.get("served")))


def stored_resource_of(crd: Object) -> Resource | None:
    """The version in which its objects are stored, be it served or not; None: none is."""
    found = _resources(crd["spec"], lambda one: bool(one.get("storage")))
    return found[0] if found else None


def _resources(spec: Node, is_wanted: Callable[[Node], bool]) -> list[Resource]:
    versions = _versions(spec)
    stored = next((one for one in versions if one.get("storage")), {})
    schema = _schema(stored) if stored else None
    if schema is not None and not has_schema_defaults(schema):
        schema = None  # what is stored is served byte by byte
    return [
        _resource(spec, one, stored.get("name", ""), schema) for one in versions if is_wanted(one)
    ]


def _schema(version: Node) -> Schema:
    return Schema(without_nulls(version["schema"]["openAPIV3Schema"]), {})


def _resource(spec: Node, version: Node, stored: str, defaults: Schema | None) -> Resource:
    """defaults: of the stored version, which its objects have however they were stored."""
    names = spec["names"]
    below = version.get("subresources") or {}
    scale = below.get("scale")
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        is_namespaced=spec["scope"] == "Namespaced",
        schema=_schema(version),
        storage_version=stored,
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status", "scale") if below.get(name) is not None),
        scale=None if scale is None else _scale(scale),
        columns=tuple(_column(one) for one in version.get("additionalPrinterColumns") or ()),
        field_labels=tuple(
            one["jsonPath"].removeprefix(".") for one in version.get("selectableFields") or ()
        ),
        has_generation=True,
        is_overwritable=False,
        is_custom=True,
        strategy=Strategy() if defaults is None else _defaulted(defaults, spec, version),
    )


def _defaulted(schema: Schema, spec: Node, version: Node) -> Strategy:
    """Documentation of CustomResourceDefinitions, "Defaulting": also when reading from etcd."""
    api_version = f"{spec['group']}/{version['name']}"

    def from_storage(found: Object) -> Object:
        return {**apply_schema_defaults(schema, found, is_stored=True), "apiVersion": api_version}

    return Strategy(from_storage=from_storage)


def _scale(scale: Node) -> tuple[str, str, str]:
    replicas, current = scale["specReplicasPath"], scale["statusReplicasPath"]
    selector = scale.get("labelSelectorPath") or ""
    return replicas.removeprefix("."), current.removeprefix("."), selector.removeprefix(".")


def _column(told: Node) -> Column:
    return Column(
        name=told["name"],
        type=told["type"],
        format=told.get("format") or "",
        description=told.get("description") or "",
        priority=told.get("priority") or 0,
        path=told["jsonPath"],
    )


def default_definition(crd: Object) -> Object:
    """With the names that follow from others, and conversion None."""
    spec = crd.get("spec")
    if not isinstance(spec, Mapping):
        return crd
    kind = str(_mapping(spec, "names").get("kind") or "")
    names = {
        "singular": kind.lower(),
        "listKind": f"{kind}List" if kind else "",
        **{
            name: value
            for name, value in _mapping(spec, "names").items()
            if value not in ("", None)
        },
    }
    filled = {name: value for name, value in names.items() if value}
    conversion = spec.get("conversion") or {"strategy": "None"}
    if spec.get("names") == filled and spec.get("conversion") == conversion:
        return crd
    return {**crd, "spec": {**spec, "names": filled, "conversion": conversion}}


# -- what a definition must be ------------------------------------------------------------------


def validate_definition(crd: Object) -> list[Cause]:
    """All that is wrong with a definition, whatever it is."""
    return list(_definition(crd))


def validate_definition_update(new: Object, old: Object) -> list[Cause]:
    """What may not change: the name's parts ever, scope and kind once it is established."""
    spec, before = _mapping(new, "spec"), _mapping(old, "spec")
    names, names_before = _mapping(spec, "names"), _mapping(before, "names")
    pairs = [
        ("spec.group", spec.get("group"), before.get("group")),
        ("spec.names.plural", names.get("plural"), names_before.get("plural")),
    ]
    if is_established(old):
        pairs.append(("spec.scope", spec.get("scope"), before.get("scope")))
        pairs.append(("spec.names.kind", names.get("kind"), names_before.get("kind")))
    changed = [immutable(path, now) for path, now, was in pairs if now != was]
    return changed + list(_stored_versions(new))


def validate_defaults(crd: Object) -> list[Cause]:
    """What the schemas' defaults have and the schemas do not."""
    return [
        cause
        for path, version in _told_once(_versions(_mapping(crd, "spec")), "schema")
        for cause in unknown_in_defaults(
            _mapping(_mapping(version, "schema"), "openAPIV3Schema"), f"{path}.openAPIV3Schema"
        )
    ]


def is_established(crd: Object) -> bool:
    """Whether its resources are served: its condition Established is True."""
    conditions = _mapping(crd, "status").get("conditions") or ()
    return any(
        one.get("type") == "Established" and one.get("status") == "True" for one in conditions
    )


def _stored_versions(crd: Object) -> Iterator[Cause]:
    """Objects of a version may be there as long as status says so: it must not go before them."""
    stored = _list(_mapping(crd, "status"), "storedVersions")
    known = [str(one.get("name")) for one in _versions(_mapping(crd, "spec"))]
    for position, name in enumerate(stored):
        if name not in known:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must "
                "remain in spec.versions until a storage migration ensures no data remains "
                f"persisted in {name} and removes {name} from status.storedVersions"
            )
            yield invalid(f"status.storedVersions[{position}]", name, why)


def _definition(crd: Object) -> Iterator[Cause]:
    spec = _mapping(crd, "spec")
    names, group = _mapping(spec, "names"), str(spec.get("group") or "")
    name = _mapping(crd, "metadata").get("name", "")
    if name != f"{names.get('plural', '')}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    yield from _group(group)
    scope = spec.get("scope")
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", scope, ("Cluster", "Namespaced"))
    yield from _version_rules(spec)
    yield from _names(names)
    yield from _conversion(_mapping(spec, "conversion"))
    if spec.get("preserveUnknownFields"):
        yield invalid("spec.preserveUnknownFields", True, "must be false")
    yield from _api_approval(crd, group)


def _group(group: str) -> Iterator[Cause]:
    if not group:
        yield required("spec.group")
    elif faults := faults_of_subdomain(group):
        yield invalid("spec.group", group, ",".join(faults))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _api_approval(crd: Object, group: str) -> Iterator[Cause]:
    """Groups of Kubernetes itself are not for everybody."""
    if not re.search(r"(^|\.)(k8s|kubernetes)\.io$", group):
        return
    approval = _mapping(_mapping(crd, "metadata"), "annotations").get(_APPROVED, "")
    at, must = (
        f"metadata.annotations[{_APPROVED}]",
        "protected groups must have approval annotation",
    )
    if not approval:
        yield required(at, f'{must} "{_APPROVED}", {_APPROVED_HOW}')
    elif not re.match(r"https?://[^/]+|unapproved", str(approval)):
        which = 'with either a URL or a reason starting with "unapproved"'
        yield invalid(at, approval, f'{must} "{_APPROVED}" {which}, {_APPROVED_HOW}')


_APPROVED = "api-approved.kubernetes.io"
_APPROVED_HOW = "see https://github.com/kubernetes/enhancements/pull/1111"


def _names(names: Node) -> Iterator[Cause]:
    for word in ("plural", "singular", "kind", "listKind"):
        name = str(names.get(word) or "")
        is_kind = word in ("kind", "listKind")
        faults = ",".join(faults_of_label_1035(name.lower() if is_kind else name))
        if not name:
            yield required(f"spec.names.{word}")
        elif faults:
            mixed = "may have mixed case, but should otherwise match: " if is_kind else ""
            yield invalid(f"spec.names.{word}", name, mixed + faults)
    for word in ("shortNames", "categories"):
        for position, name in enumerate(_list(names, word)):
            if faults := ",".join(faults_of_label_1035(str(name))):
                yield invalid(f"spec.names.{word}[{position}]", name, faults)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        why = "kind and listKind may not be the same"
        yield invalid("spec.names.listKind", names["listKind"], why)


def _conversion(conversion: Node) -> Iterator[Cause]:
    strategy = conversion.get("strategy", "None")
    if strategy == "Webhook":
        # Said at once rather than when objects of another version are asked for.
        yield forbidden("spec.conversion.strategy", "conversion by webhook is not supported here")
    elif strategy != "None":
        yield not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    elif conversion.get("webhook") is not None:
        why = "should not be set when strategy is not set to Webhook"
        yield forbidden("spec.conversion.webhook", why)


def _version_rules(spec: Node) -> Iterator[Cause]:
    versions = _versions(spec)
    for position, version in enumerate(versions):
        path, name = f"spec.versions[{position}]", str(version.get("name") or "")
        if faults := ",".join(faults_of_label_1035(name)):
            yield invalid(f"{path}.name", name, faults)
        yield from _deprecation(version, path)
    for word, check in _SHARED.items():
        for path, version in _told_once(versions, word):
            yield from check(version, path)
    names = [str(one.get("name")) for one in versions]
    if len(set(names)) < len(names):
        yield invalid("spec.versions", versions, "must contain unique version names")
    if sum(bool(one.get("storage")) for one in versions) != 1:
        why = "must have exactly one version marked as storage version"
        yield invalid("spec.versions", versions, why)


def _told_once(versions: list[Node], word: str) -> Iterable[tuple[str, Node]]:
    """Where a part of versions stands in messages.

    Kubernetes keeps what all versions share at the top of the spec, and tells paths from there.
    """
    parts = [one.get(word) for one in versions]
    if parts and parts[0] and all(part == parts[0] for part in parts):
        return [(f"spec.{_AT_TOP.get(word, word)}", versions[0])]
    return [(f"spec.versions[{position}].{word}", one) for position, one in enumerate(versions)]


_AT_TOP = {"schema": "validation"}


def _deprecation(version: Node, path: str) -> Iterator[Cause]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        why = "can only be set for deprecated versions"
        yield invalid(f"{path}.deprecationWarning", warning, why)
    if not warning:
        yield invalid(f"{path}.deprecationWarning", warning, "must not be an empty string")
    elif len(str(warning)) > 256 or not str(warning).isprintable():
        too_long = len(str(warning)) > 256
        why = "must be <= 256 characters long" if too_long else _PRINTABLE
        yield invalid(f"{path}.deprecationWarning", warning, why)


_PRINTABLE = "must only contain printable UTF-8 characters"


def _schema_rules(version: Node, path: str) -> Iterator[Cause]:
    root = _mapping(version, "schema").get("openAPIV3Schema")
    at = f"{path}.openAPIV3Schema"
    if not isinstance(root, Mapping):
        yield required(at, "schemas are required")
        return
    has_status = _mapping(version, "subresources").get("status") is not None
    yield from validate_schema(root, at, has_status=has_status)


def _subresource_rules(version: Node, path: str) -> Iterator[Cause]:
    scale = _mapping(version, "subresources").get("scale")
    if not isinstance(scale, Mapping):
        return
    for word, roots, where in (
        ("specReplicasPath", (".spec.",), "under .spec"),
        ("statusReplicasPath", (".status.",), "under .status"),
        ("labelSelectorPath", (".spec.", ".status."), "under either .spec or .status"),
    ):
        at, told = f"{path}.scale.{word}", str(scale.get(word) or "")
        if not told:
            if word != "labelSelectorPath":
                yield required(at)
        elif told[0] != ".":
            yield invalid(at, told, "must be a simple json path starting with .")
        elif not told.startswith(roots):
            yield invalid(at, told, f"should be a json path {where}")


def _column_rules(version: Node, path: str) -> Iterator[Cause]:
    for position, column in enumerate(_mappings(version, "additionalPrinterColumns")):
        at = f"{path}[{position}]"
        if not column.get("name"):
            yield required(f"{at}.name")
        kind, form, found = column.get("type"), column.get("format"), column.get("jsonPath")
        one_of = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            yield required(f"{at}.type", one_of)
        elif kind not in _COLUMN_TYPES:
            yield invalid(f"{at}.type", kind, one_of)
        if form and form not in _COLUMN_FORMATS:
            yield invalid(f"{at}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not found:
            yield required(f"{at}.JSONPath")
        elif str(found)[0] != ".":
            why = "must be a simple json path starting with ."
            yield invalid(f"{at}.JSONPath", found, why)


def _selectable_rules(version: Node, path: str) -> Iterator[Cause]:
    fields = [str(one.get("jsonPath") or "") for one in _mappings(version, "selectableFields")]
    root = _mapping(_mapping(version, "schema"), "openAPIV3Schema")
    seen: set[str] = set()
    for position, field in enumerate(fields):
        at = f"{path}[{position}].jsonPath"
        if not field:
            yield required(at)
            continue
        found = _field(root, field) if _FIELD_PATH.fullmatch(field) else {}
        if not found:
            yield invalid(at, field, "is an invalid path: does not refer to a valid field")
            continue
        if field.startswith(".metadata"):
            yield invalid(at, field, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            yield invalid(at, field, _SELECTABLE)
        if field in seen:
            yield duplicate(at, field)
        seen.add(field)
    if len(set(fields)) > SELECTABLE_FIELDS_MAX:
        yield too_many(path, len(set(fields)), SELECTABLE_FIELDS_MAX)


def _field(root: Node, path: str) -> Node:
    """The schema of a field; empty: there is none."""
    for name in path[1:].split("."):
        root = _mapping(_mapping(root, "properties"), name)
    return root


_SELECTABLE = (
    "must point to a field of type string, boolean or integer. "
    "Enum string fields and strings with formats are allowed."
)
_SHARED = {
    "schema": _schema_rules,
    "subresources": _subresource_rules,
    "additionalPrinterColumns": _column_rules,
    "selectableFields": _selectable_rules,
}


# -- looking into what a user wrote -------------------------------------------------------------


def _mapping(tree: Node, word: str) -> Node:
    found = tree.get(word)
    return found if isinstance(found, Mapping) else {}


def _list(tree: Node, word: str) -> list[Any]:
    found = tree.get(word)
    return found if isinstance(found, list) else []


def _versions(spec: Node) -> list[Node]:
    return _mappings(spec, "versions")


def _mappings(tree: Node, word: str) -> list[Node]:
    return [one for one in _list(tree, word) if isinstance(one, Mapping)]
