"""Service accounts: only a cell that a path cannot count. PURE."""

from controlplane.api.resource import Object, Strategy


def _secrets(account: Object, now: float) -> int:
    return len(account.get("secrets") or ())


STRATEGY = Strategy(cells={"secrets": _secrets})
