"""`local/http`: a small web server that says who it is.

    PORT      of its socket; 8080
    POD_IP    its address; without it all of the machine's

SIGTERM: it serves on until nobody comes any more, answers who is connected, and ends with 0.
Whoever routes to it hears later than it does that it ends; a server that closed its socket at once
would reset those who stand in its backlog.
"""

import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A connection on which nothing comes is let go, or it would keep the server from ending.
_IDLE_SECONDS = 5.0
# How soon it sees that it was told to end.
_POLL_SECONDS = 0.05
# Told to end, it waits until nobody has come for so long, and not longer than this in all.
_QUIET_SECONDS = 0.5
_LEAVING_SECONDS_MAX = 5.0


class _Answer(BaseHTTPRequestHandler):
    """Hostname and address, whatever was asked for."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer; the last one closes."""
        body = f"{socket.gethostname()} {os.environ.get('POD_IP', '')} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if _ending.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 (named by http.server)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # ending waits for them
    request_queue_size = 128
    came_at = 0.0
    """When somebody came last, by the monotonic clock."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept."""
        self.came_at = time.monotonic()
        return super().get_request()

    def until_left_alone(self) -> None:
        """Return when nobody comes any more, or it took too long."""
        told_at = time.monotonic()
        while (now := time.monotonic()) < told_at + _LEAVING_SECONDS_MAX:
            left = max(self.came_at, told_at) + _QUIET_SECONDS - now
            if left <= 0:
                return
            time.sleep(left)


_ending = threading.Event()


def main() -> int:
    """Serve until told to end."""
    address = os.environ.get("POD_IP") or "0.0.0.0"
    port = int(os.environ.get("PORT", "8080"))
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    with _Server((address, port), _Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        serving.start()
        print(f"serving on {address}:{server.server_port}", file=sys.stderr, flush=True)  # noqa: T201
        signal.sigwait((signal.SIGTERM, signal.SIGINT))
        _ending.set()
        server.until_left_alone()
        server.shutdown()
        serving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
