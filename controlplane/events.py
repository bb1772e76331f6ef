"""Events: what happened to an object, for people; told once however often it happens.

    recorder = EventRecorder(store, component="scheduler")
    async with recorder:
        recorder.record(pod, "Warning", "FailedScheduling", "0/3 nodes are available: …")

Recording neither waits nor fails: events that the store is too slow for are dropped and counted.
Source of the rules and numbers: kube-behaviour.md 3.5 (client-go's recorder).
"""

import asyncio
import logging
from collections import OrderedDict
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Schema
from controlplane.objects import ObjectStore

CACHE_MAX = 4096
SIMILAR_MAX = 10
SIMILAR_SECONDS = 600.0
SPAM_BURST = 25
SPAM_SECONDS_PER_EVENT = 300.0
QUEUE_MAX = 1000  # events that wait for the store: beyond it, it is not news that is missing
MESSAGE_CHARS_MAX = 1024  # of the Event API's validation
COMBINED = "(combined from similar events): "

EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    is_namespaced=True,
    schema=Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {}),
)
"""What a client needs to know of Events."""

logger = logging.getLogger(__name__)

V = TypeVar("V")
_About = tuple[str, str, str, str, str, str]


class Happening(msgspec.Struct, frozen=True):
    """What happened. `about`: apiVersion, kind, namespace, name, uid, resourceVersion."""

    about: _About
    type: Literal["Normal", "Warning"]
    reason: str
    message: str

    @property
    def similar(self) -> tuple[object, ...]:
        """What it has in common with events that differ in their words only."""
        return (self.about[:5], self.type, self.reason)


class Series(msgspec.Struct, frozen=True):
    """An Event as it is to be told: the first of its kind, or once more.

    name   of the Event
    count  1: it is new
    first  when it happened first, in seconds since 1970
    """

    name: str
    happening: Happening
    count: int
    first: float
    last: float


class _Lru(Generic[V]):
    """The latest CACHE_MAX values, by key."""

    def __init__(self) -> None:
        self._values: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: object, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > CACHE_MAX:
            self._values.popitem(last=False)


class _Similar(msgspec.Struct):
    """Messages of similar events, and when the last of them came."""

    messages: dict[str, None]
    last: float


class Correlator:
    """Which Event tells of a happening, if any shall. Pure but for what it remembers."""

    def __init__(self) -> None:
        self._similar: _Lru[_Similar] = _Lru()
        self._series: _Lru[Series] = _Lru()
        self._spam: _Lru[float] = _Lru()
        self._named_ns = 0

    def observe(self, happening: Happening, now: float) -> Series | None:
        """The Event to write; None: its object has had its share. `now`: seconds since 1970."""
        key: object = (happening.similar, happening.message)
        if self._is_one_of_many(happening, now):
            key = happening.similar
            happening = msgspec.structs.replace(happening, message=COMBINED + happening.message)
        before = self._series.get(key)
        if before is None:
            # What happens at the same moment must not have the same name: it would be lost.
            self._named_ns = max(int(now * 1e9), self._named_ns + 1)
            name = f"{happening.about[3]}.{self._named_ns:x}"
            series = Series(name, happening, 1, now, now)
        else:
            series = msgspec.structs.replace(
                before, happening=happening, count=before.count + 1, last=now
            )
        self._series.put(key, series)
        return None if self._is_spam(happening, now) else series

    def _is_one_of_many(self, happening: Happening, now: float) -> bool:
        """Whether it is the SIMILAR_MAX-th message of its kind within SIMILAR_SECONDS, or later."""
        similar = self._similar.get(happening.similar)
        if similar is None or now - similar.last > SIMILAR_SECONDS:
            similar = _Similar({}, now)
        similar.last = now
        similar.messages[happening.message] = None
        self._similar.put(happening.similar, similar)
        if len(similar.messages) < SIMILAR_MAX:
            return False
        del similar.messages[next(iter(similar.messages))]  # nobody needs to know more of them
        return True

    def _is_spam(self, happening: Happening, now: float) -> bool:
        """A bucket for each object: SPAM_BURST at once, then one in SPAM_SECONDS_PER_EVENT."""
        key = happening.about[:5]
        empty_seconds = SPAM_BURST * SPAM_SECONDS_PER_EVENT
        # A clock that was set back must not empty the bucket for as long as it was set back.
        before = min(self._spam.get(key) or 0.0, now + empty_seconds)
        full_at = max(before, now) + SPAM_SECONDS_PER_EVENT
        if full_at - now > empty_seconds:
            self._spam.put(key, before)
            return True
        self._spam.put(key, full_at)
        return False


class EventRecorder:
    """Writes events of one component. An async context manager; at its end it stops writing.

    dropped  events that were lost because too many waited
    """

    def __init__(self, store: ObjectStore, component: str, *, host: str = "") -> None:
        self.dropped = 0
        self._store = store
        self._component = component
        self._host = host
        self._correlator = Correlator()
        self._queue: asyncio.Queue[tuple[Happening, float]] = asyncio.Queue(QUEUE_MAX)
        self._task: asyncio.Task[None] | None = None

    def record(
        self, obj: Object, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Tell that something happened to an object (that was read from the store)."""
        metadata = obj["metadata"]
        fields = ("namespace", "name", "uid", "resourceVersion")
        namespace, name, uid, version = (str(metadata.get(field, "")) for field in fields)
        about = (obj["apiVersion"], obj["kind"], namespace, name, uid, version)
        happening = Happening(about, event_type, reason, message[:MESSAGE_CHARS_MAX])
        try:
            self._queue.put_nowait((happening, self._store.clock()))
        except asyncio.QueueFull:
            self.dropped += 1

    async def flush(self) -> None:
        """Wait until all that was recorded is written, or given up."""
        await self._queue.join()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work(), name=f"events of {self._component}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _work(self) -> None:
        while True:
            happening, now = await self._queue.get()
            try:
                series = self._correlator.observe(happening, now)
                if series is not None:
                    await self._write(series)
            except ApiError as error:  # an event is not worth a second try
                logger.info("event of %s: %s", happening.about[3], error)
            except Exception:
                logger.exception("event of %s: it is lost", happening.about[3])
            finally:
                self._queue.task_done()

    async def _write(self, series: Series) -> None:
        if series.count > 1:
            try:
                await self._count(series)
                return
            except ApiError as error:
                if error.code != 404:  # its time was over: it comes again, with its count
                    raise
        await self._store.create(EVENTS, self._event(series))

    async def _count(self, series: Series) -> None:
        changed = {
            "count": series.count,
            "lastTimestamp": rfc3339(series.last),
            "message": series.happening.message,
        }
        await self._store.update(
            EVENTS, _namespace(series), series.name, lambda current: {**current, **changed}
        )

    def _event(self, series: Series) -> dict[str, Any]:
        api_version, kind, namespace, name, uid, version = series.happening.about
        about = {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
            "resourceVersion": version,
        }
        source = {"component": self._component, "host": self._host}
        return {
            "metadata": {"name": series.name, "namespace": _namespace(series)},
            "involvedObject": {field: value for field, value in about.items() if value},
            "reason": series.happening.reason,
            "message": series.happening.message,
            "source": {field: value for field, value in source.items() if value},
            "firstTimestamp": rfc3339(series.first),
            "lastTimestamp": rfc3339(series.last),
            "count": series.count,
            "type": series.happening.type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }


def _namespace(series: Series) -> str:
    """Of the object; events of those without one are in `default`."""
    return series.happening.about[2] or "default"
