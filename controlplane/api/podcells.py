"""What kubectl prints of a pod: one word for all that its containers are doing. PURE.

Source: what kubectl 1.33 shows in each state of a pod (kube-behaviour 10.1-10.4).
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import msgspec

from controlplane.api import cells
from controlplane.api.cells import NONE, at
from controlplane.api.resource import Object
from controlplane.api.tables import Cell

_TERMINAL = ("Succeeded", "Failed")


class Summary(msgspec.Struct):
    """Counted over the containers of a pod.

    last_restart  RFC 3339; empty: none
    """

    reason: str
    total: int
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""
    is_initializing: bool = False

    def restarted(self, status: Object) -> None:
        """Add the restarts of one container."""
        self.restarts += status.get("restartCount") or 0
        ended = at(status, "lastState", "terminated", "finishedAt") or ""
        self.last_restart = max(self.last_restart, ended)


class _Latest:
    """Three cells of a row ask for the same summary, one after another."""

    def __init__(self) -> None:
        self._pod: Object | None = None
        self._summary = Summary("", 0)

    def __call__(self, pod: Object) -> Summary:
        """Objects never change, so that the same one has the same summary."""
        if pod is not self._pod:
            self._pod, self._summary = pod, _summary(pod)
        return self._summary


summary = _Latest()
"""Reason, readiness and restarts of a pod."""


def _summary(pod: Object) -> Summary:
    status: Object = pod.get("status") or {}
    spec: Object = pod.get("spec") or {}
    sidecars = {
        one.get("name")
        for one in spec.get("initContainers") or ()
        if one.get("restartPolicy") == "Always"
    }
    found = Summary(_phase(status), len(spec.get("containers") or ()) + len(sidecars))
    of_sidecars = _init_containers(found, spec, status, sidecars)
    if not found.is_initializing or _holds(status, "Initialized"):
        # Only of what still runs is it of interest how often it was started.
        found.restarts, found.last_restart = of_sidecars.restarts, of_sidecars.last_restart
        _containers(found, status)
    if at(pod, "metadata", "deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            found.reason = "Unknown"
        elif status.get("phase") not in _TERMINAL:
            found.reason = "Terminating"
    return found


def _phase(status: Object) -> str:
    for condition in status.get("conditions") or ():
        is_gated = condition.get("reason") == "SchedulingGated"
        if condition.get("type") == "PodScheduled" and is_gated:
            return "SchedulingGated"
    return status.get("reason") or status.get("phase") or ""


def _holds(status: Object, kind: str) -> bool:
    return any(
        one.get("type") == kind and one.get("status") == "True"
        for one in status.get("conditions") or ()
    )


def _init_containers(found: Summary, spec: Object, status: Object, sidecars: set[Any]) -> Summary:
    """Up to the first that is not done; the result counts restarts of sidecars alone."""
    of_sidecars = Summary("", 0)
    for position, one in enumerate(status.get("initContainerStatuses") or ()):
        found.restarted(one)
        is_sidecar = one.get("name") in sidecars
        if is_sidecar:
            of_sidecars.restarted(one)
        ended = at(one, "state", "terminated")
        if ended is not None and not ended.get("exitCode"):
            continue
        if is_sidecar and one.get("started"):
            found.ready += bool(one.get("ready"))
            continue
        found.is_initializing = True
        found.reason = f"Init:{_init_reason(one, position, len(spec.get('initContainers') or ()))}"
        break
    return of_sidecars


def _init_reason(one: Object, position: int, count: int) -> str:
    ended = at(one, "state", "terminated")
    if ended is not None:
        return _end(ended)
    waiting = at(one, "state", "waiting", "reason")
    if waiting and waiting != "PodInitializing":
        return str(waiting)
    return f"{position}/{count}"


def _end(terminated: Mapping[str, Any]) -> str:
    """Why a container ended, best known first."""
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _containers(found: Summary, status: Object) -> None:
    has_running = False
    for one in reversed(status.get("containerStatuses") or ()):
        found.restarted(one)
        waiting, ended = at(one, "state", "waiting", "reason"), at(one, "state", "terminated")
        if waiting:
            found.reason = waiting
        elif ended is not None:
            found.reason = _end(ended)
        elif one.get("ready") and at(one, "state", "running") is not None:
            has_running = True
            found.ready += 1
    if found.reason == "Completed" and has_running:
        found.reason = "Running" if _holds(status, "Ready") else "NotReady"


def _ready(pod: Object, now: float) -> str:
    found = summary(pod)
    return f"{found.ready}/{found.total}"


def _status(pod: Object, now: float) -> str:
    return summary(pod).reason


def _restarts(pod: Object, now: float) -> str:
    found = summary(pod)
    if not found.restarts or not found.last_restart:
        return str(found.restarts)
    return f"{found.restarts} ({cells.since(found.last_restart, now)} ago)"


def _ip(pod: Object, now: float) -> str:
    addresses: Iterator[str] = (one.get("ip") for one in at(pod, "status", "podIPs") or ())
    return next(addresses, "") or at(pod, "status", "podIP") or NONE


def _readiness_gates(pod: Object, now: float) -> str:
    gates = at(pod, "spec", "readinessGates") or ()
    if not gates:
        return NONE
    status = pod.get("status") or {}
    return f"{sum(_holds(status, one.get('conditionType')) for one in gates)}/{len(gates)}"


CELLS: Mapping[str, Cell] = {
    "ready": _ready,
    "status": _status,
    "restarts": _restarts,
    "ip": _ip,
    "node": cells.text("spec", "nodeName", otherwise=NONE),
    "nominated_node": cells.text("status", "nominatedNodeName", otherwise=NONE),
    "readiness_gates": _readiness_gates,
}


class _Container(TypedDict, total=False):
    name: Any
    restartPolicy: Any


class _Spec(TypedDict, total=False):
    containers: list[_Container]
    initContainers: list[_Container]
    nodeName: Any
    readinessGates: Any


class _Pod(TypedDict, total=False):
    metadata: msgspec.Raw
    spec: _Spec
    status: Any


class _Metadata(TypedDict, total=False):
    name: Any
    creationTimestamp: Any
    deletionTimestamp: Any


GLANCE = (_Pod, _Metadata)
"""All that a pod's columns look at."""
