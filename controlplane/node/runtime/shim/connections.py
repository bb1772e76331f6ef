"""Who speaks to a shim: one request a connection, answers as far as the other side reads them."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from controlplane.node.runtime.shim import wire

_RECEIVE_BYTES = 64 * 1024


class RequestError(Exception):
    """A request that cannot be done; reason and message are for the agent."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Connection:
    """Of one client. What does not fit its socket is not kept: such a client is left."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = wire.Lines()
        self.is_open = True
        self.was_asked = False
        sock.setblocking(False)

    @property
    def descriptor(self) -> int:
        return self._sock.fileno()

    def receive(self) -> wire.Message | None:
        """Its request, once it is whole. When it hangs up `is_open` is false."""
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
            messages = self._lines.feed(data)
        except BlockingIOError:
            return None
        except (OSError, wire.WireError):
            self.is_open = False
            return None
        self.is_open = bool(data)
        if not messages or self.was_asked:
            return None
        self.was_asked = True
        return messages[0]

    def answer(self, ok: wire.Message, descriptors: Sequence[int] = ()) -> None:
        """It was done. Takes the descriptors."""
        self._send({"ok": ok}, descriptors)

    def refuse(self, refused: RequestError) -> None:
        """It was not."""
        self._send({"error": [refused.reason, refused.message]})

    def tell(self, message: wire.Message) -> None:
        """What comes after the answer."""
        self._send(message)

    def _send(self, message: wire.Message, descriptors: Sequence[int] = ()) -> None:
        try:
            wire.send(self._sock, message, descriptors)
        except OSError:
            self.is_open = False
        finally:
            for descriptor in descriptors:
                with suppress(OSError):
                    os.close(descriptor)

    def close(self) -> None:
        self._sock.close()
        self.is_open = False
