"""`local/http` ends as a server behind a Service has to: after those who still come to it."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.node.programs import http as program

LEAVING_SECONDS = 1.0  # how much later than it those hear that it ends who route to it
SECONDS_MAX = 30.0


class Server:
    """The program, started."""

    def __init__(self, log: Path) -> None:
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program.__name__],
                env={**os.environ, "POD_IP": "127.0.0.1", "PORT": "0"},
                stderr=file,
            )
        give_up_at = time.monotonic() + SECONDS_MAX
        while not (told := re.match(r"serving on .*:(\d+)\n", log.read_text())):
            assert time.monotonic() < give_up_at, log.read_text()
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.01)
        self.port = int(told[1])

    def ask(self) -> tuple[int, str | None]:
        """Raises OSError when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Connection")
        finally:
            connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "log")
    yield made
    made.process.kill()
    made.process.wait()


def test_nobody_is_lost_who_is_still_routed_to_it(server: Server) -> None:
    told_at: list[float] = []
    failed: list[OSError | http.client.HTTPException] = []
    closed = []

    def ask() -> None:
        while not told_at or time.monotonic() < told_at[0] + LEAVING_SECONDS:
            try:
                closed.append(server.ask()[1])
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for one in asking:
        one.start()
    assert server.ask() == (200, None)
    server.process.send_signal(signal.SIGTERM)
    told_at.append(time.monotonic())
    for one in asking:
        one.join()
    assert failed == []
    assert closed[-1] == "close"
    assert server.process.wait(SECONDS_MAX) == 0
    with pytest.raises(ConnectionRefusedError):
        server.ask()


def test_it_ends_though_they_never_stop_to_come(server: Server) -> None:
    is_refused = threading.Event()

    def ask() -> None:
        while True:
            try:
                server.ask()
            except OSError:
                is_refused.set()
                return

    asking = threading.Thread(target=ask)
    asking.start()
    server.process.send_signal(signal.SIGTERM)
    assert is_refused.wait(SECONDS_MAX)
    asking.join()
    assert server.process.wait(SECONDS_MAX) == 0
