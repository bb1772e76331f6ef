"""Keeps the cache at the store: lists it once, follows one watch, and starts again after a
compaction. Here is also how fresh a read is.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import orjson

from controlplane.api import errors
from controlplane.api.errors import UnreadableError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.api.stored import Transform
from controlplane.apiserver.cache import Index, ObjectCache, ResourceCache, Value
from controlplane.apiserver.metrics import Metrics, Readings
from controlplane.apiserver.selection import index_of
from controlplane.store_errors import as_api_errors
from kvstore.client import Client, Event, EventType
from kvstore.client.operations import prefix_end
from kvstore.errors import CompactedError, KvError

PREFIX = "/registry/"
CLAIMS_PREFIX = "/ranges/"  # just before it: one watch covers both
MARK_KEY = "/registry-mark"  # between them; see `_urge`
MARK_SECONDS = 0.02  # an event that is under way comes sooner
FRESH_SECONDS_MAX = 3.0  # 2.2: how long a read waits for a revision that is yet to come
_PAGE_KEYS = 1_000
_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Cacher:
    """The driver of an `ObjectCache`; `run` until cancelled."""

    def __init__(self, client: Client, registry: Registry, transform: Transform) -> None:
        self._client = client
        self._registry = registry
        self._transform = transform
        self._listeners: list[Callable[[], None]] = []
        self._advanced: asyncio.Event = asyncio.Event()
        self._asking: asyncio.Task[int] | None = None
        self._next: asyncio.Task[int] | None = None
        self._urging: asyncio.Task[None] | None = None
        self._wanted = 0
        self.cache = self._empty()
        self.claims: set[str] = set()
        """Keys of addresses that are taken."""
        self.is_ready = asyncio.Event()
        self.generation = 0
        """Counts the lists; who watches the cache of an older one has missed something."""

    # ------------------------------------------------------------------ freshness

    async def current(self) -> None:
        """Wait until everything that was written before the call is in the cache.

        Raises ApiError 503 and 504.
        """
        await self.at_least(await self._store_revision())

    async def at_least(self, revision: int) -> None:
        """Wait for a revision, FRESH_SECONDS_MAX at most; ApiError 504 when it does not come."""
        if self.cache.revision >= revision and self.is_ready.is_set():
            return
        try:
            async with asyncio.timeout(FRESH_SECONDS_MAX):
                await self.is_ready.wait()
                while self.cache.revision < revision:
                    self._wanted = max(self._wanted, revision)
                    if self._urging is None:
                        self._urging = asyncio.create_task(self._urge())
                    self._advanced.clear()
                    await self._advanced.wait()
        except TimeoutError:
            raise errors.too_new(revision, self.cache.revision) from None

    async def _urge(self) -> None:
        """Make an event come, where a revision that the store has got brings none.

        Other keys than those that are watched make revisions, too. To ask for progress would say
        that all up to them has come, but etcd before 3.4.25 and 3.5.8 may say so too early, and
        what came later would be lost. A write of our own comes behind all that was before it.
        """
        try:
            await asyncio.sleep(MARK_SECONDS)
            if self.cache.revision >= self._wanted:
                return
            if self.cache.revision < min(self._wanted, await self._store_revision()):
                await self._client.put(MARK_KEY, b"")
                await asyncio.sleep(MARK_SECONDS)
        except (KvError, errors.ApiError) as error:
            _log.debug("no mark: %s", error)
        finally:
            self._urging, self._wanted = None, 0
            self._advanced.set()  # who still waits asks again

    async def _store_revision(self) -> int:
        """What the store is at now: asked after the call began, one question for all who wait."""
        if self._asking is None:
            self._asking = self._question(None)
            return await asyncio.shield(self._asking)
        # The question under way may have been answered before this call: share the next one.
        if self._next is None:
            self._next = self._question(self._asking)
        return await asyncio.shield(self._next)

    def _question(self, before: "asyncio.Task[int] | None") -> "asyncio.Task[int]":
        task = asyncio.create_task(self._ask(before))
        task.add_done_callback(_note_seen)
        return task

    async def _ask(self, before: "asyncio.Task[int] | None") -> int:
        if before is not None:
            await asyncio.wait([before])
            self._asking, self._next = self._next, None
        try:
            with as_api_errors():
                answer = await self._client.get_range(PREFIX, count_only=True)
            return answer.header.revision
        finally:
            if self._asking is asyncio.current_task() and self._next is None:
                self._asking = None

    # ------------------------------------------------------------------ following

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """An object as it is known here now; None: there is none, or no such kind."""
        resource = self._registry.storage(group, plural)
        if resource is None:
            return None
        entry = self.cache.of(*resource.place).get(resource.key(namespace, name))
        return None if entry is None else orjson.loads(entry.raw)

    def list_of(self, group: str, plural: str, namespace: str) -> Sequence[Object]:
        """All of a kind, or those of a namespace, as they are known here now."""
        resource = self._registry.storage(group, plural)
        if resource is None:
            return ()
        known = self.cache.of(*resource.place)
        if not len(known):
            return ()
        prefix = f"{resource.key_prefix}{namespace}/" if namespace else resource.key_prefix
        return [orjson.loads(one.raw) for one in known.scan(prefix)]

    async def run(self) -> None:
        """Follow the store until cancelled."""
        while True:
            try:
                await self._follow(await self._list())
            except CompactedError:
                _log.warning("what comes next is compacted: all objects are read again")
            except KvError as error:
                _log.warning("cannot follow the store: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _list(self) -> int:
        """Read all objects as of one revision into a fresh cache; the revision."""
        cache = self._empty()
        start, end, revision = CLAIMS_PREFIX.encode(), prefix_end(PREFIX.encode()), 0
        claims: set[str] = set()
        while True:
            answer = await self._client.get_range(start, end, limit=_PAGE_KEYS, revision=revision)
            revision = revision or answer.header.revision
            for kv in answer.kvs:
                key = kv.key.decode(errors="replace")
                if key.startswith(CLAIMS_PREFIX):
                    claims.add(key)
                else:
                    cache.load(key, self._plain(key, kv.value), kv.mod_revision)
            if not answer.more:
                break
            start = answer.kvs[-1].key + b"\0"
        cache.loaded(revision)
        retired, self.cache, self.claims = self.cache, cache, claims
        self.generation += 1
        retired.retire()
        self._tell()
        self.is_ready.set()
        return revision

    async def _follow(self, revision: int) -> None:
        async with self._client.watch(
            CLAIMS_PREFIX,
            prefix_end(PREFIX.encode()),
            start_revision=revision + 1,
            progress_notify=True,
            fragment=True,
        ) as changes:
            async for batch in changes:
                told = [one for event in batch.events if (one := self._told(event))]
                self.cache.apply(told, batch.revision)
                self._tell()

    def _told(self, event: Event) -> tuple[str, Value, int] | None:
        """What the cache is told; None: it is about no object."""
        key = event.kv.key.decode(errors="replace")
        is_put = event.type is EventType.PUT
        if key.startswith(CLAIMS_PREFIX):
            (self.claims.add if is_put else self.claims.discard)(key)
            return None
        if not key.startswith(PREFIX):
            return None
        value = self._plain(key, event.kv.value) if is_put else None
        return key, value, event.kv.mod_revision

    def _plain(self, key: str, value: bytes) -> bytes | UnreadableError:
        """What was encoded, or why it cannot be read."""
        parts = key.removeprefix(PREFIX).split("/", 2)
        resource = None
        if len(parts) == 3:
            resource = self._registry.storage("" if parts[0] == "core" else parts[0], parts[1])
        if resource is None:
            return value
        try:
            return self._transform.decode(resource, key.encode(), value)
        except UnreadableError as error:
            return error.at(key.encode())

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call a function after every step of the cache."""
        self._listeners.append(listener)

    def measure(self, metrics: Metrics) -> None:
        """Let it be seen what the cache holds."""

        def of_each(what: Callable[[ResourceCache], int]) -> Readings:
            return {
                (("group", group), ("resource", plural)): what(cache)
                for group, plural, cache in self.cache.each()
                if len(cache) or what(cache)
            }

        metrics.gauge(
            "apiserver_unreadable_objects",
            "Objects in the store that are none, or cannot be decrypted.",
            lambda: of_each(lambda cache: cache.unreadable_count),
        )
        metrics.gauge(
            "apiserver_watch_cache_recent_bytes",
            "What is remembered of changes, for watches that resume or lag.",
            lambda: of_each(lambda cache: cache.recent_bytes),
        )

    def _tell(self) -> None:
        self._advanced.set()
        for listener in self._listeners:
            listener()

    def _empty(self) -> ObjectCache:
        def index(group: str, plural: str) -> Index:
            return index_of(self._registry.storage("" if group == "core" else group, plural))

        return ObjectCache(index, PREFIX, _unreadable)


def _unreadable(error: UnreadableError) -> None:
    """Never the content: it may be a Secret's."""
    _log.error("what is stored at %s cannot be read: %s", error.key, error.why)


def _note_seen(question: "asyncio.Task[int]") -> None:
    """All who waited for it may have gone: asyncio need not complain of an error."""
    if not question.cancelled():
        question.exception()
