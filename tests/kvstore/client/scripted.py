"""A second RpcChannel: endpoints that answer by a script, and a clock that costs no time."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.seams import RpcFailure, RpcStream, Timer

Answer = RpcFailure | Any


class SteppedClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        raise AssertionError("no timers here")


class ScriptedChannel:
    """Gives the answers of its endpoint in turn; each takes the attempt's whole time if `slow`."""

    def __init__(self, endpoint: str, script: "Script") -> None:
        self._endpoint = endpoint
        self._script = script

    async def unary(
        self,
        method: str,
        request: Any,
        response_type: Any,
        *,
        timeout_seconds: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        self._script.calls.append((self._endpoint, method, dict(metadata), timeout_seconds))
        answer = self._script.answer(self._endpoint)
        if isinstance(answer, RpcFailure):
            if answer.code == "DEADLINE_EXCEEDED":
                self._script.clock.seconds += timeout_seconds or 0.0
            raise answer
        return answer

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> RpcStream:
        raise AssertionError("no streams here")

    async def close(self) -> None:
        """Nothing to close."""


class Script:
    """What endpoints answer, and what they were asked."""

    def __init__(self, clock: SteppedClock, answers: dict[str, list[Answer]]) -> None:
        self.clock = clock
        self.answers = answers
        self.calls: list[tuple[str, str, dict[str, str], float | None]] = []

    def open_channel(self, endpoint: str) -> ScriptedChannel:
        return ScriptedChannel(endpoint, self)

    def answer(self, endpoint: str) -> Answer:
        """The next one; the last one for ever."""
        answers = self.answers[endpoint]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @property
    def endpoints_called(self) -> list[str]:
        return [call[0] for call in self.calls]
