"""Pods that controllers make of templates. PURE.

Source: Kubernetes' API reference of PodTemplateSpec; kube-behaviour 2.9, 4.1.
"""

from typing import Any

from controlplane.api.names import faults_of_name
from controlplane.api.resource import Object
from controlplane.controller import owner_reference

_FROM_TEMPLATE = ("labels", "annotations", "finalizers")


def pod_from_template(
    template: Object, owner: Object, *, namespace: str, name: str = ""
) -> dict[str, Any]:
    """A pod of `owner`, before admission (see `Creation`).

    template  as the owner has it: fields that no type knows stay
    name      empty: the owner's name, a dash, and five letters that the store makes up
    """
    given = template.get("metadata") or {}
    metadata = {field: given[field] for field in _FROM_TEMPLATE if given.get(field)}
    metadata |= {"name": name} if name else {"generateName": prefix_of(owner)}
    metadata |= {"namespace": namespace, "ownerReferences": [owner_reference(owner)]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }


def prefix_of(owner: Object) -> str:
    """What the names of an owner's objects begin with: with a dash where that may stand."""
    name = str(owner["metadata"]["name"])
    prefix = f"{name}-"
    return name if faults_of_name(prefix, is_prefix=True) else prefix
