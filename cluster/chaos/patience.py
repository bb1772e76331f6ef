"""A client that asks again until it is answered: its cluster is being killed all the time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from controlplane.ctl.errors import CtlError, StatusError

REQUEST_SECONDS_MAX = 120.0
_PAUSE_SECONDS = 0.2
_ODD_MAX = 100
# Nobody's fault: who asks again later is served. 409: somebody else wrote meanwhile.
_LATER = (409, 429, 503, 504)
_SERVER_FAULT = 500

T = TypeVar("T")


class Patience:
    """odd  answers that nobody should ever get, with how often: each is a fault of ours."""

    def __init__(self) -> None:
        self.odd: Counter[str] = Counter()

    async def ask(
        self, call: Callable[[], Awaitable[T]], *, fine: str = "", otherwise: T | None = None
    ) -> T | None:
        """What comes of it; `otherwise` for a refusal with the reason `fine`: an earlier request of
        which no answer came may have been carried out.

        Raises TimeoutError when nothing does for REQUEST_SECONDS_MAX, StatusError for a refusal
        that asking again will not change.
        """
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            while True:
                try:
                    return await call()
                except CtlError:
                    pass
                except StatusError as error:
                    if fine and error.reason == fine:
                        return otherwise
                    self._judge(error)
                await asyncio.sleep(_PAUSE_SECONDS)

    def _judge(self, error: StatusError) -> None:
        code = int(error.status.get("code") or 0)
        if code in _LATER:
            return
        if len(self.odd) < _ODD_MAX:
            self.odd[f"{code} {error.reason}: {error}"] += 1
        if code < _SERVER_FAULT:
            raise error
