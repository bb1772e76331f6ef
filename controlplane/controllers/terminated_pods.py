"""Pods that nobody will take away: too many that have ended, and those whose node is lost.

Keys are those of nodes; the empty one stands for pods without a node, and for all that have ended.
A pod that goes by force is told to have failed before, so that whoever counts pods knows its end.

Source: Kubernetes' documentation, "Garbage collection of Pods", "Non-graceful node shutdown";
kube-behaviour 3.3, 6.3.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.conditions import is_true, with_conditions
from controlplane.controllers.context import Context
from controlplane.controllers.parallel import each
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

QUARANTINE_SECONDS = 40.0  # 3.3: a node that is made anew keeps its pods
CHECK_SECONDS = 20.0  # 3.3: between two counts of pods that have ended
DELETED_MAX = 500  # in one look, so that none takes longer than a reconcile may
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

_PLACE = "terminated_pods/place"
_NO_NODE = Key("", "")
_ENDED, _UNSCHEDULED = "ended", "unscheduled"
_NODE_IS_GONE = "PodGC: node no longer exists"


def controller(
    context: Context,
    *,
    quarantine_seconds: float = QUARANTINE_SECONDS,
) -> Controller:
    """Of nodes, and of pods without one."""
    nodes, pods = context.resource("", "nodes"), context.resource("", "pods")
    missing_since: dict[str, float] = {}
    counted_at = float("-inf")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        nonlocal counted_at
        if key != _NO_NODE:
            return await reconcile_node(key, lister, store)
        unscheduled = lister.by_index(pods, _PLACE, _UNSCHEDULED)
        await _force(store, pods, unscheduled)
        left = counted_at + CHECK_SECONDS - store.clock()
        if 0 < left <= CHECK_SECONDS:  # else the clock was set back
            return left
        counted_at = store.clock()
        surplus = surplus_of(lister.by_index(pods, _PLACE, _ENDED), context.ended_pods_max)
        await _force(store, pods, surplus)
        return CHECK_SECONDS if len(surplus) > DELETED_MAX else None

    async def reconcile_node(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        node = lister.get(nodes, key)
        found = lister.by_index(pods, _PLACE, _place_of(key.name))
        if node is not None or not found:
            missing_since.pop(key.name, None)
            await _force(store, pods, [one for one in found if is_lost(one, node)])
            return None
        now = store.clock()
        # A clock that was set back must not have them wait for as long as it was set back.
        since = missing_since[key.name] = min(missing_since.get(key.name, now), now)
        left = since + quarantine_seconds - now
        if left > 0:
            return left
        if await _is_there(store, nodes, key.name):
            return quarantine_seconds  # the cache will know
        await _force(store, pods, found, _NODE_IS_GONE)
        return None if len(found) <= DELETED_MAX else CHECK_SECONDS

    return Controller(
        "podgc",
        nodes,
        reconcile,
        triggers=[Trigger(pods, _keys)],
        indexes={_PLACE: (pods, _places)},
    )


def surplus_of(ended: Sequence[Object], ended_max: int) -> Sequence[Object]:
    """The oldest beyond so many (0: any number); those that their node has evicted before all
    others. Pure.
    """
    more = len(ended) - ended_max if ended_max > 0 else 0
    return sorted(ended, key=_age)[:more] if more > 0 else ()


def is_lost(pod: Object, node: Object | None) -> bool:
    """A pod that is to go, from a node of which somebody has said that it is down. Pure.

    Also one that has ended: who told so may not have come to delete it.
    """
    if node is None or not pod["metadata"].get("deletionTimestamp"):
        return False
    taints = (node.get("spec") or {}).get("taints") or ()
    is_out = any(taint.get("key") == OUT_OF_SERVICE for taint in taints)
    return is_out and not is_true(node, "Ready")


def has_ended(pod: Object) -> bool:
    """Pure."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def failed(pod: Object, message: str, now: float) -> Object:
    """A pod that has ended; `message`: why it was disrupted, empty where it was to go anyway. Pure.

    now  seconds since 1970
    """
    if has_ended(pod):
        return pod
    status = {**(pod.get("status") or {}), "phase": "Failed"}
    if message:
        said = ("DisruptionTarget", True, "DeletionByPodGC", message)
        status["conditions"] = with_conditions(status.get("conditions") or (), [said], now)
    return {**pod, "status": status}


def _age(pod: Object) -> tuple[bool, str, str]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    is_evicted = status.get("reason") == "Evicted"
    return (not is_evicted, metadata.get("creationTimestamp", ""), metadata["name"])


def _node_of(pod: Object) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def _place_of(node: str) -> str:
    return f"node/{node}"


def _places(pod: Object) -> Iterator[str]:
    node = _node_of(pod)
    if node:
        yield _place_of(node)
    elif pod["metadata"].get("deletionTimestamp"):
        yield _UNSCHEDULED
    if has_ended(pod):
        yield _ENDED


def _keys(pod: Object) -> Iterator[Key]:
    node = _node_of(pod)
    if node:
        yield Key("", node)
    if has_ended(pod) or (not node and pod["metadata"].get("deletionTimestamp")):
        yield _NO_NODE


def _is_doomed(pod: Object) -> bool:
    """Whether all is done that can be, and others hold it still."""
    metadata = pod["metadata"]
    is_marked = metadata.get("deletionTimestamp") and not metadata.get("deletionGracePeriodSeconds")
    return bool(is_marked) and has_ended(pod)


async def _is_there(store: ObjectStore, nodes: Resource, name: str) -> bool:
    try:
        await store.get(nodes, "", name)
    except ApiError as error:
        if error.code != 404:
            raise
        return False
    return True


async def _force(
    store: ObjectStore, pods: Resource, found: Sequence[Object], message: str = ""
) -> None:
    """Have pods end, and delete them without waiting for anybody; DELETED_MAX of them."""

    async def doom(pod: Object) -> None:
        metadata = pod["metadata"]
        place = (pods, metadata["namespace"], metadata["name"])
        options = DeleteOptions(grace_period_seconds=0, uid=metadata["uid"])
        change = partial(failed, message=message, now=store.clock())
        try:
            marked = await store.update(*place, change, uid=metadata["uid"], known=pod)
            await store.delete(*place, options=options, known=marked)
        except ApiError as error:
            if error.code != 404:
                raise

    await each([one for one in found if not _is_doomed(one)][:DELETED_MAX], doom)
