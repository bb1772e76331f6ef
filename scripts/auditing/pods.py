"""Pods and their owners: none is lost, none is there twice. PURE."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from auditing.world import (
    Object,
    World,
    called,
    full_name,
    is_live,
    is_ready,
    owner,
    seconds,
    uid,
)

_DELETION_SECONDS_MAX = 60.0


def faults(world: World) -> Iterator[str]:
    """What cannot be."""
    yield from _once(world)
    yield from _owned(world)
    yield from _deleted(world)
    for replica_set in world.all("apps/replicasets"):
        yield from _replica_set(world, replica_set)
    for deployment in world.all("apps/deployments"):
        yield from _deployment(world, deployment)


def _once(world: World) -> Iterator[str]:
    uids = Counter(uid(obj) for obj in world.objects.values() if obj["metadata"].get("uid"))
    for one, times in uids.items():
        if times > 1:
            yield f"{times} objects have the uid {one}"
    addresses = defaultdict(list)
    nodes = {str(node["metadata"]["name"]) for node in world.all("core/nodes")}
    for pod in world.all("core/pods"):
        node = pod["spec"].get("nodeName")
        if node and node not in nodes:
            yield f"{called(pod)} is on node {node}, which there is not"
        address = (pod.get("status") or {}).get("podIP")
        if address and is_live(pod) and not pod["spec"].get("hostNetwork"):
            addresses[address].append(full_name(pod))
    for address, names in addresses.items():
        if len(names) > 1:
            yield f"pods {', '.join(sorted(names))} have the same address {address}"


def _owned(world: World) -> Iterator[str]:
    there = {uid(obj) for obj in world.objects.values() if obj["metadata"].get("uid")}
    for obj in world.objects.values():
        for reference in obj["metadata"].get("ownerReferences") or ():
            if reference["uid"] not in there:
                whose = f"{reference['kind']} {reference['name']}"
                yield f"{called(obj)} is left behind by {whose}, which is gone"


def _deleted(world: World) -> Iterator[str]:
    for obj in world.objects.values():
        told = obj["metadata"].get("deletionTimestamp")
        if told and world.now - seconds(told) > _DELETION_SECONDS_MAX:
            finalizers = ", ".join(obj["metadata"].get("finalizers") or ()) or "none"
            yield f"{called(obj)} is being deleted since {told} (finalizers: {finalizers})"


def _of(world: World, whose: Object) -> list[Object]:
    return [pod for pod in world.all("core/pods") if owner(pod) == uid(whose)]


def _replica_set(world: World, replica_set: Object) -> Iterator[str]:
    wanted = int(replica_set["spec"].get("replicas", 1))
    live = [pod for pod in _of(world, replica_set) if is_live(pod)]
    if len(live) != wanted:
        yield f"{called(replica_set)} shall have {wanted} pods, and has {len(live)}"
    ready = sum(map(is_ready, live))
    status = replica_set.get("status") or {}
    for field, there in (("replicas", len(live)), ("readyReplicas", ready)):
        if int(status.get(field) or 0) != there:
            yield f"{called(replica_set)} says {field} {status.get(field) or 0}: there are {there}"


def _deployment(world: World, deployment: Object) -> Iterator[str]:
    spec, status = deployment["spec"], deployment.get("status") or {}
    sets = [one for one in world.all("apps/replicasets") if owner(one) == uid(deployment)]
    live = [pod for one in sets for pod in _of(world, one) if is_live(pod)]
    counts = {
        "replicas": len(live),
        "readyReplicas": sum(map(is_ready, live)),
        "availableReplicas": sum(map(is_ready, live)),
    }
    for field, there in counts.items():
        if int(status.get(field) or 0) != there:
            yield f"{called(deployment)} says {field} {status.get(field) or 0}: there are {there}"
    if len(live) != int(spec.get("replicas", 1)):
        yield f"{called(deployment)} shall have {spec.get('replicas', 1)} pods, and has {len(live)}"
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        yield f"{called(deployment)} was changed, and nobody has looked at it"
    if len([one for one in sets if int(one["spec"].get("replicas", 1))]) > 1:
        yield f"{called(deployment)} is stuck between several replica sets"
