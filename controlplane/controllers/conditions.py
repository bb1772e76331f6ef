"""Conditions of objects' status. PURE.

Source: Kubernetes API conventions, "Typical status properties".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.api.meta import rfc3339

Said = tuple[str, bool, str, str]
"""type, whether it is so, reason, message."""


def with_conditions(
    conditions: Sequence[Mapping[str, Any]], said: Iterable[Said], now: float
) -> list[Mapping[str, Any]]:
    """Conditions with what is said now; times change with the status of a condition only.

    now  seconds since 1970
    """
    found = {str(one.get("type")): one for one in conditions}
    for kind, is_so, reason, message in said:
        before = found.get(kind) or {}
        status = "True" if is_so else "False"
        is_same = before.get("status") == status and "lastTransitionTime" in before
        found[kind] = {
            **before,
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": before["lastTransitionTime"] if is_same else rfc3339(now),
        }
    return list(found.values())


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    """Whether an object's condition of this type is True."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)
