"""Compacts the store, so that its history does not grow for ever; one API server in an interval.

Source: kube-apiserver's `--etcd-compaction-interval`. Servers agree by a key in the store, the one
that kube-apiserver takes: whoever writes it, having seen its last change, compacts to the revision
that it saw then. That was an interval ago or longer, so a list with a continue token, and a watch
that resumes, have at least an interval's time.
"""

import logging

import msgspec

from kvstore.client import Client, ModRevision, RangeResponse, get, put
from kvstore.client.clock import AsyncioClock
from kvstore.errors import CompactedError, KvError, NoSpaceError
from kvstore.seams import Clock

KEY = b"compact_rev_key"
INTERVAL_SECONDS = 300.0

_log = logging.getLogger(__name__)


class Seen(msgspec.Struct, frozen=True):
    """What was seen an interval ago: when `KEY` was last written (0: never), and the store's
    revision then.
    """

    mark: int = 0
    revision: int = 0


class Compaction:
    """`run` until cancelled. interval_seconds: 0 leaves the history to others."""

    def __init__(
        self, client: Client, *, interval_seconds: float, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._interval_seconds = interval_seconds
        self._clock = clock or AsyncioClock()
        self._seen = Seen()

    async def run(self) -> None:
        """Compact once per interval, until cancelled; a store that does not answer is asked again
        the next time.
        """
        if self._interval_seconds == 0:
            return
        while True:
            try:
                await self.step()
            except KvError as error:
                _log.warning("the store is not compacted, tries again at its next turn: %s", error)
            await self._clock.sleep(self._interval_seconds)

    async def step(self) -> int:
        """Take this turn unless another server has taken it; the revision compacted to, 0: none.

        Raises KvError.
        """
        before = self._seen
        if not await self._takes_turn(before) or before.revision == 0:
            return 0
        try:
            await self._client.compact(before.revision)
        except CompactedError:
            return 0  # the store compacts itself, too (`--auto-compaction-retention`)
        return before.revision

    async def _takes_turn(self, before: Seen) -> bool:
        """Write the key if nobody has since; either way see how things are now."""
        wish = self._client.txn().when(ModRevision(KEY) == before.mark)
        wish = wish.then(put(KEY, b"%d" % before.revision)).otherwise(get(KEY))
        try:
            answer = await wish.commit()
        except NoSpaceError:
            # Nobody can write, and all the more must be compacted; each server knows by itself
            # that what it saw is old enough.
            now = await self._client.get_range(KEY)
            self._seen = Seen(_mark(now), now.header.revision)
            return True
        revision = answer.header.revision
        [told] = answer.responses
        self._seen = Seen(_mark(told) if isinstance(told, RangeResponse) else revision, revision)
        return answer.succeeded


def _mark(told: RangeResponse) -> int:
    return told.kvs[0].mod_revision if told.kvs else 0
