"""Cluster role bindings: who has a cluster role in every namespace. PURE.

Source: Kubernetes' "Using RBAC Authorization"; kube-behaviour 11.3.
"""

from controlplane.api.errors import Cause
from controlplane.api.kinds.role import NAME_RULE
from controlplane.api.kinds.rolebinding import CELLS, default, validate_binding, validate_update
from controlplane.api.resource import Object, Strategy


def _validate(binding: Object) -> list[Cause]:
    return validate_binding(binding, ("ClusterRole",), is_namespaced=False)


STRATEGY = Strategy(
    name_rule=NAME_RULE,
    default=default,
    validate=_validate,
    validate_update=validate_update,
    cells=CELLS,
)
