"""The registry: all resources that are served, built-in ones and custom ones alike. PURE.

Built-in kinds are data: one file `kinds/<name>.toml` each and, only where data cannot say it, a
`kinds/<name>.py` beside it whose `STRATEGY` is a `Strategy`. A further kind is these files and
nothing else; `load_kind` tells what stands in them.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import msgspec

from controlplane.api import jsonpath, schemas, subresources
from controlplane.api.resource import VERBS, Column, Resource, Strategy
from controlplane.api.schema import Schema

_KINDS = "controlplane.api.kinds"

_GROUPS = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
)
"""Order in which Kubernetes lists its groups. Clients prefer the first that has a name: `events`
without a group are the core's, `ev` too. Custom groups follow, by name."""


class Registry:
    """A set of resources that changes as definitions of custom resources come and go.

    generation  counts changes; whatever is derived from the set is valid as long as it is equal
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self.generation = 0
        self._by_plural: dict[tuple[str, str, str], Resource] = {}
        self._stored: dict[tuple[str, str], Resource] | None = None
        for resource in resources:
            self.add(resource)

    @classmethod
    def builtin(cls) -> "Registry":
        """All kinds of `kinds/*.toml`. ValueError tells which file is wrong."""
        return cls(_builtin())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """What a path names."""
        return self._by_plural.get((group, version, plural))

    def storage(self, group: str, plural: str) -> Resource | None:
        """In the version in which its objects are kept."""
        if self._stored is None:
            # A version in which nothing is served may be the one that is stored: any other then.
            known = sorted(self.all(), key=lambda one: one.version == one.storage_version)
            self._stored = {(one.group, one.plural): one for one in known}
        return self._stored.get((group, plural))

    def all(self) -> list[Resource]:
        """Every resource in every served version; by group, version (best first) and plural."""
        places = {group: place for place, group in enumerate(self.groups())}
        return sorted(
            self._by_plural.values(),
            key=lambda one: (places[one.group], version_rank(one.version), one.plural),
        )

    def groups(self) -> list[str]:
        """Names of groups in the order of discovery; the core's is empty and first."""
        places = {group: place for place, group in enumerate(("", *_GROUPS))}
        found = {group for group, _, _ in self._by_plural}
        return sorted(found, key=lambda group: (places.get(group, len(places)), group))

    def versions(self, group: str) -> list[str]:
        """Served versions of a group, the preferred one first."""
        found = {version for one, version, _ in self._by_plural if one == group}
        return sorted(found, key=version_rank)

    def of(self, group: str, version: str) -> list[Resource]:
        """Resources of one group version, by plural."""
        found = [one for key, one in self._by_plural.items() if key[:2] == (group, version)]
        return sorted(found, key=lambda one: one.plural)

    def add(self, resource: Resource) -> None:
        """Serve it, in place of what had its group, version and plural."""
        self._by_plural[resource.group, resource.version, resource.plural] = resource
        self._changed()

    def remove(self, group: str, plural: str) -> None:
        """Serve it no longer, in none of its versions."""
        gone = [
            one for one in self._by_plural.values() if (one.group, one.plural) == (group, plural)
        ]
        for one in gone:
            del self._by_plural[one.group, one.version, one.plural]
        if gone:
            self._changed()

    def _changed(self) -> None:
        self.generation += 1
        self._stored = None


_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Key by which versions sort, best first: v10, v2, v1, v2beta1, v1alpha1, foo.

    Source: Kubernetes, "Versions in CustomResourceDefinitions", version priority.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    major, stage, minor = match.groups()
    return (("", "beta", "alpha").index(stage or ""), -int(major), -int(minor or 0), version)


class _ColumnRow(Column, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `[[columns]]`: a key that nobody knows is a mistake."""


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a kind as one version sees it."""

    kind: str
    plural: str
    is_namespaced: bool
    versions: list[str]
    group: str = ""
    singular: str = ""
    storage_version: str = ""
    storage_group: str | None = None
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[str, ...] = ()
    scale: tuple[str, str, str] | None = None
    columns: tuple[_ColumnRow, ...] = ()
    field_labels: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    include: dict[str, str | list[str]] = {}
    defaults: dict[str, Any] = {}
    has_generation: bool = False
    is_overwritable: bool = True
    is_put_new: bool = False
    propagation: Literal["", "Orphan", "Unsupported"] = ""
    deprecation: str = ""
    strategy: str = ""


class _Shared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of `kinds/shared`."""

    include: dict[str, str | list[str]] = {}
    defaults: dict[str, Any] = {}
    immutable: tuple[str, ...] = ()


def load_kind(
    text: str,
    strategies: Mapping[str, Strategy],
    *,
    name: str = "",
    shared: Mapping[str, str] | None = None,
    schema_of: Callable[[str, str, str], Schema] = schemas.schema_of,
) -> list[Resource]:
    """Resources of one file, one for each version. ValueError: the file is wrong.

    text        the TOML
    strategies  name -> strategy; `name` is the file's own, by default the plural
    shared      name -> TOML of the tables that `include` names
    schema_of   (group, version, kind) -> schema

    Keys at the top; those with a default may be left out::

        group = "apps"                     # default "": the core group
        kind = "Deployment"
        plural = "deployments"
        singular = "deployment"            # default: kind in small letters
        is_namespaced = true
        versions = ["v1"]                  # served; the first is stored, unless …
        storage_version = "v1"             # … this says otherwise
        storage_group = ""                 # default: its own; "": the core group
        list_kind = "DeploymentList"       # default: kind + "List"
        short_names = ["deploy"]           # default: none
        categories = ["all"]               # default: none
        verbs = ["create", "get"]          # default: all of resource.VERBS
        subresources = ["status", "scale"] # names known to subresources.py; default: none
        scale = ["spec.replicas", "status.replicas", "spec.selector"]   # default: no scale
        field_labels = ["status.phase"]    # default: none
        immutable = ["spec.selector"]      # default: none
        has_generation = true              # default false
        is_overwritable = false            # default true
        is_put_new = true                  # default false
        propagation = "Orphan"             # or "Unsupported"; default: Background
        deprecation = "… is deprecated …"  # default: it is not
        strategy = "deployment"            # name of a kinds/<name>.py; default: as this file
        include = { "spec.template" = "pod_template" }   # default: nothing

    Tables after them. Paths are **quoted** keys, `[]` is each element of a list::

        [defaults]
        "spec.replicas" = 1
        "spec.ports[].protocol" = "TCP"
        "spec.strategy" = { type = "RollingUpdate" }

        [[columns]]                        # in this order; the first is Name by custom
        name = "Ready"
        type = "string"                    # string, integer, number, boolean, date
        format = ""                        # "name" in the Name column
        description = "…"                  # for people
        priority = 0                       # 1: only with -o wide
        path = ".status.readyReplicas"     # JSONPath (jsonpath.py), or
        cell = "ready"                     # a key of the strategy's `cells`

        [[versions_override]]              # one version differs
        version = "v1"
        columns = []                       # any of the keys above, in place of the common ones

    `include` puts shared tables under a path: `kinds/shared/<name>.toml` has `[defaults]`,
    `immutable` and `include` of its own, all with paths from there. `""` is the object itself; a
    list of names puts several tables in one place. The kind's own defaults win over included
    ones, and are filled in after them.
    """
    try:
        tree = tomllib.loads(text)
        overrides = {str(one["version"]): one for one in tree.pop("versions_override", ())}
        common = msgspec.convert(tree, _Kind)
        if strangers := overrides.keys() - set(common.versions):
            raise ValueError(f"versions_override of {sorted(strangers)}, which are not served")
        return [
            _resource(
                version,
                msgspec.convert(_without_version(tree | overrides.get(version, {})), _Kind),
                strategies,
                name,
                shared or {},
                schema_of,
            )
            for version in common.versions
        ]
    except (ValueError, KeyError, TypeError) as error:
        # tomllib's and msgspec's errors are ValueErrors; a KeyError names what is not there.
        raise ValueError(f"kind {name or '?'}: {error}") from error


def _without_version(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != "version"}


def _resource(
    version: str,
    kind: _Kind,
    strategies: Mapping[str, Strategy],
    name: str,
    shared: Mapping[str, str],
    schema_of: Callable[[str, str, str], Schema],
) -> Resource:
    if kind.strategy and kind.strategy not in strategies:
        raise ValueError(f"strategy {kind.strategy!r} is not there")
    strategy = strategies.get(kind.strategy or name or kind.plural, Strategy())
    for column in kind.columns:
        _check_column(column, strategy)
    for one in kind.subresources:
        subresources.check(one)
    defaults, immutable = _included(kind.include, shared, kind.defaults, kind.immutable)
    return Resource(
        group=kind.group,
        version=version,
        kind=kind.kind,
        plural=kind.plural,
        singular=kind.singular or kind.kind.lower(),
        is_namespaced=kind.is_namespaced,
        schema=_schema(kind.group, version, kind.kind, schema_of),
        storage_version=kind.storage_version or kind.versions[0],
        storage_group=kind.storage_group,
        list_kind=kind.list_kind or f"{kind.kind}List",
        short_names=kind.short_names,
        categories=kind.categories,
        verbs=kind.verbs,
        subresources=kind.subresources,
        scale=kind.scale,
        columns=tuple(Column(**msgspec.structs.asdict(column)) for column in kind.columns),
        field_labels=kind.field_labels,
        immutable=immutable,
        defaults=defaults,
        has_generation=kind.has_generation,
        is_overwritable=kind.is_overwritable,
        is_put_new=kind.is_put_new,
        propagation=kind.propagation,
        deprecation=kind.deprecation,
        strategy=strategy,
    )


def _schema(
    group: str, version: str, kind: str, schema_of: Callable[[str, str, str], Schema]
) -> Schema:
    try:
        return schema_of(group, version, kind)
    except KeyError:
        raise ValueError(f"no schema of {group}/{version} {kind}") from None


def _check_column(column: Column, strategy: Strategy) -> None:
    if bool(column.path) == bool(column.cell):
        raise ValueError(f"column {column.name!r} needs a path or a cell")
    if column.path:
        jsonpath.compile(column.path)
    if column.cell and column.cell not in strategy.cells:
        raise ValueError(f"column {column.name!r}: no cell {column.cell!r} in the strategy")


_INCLUDE_DEPTH_MAX = 4
"""CronJob, job template, pod template, pod spec: no more than that is known to be needed."""


def _included(
    include: Mapping[str, str | list[str]],
    shared: Mapping[str, str],
    defaults: Mapping[str, Any],
    immutable: tuple[str, ...],
    depth: int = 0,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Own rows after those of the included tables, whose paths get a prefix."""
    if depth > _INCLUDE_DEPTH_MAX:
        raise ValueError("tables include each other")
    for path in defaults:
        if path in ("spec", "status", "metadata"):
            raise ValueError(f'default of {path}: quote paths, as in "{path}.x"')
    rows: dict[str, Any] = {}
    fixed: list[str] = []
    for place, names in include.items():
        for name in [names] if isinstance(names, str) else names:
            if name not in shared:
                raise ValueError(f"include: no table {name!r} in kinds/shared")
            table = msgspec.convert(tomllib.loads(shared[name]), _Shared)
            more, also = _included(
                table.include, shared, table.defaults, table.immutable, depth + 1
            )
            rows |= {_under(place, path): value for path, value in more.items()}
            fixed += [_under(place, path) for path in also]
    # Own rows go last, also those that an included table has: parents are filled in first.
    rows = {path: value for path, value in rows.items() if path not in defaults}
    return rows | dict(defaults), (*fixed, *immutable)


def _under(place: str, path: str) -> str:
    return f"{place}.{path}" if place else path


def _builtin() -> Iterator[Resource]:
    """Kinds that are part of the package."""
    place = files(_KINDS)
    kinds, shared = _texts(place), _texts(place / "shared")
    strategies = _strategies(place)
    for name, text in kinds.items():
        yield from load_kind(text, strategies, name=name, shared=shared)


def _texts(folder: Traversable) -> dict[str, str]:
    """Name -> text of the TOML files of a folder; none if it is not there."""
    if not folder.is_dir():
        return {}
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def _strategies(folder: Traversable) -> dict[str, Strategy]:
    """Name -> strategy of the modules beside the data; modules without one are shared code."""
    files_of_code = [entry.name for entry in folder.iterdir() if entry.name.endswith(".py")]
    names = sorted(name.removesuffix(".py") for name in files_of_code if name != "__init__.py")
    modules = {name: import_module(f"{_KINDS}.{name}") for name in names}
    return {
        name: module.STRATEGY
        for name, module in modules.items()
        if isinstance(getattr(module, "STRATEGY", None), Strategy)
    }
