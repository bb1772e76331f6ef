"""Histories that are written by hand, for rules to judge."""

from collections.abc import Mapping
from typing import Any

import orjson

from controlplane.simulation.ledger import Ledger
from controlplane.simulation.rules import Moment, Rule

GOING = "2023-11-14T22:13:20Z"
_PLURALS = {
    "Pod": "core/pods",
    "Node": "core/nodes",
    "Service": "core/services",
    "Namespace": "core/namespaces",
    "Deployment": "apps/deployments",
    "ReplicaSet": "apps/replicasets",
    "Job": "batch/jobs",
    "PodDisruptionBudget": "policy/poddisruptionbudgets",
}


class History:
    """Transactions that a rule sees, a second apart."""

    def __init__(self, rule: Rule, *, calm_at: float | None = None) -> None:
        self.rule = rule
        self.ledger = Ledger()
        self.moment = Moment(calm_at)
        self.at = 0.0

    def put(self, *objects: Mapping[str, Any], after_seconds: float = 1.0) -> None:
        self._see([(_key(one), orjson.dumps(one)) for one in objects], after_seconds)

    def remove(self, obj: Mapping[str, Any]) -> None:
        self._see([(_key(obj), None)], 1.0)

    def _see(self, events: list[tuple[bytes, bytes | None]], after_seconds: float) -> None:
        self.at += after_seconds
        step = self.ledger.apply(self.ledger.revision + 1, self.at, events)
        self.rule.see(step, self.ledger, self.moment)


def _key(obj: Mapping[str, Any]) -> bytes:
    metadata = obj["metadata"]
    place = [metadata["namespace"]] if metadata.get("namespace") else []
    return "/".join(["/registry", _PLURALS[obj["kind"]], *place, metadata["name"]]).encode()


def obj(kind: str, name: str, *, owner: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid of {name}", "generation": 1}
    if kind not in ("Node", "Namespace"):
        metadata["namespace"] = "shop"
    metadata |= fields.pop("metadata", {})
    if owner:
        metadata["ownerReferences"] = [{"uid": f"uid of {owner}", "controller": True}]
    return {"kind": kind, "metadata": metadata, **fields}


def pod(
    name: str, node: str = "", *, owner: str = "", phase: str = "Running", **metadata: Any
) -> Any:
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]
    spec = {"containers": containers, **({"nodeName": node} if node else {})}
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
    return obj("Pod", name, owner=owner, metadata=metadata, spec=spec, status=status)


def job(*, indexed: bool = True, done: bool = False, parallelism: int = 2, **status: Any) -> Any:
    mode = "Indexed" if indexed else "NonIndexed"
    if done:
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    spec = {"parallelism": parallelism, "completionMode": mode}
    return obj("Job", "sum", spec=spec, status=status)
