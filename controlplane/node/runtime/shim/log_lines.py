"""The log of a container, in the format of Kubernetes' container runtime interface.

    2026-11-29T20:00:00.000000000Z stdout F a whole line
    2026-11-29T20:00:00.000000000Z stderr P a part: the line goes on in the next of its stream

Source: kubernetes/community, "CRI: Logging" (kubelet-cri-logging.md). PURE.
"""

import time
from typing import Literal

# As containerd has it: longer lines come in parts.
PART_BYTES_MAX = 16 * 1024

Stream = Literal["stdout", "stderr"]


def stamp(nanoseconds: int) -> bytes:
    """A time since 1970 in RFC 3339, with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{rest:09d}Z".encode()


class LineWriter:
    """Turns what a container writes to one stream into lines of its log."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream.encode()
        self._rest = b""

    def feed(self, data: bytes, now_nanoseconds: int) -> bytes:
        """Lines that are whole now, and parts of those that are too long."""
        full, part = self._heads(now_nanoseconds)
        *lines, self._rest = (self._rest + data).split(b"\n")
        out: list[bytes] = []
        for line in lines:
            *parts, last = _cut(line)
            out.extend(part + each + b"\n" for each in parts)
            out.append(full + last + b"\n")
        *parts, self._rest = _cut(self._rest)
        out.extend(part + each + b"\n" for each in parts)
        return b"".join(out)

    def close(self, now_nanoseconds: int) -> bytes:
        """The stream has ended: what is left is part of a line that nobody ends."""
        rest, self._rest = self._rest, b""
        return self._heads(now_nanoseconds)[1] + rest + b"\n" if rest else b""

    def _heads(self, now_nanoseconds: int) -> tuple[bytes, bytes]:
        head = stamp(now_nanoseconds) + b" " + self._stream
        return head + b" F ", head + b" P "


def _cut(line: bytes) -> list[bytes]:
    """At least one piece, each of at most PART_BYTES_MAX."""
    if len(line) <= PART_BYTES_MAX:
        return [line]
    return [line[at : at + PART_BYTES_MAX] for at in range(0, len(line), PART_BYTES_MAX)]
