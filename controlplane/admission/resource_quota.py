"""ResourceQuota: a namespace uses no more than its quotas say. PURE.

What a write uses is added to `status.used` of each quota in the Txn of the write, which compares
the quota's revision: however many write at once, together they stay below (kube-behaviour 8.2).
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from controlplane.admission.review import CREATE, UPDATE, Review
from controlplane.api import errors, quantity, stored, usage
from controlplane.api.resource import Object, Resource
from controlplane.claims import Claim

_UPDATED = frozenset(("pods", "services", "persistentvolumeclaims"))
"""What may use more after an update than before."""


def counters(review: Review) -> list[bytes]:
    """Keys of the quotas that a new object may be charged to."""
    resource = review.resource
    if not resource.is_namespaced:
        return []
    return [
        _key(review, quota)
        for quota in review.lister.list("", "resourcequotas", review.namespace)
        if any(usage.is_of(resource, name) for name in _hard(quota))
    ]


def validate(review: Review, found: Object) -> None:
    """Claims what is used. Raises ApiError 403."""
    resource = review.resource
    if review.subresource or not resource.is_namespaced:
        return
    is_growing = review.operation == UPDATE and resource.plural in _UPDATED
    if review.operation != CREATE and not is_growing:
        return
    quotas = review.lister.list("", "resourcequotas", review.namespace)
    if not quotas:
        return
    for quota in sorted(quotas, key=lambda one: str(one["metadata"]["name"])):
        if usage.is_counted(quota, resource, found):
            _charge(review, found, quota, _wanted(review, found, quota))


def _wanted(review: Review, found: Object, quota: Object) -> dict[str, Fraction]:
    """What is used more than before, where "before" is nothing if a quota did not count it."""
    new = usage.usage_of(review.resource, found)
    old: Mapping[str, Fraction] = {}
    if review.old is not None and usage.is_counted(quota, review.resource, review.old):
        old = usage.usage_of(review.resource, review.old)
    more = {name: amount - old.get(name, Fraction(0)) for name, amount in new.items()}
    return {name: amount for name, amount in more.items() if amount > 0}


def _charge(review: Review, found: Object, quota: Object, wanted: Mapping[str, Fraction]) -> None:
    hard = _hard(quota)
    name = str(quota["metadata"]["name"])
    if review.is_of("pods", "", CREATE):
        missing = usage.missing_of_pod(found, sorted(hard))
        if missing:
            told = "; ".join(f"{what} for: {','.join(who)}" for what, who in missing.items())
            raise _refused(review, f"failed quota: {name}: must specify {told}")
    counted = {what: amount for what, amount in wanted.items() if what in hard}
    if not counted:
        return
    used = (quota.get("status") or {}).get("used") or {}
    unknown = sorted(what for what in counted if what not in used)
    if unknown:
        raise _refused(review, f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    before = {what: quantity.parse(used[what]) for what in counted}
    exceeded = sorted(
        what for what in counted if before[what] + counted[what] > quantity.parse(hard[what])
    )
    if exceeded:
        asked = ",".join(f"{what}={_told(counted[what], hard[what])}" for what in exceeded)
        was = ",".join(f"{what}={quantity.canonical(used[what])}" for what in exceeded)
        limit = ",".join(f"{what}={quantity.canonical(hard[what])}" for what in exceeded)
        raise _refused(
            review, f"exceeded quota: {name}, requested: {asked}, used: {was}, limited: {limit}"
        )
    after = {what: _told(before[what] + counted[what], hard[what]) for what in counted}
    review.claims.append(_claim(review, quota, {**used, **after}))


def _told(amount: Fraction, like: Any) -> str:
    """An amount in the format of another: bytes stay in powers of two where they were."""
    return quantity.render(amount, quantity.format_of(like))


def _claim(review: Review, quota: Object, used: Mapping[str, str]) -> Claim:
    changed = {**quota, "status": {**(quota.get("status") or {}), "used": dict(used)}}
    return Claim(
        key=_key(review, quota),
        value=stored.encode(_resource(review), changed),
        expected=int(quota["metadata"]["resourceVersion"]),
    )


def _hard(quota: Object) -> Mapping[str, Any]:
    return (quota.get("spec") or {}).get("hard") or {}


def _key(review: Review, quota: Object) -> bytes:
    metadata = quota["metadata"]
    return _resource(review).key(str(metadata["namespace"]), str(metadata["name"])).encode()


def _resource(review: Review) -> Resource:
    resource = review.quota_resource
    assert resource is not None, "there are quotas, so there is their resource"
    return resource


def _refused(review: Review, why: str) -> errors.ApiError:
    resource = review.resource
    return errors.forbidden(resource.plural, resource.group, review.name, why)
