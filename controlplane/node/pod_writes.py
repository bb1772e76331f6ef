"""What the worker of a pod writes to the store: beside its looks, one write at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controlplane.api.errors import ApiError
from controlplane.workqueue import Backoff
from kvstore.seams import Clock

WRITE_SECONDS_MAX = 60.0
RETRY_FIRST_SECONDS = 0.1
RETRY_SECONDS_MAX = 10.0

logger = logging.getLogger(__name__)


class PodWrites:
    """Of one pod.

    slots  for writes of all pods of a node at once
    ended  called after each, however it ended: what was to be told may be so still
    """

    def __init__(
        self, uid: str, clock: Clock, slots: asyncio.Semaphore, ended: Callable[[], None]
    ) -> None:
        self._uid = uid
        self._clock = clock
        self._slots = slots
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._backoff = Backoff[str](RETRY_FIRST_SECONDS, RETRY_SECONDS_MAX)
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether one is under way, or waits after it has failed."""
        return self._task is not None

    def begin(self, write: Callable[[], Awaitable[None]]) -> None:
        """Have something written, unless a write is under way: the next look will see."""
        if self._task is None:
            self._task = asyncio.create_task(self._attempt(write), name=f"write of pod {self._uid}")
            self._task.add_done_callback(lambda _: self._done())

    async def close(self) -> None:
        """Write no more."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _done(self) -> None:
        self._task = None
        if not self._is_closed:
            self._ended()

    async def _attempt(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._slots, asyncio.timeout(WRITE_SECONDS_MAX):
                await write()
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, or another has its name
                logger.info("pod %s cannot be told of: %s", self._uid, error)
            await self._clock.sleep(self._backoff.failed(self._uid))
        except TimeoutError:
            logger.info("pod %s cannot be told of: no answer in time", self._uid)
        except Exception:
            logger.exception("pod %s cannot be told of", self._uid)
            await self._clock.sleep(self._backoff.failed(self._uid))
        else:
            self._backoff.forget(self._uid)
