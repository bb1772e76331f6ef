"""What must be so once nothing goes wrong any more and nobody wants anything else. PURE.

Each function yields what is not as it should be, in words; nothing: all is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from controlplane.api.resource import Object
from controlplane.node.runtime.interface import Container, Sandbox
from controlplane.simulation import budgets
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Ledger, called, is_active, is_true, status_of, uid_of

_ENDPOINTS = ("", "endpoints")
_SERVICE_NAME = "kubernetes.io/service-name"


class Machine(msgspec.Struct, frozen=True):
    """What one node has. `folders`: uids of pods that have something on its disk."""

    name: str
    sandboxes: Sequence[Sandbox]
    containers: Sequence[Container]
    folders: frozenset[str]


def amiss(ledger: Ledger, machines: Iterable[Machine]) -> Iterator[str]:
    """Everything."""
    yield from _of_all(ledger)
    for deployment in ledger.all(facts.DEPLOYMENTS):
        yield from _of_deployment(deployment, ledger)
    for job in ledger.all(facts.JOBS):
        if not is_true(job, "Complete") and not is_true(job, "Failed"):
            yield f"{called(job)} has not ended"
    for pod in ledger.all(facts.PODS):
        yield from _of_pod(pod)
    for node in ledger.all(facts.NODES):
        if not is_true(node, "Ready") or node["spec"].get("taints"):
            yield f"{called(node)} takes no pods"
    for service in ledger.all(facts.SERVICES):
        yield from _of_service(service, ledger)
    for budget in ledger.all(facts.BUDGETS):
        yield from _of_budget(budget, ledger)
    for machine in machines:
        yield from _of_machine(machine, ledger)


def _of_all(ledger: Ledger) -> Iterator[str]:
    """Whatever is deleted goes; whoever's owner is gone goes; what is in no namespace is not."""
    found = list(ledger.everything())
    uids = {uid_of(obj) for _, obj in found}
    namespaces = {one["metadata"]["name"] for one in ledger.all(facts.NAMESPACES)}
    for _, obj in found:
        metadata = obj["metadata"]
        if facts.is_going(obj):
            yield f"{called(obj)} is deleted and does not go: {metadata.get('finalizers')}"
        owners = metadata.get("ownerReferences") or ()
        if owners and not any(one["uid"] in uids for one in owners):
            yield f"{called(obj)} is left of an owner that is gone"
        if metadata.get("namespace") and metadata["namespace"] not in namespaces:
            yield f"{called(obj)} is left of a namespace that is gone"


def _of_deployment(deployment: Object, ledger: Ledger) -> Iterator[str]:
    who, spec, status = called(deployment), deployment["spec"], status_of(deployment)
    if status.get("observedGeneration") != deployment["metadata"]["generation"]:
        yield f"{who} was not looked at"
    for count in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"):
        if int(status.get(count) or 0) != spec["replicas"]:
            yield f"{who} has {count} {status.get(count)}, not {spec['replicas']}"
    sets = list(ledger.owned(facts.REPLICA_SETS, uid_of(deployment)))
    sizes = [one["spec"]["replicas"] for one in sets if one["spec"]["replicas"]]
    if sizes != ([spec["replicas"]] if spec["replicas"] else []):
        yield f"{who} has ReplicaSets of {sizes}"
    if len(sets) > spec["revisionHistoryLimit"] + 1:
        yield f"{who} has {len(sets)} ReplicaSets"
    pods = [pod for one in sets for pod in ledger.owned(facts.PODS, uid_of(one)) if is_active(pod)]
    images = [_image(pod["spec"]) for pod in pods]
    if images != [_image(spec["template"]["spec"])] * spec["replicas"]:
        yield f"{who} has pods of {images}"


def _of_pod(pod: Object) -> Iterator[str]:
    if facts.has_ended(pod):
        return
    if not is_true(pod, "Ready"):
        yield f"{called(pod)} is not ready: {status_of(pod).get('phase')} {facts.node_of(pod)}"


def _of_service(service: Object, ledger: Ledger) -> Iterator[str]:
    """Endpoints and slices name exactly the ready pods that it selects."""
    metadata, selector = service["metadata"], service["spec"].get("selector")
    if not selector:
        return
    wanted = sorted(
        str(status_of(pod).get("podIP"))
        for pod in ledger.all(facts.PODS)
        if pod["metadata"]["namespace"] == metadata["namespace"]
        and facts.selects(selector, pod)
        and is_true(pod, "Ready")
        and is_active(pod)
    )
    slices = [
        one
        for one in ledger.all(facts.SLICES)
        if one["metadata"]["namespace"] == metadata["namespace"]
        and (one["metadata"].get("labels") or {}).get(_SERVICE_NAME) == metadata["name"]
    ]
    in_slices = sorted(
        str(address)
        for one in slices
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready")
        for address in endpoint["addresses"]
    )
    if in_slices != wanted:
        yield f"slices of {called(service)} have {in_slices}, ready are {wanted}"
    endpoints: Mapping[str, Any] = (
        ledger.get(_ENDPOINTS, metadata["namespace"], metadata["name"]) or {}
    )
    told = sorted(
        str(address["ip"])
        for subset in endpoints.get("subsets") or ()
        for address in subset.get("addresses") or ()
    )
    if told != wanted:
        yield f"endpoints of {called(service)} have {told}, ready are {wanted}"


def _of_budget(budget: Object, ledger: Ledger) -> Iterator[str]:
    status, healthy = status_of(budget), budgets.healthy(budget, ledger)
    if int(status.get("currentHealthy") or 0) != healthy:
        yield f"{called(budget)} has {status.get('currentHealthy')} healthy pods, not {healthy}"
    allowed = max(healthy - int(status.get("desiredHealthy") or 0), 0)
    if int(status.get("disruptionsAllowed") or 0) != allowed:
        yield f"{called(budget)} allows {status.get('disruptionsAllowed')}, not {allowed}"


def _of_machine(machine: Machine, ledger: Ledger) -> Iterator[str]:
    """It runs its pods, once each, and nothing else."""
    own = {uid_of(pod): pod for pod in ledger.all(facts.PODS) if facts.node_of(pod) == machine.name}
    uids = {one.id: one.config.uid for one in machine.sandboxes}
    running: dict[str, list[str]] = {}
    for container in machine.containers:
        if container.state == "running":
            running.setdefault(uids[container.sandbox_id], []).append(container.config.name)
    for uid in sorted({*uids.values(), *running, *machine.folders} - own.keys()):
        yield f"{machine.name} has something of pod {uid}, which is not its"
    for uid, pod in own.items():
        wanted = [] if facts.has_ended(pod) else [one["name"] for one in pod["spec"]["containers"]]
        if sorted(running.get(uid, ())) != sorted(wanted):
            yield f"{machine.name} runs {running.get(uid)} of {called(pod)}, not {wanted}"


def _image(spec: Mapping[str, Any]) -> str:
    return str(spec["containers"][0]["image"])
