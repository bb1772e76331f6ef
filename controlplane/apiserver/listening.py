"""Takes clients' connections, up to a number: also those whose handshake is not done yet count.

Whoever connects and says nothing costs a file and what TLS keeps for him, and need not show who he
is. Source of the time: Go's HTTP server, whose TLS handshakes end with the time for a head.
"""

import asyncio
import logging
import socket
import ssl

from controlplane.apiserver.connections import HEAD_SECONDS_MAX, Connections

_BACKLOG = 128
_AGAIN_SECONDS = 1.0  # no file, no memory: others may give some back

_log = logging.getLogger(__name__)


class Listener:
    """From `listen` to `close`. tls: None: plain connections."""

    def __init__(self, connections: Connections, tls: ssl.SSLContext | None) -> None:
        self._connections = connections
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int) -> int:
        """Begin; the port, which the kernel chose if it was 0. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        listening.setblocking(False)
        self._start(asyncio.create_task(self._accept(listening)))
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Take no more; handshakes end at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except ConnectionError:
                    continue  # it has gone already
                except Exception as error:  # noqa: BLE001 - or nobody would be served any more
                    _log.error("no connection can be taken: %r", error)
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                if self._connections.is_full:
                    self._connections.refused += 1
                    accepted.close()
                    continue
                self._connections.begun += 1
                self._start(asyncio.create_task(self._greet(accepted)))

    async def _greet(self, accepted: socket.socket) -> None:
        """Until it is one of the connections, or has failed to become one."""
        loop = asyncio.get_running_loop()
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                self._connections,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HEAD_SECONDS_MAX,
            )
        except OSError as error:  # what strangers send that is no TLS fills no log
            _log.debug("no handshake: %s", error)
            accepted.close()
        finally:
            self._connections.begun -= 1
