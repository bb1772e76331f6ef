"""A headless Chromium, driven by the WebDriver protocol (W3C) of Debian's chromedriver."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromedriver")
WAIT_SECONDS_MAX = 60.0
# Without these a browser asks hosts of its makers, which a closed network refuses one by one.
_ALONE = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--ignore-certificate-errors", "--window-size=1200,900"),
)


def missing() -> str:
    """Which program is not installed; empty: none."""
    return ", ".join(name for name in PROGRAMS if shutil.which(name) is None)


class Browser:
    """A context manager; `folder` gets its profile and its driver's log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._driver: subprocess.Popen[str]
        self._url = ""

    def __enter__(self) -> Self:
        log = f"--log-path={self._folder / 'driver.log'}"
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0", log], stdout=subprocess.PIPE, text=True
        )
        assert self._driver.stdout is not None
        told = next(line for line in self._driver.stdout if "successfully on port" in line)
        self._url = f"http://127.0.0.1:{told.rstrip().rstrip('.').rpartition(' ')[2]}"
        flags = [*_ALONE, f"--user-data-dir={self._folder / 'profile'}"]
        options = {"binary": shutil.which("chromium"), "args": flags}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        try:
            self._url += f"/session/{self._ask('POST', '/session', wanted)['sessionId']}"
        except BaseException:
            self._driver.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.kill()
            self._driver.wait()
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def open(self, url: str) -> None:
        """Load a page."""
        self._ask("POST", "/url", {"url": url})

    def html(self) -> str:
        """The page as it is now."""
        body = {"script": "return document.documentElement.outerHTML", "args": []}
        return str(self._ask("POST", "/execute/sync", body))

    def is_shown(self, name: str) -> bool:
        """Whether the element of this id takes room on the page."""
        script = f"return document.getElementById('{name}').getClientRects().length > 0"
        return bool(self._ask("POST", "/execute/sync", {"script": script, "args": []}))

    def until(self, condition: Callable[[str], bool]) -> str:
        """The page, once it is so."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not condition(html := self.html()):
            assert time.monotonic() < deadline, html
            time.sleep(0.1)
        return html

    def picture(self) -> bytes:
        """What is to be seen, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS_MAX) as answer:
            return json.loads(answer.read())["value"]
