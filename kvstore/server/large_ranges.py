"""Ranges of very many rows: encoded slice by slice, so that the member goes on living meanwhile.

Rows never change, so those of one revision stay what they are while writes go on. One range at a
time, the others wait for their turn.
"""

from collections import deque
from collections.abc import Generator

from kvstore.errors import TooManyRequestsError
from kvstore.seams import Clock
from kvstore.server.call import Call

WAITING_MAX = 64
"""Large ranges under way and waiting; each keeps the rows that it found alive."""

Encoding = Generator[None, None, bytes]


class LargeRanges:
    """Answers in the making."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Encoding, Call]] = deque()

    def add(self, encoding: Encoding, call: Call) -> None:
        """Answer with what `encoding` returns, a step of it per turn of the loop.

        Raises TooManyRequestsError when too many wait.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise TooManyRequestsError
        self._waiting.append((encoding, call))
        if len(self._waiting) == 1:
            self._step()

    def _step(self) -> None:
        encoding, call = self._waiting.popleft()
        try:
            if call.is_awaited():
                next(encoding)
                self._waiting.appendleft((encoding, call))
        except StopIteration as end:
            call.reply(end.value)
        finally:
            if self._waiting:
                self._clock.call_later(0, self._step)
