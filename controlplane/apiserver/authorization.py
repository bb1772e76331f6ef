"""Authorisation by RBAC: the policy follows the cache, every decision is a look-up."""

import logging

import orjson

from controlplane.api import errors
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.rbac import RBAC_GROUP, Attributes, Place, Policy, refusal
from controlplane.apiserver.recent import Change, Entry
from controlplane.apiserver.users import User

_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")

_log = logging.getLogger(__name__)


class Authorizer:
    """Its policy takes up what has changed since the last look, and only that."""

    def __init__(self, cacher: Cacher) -> None:
        self._cacher = cacher
        self._policy = Policy()
        self._seen = (-1, 0)  # generation of the cache, and its revision
        self._counts: dict[str, int] = {}  # plural -> changes of its cache

    @property
    def policy(self) -> Policy:
        """What holds now."""
        cache = self._cacher.cache
        now = (self._cacher.generation, cache.revision)
        if now != self._seen:
            generation, revision = self._seen
            self._seen = now
            if generation != now[0] or not self._follow(revision):
                self._build()
        return self._policy

    def _build(self) -> None:
        self._policy = Policy()
        for plural in (*_ROLES, *_BINDINGS):
            of_plural = self._cacher.cache.of(RBAC_GROUP, plural)
            self._counts[plural] = of_plural.changes
            for entry in of_plural.scan(""):
                self._take(plural, entry)

    def _follow(self, revision: int) -> bool:
        """Take up what came after a revision; False: not all of it is known any more, or told.

        Nobody is told of what cannot be read, and rights that it gave before must not stay.
        """
        changes: list[tuple[str, Change]] = []
        for plural in (*_ROLES, *_BINDINGS):
            of_plural = self._cacher.cache.of(RBAC_GROUP, plural)
            told = of_plural.since(revision)
            if told is None or self._counts[plural] + len(told) != of_plural.changes:
                return False
            self._counts[plural] = of_plural.changes
            changes.extend((plural, change) for change in told)
        for plural, change in changes:
            if change.is_deletion:
                self._drop(plural, _place(change.new))
            else:
                self._take(plural, change.new)
        return True

    def _take(self, plural: str, entry: Entry) -> None:
        place = _place(entry)
        try:
            found = orjson.loads(entry.raw)
            put = self._policy.put_role if plural in _ROLES else self._policy.put_binding
            put(place, found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # Written past the API server. Rules only allow: who leaves one out grants nothing.
            _log.error("what is stored at %s gives no rights: %r", entry.key, error)
            self._drop(plural, place)

    def _drop(self, plural: str, place: Place) -> None:
        if plural in _ROLES:
            self._policy.drop_role(place)
        else:
            self._policy.drop_binding(place)

    def allows(self, user: User, asked: Attributes) -> bool:
        """Tell whether a user may do it."""
        return self.policy.allows(user, asked)

    def require(self, user: User, asked: Attributes) -> None:
        """Raises ApiError 403 unless a user may do it."""
        if self.allows(user, asked):
            return
        why = refusal(user, asked)
        if not asked.is_resource:
            raise errors.ApiError(403, "Forbidden", f"forbidden: {why}")
        plural, _, _ = asked.resource.partition("/")
        raise errors.forbidden(plural, asked.group, asked.name, why)


def _place(entry: Entry) -> Place:
    """By its key `/registry/GROUP/PLURAL[/SPACE]/NAME`, which is right whatever the content is."""
    namespace, name = ["", *entry.key.split("/")[4:]][-2:]
    return namespace, name
