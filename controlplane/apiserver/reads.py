"""get, list and watch, all from the cache; how fresh it must be says the resourceVersion.

Source: Kubernetes' API concepts, "Resource versions"; kube-behaviour 2.2 and 2.4 to 2.8.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence

import orjson

from controlplane.api import continuation, errors, stored, tables
from controlplane.api.continuation import Continuation
from controlplane.api.resource import Object
from controlplane.apiserver.cache import Change, Entry
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call, Outgoing, Sink, Streaming, answer, warned
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.selection import JSON, METADATA, TABLE, Selection, selection_of
from controlplane.apiserver.watches import Watcher, error_line, partial
from controlplane.objects import ObjectStore

BOOKMARK_SECONDS = 60.0
WATCH_SECONDS_MIN = 1_800.0  # 2.4: without timeoutSeconds it lasts so long, up to twice
BUFFERED_BYTES_MAX = 16 * 1024 * 1024  # of a watch whose client does not read: it is cut
_MATCHES = ("", "Exact", "NotOlderThan")


class Reads:
    """now: seconds since 1970."""

    def __init__(self, cacher: Cacher, store: ObjectStore, now: Callable[[], float]) -> None:
        self._cacher = cacher
        self._store = store
        self._now = now

    async def get(self, call: Call) -> Answer:
        """One object. Raises ApiError 404."""
        raw = await self._raw(call)
        if call.form.name == JSON and stored.is_served(call.resource, raw):
            return Answer(body=raw, headers=warned(call))
        return answer(call, stored.loads(call.resource, raw))

    async def object(self, call: Call) -> Object:
        """The object that a call is about, as fresh as it asks for. Raises ApiError 404."""
        return stored.loads(call.resource, await self._raw(call))

    async def _raw(self, call: Call) -> bytes:
        await self._fresh(call.incoming.query.text("resourceVersion"))
        resource, target = call.resource, call.target
        cache = self._cacher.cache.of(resource.group, resource.plural)
        entry = cache.get(resource.key(target.namespace, target.name))
        if entry is None:
            raise errors.not_found(resource.plural, resource.group, target.name)
        return entry.raw

    async def list(self, call: Call) -> Answer:
        """A page of objects, or all."""
        query = call.incoming.query
        selection = selection_of(call.resource, call.target, call.incoming)
        limit, token = query.number("limit"), query.text("continue")
        version = query.text("resourceVersion")
        match = _match(query.text("resourceVersionMatch"), version, token)
        if token:
            if version not in ("", "0"):
                raise errors.bad_request(
                    "specifying resource version is not allowed when using continue"
                )
            return await self._later_page(call, selection, limit, token, 0)
        if match == "Exact":
            return await self._later_page(call, selection, limit, "", _revision(version))
        await self._fresh(version)
        return self._first_page(call, selection, limit)

    async def matching(self, call: Call) -> Sequence[Object]:
        """All objects that a deletecollection is about, as they are now."""
        resource = call.resource
        selection = selection_of(resource, call.target, call.incoming)
        await self._cacher.current()
        entries = self._cacher.cache.of(resource.group, resource.plural).scan(selection.prefix)
        return [stored.loads(resource, entry.raw) for entry in filter(selection.matches, entries)]

    def _first_page(self, call: Call, selection: Selection, limit: int) -> Answer:
        resource, cache = call.resource, self._cacher.cache
        raws: list[bytes] = []
        seen, last = 0, ""
        entries = cache.of(resource.group, resource.plural).scan(selection.prefix)
        for entry in entries:
            if limit and len(raws) == limit:
                start = last.removeprefix(selection.prefix) + "\0"
                token = continuation.encode(Continuation(cache.revision, start))
                remaining = 1 + _count(entries) if selection.is_all else None
                return _page(call, raws, cache.revision, token, remaining)
            seen, last = seen + 1, entry.key
            if selection.is_all or selection.matches(entry):
                raws.append(entry.raw)
        return _page(call, raws, cache.revision)

    async def _later_page(
        self, call: Call, selection: Selection, limit: int, token: str, revision: int
    ) -> Answer:
        """What is no longer in the cache: as of an older revision, from the store."""
        raws: list[bytes] = []
        cache = self._cacher.cache.of(call.resource.group, call.resource.plural)
        namespace = call.target.namespace if call.resource.is_namespaced else ""
        while True:
            page = await self._store.list(
                call.resource,
                namespace,
                limit=max(limit - len(raws), 0),
                continue_token=token,
                revision=revision,
            )
            if selection.is_all:
                raws += page.raw
            else:
                raws += [raw for raw in page.raw if selection.matches(cache.look_at(raw))]
            token, revision = page.continue_token, 0
            if not token or (limit and len(raws) >= limit):
                remaining = page.remaining if selection.is_all else None
                return _page(call, raws, page.revision, token, remaining)

    async def watch(self, call: Call) -> Outgoing:
        """A stream of changes."""
        query = call.incoming.query
        selection = selection_of(call.resource, call.target, call.incoming)
        version = query.text("resourceVersion")
        wants_initial = query.flag("sendInitialEvents")
        if wants_initial and query.text("resourceVersionMatch") != "NotOlderThan":
            raise errors.bad_request(
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        if version in ("", "0") or wants_initial:
            await self._fresh(version)
            revision = -1
        else:
            revision = _revision(version)
            self._require_known(call, revision)
        seconds = float(query.number("timeoutSeconds"))
        if not seconds:
            seconds = WATCH_SECONDS_MIN * (1 + random.random())
        watch = _Watch(self._cacher, call, selection, revision, self._now)
        watch.has_bookmarks = query.flag("allowWatchBookmarks")
        watch.ends_initial = wants_initial
        watch.seconds = seconds
        return Streaming(watch.run)

    def _require_known(self, call: Call, revision: int) -> None:
        cache = self._cacher.cache.of(call.resource.group, call.resource.plural)
        if revision < cache.first_revision:
            raise errors.expired(f"too old resource version: {revision} ({cache.first_revision})")

    async def _fresh(self, version: str) -> None:
        if not version:
            await self._cacher.current()
        elif version == "0":
            await self._cacher.at_least(0)
        else:
            await self._cacher.at_least(_revision(version))


class _Watch:
    """A watch under way. revision: what its client has seen; -1: nothing, it wants all there is."""

    def __init__(
        self,
        cacher: Cacher,
        call: Call,
        selection: Selection,
        revision: int,
        now: Callable[[], float],
    ) -> None:
        self._cacher = cacher
        self._call = call
        self._selection = selection
        self._revision = revision
        self._now = now
        self.has_bookmarks = False
        self.ends_initial = False
        self.seconds = 0.0

    async def run(self, sink: Sink) -> None:
        """Until its time is over, its client has gone or does not read."""
        cache, replaced = self._cacher.cache, self._cacher.replaced
        resource = self._call.resource
        of_resource = cache.of(resource.group, resource.plural)
        watcher = Watcher(
            resource,
            self._selection,
            self._call.form,
            now=self._now,
            revision=cache.revision if self._revision < 0 else self._revision,
        )
        if self._revision < 0:
            entries = filter(self._selection.matches, of_resource.scan(self._selection.prefix))
            _write(sink, watcher.initial(list(entries)))
            if self.ends_initial and self.has_bookmarks:
                sink.write(watcher.bookmark(ends_initial_events=True))
        else:
            missed = of_resource.since(self._revision)
            if missed is None:  # forgotten between the question and now
                sink.write(error_line(errors.expired("too old resource version").status))
                return
            _write(sink, watcher.step(missed, cache.revision))

        # What there was to begin with may be more than that; it is sent once.
        buffered_max = BUFFERED_BYTES_MAX + sink.buffered

        def step(changes: Sequence[Change], revision: int) -> None:
            _write(sink, watcher.step(changes, revision))
            if sink.buffered > buffered_max:
                end()
                sink.abort()

        end = of_resource.subscribe(step)
        try:
            left = self.seconds
            while left > 0 and not sink.is_closed:
                pause = min(left, BOOKMARK_SECONDS)
                if await _is_set(replaced, pause):
                    gone = errors.expired("too old resource version: the cache was filled anew")
                    sink.write(error_line(gone.status))
                    return
                left -= pause
                if self.has_bookmarks:
                    watcher.revision = max(watcher.revision, cache.revision)
                    sink.write(watcher.bookmark())
        finally:
            end()


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens within some time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _write(sink: Sink, data: bytes) -> None:
    if data:
        sink.write(data)


def _page(
    call: Call, raws: Sequence[bytes], revision: int, token: str = "", remaining: int | None = None
) -> Answer:
    resource, form = call.resource, call.form
    if form.name == TABLE:
        table = tables.table(
            resource,
            # One after the other: all of them at once would be much to walk for the collector.
            (stored.loads(resource, raw) for raw in raws),
            now=call.now,
            resource_version=str(revision),
            continue_token=token,
            remaining=remaining,
            include_object=form.include_object,
        )
        return Answer(body=orjson.dumps(table))
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if token:
        metadata["continue"] = token
        if remaining is not None:
            metadata["remainingItemCount"] = remaining
    kind, version = resource.list_kind or f"{resource.kind}List", resource.api_version
    items = raws
    if form.name == METADATA:
        kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        items = [orjson.dumps(partial(orjson.loads(raw))) for raw in raws]
    else:
        items = [stored.served(resource, raw) for raw in raws]
    head = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": metadata})
    return Answer(body=b'%b,"items":[%b]}' % (head[:-1], b",".join(items)))


def _match(match: str, version: str, token: str) -> str:
    """Raises ApiError 400 where resourceVersionMatch does not fit."""
    if match not in _MATCHES:
        raise errors.bad_request(f'resourceVersionMatch: Unsupported value: "{match[:40]}"')
    if match and not version:
        raise errors.bad_request(
            "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match and token:
        raise errors.bad_request("resourceVersionMatch is forbidden when continue is provided")
    if match == "Exact" and version == "0":
        raise errors.bad_request(
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        )
    return match


def _revision(version: str) -> int:
    """Raises ApiError 400."""
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise errors.bad_request(f'Invalid value: "{version[:40]}": resourceVersion')
    return int(version)


def _count(entries: Iterator[Entry]) -> int:
    return sum(1 for _ in entries)
