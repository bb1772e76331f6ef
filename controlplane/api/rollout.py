"""How far a rolling update may go: counts or shares of pods. PURE.

Source: Kubernetes, "Deployments", "Perform a Rolling Update on a DaemonSet"; kube-behaviour 4.3,
4.10.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api.errors import Cause
from controlplane.api.faults import invalid, is_percent


def is_zero(value: Any) -> bool:
    """0, 0% or left out."""
    return not value or (isinstance(value, str) and is_percent(value) and int(value[:-1]) == 0)


def at_most_all(path: str, value: Any) -> Iterator[Cause]:
    """A share of pods is no more than 100%."""
    if isinstance(value, str) and is_percent(value) and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")
