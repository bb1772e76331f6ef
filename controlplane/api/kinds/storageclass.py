"""StorageClasses: all that volumes were made by is settled. PURE.

Source: Kubernetes' API reference of StorageClass; kube-behaviour 9.1.
"""

from collections.abc import Iterator

from controlplane.api import syntaxes
from controlplane.api.causes import forbidden, required
from controlplane.api.cells import at
from controlplane.api.checks import one_of, syntax, unchanged
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

_RECLAIM = frozenset(("Delete", "Retain"))
_BINDING = frozenset(("Immediate", "WaitForFirstConsumer"))
_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_SETTLED = ("parameters", "provisioner", "reclaimPolicy")


def _validate(storage_class: Object) -> list[Cause]:
    provisioner: str = storage_class.get("provisioner") or ""
    return [
        *syntax("provisioner", provisioner.lower(), syntaxes.faults_of_qualified_name),
        *_parameters(storage_class),
        *one_of("reclaimPolicy", storage_class.get("reclaimPolicy"), _RECLAIM),
        *one_of("volumeBindingMode", storage_class.get("volumeBindingMode"), _BINDING),
    ]


def _parameters(storage_class: Object) -> Iterator[Cause]:
    for key in storage_class.get("parameters") or ():
        if not key:
            yield required("parameters", "field can not be empty.")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    found = [
        forbidden(field, f"updates to {field} are forbidden.")
        for field in _SETTLED
        if (new.get(field) or None) != (old.get(field) or None)
    ]
    mode, was = new.get("volumeBindingMode"), old.get("volumeBindingMode")
    return [*found, *unchanged("volumeBindingMode", mode, was)]


def _name(storage_class: Object, now: float) -> str:
    annotations = at(storage_class, "metadata", "annotations") or {}
    name: str = at(storage_class, "metadata", "name") or ""
    is_default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return f"{name} (default)" if is_default else name


STRATEGY = Strategy(validate=_validate, validate_update=_validate_update, cells={"name": _name})
