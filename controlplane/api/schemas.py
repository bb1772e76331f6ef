"""Kubernetes' own types, from the data file that `scripts/genschemas` makes. PURE.

The file is read with the first question, as a module is read when it is imported.
"""

import lzma
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import orjson

from controlplane.api.schema import Node, Schema

_GVK = "x-kubernetes-group-version-kind"


@cache
def definitions() -> Mapping[str, Node]:
    """Name, such as `io.k8s.api.core.v1.Pod`, -> node: 707 types of Kubernetes 1.33."""
    packed = files("controlplane.api").joinpath("data/schemas.json.xz").read_bytes()
    loaded: Mapping[str, Node] = orjson.loads(lzma.decompress(packed))
    return loaded


@cache
def named(name: str) -> Schema:
    """The type of that name in `definitions()`.

    KeyError: there is none.
    """
    return Schema({"$ref": f"#/definitions/{name}"}, definitions())


def schema_of(group: str, version: str, kind: str) -> Schema:
    """The type of a kind, always the same Schema; `group` is empty for the core group.

    KeyError: there is none.
    """
    return named(_names()[group, version, kind])


@cache
def _names() -> Mapping[tuple[str, str, str], str]:
    """DeleteOptions and WatchEvent stand under many groups, everything else under one."""
    return {
        (told["group"], told["version"], told["kind"]): name
        for name, node in definitions().items()
        for told in node.get(_GVK, ())
    }
