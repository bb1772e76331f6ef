"""What the agent and its shims say to each other: a line of JSON, at times with descriptors.

One request a connection. An answer is `{"ok": …}` or `{"error": [REASON, MESSAGE]}`; what follows
it depends on the request (`shim.py` has the table).
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Message = dict[str, Any]

# Commands and environments are the largest that is said; the kernel's own bound is 2 MiB.
LINE_BYTES_MAX = 4 * 1024 * 1024
DESCRIPTORS_MAX = 3


class WireError(Exception):
    """What came is no line of JSON, or too long."""


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as its line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Bytes as they come, to messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Messages that are whole now. Raises WireError."""
        self._rest += data
        if len(self._rest) > LINE_BYTES_MAX:
            raise WireError("a message is too long")
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        messages = []
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError as error:
                raise WireError(f"no JSON: {error}") from error
            if not isinstance(message, dict):
                raise WireError("no JSON object")
            messages.append(message)
        return messages


def send(connection: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """All of it; for short messages, which the socket's buffer holds. Raises OSError."""
    line = encode(message)
    sent = socket.send_fds(connection, [line], descriptors) if descriptors else 0
    if sent < len(line):
        connection.sendall(line[sent:])


def connect(socket_path: Path) -> socket.socket:
    """A connection, non-blocking. The path may be longer than a socket's address: the folder is
    reached by its descriptor. Raises OSError."""
    folder = os.open(socket_path.parent, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{socket_path.name}")
        except OSError:
            connection.close()
            raise
    finally:
        os.close(folder)
    return connection


def listen(name: str) -> socket.socket:
    """A listening socket `name` in the current folder, for this user only; non-blocking."""
    Path(name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(name)
    finally:
        os.umask(before)
    listener.listen(256)
    return listener
