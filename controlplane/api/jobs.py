"""Validation of job specs, in Jobs and in the templates of CronJobs. PURE.

Source: Kubernetes' API reference of JobSpec; kube-behaviour 4.11-4.13.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api.causes import invalid, not_supported, required
from controlplane.api.checks import one_of, one_of_if_set
from controlplane.api.errors import Cause
from controlplane.api.resource import Object
from controlplane.api.templates import validate_counts, validate_template

_MODES = frozenset(("Indexed", "NonIndexed"))
_REPLACEMENTS = frozenset(("Failed", "TerminatingOrFailed"))
_ACTIONS = frozenset(("Count", "FailIndex", "FailJob", "Ignore"))
_OPERATORS = frozenset(("In", "NotIn"))
_STATUSES = frozenset(("False", "True", "Unknown"))
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_PARALLELISM_MAX = 100_000
"""Of indexed jobs, whose status lists indexes."""
_RULES_MAX = 20
_EXIT_CODES_MAX = 255


def validate_job_spec(spec: Object, path: str) -> Iterator[Cause]:
    """All that is wrong with it but its selector."""
    yield from validate_counts(spec, path, *_COUNTS)
    mode = spec.get("completionMode")
    yield from one_of_if_set(f"{path}.completionMode", mode, _MODES)
    if mode == "Indexed":
        yield from _indexed(spec, path)
    else:
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(field) is not None:
                why = "requires indexed completion mode"
                yield invalid(f"{path}.{field}", spec[field], why)
    at = f"{path}.podReplacementPolicy"
    yield from one_of_if_set(at, spec.get("podReplacementPolicy"), _REPLACEMENTS)
    yield from validate_template(spec.get("template"), f"{path}.template")
    yield from _restart_policy(spec, path)
    if spec.get("podFailurePolicy") is not None:
        yield from _failure_policy(spec, path)


def _indexed(spec: Object, path: str) -> Iterator[Cause]:
    if spec.get("completions") is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    parallelism = spec.get("parallelism") or 0
    if parallelism > _PARALLELISM_MAX:
        why = f"must be less than or equal to {_PARALLELISM_MAX} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", parallelism, why)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        why = "when maxFailedIndexes is specified"
        yield required(f"{path}.backoffLimitPerIndex", why)


def _restart_policy(spec: Object, path: str) -> Iterator[Cause]:
    """A job's pods end: Always is what a pod gets that says nothing (4.11)."""
    at = f"{path}.template.spec.restartPolicy"
    policy = _pod(spec).get("restartPolicy")
    if policy in (None, "", "Always"):
        yield required(at, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(at, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        yield invalid(at, policy, why)


def _pod(spec: Object) -> Object:
    found: Object = (spec.get("template") or {}).get("spec") or {}
    return found


def _failure_policy(spec: Object, path: str) -> Iterator[Cause]:
    rules: list[Object] = spec["podFailurePolicy"].get("rules") or []
    at = f"{path}.podFailurePolicy.rules"
    if len(rules) > _RULES_MAX:
        yield invalid(at, len(rules), f"must have at most {_RULES_MAX} items")
    names = {one.get("name") for one in _pod(spec).get("containers") or ()}
    for position, rule in enumerate(rules):
        yield from _rule(rule, f"{at}[{position}]", names)
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            why = "requires the backoffLimitPerIndex to be set"
            yield invalid(f"{at}[{position}].action", "FailIndex", why)


def _rule(rule: Object, path: str, names: set[Any]) -> Iterator[Cause]:
    yield from one_of(f"{path}.action", rule.get("action"), _ACTIONS)
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if codes is None and not conditions:
        yield invalid(
            path, dict(rule), "specifying one of OnExitCodes and OnPodConditions is required"
        )
    elif codes is not None and conditions:
        why = "specifying both OnExitCodes and OnPodConditions is not supported"
        yield invalid(path, dict(rule), why)
    if codes is not None:
        yield from _exit_codes(codes, f"{path}.onExitCodes", names)
    for position, condition in enumerate(conditions or ()):
        at = f"{path}.onPodConditions[{position}]"
        if not condition.get("type"):
            yield required(f"{at}.type")
        yield from one_of(f"{at}.status", condition.get("status"), _STATUSES)


def _exit_codes(codes: Object, path: str, names: set[Any]) -> Iterator[Cause]:
    yield from one_of(f"{path}.operator", codes.get("operator"), _OPERATORS)
    container, values = codes.get("containerName"), codes.get("values") or []
    if container is not None and container not in names:
        why = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", container, why)
    if not values:
        yield invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > _EXIT_CODES_MAX:
        yield invalid(f"{path}.values", len(values), f"must have at most {_EXIT_CODES_MAX} items")
    for position, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            why = "must not be 0 for the In operator"
            yield invalid(f"{path}.values[{position}]", value, why)


def validate_generated_selector(spec: Object, path: str) -> Iterator[Cause]:
    """Of a job to be: the selector will be that of the job that it becomes."""
    if spec.get("selector") is not None:
        yield invalid(f"{path}.selector", spec["selector"], "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield not_supported(f"{path}.manualSelector", True, ("nil", "false"))


def validate_success_policy(spec: Object, path: str) -> Iterator[Cause]:
    """Which indexes suffice."""
    policy = spec.get("successPolicy")
    if policy is None:
        return
    if spec.get("completionMode") != "Indexed":
        yield invalid(f"{path}.successPolicy", policy, "requires indexed completion mode")
        return
    rules = policy.get("rules") or ()
    if not rules:
        why = "at least one rules must be specified when the successPolicy is specified"
        yield required(f"{path}.successPolicy.rules", why)
    for position, rule in enumerate(rules):
        at = f"{path}.successPolicy.rules[{position}]"
        if rule.get("succeededCount") is None and not rule.get("succeededIndexes"):
            why = "at least one of succeededCount or succeededIndexes must be specified"
            yield required(at, why)
