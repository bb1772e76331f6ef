"""Kubernetes' OpenAPI definitions, as one compressed file, out of PyPI's `kubernetes-validate`.

That package keeps them for JSON Schema validators, with additions that Kubernetes does not publish;
they are taken away again here (`_restored`), so that what is left are Kubernetes' own definitions.
"""

import json
import lzma
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KUBERNETES_VERSION = "v1.33.0"
MEMBER = f"kubernetes_validate/kubernetes-json-schema/{KUBERNETES_VERSION}-local/_definitions.json"
TARGET = Path(__file__).parents[2] / "controlplane/api/data/schemas.json.xz"

# What the package writes as a choice of types, and what Kubernetes publishes. `quantity` is ours:
# Kubernetes tells quantities from other strings by their type's name only.
REPLACED = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "description": "An amount, such as 500m, 1.5, 128Mi or 2e3.",
        "type": "string",
        "format": "quantity",
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "A number, or a string that may be a name or a percentage.",
        "type": "string",
        "format": "int-or-string",
    },
}


def _restored(node: Any) -> Any:
    """A schema without the additions. The keys of `properties` are names, not keywords."""
    if isinstance(node, list):
        return [_restored(part) for part in node]
    if not isinstance(node, dict):
        return node
    result = {word: _restored_word(word, value) for word, value in node.items()}
    # Swagger tells groups, versions and kinds by an extension, never by an enum of one value.
    for name in ("apiVersion", "kind"):
        field = result.get("properties", {}).get(name)
        if field is not None and "x-kubernetes-group-version-kind" in result:
            field.pop("enum", None)
    return result


def _restored_word(word: str, value: Any) -> Any:
    if word == "properties":
        return {name: _restored(node) for name, node in value.items()}
    if word == "type" and isinstance(value, list):
        (only,) = (name for name in value if name != "null")
        return only
    if word == "$ref":
        return value.replace("#/$defs/", "#/definitions/")
    if word == "enum":
        return [one for one in value if one is not None]
    return _restored(value)


def definitions(document: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> node, as Kubernetes' OpenAPI v2 document has it under `definitions`."""
    return {
        name: REPLACED.get(name) or _restored(node)
        for name, node in sorted(document["$defs"].items())
    }


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        document = json.loads(archive.read(MEMBER))
    text = json.dumps(definitions(document), sort_keys=True, separators=(",", ":"))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{TARGET.name}: {len(text)} characters, {TARGET.stat().st_size} bytes packed")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: genschemas WHEEL")
    main(sys.argv[1])
