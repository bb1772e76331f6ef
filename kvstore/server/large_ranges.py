"""Ranges of very many rows: encoded in slices, so that members and clients are heard meanwhile.

One at a time, in the order of arrival: a range waits for those before it, and its rows are looked
up when its turn comes. What waits are calls, which the front bounds. To gather the rows is still
one step, a tenth of the work.
"""

from collections import deque
from collections.abc import Callable, Generator

from kvstore.commands import Range
from kvstore.errors import KvError, TooManyRequestsError
from kvstore.seams import Clock
from kvstore.server.call import HANDLER_FAILED, Call

LARGE_ROWS = 5_000
"""More rows than these are not encoded at once: some 10 ms."""

Encoding = Generator[None, None, bytes]


class LargeRanges:
    """Answers in the making."""

    def __init__(self, clock: Clock, begin: Callable[[Range], Encoding]) -> None:
        """`begin` looks the rows up (KvError) and returns their encoding."""
        self._clock = clock
        self._begin = begin
        self._waiting: deque[tuple[Range, Call]] = deque()  # the first one is under way
        self._encoding: Encoding | None = None

    def add(self, command: Range, call: Call) -> None:
        """Answer when those before it are answered."""
        self._waiting.append((command, call))
        if len(self._waiting) == 1:
            self._step()

    def _step(self) -> None:
        command, call = self._waiting[0]
        is_over = True
        try:
            is_over = not call.accepts_answer() or self._is_answered(command, call)
        except KvError as error:
            call.fail(error)
        except MemoryError:
            call.fail(TooManyRequestsError())
        except AssertionError:
            raise  # ends the process
        except Exception:
            call.fail(KvError(HANDLER_FAILED))
            raise  # to the log
        finally:
            if is_over:
                self._waiting.popleft()
                self._encoding = None
            if self._waiting:
                self._clock.call_later(0, self._step)

    def _is_answered(self, command: Range, call: Call) -> bool:
        if self._encoding is None:
            self._encoding = self._begin(command)
        try:
            next(self._encoding)
        except StopIteration as end:
            call.reply(end.value)
            return True
        return False
