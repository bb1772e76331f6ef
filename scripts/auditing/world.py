"""What there is: objects of the store, processes and folders of the machine. PURE."""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Process:
    """One of the machine.

    sandbox     of which its environment says that it is part; empty: of none
    address     of the pod, which its environment tells it
    folder      in which it works, without what the kernel says of one that was removed
    containers  ids of containers in whose cgroups it is
    """

    pid: int
    parent: int
    command: str
    sandbox: str = ""
    address: str = ""
    folder: str = ""
    containers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sandbox:
    """What a node has written down of a pod that it runs."""

    id: str
    node: str
    uid: str


@dataclass(frozen=True)
class World:
    """All of it at one time.

    now        seconds since 1970
    folder     the cluster's data folder
    pod_range  what addresses of its pods begin with
    objects    by their keys in the store, without `/registry/`
    ranges     addresses, ports and ranges that are taken: key to whose they are
    nodes      that run processes: hollow ones do not
    processes  by pid
    sandboxes  by id
    volumes    (node, uid) of pods for which a node has volumes
    rests      of sandboxes that were half made, or half removed
    """

    now: float
    folder: str
    pod_range: str
    objects: Mapping[str, Object]
    ranges: Mapping[str, str]
    nodes: frozenset[str] = frozenset()
    processes: Mapping[int, Process] = field(default_factory=dict)
    sandboxes: Mapping[str, Sandbox] = field(default_factory=dict)
    volumes: frozenset[tuple[str, str]] = frozenset()
    rests: frozenset[str] = frozenset()

    def all(self, plural: str) -> Iterator[Object]:
        """The objects of a kind; plural with its group, as in `apps/deployments`."""
        for key, obj in self.objects.items():
            if key.startswith(f"{plural}/"):
                yield obj


def called(obj: Object) -> str:
    """How a fault names it."""
    kind = str(obj.get("kind", "object")).lower()
    return f"{kind} {full_name(obj)}"


def full_name(obj: Object) -> str:
    """With its namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def uid(obj: Object) -> str:
    """Of an object."""
    return str(obj["metadata"]["uid"])


def phase(pod: Object) -> str:
    """Of a pod; Pending where it has none yet."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_live(pod: Object) -> bool:
    """It counts for its owner: neither over nor about to end."""
    return phase(pod) not in TERMINAL and not pod["metadata"].get("deletionTimestamp")


def is_ready(pod: Object) -> bool:
    """It serves."""
    return is_true(pod, "Ready") and is_live(pod)


def is_true(obj: Object, condition: str) -> bool:
    """Whether a condition of its status holds."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def owner(obj: Object) -> str:
    """The uid of its controller; empty: it has none."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in references if one.get("controller")), "")


def has_labels(obj: Object, wanted: Mapping[str, str]) -> bool:
    """All of them."""
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def seconds(told: str) -> float:
    """A time of an object, since 1970."""
    return datetime.datetime.fromisoformat(told).timestamp()
