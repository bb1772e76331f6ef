"""Names of fields and modules in Python."""

import keyword
import re

_PLURAL_ACRONYM = re.compile(r"([A-Z])([A-Z]+)s(?![a-z])")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """`podIPs` -> `pod_ips`, `hostIPC` -> `host_ipc`, `from` -> `from_`."""
    whole = _PLURAL_ACRONYM.sub(lambda found: found[1] + found[2].lower() + "s", name)
    words = _WORD.sub("_", whole).lower()
    return f"{words}_" if keyword.iskeyword(words) else words


def camel(name: str) -> str:
    """What msgspec's own renaming makes of a name."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word.title() for word in rest)


def module(definition: str) -> str:
    """`io.k8s.api.core.v1.Pod` -> `core_v1`."""
    group, version = definition.split(".")[-3:-1]
    return f"{group}_{version}"


def type_name(definition: str) -> str:
    """`io.k8s.api.core.v1.Pod` -> `Pod`."""
    return definition.rpartition(".")[2]
