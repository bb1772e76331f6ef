"""ReplicationControllers: what came before ReplicaSets, with a plain map as selector. PURE.

Source: Kubernetes' API reference of ReplicationController; kube-behaviour 2.19.
"""

from controlplane.api import cells
from controlplane.api.causes import go_map, invalid_as, not_supported, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.selectors import from_labels
from controlplane.api.templates import (
    MISMATCH,
    default_template,
    prepare_create,
    prepare_update,
    validate_counts,
    validate_template,
)


def _default(controller: Object) -> Object:
    """Selector and labels are those of the template where nothing is said."""
    controller = default_template(controller, "spec", "template")
    spec, metadata = controller.get("spec") or {}, controller.get("metadata") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if not labels:
        return controller
    if not spec.get("selector"):
        controller = {**controller, "spec": {**spec, "selector": labels}}
    if not metadata.get("labels"):
        controller = {**controller, "metadata": {**metadata, "labels": labels}}
    return controller


def _validate(controller: Object) -> list[Cause]:
    spec = controller.get("spec") or {}
    causes = list(validate_counts(spec, "spec", "replicas", "minReadySeconds"))
    selector, template = spec.get("selector"), spec.get("template")
    if not selector:
        causes.append(required("spec.selector"))
    if template is None:
        return [*causes, required("spec.template")]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and not from_labels(selector).matches(labels):
        causes.append(invalid_as("spec.template.metadata.labels", go_map(labels), MISMATCH))
    causes += validate_template(template, "spec.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy and policy != "Always":
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    return causes


def _selector(controller: Object, now: float) -> str:
    labels = (controller.get("spec") or {}).get("selector") or {}
    return cells.joined((f"{key}={labels[key]}" for key in sorted(labels)), cells.NONE)


STRATEGY = Strategy(
    default=_default,
    prepare_create=prepare_create("spec", "template"),
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    cells={**cells.workload("spec", "template", "spec"), "selector": _selector},
)
