"""A command's streams, as kubectl's exec and attach have them: what is asked for, what happens, how
it ended. PURE.

Over what they go is elsewhere: `command_spdy`, `channels`.

Source: Kubernetes' API reference, PodExecOptions and PodAttachOptions; kubectl-needs.md, "v5
channels"; kube-behaviour 10.7.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from controlplane.streams.violations import ViolationError

STREAMS = ("stdin", "stdout", "stderr", "error", "resize")
RESIZE_BYTES_MAX = 1024
NO_STREAM = "you must specify at least 1 of stdin, stdout, stderr"

_SUCCESS = {"metadata": {}, "status": "Success"}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has asked for. A terminal has no stderr of its own."""

    command: tuple[str, ...] = ()
    has_stdin: bool = False
    has_stdout: bool = False
    has_stderr: bool = False
    has_tty: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it asks for no stream: NO_STREAM is what is said then."""
        return not (self.has_stdin or self.has_stdout or self.has_stderr)


class Begun(msgspec.Struct, frozen=True):
    """All streams are there."""


class Input(msgspec.Struct, frozen=True):
    """Bytes for the command's stdin."""

    data: bytes


class InputEnded(msgspec.Struct, frozen=True):
    """No more of them."""


class Resized(msgspec.Struct, frozen=True):
    """The client's terminal has another size now."""

    columns: int
    rows: int


class Left(msgspec.Struct, frozen=True):
    """The client has gone, as its protocol has it."""


Event = Begun | Input | InputEnded | Resized | Left


class Streams(Protocol):
    """The server's end of a command's streams over some protocol."""

    def receive(self, data: bytes) -> list[Event]:
        """What the client says. Raises ViolationError: `break_off` tells it."""

    def write_output(self, data: bytes) -> None:
        """What the command wrote."""

    def write_errors(self, data: bytes) -> None:
        """… to its stderr."""

    def ping(self) -> None:
        """Ask whether the client is alive. Its answer is no event."""

    def finish(self, status: dict[str, object]) -> None:
        """Say how it ended. Nothing follows."""

    def break_off(self, error: ViolationError) -> None:
        """Say what cannot be understood. Nothing follows."""

    def consumed(self, count: int) -> None:
        """So many bytes of input have been taken by the command."""

    @property
    def is_held(self) -> bool:
        """Whether the client has to take more before more is written."""

    def take(self) -> bytes:
        """What is to be sent to the client now."""


def status_of(exit_code: int) -> dict[str, object]:
    """How a command ended, as a Status."""
    if not exit_code:
        return dict(_SUCCESS)
    ended = f"command terminated with non-zero exit code: exit status {exit_code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": ended,
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def exit_code_of(status: Mapping[str, Any]) -> int | None:
    """Of a command, by its Status; None: it says none."""
    causes = (status.get("details") or {}).get("causes") or ()
    told = [str(one.get("message")) for one in causes if one.get("reason") == "ExitCode"]
    return int(told[0]) if told and told[0].isdecimal() else None


def failure(message: str) -> dict[str, object]:
    """Why there is no exit code, as a Status."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


class _Size(msgspec.Struct, rename="pascal"):
    width: int = 0
    height: int = 0


class Resizes:
    """Sizes of a terminal out of a stream of JSON lines."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Resized]:
        """Those that have come. What is none, or none that a terminal can have, is left out."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > RESIZE_BYTES_MAX:
            self._buffer = b""
        found = []
        for line in lines:
            try:
                size = msgspec.json.decode(line, type=_Size)
            except msgspec.DecodeError:
                continue
            if 0 < size.width < 1 << 16 and 0 < size.height < 1 << 16:
                found.append(Resized(size.width, size.height))
        return found
