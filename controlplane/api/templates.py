"""Templates of pods, and what all workloads that have one share. PURE.

Source: Kubernetes' API reference of PodTemplateSpec and of the apps group (kube-behaviour 2.19).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controlplane.api import podspec, selectors, syntaxes
from controlplane.api.causes import forbidden, go_map, invalid, invalid_as, not_supported, required
from controlplane.api.checks import at_least
from controlplane.api.errors import Cause
from controlplane.api.meta import validate_labels
from controlplane.api.resource import Object

MISMATCH = "`selector` does not match template `labels`"


def in_spec(change: Callable[[Object], Object]) -> Callable[[Object], Object]:
    """A change of an object's spec as one of the object, which may have none."""

    def changed(obj: Object) -> Object:
        spec = obj.get("spec")
        return obj if spec is None else {**obj, "spec": change(spec)}

    return changed


def default_template(holder: Object, *path: str) -> Object:
    """`holder` with the pod spec of the template at `path` defaulted; None of it may be there."""
    if not path:
        spec = holder.get("spec")
        return holder if spec is None else {**holder, "spec": podspec.default_pod_spec(spec)}
    inner = holder.get(path[0])
    if inner is None:
        return holder
    return {**holder, path[0]: default_template(inner, *path[1:])}


def drop_disabled(new: Object, old: Object, *path: str) -> Object:
    """`new` without what is off in the pod spec of the template at `path`, unless it was there."""
    field = path[0] if path else "spec"
    inner, before = new.get(field), old.get(field) or {}
    if inner is None:
        return new
    drop = drop_disabled if path else podspec.drop_disabled
    kept = drop(inner, before, *path[1:])
    return new if kept is inner else {**new, field: kept}


def prepare_create(*path: str) -> Callable[[Object], Object]:
    """What `Strategy.prepare_create` does of kinds with a template at `path`."""
    return lambda obj: drop_disabled(obj, {}, *path)


def prepare_update(*path: str) -> Callable[[Object, Object], Object]:
    """What `Strategy.prepare_update` does of kinds with a template at `path`."""
    return lambda new, old: drop_disabled(new, old, *path)


def validate_template(template: Object | None, path: str) -> Iterator[Cause]:
    """Labels, annotations and the pod spec."""
    template = template or {}
    metadata: Mapping[str, Any] = template.get("metadata") or {}
    yield from validate_labels(metadata.get("labels") or {}, f"{path}.metadata.labels")
    for key in metadata.get("annotations") or ():
        for why in syntaxes.faults_of_qualified_name(key.lower()):
            yield invalid(f"{path}.metadata.annotations", key, why)
    spec = template.get("spec") or {}
    yield from podspec.validate_pod_spec(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        yield forbidden(f"{path}.spec.ephemeralContainers", why)


def validate_selected_template(spec: Object, path: str, owner: str) -> Iterator[Cause]:
    """`selector` and `template` of a workload whose pods run for ever; `owner` is its kind."""
    selector = spec.get("selector")
    template: Mapping[str, Any] = spec.get("template") or {}
    at = f"{path}.template"
    if selector is None:
        yield required(f"{path}.selector")
    else:
        yield from validate_selector(selector, f"{path}.selector", owner)
        yield from _selects(selector, template, at)
    yield from validate_template(template, at)
    pod: Mapping[str, Any] = template.get("spec") or {}
    policy = pod.get("restartPolicy")
    if policy and policy != "Always":
        yield not_supported(f"{at}.spec.restartPolicy", policy, ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {owner} is not Supported"
        yield forbidden(f"{at}.spec.activeDeadlineSeconds", why)


def validate_selector(selector: Object, path: str, owner: str) -> Iterator[Cause]:
    """It selects something, and is well-formed."""
    yield from selectors.validate_selector(selector, path)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        what = {"ReplicaSet": "deployment"}.get(owner, owner.lower())
        yield invalid(path, dict(selector), f"empty selector is invalid for {what}")


def _selects(selector: Object, template: Object, path: str) -> Iterator[Cause]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return
    if not any(selectors.validate_selector(selector, "")) and not selectors.from_object(
        selector
    ).matches(labels):
        yield invalid_as(f"{path}.metadata.labels", go_map(labels), MISMATCH)


def validate_counts(spec: Object, path: str, *fields: str) -> Iterator[Cause]:
    """Numbers of a spec that may not be negative."""
    for field in fields:
        yield from at_least(f"{path}.{field}", spec.get(field))
