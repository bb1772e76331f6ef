"""Options of requests, as their query (and a delete's body) has them. PURE.

Also what may be said of reads. Source: Kubernetes' API reference: CreateOptions, UpdateOptions,
PatchOptions, DeleteOptions, ListOptions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from controlplane.api import errors
from controlplane.api.errors import Cause
from controlplane.api.lifecycle import DeleteOptions
from controlplane.apiserver.incoming import Incoming, Query

_T = TypeVar("_T")
_VALIDATIONS = ("Ignore", "Warn", "Strict")
_POLICIES = ("Orphan", "Background", "Foreground")
_MANAGER_BYTES_MAX = 128
IGNORE_READ_ERRORS = "ignoreStoreReadErrorWithClusterBreakingPotential"


class WriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a create, update or patch.

    manager   whose fields these are
    strict    field validation: Ignore, Warn, Strict
    is_forced an apply takes fields from others
    """

    is_dry_run: bool = False
    manager: str = ""
    strict: str = "Warn"
    is_forced: bool = False


def write_options(incoming: Incoming, kind: str, *, is_apply: bool = False) -> WriteOptions:
    """Raises ApiError 422, also where an apply does not name its manager (2.15)."""
    query = incoming.query
    causes = []
    manager, is_forced = query.text("fieldManager"), query.flag("force")
    if is_apply and not manager:
        told = "Required value: is required for apply patch"
        causes.append(Cause("FieldValueRequired", told, "fieldManager"))
    if is_forced and not is_apply:
        told = "Forbidden: may not be specified for non-apply patch"
        causes.append(Cause("FieldValueForbidden", told, "force"))
    if len(manager.encode()) > _MANAGER_BYTES_MAX:
        told = f"may not be more than {_MANAGER_BYTES_MAX} bytes"
        causes.append(Cause("FieldValueTooLong", f"Too long: {told}", "fieldManager"))
    elif not manager.isprintable():
        told = f'Invalid value: "{manager[:40]!r}": should only contain printable characters'
        causes.append(Cause("FieldValueInvalid", told, "fieldManager"))
    dry_run = query.texts("dryRun")
    if dry_run and any(value != "All" for value in dry_run):
        causes.append(_unsupported("dryRun", dry_run[0], ("All",)))
    strict = query.text("fieldValidation") or "Warn"
    if strict not in _VALIDATIONS:
        causes.append(_unsupported("fieldValidation", strict, _VALIDATIONS))
    if causes:
        raise errors.invalid(kind, "meta.k8s.io", "", causes)
    return WriteOptions(
        is_dry_run=bool(dry_run),
        manager=manager or manager_of(incoming.header("user-agent")),
        strict=strict,
        is_forced=is_forced,
    )


def manager_of(user_agent: str) -> str:
    """Who does not say is called by the program's name: `kubectl` of `kubectl/v1.33 (linux)`.

    What cannot be printed is left out, and what is too long cut: nobody is refused for it.
    """
    name = "".join(char for char in user_agent.split("/", 1)[0] if char.isprintable())
    return (
        name.encode("utf-8", "ignore")[:_MANAGER_BYTES_MAX].decode("utf-8", "ignore") or "unknown"
    )


def _unsupported(field: str, value: str, supported: tuple[str, ...]) -> Cause:
    told = ", ".join(f'"{one}"' for one in supported)
    message = f'Unsupported value: "{value[:80]}": supported values: {told}'
    return Cause("FieldValueNotSupported", message, field)


class DeleteWish(msgspec.Struct, frozen=True, kw_only=True):
    """DeleteOptions. None: not said.

    ignores_read_errors  what cannot be read is removed as it is
    """

    is_dry_run: bool = False
    grace_seconds: int | None = None
    policy: str = ""
    uid: str = ""
    resource_version: str = ""
    ignores_read_errors: bool = False

    def options(self) -> DeleteOptions:
        """For the store."""
        return DeleteOptions(
            grace_period_seconds=self.grace_seconds,
            propagation_policy=self.policy,
            by_kind=True,
            uid=self.uid,
            resource_version=self.resource_version,
            dry_run=self.is_dry_run,
        )


def delete_wish(incoming: Incoming, body: Mapping[str, Any]) -> DeleteWish:
    """From the body, and the query where the body is silent. Raises ApiError 400 and 422."""
    query = incoming.query
    preconditions = _said(body, "preconditions", dict, "an object") or {}
    dry_run = _said(body, "dryRun", list, "a list") or query.texts("dryRun")
    policy = _said(body, "propagationPolicy", str, "a text") or query.text("propagationPolicy")
    orphans = _said(body, "orphanDependents", bool, "true or false")
    if orphans is None and query.text("orphanDependents"):
        orphans = query.flag("orphanDependents")
    causes = []
    if any(value != "All" for value in dry_run):
        causes.append(_unsupported("dryRun", str(dry_run[0]), ("All",)))
    if policy and policy not in _POLICIES:
        causes.append(_unsupported("propagationPolicy", str(policy), (*_POLICIES, "nil")))
    ignores = _said(body, IGNORE_READ_ERRORS, bool, "true or false") or query.flag(
        IGNORE_READ_ERRORS
    )
    if ignores:
        rest = (dry_run, policy, orphans is not None, _grace(incoming, body) is not None)
        causes += _alone((*rest, preconditions))
    if policy and orphans is not None:
        told = "Invalid value: orphanDependents and deletionPropagation cannot be both set"
        causes.append(Cause("FieldValueInvalid", told, "propagationPolicy"))
    if causes:
        raise errors.invalid("DeleteOptions", "meta.k8s.io", "", causes)
    if orphans is not None:
        policy = "Orphan" if orphans else "Background"
    return DeleteWish(
        is_dry_run=bool(dry_run),
        grace_seconds=_grace(incoming, body),
        policy=policy,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
        ignores_read_errors=ignores,
    )


def _alone(others: Sequence[object]) -> list[Cause]:
    """What nobody can judge of an object that cannot be read may not be asked for (KEP-3926)."""
    names = ("dryRun", "propagationPolicy", "orphanDependents", "gracePeriodSeconds")
    return [
        Cause(
            "FieldValueInvalid",
            f"Invalid value: true: cannot be set together with .{name}",
            IGNORE_READ_ERRORS,
        )
        for name, other in zip((*names, "preconditions"), others, strict=True)
        if other
    ]


def _said(body: Mapping[str, Any], field: str, type_: type[_T], wanted: str) -> _T | None:
    """Raises ApiError 400 where it is of another type."""
    value = body.get(field)
    if value is not None and not isinstance(value, type_):
        raise errors.bad_request(f"DeleteOptions: {field}: {wanted}, please")
    return value


def _grace(incoming: Incoming, body: Mapping[str, Any]) -> int | None:
    seconds = body.get("gracePeriodSeconds")
    if seconds is None and incoming.query.text("gracePeriodSeconds"):
        seconds = incoming.query.number("gracePeriodSeconds")
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise errors.bad_request("gracePeriodSeconds: a number of seconds, please")
    return max(seconds, 0) if seconds >= 0 else 1


_EXACT, _NOT_OLDER = "Exact", "NotOlderThan"


def list_options(query: Query) -> str:
    """The resourceVersionMatch of a list; empty: none. Raises ApiError 422."""
    match, version = query.text("resourceVersionMatch"), query.text("resourceVersion")
    causes: list[Cause] = []
    if match:
        field = "resourceVersionMatch"
        if not version:
            causes.append(
                _forbidden(field, f"{field} is forbidden unless resourceVersion is provided")
            )
        if query.text("continue"):
            causes.append(_forbidden(field, f"{field} is forbidden when continue is provided"))
        if match not in (_EXACT, _NOT_OLDER):
            causes.append(_unsupported(field, match, (_EXACT, _NOT_OLDER, "")))
        if match == _EXACT and version == "0":
            told = f'{field} "exact" is forbidden for resourceVersion "0"'
            causes.append(_forbidden(field, told))
    if query.text("sendInitialEvents"):
        told = "sendInitialEvents is forbidden for list"
        causes.append(_forbidden("sendInitialEvents", told))
    _require_none(causes)
    return match


def watch_options(query: Query) -> bool:
    """Whether a watch begins with a streaming list (2.6). Raises ApiError 422."""
    match, field = query.text("resourceVersionMatch"), "resourceVersionMatch"
    is_said = bool(query.text("sendInitialEvents"))
    causes: list[Cause] = []
    if is_said and match != _NOT_OLDER:
        told = f"sendInitialEvents requires setting {field} to {_NOT_OLDER}"
        causes.append(_forbidden(field, told))
    if match:
        if not is_said:
            told = f"{field} is forbidden for watch unless sendInitialEvents is provided"
            causes.append(_forbidden(field, told))
        if match != _NOT_OLDER:
            causes.append(_unsupported(field, match, (_NOT_OLDER,)))
        if query.text("continue"):
            causes.append(_forbidden(field, f"{field} is forbidden when continue is provided"))
    _require_none(causes)
    return query.flag("sendInitialEvents")


def _forbidden(field: str, told: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {told}", field)


def _require_none(causes: list[Cause]) -> None:
    if causes:
        raise errors.invalid("ListOptions", "meta.k8s.io", "", causes)
