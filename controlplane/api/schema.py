"""A type as OpenAPI describes it, with Kubernetes' extensions. PURE.

One class for built-in kinds (the checked-in data of `schemas.py`) and for custom resources (the
structural schema of their definition): validation, defaulting, patches, server-side apply and
OpenAPI look at nothing else.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

Node = Mapping[str, Any]

_PREFIX = "#/definitions/"


class Schema:
    """One node. Sub-nodes are resolved when they are asked for: some types contain themselves.

    node         as in the document, references included
    definitions  name -> node, for references; empty for custom resources
    """

    def __init__(self, node: Node, definitions: Mapping[str, Node]) -> None:
        self.use = node
        """Where it is used: patch and list extensions stand here, beside a reference."""
        self._definitions = definitions
        self.ref = _ref(node)
        """Name of the type it refers to; empty: none."""
        self.node = definitions[self.ref] if self.ref else node
        """What it is."""
        self.compiled: dict[str, Any] = {}
        """What other modules made out of it, by their own names; it lives as long as this."""

    @cached_property
    def type(self) -> str:
        """object, array, string, integer, number, boolean; empty: anything."""
        return str(self.node.get("type", ""))

    @cached_property
    def properties(self) -> dict[str, "Schema"]:
        """Known fields of an object; empty for maps."""
        known: Mapping[str, Node] = self.node.get("properties", {})
        return {name: Schema(node, self._definitions) for name, node in known.items()}

    @cached_property
    def items(self) -> "Schema | None":
        """Elements of an array."""
        return self._sub("items")

    @cached_property
    def values(self) -> "Schema | None":
        """Values of a map."""
        node = self.node.get("additionalProperties")
        return Schema(node, self._definitions) if isinstance(node, Mapping) else None

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that must be there."""
        return frozenset(self.node.get("required", ()))

    @property
    def format(self) -> str:
        """int32, int64, date-time, byte, int-or-string, quantity …; empty: none."""
        return str(self.node.get("format", ""))

    @property
    def is_int_or_string(self) -> bool:
        """Also as `x-kubernetes-int-or-string` of custom resources."""
        return self.format == "int-or-string" or self._says("x-kubernetes-int-or-string")

    @property
    def is_nullable(self) -> bool:
        """Whether null is a value, and not the same as nothing."""
        return self._says("nullable")

    @property
    def preserves_unknown(self) -> bool:
        """Whether fields that it does not know are kept."""
        return self._says("x-kubernetes-preserve-unknown-fields")

    @property
    def is_embedded_resource(self) -> bool:
        """Whether it is an object with apiVersion, kind and metadata of its own."""
        return self._says("x-kubernetes-embedded-resource")

    @property
    def patch_merge_key(self) -> str:
        """Which field tells elements of a list apart in a strategic merge."""
        return self._extension("x-kubernetes-patch-merge-key")

    @property
    def patch_strategies(self) -> tuple[str, ...]:
        """`merge`, `retainKeys`, both or none."""
        told = self._extension("x-kubernetes-patch-strategy")
        return tuple(told.split(",")) if told else ()

    @property
    def list_type(self) -> str:
        """atomic, set or map; empty: atomic."""
        return self._extension("x-kubernetes-list-type")

    @property
    def list_map_keys(self) -> tuple[str, ...]:
        """Fields that tell elements of a `map` list apart."""
        found = self.use.get("x-kubernetes-list-map-keys")
        if found is None:
            found = self.node.get("x-kubernetes-list-map-keys", ())
        return tuple(found)

    @property
    def map_type(self) -> str:
        """atomic or granular; empty: granular."""
        return self._extension("x-kubernetes-map-type")

    @property
    def description(self) -> str:
        """For people; the use's own one goes before that of the type."""
        return str(self.use.get("description") or self.node.get("description", ""))

    def at(self, *path: str) -> "Schema | None":
        """The schema of a field, through objects and maps; None where nothing is known."""
        found: Schema | None = self
        for name in path:
            if found is None:
                return None
            found = found.properties.get(name) or found.values
        return found

    def _sub(self, word: str) -> "Schema | None":
        node = self.node.get(word)
        return None if node is None else Schema(node, self._definitions)

    def _says(self, word: str) -> bool:
        return bool(self.use.get(word) or self.node.get(word))

    def _extension(self, word: str) -> str:
        return str(self.use.get(word) or self.node.get(word, ""))


def _ref(node: Node) -> str:
    """Also of `allOf: [{$ref}]`, as OpenAPI v3 has it where something stands beside a reference."""
    target = node.get("$ref")
    if target is None:
        for part in node.get("allOf", ()):
            target = part.get("$ref", target)
    return str(target).removeprefix(_PREFIX) if target else ""
