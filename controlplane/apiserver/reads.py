"""get, list and watch, all from the cache; how fresh it must be says the resourceVersion.

Source: Kubernetes' API concepts, "Resource versions"; kube-behaviour 2.2 and 2.4 to 2.8.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from controlplane.api import continuation, errors, stored
from controlplane.api.continuation import Continuation
from controlplane.api.errors import UnreadableError
from controlplane.api.resource import Object
from controlplane.apiserver import lists
from controlplane.apiserver.cache import ResourceCache
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call, Outgoing, Streaming, answer, warned
from controlplane.apiserver.following import Following, Wish
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.options import list_options, watch_options
from controlplane.apiserver.recent import Entry
from controlplane.apiserver.selection import JSON, Selection, selection_of
from controlplane.objects import ObjectStore, Page

WATCH_SECONDS_MIN = 1_800.0
PAGE_KEYS_MIN = 500  # of one read of the store, when a selector may match few of them


def watch_seconds(asked: int, roll: float) -> float:
    """How long a watch lasts: as long as is asked for, otherwise half an hour to an hour.

    roll  at least 0, less than 1: so that not all watches end together
    """
    return float(asked) or WATCH_SECONDS_MIN * (1 + roll)


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
        cache = self._cacher.cache.of(*resource.place)
        key = resource.key(target.namespace, target.name)
        entry = cache.get(key)
        if entry is not None:
            return entry.raw
        broken = cache.broken(key)
        if broken is not None:
            raise broken.error
        raise errors.not_found(resource.plural, resource.group, target.name)

    async def list(self, call: Call) -> Answer:
        """A page of objects, or all."""
        query = call.incoming.query
        match = list_options(query)
        selection = selection_of(call.resource, call.target, call.incoming)
        limit, token = query.number("limit"), query.text("continue")
        version = query.text("resourceVersion")
        if token:
            if version not in ("", "0"):
                raise errors.bad_request(
                    "specifying resource version is not allowed when using continue"
                )
            return lists.answer(call, await self._later_page(call, selection, limit, token, 0))
        if match == "Exact" or (not match and limit and version not in ("", "0")):
            page = await self._later_page(call, selection, limit, "", _revision(version))
            return lists.answer(call, page)
        await self._fresh(version)
        return lists.answer(call, self._first_page(call, selection, limit))

    async def matching(self, call: Call) -> Sequence[Object]:
        """All objects that a deletecollection is about, as they are now."""
        resource = call.resource
        selection = selection_of(resource, call.target, call.incoming)
        await self._cacher.current()
        self._require_readable(call, selection)
        entries = self._cacher.cache.of(*resource.place).scan(selection.prefix)
        return [stored.loads(resource, entry.raw) for entry in filter(selection.matches, entries)]

    def _first_page(self, call: Call, selection: Selection, limit: int) -> lists.Page:
        resource, cache = call.resource, self._cacher.cache
        raws: list[bytes] = []
        last, token, remaining = "", "", None
        entries = cache.of(*resource.place).scan(selection.prefix)
        for entry in entries:
            if limit and len(raws) == limit:
                start = last.removeprefix(selection.prefix) + "\0"
                token = continuation.encode(Continuation(cache.revision, start))
                remaining = 1 + _count(entries) if selection.is_all else None
                break
            last = entry.key
            if selection.is_all or selection.matches(entry):
                raws.append(entry.raw)
        self._require_readable(call, selection, until=last if token else "")
        return lists.Page(raws=raws, revision=cache.revision, token=token, remaining=remaining)

    def _require_readable(self, call: Call, selection: Selection, until: str = "") -> None:
        """Raises ApiError 500 if something cannot be read, up to the key `until` (empty: all)."""
        cache = self._cacher.cache.of(*call.resource.place)
        _refuse(call, selection, cache.unreadable(selection.prefix), until)

    async def _later_page(
        self, call: Call, selection: Selection, limit: int, token: str, revision: int
    ) -> lists.Page:
        """What is no longer in the cache: as of an older revision, from the store."""
        resource = call.resource
        raws: list[bytes] = []
        cache = self._cacher.cache.of(*resource.place)
        namespace = call.target.namespace if resource.is_namespaced else ""
        while True:
            wanted = max(limit - len(raws), 0)
            if limit and not selection.is_all:
                wanted = max(wanted, PAGE_KEYS_MIN)
            page = await self._store.list(
                resource, namespace, limit=wanted, continue_token=token, revision=revision
            )
            last = _take(raws, page, limit, selection, cache)
            until = "" if last is None else page.keys[last].decode()
            keys = [key.decode(errors="replace") for key in page.unreadable]
            _refuse(call, selection, [(key, _why(cache, key)) for key in keys], until)
            token, revision = page.continue_token, 0
            if last is not None and last < len(page.keys) - 1:
                start = page.keys[last].decode().removeprefix(selection.prefix) + "\0"
                token = continuation.encode(Continuation(page.revision, start))
            if not token or last is not None:
                remaining = page.remaining if selection.is_all else None
                return lists.Page(
                    raws=raws, revision=page.revision, token=token, remaining=remaining
                )

    async def watch(self, call: Call) -> Outgoing:
        """A stream of changes."""
        query = call.incoming.query
        wants_initial = watch_options(query)
        selection = selection_of(call.resource, call.target, call.incoming)
        version = query.text("resourceVersion")
        if version in ("", "0") or wants_initial:
            await self._fresh(version)
            self._require_readable(call, selection)
            is_declined = query.text("sendInitialEvents") and not wants_initial
            revision = self._cacher.cache.revision if is_declined else -1
        else:
            revision = _revision(version)
            self._require_known(call, revision)
        wish = Wish(
            selection=selection,
            revision=revision,
            seconds=watch_seconds(query.number("timeoutSeconds"), random.random()),
            has_bookmarks=query.flag("allowWatchBookmarks"),
            ends_initial=wants_initial,
        )
        return Streaming(Following(self._cacher, call, wish, self._now).run)

    def _require_known(self, call: Call, revision: int) -> None:
        cache = self._cacher.cache.of(*call.resource.place)
        if revision < cache.first_revision:
            raise errors.expired(f"too old resource version: {revision} ({cache.first_revision})")

    async def _fresh(self, version: str) -> None:
        if not version:
            await self._cacher.current()
        elif version == "0":
            await self._cacher.at_least(0)
        else:
            await self._cacher.at_least(_revision(version))


def _revision(version: str) -> int:
    """Raises ApiError 400."""
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise errors.bad_request(f'Invalid value: "{version[:40]}": resourceVersion')
    return int(version)


def _count(entries: Iterator[Entry]) -> int:
    return sum(1 for _ in entries)


def _take(
    raws: list[bytes], page: Page, limit: int, selection: Selection, cache: ResourceCache
) -> int | None:
    """Add what matches, up to the limit; the position of the last one if that is reached."""
    for position, raw in enumerate(page.raw):
        if selection.is_all or selection.matches(cache.look_at(raw)):
            raws.append(raw)
            if len(raws) == limit:
                return position
    return None


def _refuse(
    call: Call,
    selection: Selection,
    unreadable: Iterable[tuple[str, UnreadableError]],
    until: str,
) -> None:
    """Raises ApiError 500: who gets less than there is would take the rest for deleted.

    until  the last key that the list comes to; empty: all
    """
    found = [
        (key, error)
        for key, error in unreadable
        if selection.may_match(key) and (not until or key <= until)
    ]
    if found:
        raise lists.unreadable(call.resource, selection.prefix, found)


def _why(cache: ResourceCache, key: str) -> UnreadableError:
    """Of what was so at a revision, what is known of it now."""
    broken = cache.broken(key)
    return UnreadableError("it could not be read then", key) if broken is None else broken.error
