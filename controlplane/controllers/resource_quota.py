"""Quotas: `status.used` is what the objects of a namespace really use.

Admission adds what is created; here is taken away what has gone, and put right whatever else
differs: when a quota changes, when something uses less, and every five minutes.

All objects are read as of the revision at which the quotas were read, and a quota is written only
if nobody wrote it since: what admission counts meanwhile is never lost.

Source: Kubernetes' documentation, "Resource Quotas"; kube-behaviour 8.2.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from controlplane.api import quantity, usage
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context, custom_resources
from controlplane.controllers.everything import EVERYTHING
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

RESYNC_SECONDS = 300.0  # 8.2
REST_SECONDS = 1.0  # between two counts of a namespace in which much goes at once
WORKERS = 5  # kube-controller-manager's --concurrent-resource-quota-syncs

_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading an object raises that the API server cannot have written."""

logger = logging.getLogger(__name__)

Counted = Sequence[tuple[Resource, Sequence[Object]]]


def controller(context: Context) -> Controller:
    """Of quotas. Keys are those of quotas, and (empty, namespace) where something uses less."""
    quotas = context.resource("", "resourcequotas")
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    counted_at: dict[str, float] = {}

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        namespace = key.namespace or key.name
        found = lister.list(quotas, namespace)
        if not found:
            counted_at.pop(namespace, None)
            return None
        elapsed = store.clock() - counted_at.get(namespace, 0.0)
        if elapsed < 0:  # the clock was set back
            elapsed = RESYNC_SECONDS
        if key.namespace and not any(map(is_news, found)) and elapsed < RESYNC_SECONDS:
            return RESYNC_SECONDS - elapsed
        if not key.namespace and elapsed < REST_SECONDS:
            return REST_SECONDS - elapsed
        custom = custom_resources(lister.list(definitions))
        await _count(store, quotas, namespace, [*context.stored(), *custom])
        counted_at[namespace] = store.clock()
        return RESYNC_SECONDS if key.namespace else None

    return Controller(
        "resourcequota",
        quotas,
        reconcile,
        triggers=[
            Trigger(EVERYTHING, _namespace_of, is_for_ends=True),
            Trigger(EVERYTHING, lambda obj: _namespace_of(obj) if has_ended(obj) else []),
            # Of another type it may count less; what it counts more is admission's.
            Trigger(
                context.resource("", "services"),
                _namespace_of,
                is_for_changes=True,
                part=_type_of,
            ),
        ],
        reads=[definitions],
        workers=WORKERS,
    )


def is_news(quota: Object) -> bool:
    """Whether what is used of a quota was never counted, or for other limits. Pure."""
    hard, status = _hard_of(quota), quota.get("status") or {}
    if not isinstance(status, Mapping):
        return True
    used = status.get("used") or {}
    return bool(hard != (status.get("hard") or {}) or any(name not in used for name in hard))


def plan(quota: Object, counted: Counted, now: float) -> Object:
    """The quota with the sum of what it counts. Pure.

    now  seconds since 1970
    """
    hard = _hard_of(quota)
    total = dict.fromkeys(hard, Fraction(0))
    for resource, objects in counted:
        for found in objects:
            if usage.is_counted(quota, resource, found):
                _add(total, usage.usage_of(resource, found, now=now))
    used = {
        name: quantity.render(amount, quantity.format_of(hard[name]))
        for name, amount in total.items()
    }
    return {**quota, "status": {**(quota.get("status") or {}), "hard": dict(hard), "used": used}}


def _hard_of(quota: Object) -> Mapping[str, Any]:
    """Empty: of a quota that a stranger wrote."""
    spec = quota.get("spec") or {}
    hard = spec.get("hard") if isinstance(spec, Mapping) else None
    return hard if isinstance(hard, Mapping) else {}


def _with_status(status: Mapping[str, Any], old: Object) -> Object:
    return {**old, "status": status}


def _add(total: dict[str, Fraction], used: Mapping[str, Fraction]) -> None:
    for name, amount in used.items():
        if name in total:
            total[name] += amount


def wanted(hard: Iterable[str], resources: Sequence[Resource]) -> list[Resource]:
    """Whose objects must be read for these limits. Pure."""
    names = set(hard)
    return [
        one
        for one in resources
        if one.is_namespaced and any(usage.is_of(one, name) for name in names)
    ]


def has_ended(obj: Object) -> bool:
    """A pod that uses nothing more, though it is there."""
    is_pod = (obj.get("apiVersion"), obj.get("kind")) == ("v1", "Pod")
    return is_pod and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _type_of(service: Object) -> object:
    return (service.get("spec") or {}).get("type")


def _namespace_of(obj: Object) -> list[Key]:
    namespace = obj["metadata"].get("namespace")
    return [Key("", namespace)] if namespace else []


async def _count(
    store: ObjectStore, quotas: Resource, namespace: str, resources: Sequence[Resource]
) -> None:
    page = await store.list(quotas, namespace)
    found = page.items
    limits = {name for quota in found for name in _hard_of(quota)}
    counted, now = [], store.clock()
    for resource in wanted(limits, resources):
        objects = await store.list(resource, namespace, revision=page.revision)
        counted.append((resource, [one for one in objects.items if _is_usable(resource, one, now)]))
    failed: list[Exception] = []
    for quota in found:
        try:
            await _write(store, quotas, plan(quota, counted, now), known=quota)
        except (ApiError, *_MALFORMED) as error:
            failed.append(error)
    if failed:
        raise failed[0]


async def _write(store: ObjectStore, quotas: Resource, planned: Object, *, known: Object) -> None:
    metadata = known["metadata"]
    await store.update(
        quotas,
        metadata["namespace"],
        metadata["name"],
        partial(_with_status, planned["status"]),
        resource_version=metadata["resourceVersion"],
        known=known,
    )


def _is_usable(resource: Resource, obj: Object, now: float) -> bool:
    """Whether it can be told what an object uses. Else a stranger wrote it, and it uses nothing:
    it must not keep the whole namespace from being counted.
    """
    try:
        usage.usage_of(resource, obj, now=now)
    except _MALFORMED as error:
        logger.warning("%s %s: not counted: %r", resource.plural, obj["metadata"]["name"], error)
        return False
    return True
