"""The store's history as objects: what each revision changed, and what there is then. PURE.

Whoever judges a run reads this and nothing else, so it does not matter what the processes believed.
Events and Leases are left out: nobody is judged by them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from controlplane.api.resource import Object

PREFIX = b"/registry/"
_LEFT_OUT = (b"/registry/core/events/", b"/registry/coordination.k8s.io/")

Place = tuple[str, str]
"""Group and plural of a resource."""

PODS: Place = ("", "pods")
NODES: Place = ("", "nodes")
NAMESPACES: Place = ("", "namespaces")
SERVICES: Place = ("", "services")
DEPLOYMENTS: Place = ("apps", "deployments")
REPLICA_SETS: Place = ("apps", "replicasets")
JOBS: Place = ("batch", "jobs")
BUDGETS: Place = ("policy", "poddisruptionbudgets")
SLICES: Place = ("discovery.k8s.io", "endpointslices")


class Change(msgspec.Struct, frozen=True):
    """One object before and after; None: it was not there, or is gone."""

    place: Place
    old: Object | None
    new: Object | None

    @property
    def either(self) -> Object:
        """The object as it is, or as it was last."""
        found = self.new if self.new is not None else self.old
        assert found is not None
        return found


class Step(msgspec.Struct, frozen=True):
    """One transaction. `at`: when a member first had it, in simulated seconds."""

    revision: int
    at: float
    changes: tuple[Change, ...]


class Ledger:
    """All objects as of one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self._objects: dict[Place, dict[str, Object]] = {}
        self._owned: dict[tuple[Place, str], dict[str, Object]] = {}

    def apply(self, revision: int, at: float, events: Iterable[tuple[bytes, bytes | None]]) -> Step:
        """Take up a transaction: keys with their values; None: removed."""
        assert revision > self.revision, "the history goes on"
        self.revision = revision
        told = (self._put(key, value) for key, value in events)
        return Step(revision, at, tuple(one for one in told if one is not None))

    def all(self, place: Place) -> Iterator[Object]:
        """The objects of a resource, in the order in which they were made."""
        yield from self._objects.get(place, {}).values()

    def everything(self) -> Iterator[tuple[Place, Object]]:
        """All objects of all resources."""
        for place, found in self._objects.items():
            for obj in found.values():
                yield place, obj

    def get(self, place: Place, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        key = f"{namespace}/{name}" if namespace else name
        return self._objects.get(place, {}).get(key)

    def owned(self, place: Place, uid: str) -> Iterator[Object]:
        """The objects that an owner controls."""
        yield from self._owned.get((place, uid), {}).values()

    def _put(self, key: bytes, value: bytes | None) -> Change | None:
        if not key.startswith(PREFIX) or key.startswith(_LEFT_OUT):
            return None
        group, plural, name = key.removeprefix(PREFIX).decode().split("/", 2)
        place = ("" if group == "core" else group, plural)
        known = self._objects.setdefault(place, {})
        old = known.pop(name, None) if value is None else known.get(name)
        new: Object | None = None
        if value is not None:
            new = known[name] = orjson.loads(value)
        for obj, is_there in ((old, False), (new, True)):
            owner = controller_uid(obj) if obj is not None else ""
            if obj is not None and owner:
                owned = self._owned.setdefault((place, owner), {})
                owned.pop(name, None)
                if is_there:
                    owned[name] = obj
        return None if old is None and new is None else Change(place, old, new)


class Recent:
    """What a number was lately."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[int] = []

    def note(self, at: float, value: int) -> None:
        """From now on it is this."""
        if not self._values or self._values[-1] != value:
            self._times.append(at)
            self._values.append(value)

    def since(self, moment: float) -> Sequence[int]:
        """All that it has been from a moment on, also what it was then; nothing: never noted."""
        return self._values[self._index(moment) :]

    def at(self, moment: float) -> int:
        """What it was at a moment; before it was first noted: 0."""
        return self._values[self._index(moment)] if moment >= self._times[0] else 0

    def changes(self, moment: float) -> Sequence[float]:
        """A moment, and when it changed after it."""
        return [moment, *(at for at in self._times if at > moment)]

    @property
    def changed_at(self) -> float:
        """When it became what it is."""
        return self._times[-1]

    def _index(self, moment: float) -> int:
        return max(bisect_right(self._times, moment) - 1, 0)


# ------------------------------------------------------------------- what objects say


def uid_of(obj: Object) -> str:
    """Who it is."""
    return str(obj["metadata"]["uid"])


def called(obj: Object) -> str:
    """For people."""
    metadata = obj["metadata"]
    return f"{obj.get('kind', '')} {metadata.get('namespace', '')}/{metadata['name']}"


def controller_uid(obj: Object) -> str:
    """The uid of whoever controls it, or nothing."""
    owners: Iterable[Mapping[str, Any]] = obj["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def is_going(obj: Object) -> bool:
    """Whether it is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def status_of(obj: Object) -> Mapping[str, Any]:
    """Empty if it has none."""
    found: Mapping[str, Any] = obj.get("status") or {}
    return found


def has_ended(pod: Object) -> bool:
    """Of a pod."""
    return status_of(pod).get("phase") in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Whether it counts as one of its controller's."""
    return not is_going(pod) and not has_ended(pod)


def is_true(obj: Object, condition: str) -> bool:
    """Whether a condition of it is True."""
    found = status_of(obj).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in found)


def node_of(pod: Object) -> str:
    """Empty: it has none."""
    return str(pod["spec"].get("nodeName") or "")


def selects(selector: Mapping[str, str] | None, obj: Object) -> bool:
    """Of labels that must all be there; no selector selects nothing."""
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return bool(selector) and (selector or {}).items() <= labels.items()
