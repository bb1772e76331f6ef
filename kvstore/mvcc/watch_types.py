"""Records of watching: what a client asks for and what it is sent, and what is read for it.

Pure data. How watchers are kept (`watch_stream`, `watch_index`) and served (`watch`) may not
enter.
"""

from collections.abc import Iterator
from enum import Enum
from itertools import chain
from typing import Protocol

import msgspec

from kvstore.mvcc.types import Event


class WatchSpec(msgspec.Struct, frozen=True, gc=False):
    """What a watcher wants, in etcd's terms.

    `start_revision` 0 means only what comes; `watch_id` 0 asks for an id.
    """

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    watch_id: int = 0
    no_put: bool = False
    no_delete: bool = False
    prev_kv: bool = False
    progress_notify: bool = False
    fragment: bool = False


class Refusal(Enum):
    """Why a watcher was not made; the value is the reason that etcd's clients read."""

    EMPTY_RANGE = "mvcc: watcher range is empty"
    DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"
    TOO_MANY = "etcdserver: too many watchers on the stream"


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Events to send to one watcher: whole revisions, in order.

    The events come in runs, which are shared with the batches of other watchers that get the
    same ones; so each need be encoded only once. `prev_kv` tells whether this watcher wants
    `Event.prev`, `fragment` whether it takes a revision in parts.
    """

    watch_id: int
    runs: tuple[tuple[Event, ...], ...]
    prev_kv: bool
    fragment: bool

    @property
    def events(self) -> tuple[Event, ...]:
        """All of them."""
        return tuple(chain.from_iterable(self.runs))


class Compacted(msgspec.Struct, frozen=True, gc=False):
    """A watcher is cancelled: what it needs next is compacted."""

    watch_id: int
    compact_revision: int


class History(Protocol):
    """What the hub reads of the store."""

    @property
    def revision(self) -> int:
        """The newest revision."""

    @property
    def compact_revision(self) -> int:
        """Events before it are gone."""

    def events_since(self, revision: int) -> Iterator[Event]:
        """Events in revision order, from `revision` up to the present one."""
