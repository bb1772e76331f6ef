"""Pods that wait for a node: which is next, and when one that was rejected is tried again. PURE.

A pod is in one of four places: *active* (to be tried now), *back-off* (to be tried soon), *waiting*
(rejected, until something happens that may help it), *gated* (not to be tried at all).
Source: Kubernetes, "Scheduling Framework" (PreEnqueue, QueueSort, QueueingHint), "Pod Scheduling
Readiness"; kube-behaviour 7.1.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

import msgspec

from controlplane.scheduler.pod_class import PodClass, PodFacts

BACKOFF_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 10.0
WAITING_SECONDS_MAX = 300.0
FLUSH_SECONDS = 30.0
"""So often it is looked who has waited for WAITING_SECONDS_MAX."""
_DOUBLINGS_MAX = 16

Hint = Callable[[str, PodFacts], bool]
"""Whether the plug-in of this name, which rejected the pod, may let it pass now."""


Group: TypeAlias = tuple[str, PodClass, frozenset[str]]


class Place(Enum):
    """Where a pod of the queue is."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    WAITING = "waiting"
    GATED = "gated"


class Entry(msgspec.Struct, eq=False):
    """A pod in the queue.

    since      when it came to the place where it is
    attempts   how often it was rejected
    tried_at   when it was rejected last
    rejectors  plug-ins that did
    """

    pod: PodFacts
    place: Place
    since: float
    attempts: int = 0
    tried_at: float = 0.0
    rejectors: frozenset[str] = frozenset()

    @property
    def group(self) -> Group:
        """What those have in common whom the same event helps."""
        return (self.pod.scheduler_name, self.pod.kind, self.rejectors)

    def is_like(self, pod: PodFacts, *, is_gated: bool) -> bool:
        """Whether nothing changed that could change its place."""
        return (
            self.pod.kind is pod.kind
            and self.pod.priority == pod.priority
            and self.pod.scheduler_name == pod.scheduler_name
            and (self.place == Place.GATED) == is_gated
        )

    @property
    def ready_at(self) -> float:
        """When its back-off ends: 1 s after the first attempt, doubled with each, up to 10 s."""
        if not self.attempts:
            return 0.0
        doubled = BACKOFF_SECONDS * 2.0 ** min(self.attempts - 1, _DOUBLINGS_MAX)
        return self.tried_at + min(doubled, BACKOFF_SECONDS_MAX)


class SchedulingQueue:
    """As long as there are pods without a node, no longer. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        # Pods of one class that were rejected by the same plug-ins are asked about once.
        self._waiting: dict[Group, dict[str, Entry]] = {}
        self._rejected_by: dict[str, dict[Group, None]] = {}
        # Heaps hold entries that have moved on since, too: `_is_there` tells.
        self._active: list[tuple[int, float, int, Entry]] = []
        self._backoff: list[tuple[float, int, Entry]] = []
        self._count = itertools.count()
        self._flush_at = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_anyone_waiting(self) -> bool:
        """Whether there is somebody whom an event may help."""
        return bool(self._waiting)

    def get(self, uid: str) -> Entry | None:
        """A pod that waits."""
        return self._entries.get(uid)

    def add(self, pod: PodFacts, now: float, *, is_gated: bool = False) -> Entry:
        """A new pod, or one that changed so much that all is to be tried anew."""
        before = self.remove(pod.uid)
        entry = Entry(pod, Place.GATED if is_gated else Place.ACTIVE, now)
        if before is not None and not is_gated:
            entry.attempts, entry.tried_at = before.attempts, before.tried_at
        self._entries[pod.uid] = entry
        if not is_gated:
            self._to_try(entry, now)
        return entry

    def replace(self, pod: PodFacts) -> None:
        """A pod of which nothing changed that matters (`is_like`): it stays where it is."""
        self._entries[pod.uid].pod = pod

    def remove(self, uid: str) -> Entry | None:
        """It has a node, or is gone."""
        entry = self._entries.pop(uid, None)
        if entry is not None and entry.place == Place.WAITING:
            self._wait_no_more(entry)
        return entry

    def pop(self, now: float) -> Entry | None:
        """The most important pod, of these the one that came first; it leaves the queue."""
        self._advance(now)
        while self._active:
            *_, entry = heapq.heappop(self._active)
            if self._is_there(entry, Place.ACTIVE):
                del self._entries[entry.pod.uid]
                return entry
        return None

    def due(self) -> float | None:
        """When `pop` may find something without a call before; None: never."""
        while self._active and not self._is_there(self._active[0][-1], Place.ACTIVE):
            heapq.heappop(self._active)
        if self._active:
            return 0.0
        while self._backoff and not self._is_there(self._backoff[0][-1], Place.BACKOFF):
            heapq.heappop(self._backoff)
        times = [self._backoff[0][0]] if self._backoff else []
        if self._waiting:
            times.append(self._flush_at)
        return min(times, default=None)

    def rejected(self, entry: Entry, rejectors: frozenset[str], now: float) -> None:
        """No node may have it: it waits until something happens that may help it.

        Without rejectors it was no rule, but a failure of somebody: it is tried again soon.
        """
        entry.attempts += 1
        entry.tried_at = entry.since = now
        entry.rejectors = rejectors
        if entry.pod.uid in self._entries:  # it changed while it was tried
            return
        self._entries[entry.pod.uid] = entry
        if rejectors:
            if not self._waiting:
                self._flush_at = now + FLUSH_SECONDS
            entry.place = Place.WAITING
            self._wait(entry)
        else:
            self._to_try(entry, now)

    def happened(self, concerned: Iterable[str], hint: Hint, now: float) -> int:
        """Something may help some of those who wait; how many are tried again.

        concerned  plug-ins that want to hear of it
        """
        helped: dict[Group, None] = {}
        for name in concerned:
            for group in self._rejected_by.get(name, ()):
                if group not in helped and hint(
                    name, next(iter(self._waiting[group].values())).pod
                ):
                    helped[group] = None
        entries = [entry for group in helped for entry in self._waiting[group].values()]
        for entry in entries:
            self._again(entry, now)
        return len(entries)

    def activate(self, uid: str, now: float) -> None:
        """One that waits is to be tried again."""
        entry = self._entries.get(uid)
        if entry is not None and entry.place == Place.WAITING:
            self._again(entry, now)

    # ------------------------------------------------------------------ within

    def _again(self, entry: Entry, now: float) -> None:
        self._wait_no_more(entry)
        self._to_try(entry, now)

    def _wait(self, entry: Entry) -> None:
        self._waiting.setdefault(entry.group, {})[entry.pod.uid] = entry
        for name in entry.rejectors:
            self._rejected_by.setdefault(name, {})[entry.group] = None

    def _wait_no_more(self, entry: Entry) -> None:
        group = self._waiting[entry.group]
        del group[entry.pod.uid]
        if group:
            return
        del self._waiting[entry.group]
        for name in entry.rejectors:
            del self._rejected_by[name][entry.group]

    def _to_try(self, entry: Entry, now: float) -> None:
        """Now, or when its back-off is over."""
        if entry.ready_at > now:
            entry.place = Place.BACKOFF
            heapq.heappush(self._backoff, (entry.ready_at, next(self._count), entry))
            return
        entry.place, entry.since = Place.ACTIVE, now
        rank = (-entry.pod.priority, now, next(self._count), entry)
        heapq.heappush(self._active, rank)

    def _advance(self, now: float) -> None:
        while self._backoff and self._backoff[0][0] <= now:
            *_, entry = heapq.heappop(self._backoff)
            if self._is_there(entry, Place.BACKOFF):
                self._to_try(entry, now)
        if self._waiting and self._flush_at <= now:
            self._flush_at = now + FLUSH_SECONDS
            waiting = [entry for group in self._waiting.values() for entry in group.values()]
            for entry in waiting:
                if now - entry.since >= WAITING_SECONDS_MAX:
                    self._again(entry, now)

    def _is_there(self, entry: Entry, place: Place) -> bool:
        return self._entries.get(entry.pod.uid) is entry and entry.place == place
