"""Jobs: the server makes their selector, and nearly nothing may change. PURE.

Source: Kubernetes' API reference of Job; kube-behaviour 4.11-4.13.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from controlplane.api import cells, selectors, tables
from controlplane.api.causes import go_map, invalid, invalid_as, required
from controlplane.api.cells import at
from controlplane.api.checks import unchanged
from controlplane.api.errors import Cause
from controlplane.api.jobs import validate_job_spec, validate_success_policy
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import (
    MISMATCH,
    default_template,
    drop_disabled,
    prepare_update,
)

_UID = "batch.kubernetes.io/controller-uid"
_NAME = "batch.kubernetes.io/job-name"
_OLD_UID, _OLD_NAME = "controller-uid", "job-name"
_BACKOFF_LIMIT = 6
_BACKOFF_LIMIT_MAX = 2**31 - 1
_SETTLED = ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy")


def _default(job: Object) -> Object:
    if job.get("spec") is None:
        return job
    spec: dict[str, Any] = dict(default_template(job["spec"], "template"))
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    if spec.get("backoffLimit") is None:
        per_index = spec.get("backoffLimitPerIndex") is not None
        spec["backoffLimit"] = _BACKOFF_LIMIT_MAX if per_index else _BACKOFF_LIMIT
    if spec.get("podReplacementPolicy") is None:
        by_policy = spec.get("podFailurePolicy") is not None
        spec["podReplacementPolicy"] = "Failed" if by_policy else "TerminatingOrFailed"
    metadata: Object = job.get("metadata") or {}
    labels = at(spec, "template", "metadata", "labels")
    if labels and not metadata.get("labels"):
        metadata = {**metadata, "labels": labels}
    return {**job, "metadata": metadata, "spec": spec}


def _prepare_create(job: Object) -> Object:
    """Its pods are those with its uid, unless somebody insists on a selector of their own."""
    job = drop_disabled(job, {}, "spec", "template")
    spec: Object = job.get("spec") or {}
    uid = at(job, "metadata", "uid") or ""
    if not spec.get("manualSelector"):
        spec = _with_selector(spec, uid, at(job, "metadata", "name") or "")
    return {**job, "spec": spec, "status": {}}


def _with_selector(spec: Object, uid: str, name: str) -> Object:
    own = {_UID: uid, _NAME: name, _OLD_UID: uid, _OLD_NAME: name}
    template: Object = spec.get("template") or {}
    metadata: Object = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), **own}
    template = {**template, "metadata": {**metadata, "labels": labels}}
    selector: Mapping[str, Any] = spec.get("selector") or {}
    matching = {**(selector.get("matchLabels") or {}), _UID: uid}
    return {**spec, "template": template, "selector": {**selector, "matchLabels": matching}}


def _validate(job: Object) -> list[Cause]:
    spec = job.get("spec") or {}
    return [
        *validate_job_spec(spec, "spec"),
        *validate_success_policy(spec, "spec"),
        *_selector(spec),
    ]


def _selector(spec: Object) -> Iterator[Cause]:
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
        return
    causes = selectors.validate_selector(selector, "spec.selector")
    yield from causes
    labels = at(spec, "template", "metadata", "labels") or {}
    if not causes and not selectors.from_object(selector).matches(labels):
        yield invalid_as("spec.template.metadata.labels", go_map(labels), MISMATCH)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec == before:
        return []
    found = [
        cause
        for field in _SETTLED
        for cause in unchanged(f"spec.{field}", spec.get(field), before.get(field))
    ]
    if not _is_elastic(spec, before):
        found += unchanged("spec.completions", spec.get("completions"), before.get("completions"))
    template, was = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend") and not at(old, "status", "startTime"):
        # Nothing of it has started: a queue may still say where it is to run.
        template, was = _without_directives(template), _without_directives(was)
    if template != was:
        found.append(invalid("spec.template", template, "field is immutable"))
    return found


def _is_elastic(spec: Object, before: Object) -> bool:
    """An indexed job may grow and shrink as long as all of it runs at once."""
    return all(
        one.get("completionMode") == "Indexed" and one.get("completions") == one.get("parallelism")
        for one in (spec, before)
    )


_DIRECTIVES = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _without_directives(template: Object) -> Object:
    spec = template.get("spec") or {}
    left = {key: value for key, value in spec.items() if key not in _DIRECTIVES}
    return {"spec": left}


_ENDS = ("Complete", "Failed")
_STATES = ("Suspended", "FailureTarget", "SuccessCriteriaMet")


def _status(job: Object, now: float) -> str:
    held = [
        one.get("type")
        for one in at(job, "status", "conditions") or ()
        if one.get("status") == "True"
    ]
    for state in _ENDS:
        if state in held:
            return state
    if at(job, "metadata", "deletionTimestamp"):
        return "Terminating"
    return next((state for state in _STATES if state in held), "Running")


def _completions(job: Object, now: float) -> str:
    done = at(job, "status", "succeeded") or 0
    wanted = at(job, "spec", "completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = at(job, "spec", "parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Object, now: float) -> str:
    start, end = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if not start:
        return ""
    if not end:
        return tables.since(start, now)
    return tables.since(start, datetime.fromisoformat(end).timestamp())


STRATEGY = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    validate_update=_validate_update,
    cells={
        "status": _status,
        "completions": _completions,
        "duration": _duration,
        **cells.workload("spec", "template", "spec"),
    },
)
