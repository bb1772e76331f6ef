"""A member with a probe on its event loop, or (first argument `idle`) a loop with nothing else.

    python -m benchmarks.probe REPORT-FILE idle|FLAGS OF A MEMBER …

A timer fires every millisecond; the longest delay since the last SIGUSR1 is written to the report
file at the next one.
"""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from kvstore import __main__ as entry
from kvstore.server.config import Settings
from kvstore.server.failpoints import Failpoints

_INTERVAL_SECONDS = 0.001


class _Probe:
    def __init__(self, report: Path) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._longest = 0.0
        self._number = 0
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._start()

    def _start(self) -> None:
        self._due = self._loop.time() + _INTERVAL_SECONDS
        self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._longest = max(self._longest, self._loop.time() - self._due)
        self._start()

    def _tell(self) -> None:
        self._number += 1
        whole = self._report.with_suffix(".new")
        whole.write_text(f"{self._number} {self._longest:.6f}")
        whole.rename(self._report)
        self._longest = 0.0


async def _idle(report: Path) -> None:
    _Probe(report)
    await asyncio.Event().wait()


def main() -> int:
    """Run until a signal ends it."""
    report = Path(sys.argv.pop(1))
    if sys.argv[1] == "idle":
        uvloop.run(_idle(report))
    serve = entry._serve

    async def serve_probed(settings: Settings, armed: Failpoints | None) -> None:
        _Probe(report)
        await serve(settings, armed)

    entry._serve = serve_probed
    return entry.main()


if __name__ == "__main__":
    sys.exit(main())
