"""A command's streams as streams of SPDY: `v4.channel.k8s.io` of kubectl up to 1.29. PURE.

The client opens one stream for each, which says in its header `streamtype` what it is; the server
takes each. When all are there the command begins.

Source: Kubernetes' documentation of streaming in kubectl-needs.md, "exec, attach, cp".
"""

import msgspec

from controlplane.streams import spdy
from controlplane.streams.remote_command import (
    Begun,
    Event,
    Input,
    InputEnded,
    Left,
    Resizes,
    Wish,
)
from controlplane.streams.spdy import Spdy
from controlplane.streams.violations import ViolationError

PROTOCOLS = ("v4.channel.k8s.io",)
_PROTOCOL_ERROR = 1  # a status of RST_STREAM


class SpdyStreams:
    """Of the server."""

    def __init__(self, wish: Wish) -> None:
        self._spdy = Spdy(is_client=False)
        self._awaited = _kinds(wish)
        self._numbers: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        self._resizes = Resizes()

    def receive(self, data: bytes) -> list[Event]:
        """What the client says. Raises ViolationError."""
        return [event for one in self._spdy.receive(data) for event in self._events(one)]

    def _events(self, event: spdy.Event) -> list[Event]:
        match event:
            case spdy.Opened(number, headers):
                return self._opened(number, headers.get("streamtype", ""))
            case spdy.Received(number, data):
                return self._received(number, data)
            case spdy.Ended(number) | spdy.Reset(number):
                return [InputEnded()] if self._kinds.get(number) == "stdin" else []
            case spdy.Left():
                return [Left()]
            case _:
                return []

    def _opened(self, number: int, kind: str) -> list[Event]:
        if kind not in self._awaited:
            self._spdy.reset(number, _PROTOCOL_ERROR)
            return []
        self._awaited.discard(kind)
        self._numbers[kind], self._kinds[number] = number, kind
        self._spdy.reply(number)
        return [] if self._awaited else [Begun()]

    def _received(self, number: int, data: bytes) -> list[Event]:
        kind = self._kinds.get(number)
        if kind == "stdin":
            return [Input(data)]
        self._spdy.consumed(number, len(data))
        return list(self._resizes.feed(data)) if kind == "resize" else []

    def write_output(self, data: bytes) -> None:
        """What the command wrote."""
        self._write("stdout", data)

    def write_errors(self, data: bytes) -> None:
        """… to its stderr."""
        self._write("stderr", data)

    def _write(self, kind: str, data: bytes) -> None:
        if kind in self._numbers:
            self._spdy.write(self._numbers[kind], data)

    def ping(self) -> None:
        """Ask whether the client is alive."""
        self._spdy.ping()

    def finish(self, status: dict[str, object]) -> None:
        """Say how it ended."""
        self._write("error", msgspec.json.encode(status))
        for kind in ("stdout", "stderr", "error"):
            if kind in self._numbers:
                self._spdy.end(self._numbers[kind])

    def break_off(self, error: ViolationError) -> None:
        """Say what cannot be understood."""
        self._spdy.go_away(error.code)

    def consumed(self, count: int) -> None:
        """So many bytes of input have been taken by the command."""
        if "stdin" in self._numbers:
            self._spdy.consumed(self._numbers["stdin"], count)

    @property
    def is_held(self) -> bool:
        """Whether the client has to take more before more is written."""
        return any(map(self._spdy.held_bytes, self._numbers.values()))

    def take(self) -> bytes:
        """What is to be sent to the client now."""
        return self._spdy.take()


def _kinds(wish: Wish) -> set[str]:
    """Streams that a client of `v4` opens."""
    kinds = {"error"}
    if wish.has_stdin:
        kinds.add("stdin")
    if wish.has_stdout:
        kinds.add("stdout")
    if wish.has_stderr and not wish.has_tty:
        kinds.add("stderr")
    if wish.has_tty:
        kinds.add("resize")
    return kinds
