"""A resource: everything that the API server knows of one kind in one version, as data. PURE.

Built-in kinds come from `kinds/*.toml`, custom ones from their definitions; whoever handles a
request cannot tell them apart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.api.errors import Cause
from controlplane.api.schema import Schema

Object = Mapping[str, Any]
"""An object as JSON has it; nobody changes it."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a Table.

    path  JSONPath of the cell, or
    cell  name of a function in the strategy's `cells`, where a path cannot say it
    """

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    path: str = ""
    cell: str = ""


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """What data cannot say of a kind. Every function is pure and returns what it changed.

    default          fill in what is left out (after the table of defaults)
    prepare_create   of a new object: what the server sets, or takes away
    prepare_update   (new, old) -> new
    validate         all that is wrong with an object
    validate_update  (new, old): what may not change
    cells            name of a cell -> function of (object, now in seconds since 1970)
    glance           what its columns look at, where a list is long and its objects are large: a
                     TypedDict of the object, whose metadata is Raw, and one of its metadata
    name_rule        which names its objects may have: a key of `names.RULES`
    to_storage       of a version that is not the stored one: an object as it is stored
    from_storage     the way back; where neither is given only apiVersion differs
    stored_labels    of such a version: a field that selectors name -> its name in what is stored
    field_values     of what is stored: a field that selectors name -> its value, where it is more
                     than what stands at its path
    grace_seconds    (object, seconds asked for or None) -> how long its deletion waits for who runs
                     it; without the hook a deletion waits for finalizers only
    prepare_delete   of an object that is marked as deleted and stays for now
    is_held          whether something besides metadata.finalizers keeps a deleted object
    validate_create  what is wrong with a new object only
    validate_through name of a sub-resource -> (new, old): what may not change through it, in place
                     of validate_update
    """

    default: Callable[[Object], Object] | None = None
    prepare_create: Callable[[Object], Object] | None = None
    prepare_update: Callable[[Object, Object], Object] | None = None
    validate: Callable[[Object], Sequence[Cause]] | None = None
    validate_update: Callable[[Object, Object], Sequence[Cause]] | None = None
    cells: Mapping[str, Callable[[Object, float], object]] = {}
    glance: tuple[type, type] | None = None
    name_rule: str = "subdomain"
    to_storage: Callable[[Object], Object] | None = None
    from_storage: Callable[[Object], Object] | None = None
    stored_labels: Mapping[str, str] = {}
    field_values: Mapping[str, Callable[[Object], str]] = {}
    grace_seconds: Callable[[Object, int | None], int] | None = None
    prepare_delete: Callable[[Object], Object] | None = None
    is_held: Callable[[Object], bool] | None = None
    validate_create: Callable[[Object], Sequence[Cause]] | None = None
    validate_through: Mapping[str, Callable[[Object, Object], Sequence[Cause]]] = {}


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One kind in one served version.

    storage_version  the version in which its objects are kept, and which its keys share
    storage_group    the group in which they are kept, where it is another than its own
    subresources     status, scale, binding, eviction, token, finalize … whatever it has
    scale            paths of a scale sub-resource: spec replicas, status replicas, selector
    field_labels     paths that field selectors may name besides metadata.name and .namespace
    immutable        paths that may not change once they are set
    defaults         path -> value, where `[]` in a path means each element of a list
    has_generation   metadata.generation counts changes of its spec
    is_overwritable  an update need not say which resourceVersion it replaces (2.3)
    is_put_new       an update of what is not there creates it
    propagation      what becomes of dependants where a deletion does not say it: Orphan; or
                     Unsupported: it has none, whatever a deletion says; empty: Background
    deprecation      what whoever uses it is warned with
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    is_namespaced: bool
    schema: Schema
    storage_version: str = ""
    storage_group: str | None = None
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[str, ...] = ()
    scale: tuple[str, str, str] | None = None
    columns: tuple[Column, ...] = ()
    field_labels: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = {}
    has_generation: bool = False
    is_overwritable: bool = True
    is_put_new: bool = False
    propagation: str = ""
    deprecation: str = ""
    is_custom: bool = False
    strategy: Strategy = Strategy()

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def place(self) -> tuple[str, str]:
        """Group and plural of those with whom it shares its objects: mostly its own."""
        return (self.group if self.storage_group is None else self.storage_group), self.plural

    @property
    def storage_api_version(self) -> str:
        """apiVersion of its objects in the store."""
        group, version = self.place[0], self.storage_version or self.version
        return f"{group}/{version}" if group else version

    @property
    def key_prefix(self) -> str:
        """Where its objects are in the store: `/registry/apps/deployments/`."""
        return f"/registry/{self.place[0] or 'core'}/{self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """The key of an object; `namespace` is empty where there is none."""
        place = f"{namespace}/" if self.is_namespaced else ""
        return f"{self.key_prefix}{place}{name}"
