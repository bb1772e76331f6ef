"""A cache of the scheduler's as its tests tell it of pods, and take them from it."""

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Node, Pod
from controlplane.indexer import Key
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.place import place
from controlplane.scheduler.queue import Entry
from tests.controlplane.scheduler.objects import Object, node


def set_pod(cache: Cache, obj: Object, now: float = 0.0) -> None:
    found = from_object(Pod, obj)
    cache.set_pod(Key(found.metadata.namespace, found.metadata.name), found, now)


def end(cache: Cache, name: str, now: float = 0.0) -> None:
    cache.set_pod(Key("default", name), None, now)


def with_nodes(*nodes: Object) -> Cache:
    cache = Cache(DEFAULT)
    for one in nodes or (node("n"),):
        cache.set_node(one["metadata"]["name"], from_object(Node, one), 0.0)
    return cache


def pop(cache: Cache, now: float = 0.0) -> Entry:
    entry = cache.pop(now)
    assert entry is not None
    return entry


def reject(cache: Cache, obj: Object) -> Diagnosis:
    """It is tried at 0, and waits at 20."""
    set_pod(cache, obj)
    entry = pop(cache)
    found = place(
        cache.evaluations, cache.profile(entry.pod), entry.pod, cache.nominations, _NoDice()
    )
    assert isinstance(found, Diagnosis)
    assert cache.rejected(entry, found.plugins, cache.event_count, 0.0)
    assert cache.pop(20.0) is None
    return found


class _NoDice:
    def random(self) -> float:
        raise AssertionError

    def randrange(self, start: int, stop: int) -> int:
        raise AssertionError

    def getrandbits(self, k: int, /) -> int:
        raise AssertionError
