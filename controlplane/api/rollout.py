"""How far a rolling update may go: counts or shares of pods. PURE.

Source: Kubernetes, "Deployments", "Perform a Rolling Update on a DaemonSet"; kube-behaviour 4.3,
4.10.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api.causes import invalid
from controlplane.api.errors import Cause
from controlplane.api.syntaxes import faults_of_percent


def is_zero(value: Any) -> bool:
    """0, 0% or left out."""
    return not value or _percent(value) == 0


def at_most_all(path: str, value: Any) -> Iterator[Cause]:
    """A share of pods is no more than 100%."""
    if (_percent(value) or 0) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def count_of(value: int | str | None, total: int, *, rounds_up: bool) -> int:
    """A count, or a share of `total` as one; None: 0.

    Raises ValueError for what is neither, as only a stranger can have written it.
    """
    if value is None or isinstance(value, int):
        return value or 0
    percent = _percent(value)
    if percent is None:
        raise ValueError(f"{value!r} is neither a number nor a percentage")
    return (percent * total + (99 if rounds_up else 0)) // 100


def _percent(value: Any) -> int | None:
    """Of a share; None: it is none."""
    if not isinstance(value, str) or faults_of_percent(value):
        return None
    digits = value[:-1].lstrip("0")
    # More digits than 100% has tell enough: Python refuses to read some thousands of them.
    return int(digits[:4] or 0)
