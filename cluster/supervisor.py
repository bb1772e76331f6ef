"""Keeps one process alive: starts it, restarts it when it dies by itself, stops it on request."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import leash, logs

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 10.0
# A process that lived longer than it would have to wait has recovered: its next restart is quick.
_STABLE_SECONDS = BACKOFF_MAX_SECONDS
_STOP_SECONDS = 15.0


class Supervisor:
    """One child process.

    `kill` and `stop` mean "until `start`"; a death by anything else is healed after a back-off.
    The command is asked for at each start: what it names may have changed. `warn` is told why the
    process cannot be started; it is tried again.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        log_path: Path,
        warn: Callable[[str], None],
    ) -> None:
        self._command = command
        self._warn = warn
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self._is_wanted = True
        self._is_renewed = False
        self._changed = asyncio.Event()
        self.is_paused = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    @property
    def is_wanted(self) -> bool:
        """False after `kill` or `stop`, until `start`."""
        return self._is_wanted

    @property
    def state(self) -> str:
        """starting, running, paused or stopped."""
        if self.pid is None:
            return "starting" if self._is_wanted else "stopped"
        return "paused" if self.is_paused else "running"

    async def run(self) -> None:
        """Supervise until cancelled; then stop the child cleanly."""
        backoff = BACKOFF_FIRST_SECONDS
        try:
            while True:
                while not self._is_wanted:
                    self._changed.clear()
                    await self._changed.wait()
                    backoff = BACKOFF_FIRST_SECONDS
                started = time.monotonic()
                self._is_renewed = False
                try:
                    await self._run_once()
                except OSError as error:  # a full disk, no more processes: others run on
                    self._warn(f"{self._log_path.stem} cannot be started: {error}")
                if not self._is_wanted or self._is_renewed:
                    continue
                if time.monotonic() - started > _STABLE_SECONDS:
                    backoff = BACKOFF_FIRST_SECONDS
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, BACKOFF_MAX_SECONDS)
                self.restarts += 1
        finally:
            self._is_wanted = False
            await self._end()

    def start(self) -> None:
        """Run again after `kill` or `stop`."""
        self._is_wanted = True
        self._changed.set()

    def kill(self) -> None:
        """SIGKILL; stays down until `start`."""
        self._is_wanted = False
        self._signal(signal.SIGKILL)

    def renew(self) -> None:
        """SIGTERM, and start again at once with the command that it has now."""
        self._is_renewed = self.pid is not None
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: the process is there but does nothing."""
        self._signal(signal.SIGSTOP)
        self.is_paused = self.pid is not None

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.is_paused = False

    def _signal(self, number: int) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self.pid, number)

    async def _run_once(self) -> None:
        logs.trim(self._log_path)
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *leash.command(os.getpid(), self._command()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours: members stop one after the other
            )
        self.is_paused = False
        if not self._is_wanted:
            self._process.kill()  # `kill` came while it was being started
        await self._process.wait()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            self.resume()  # also if somebody else has stopped it: it would not hear of its end
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except asyncio.CancelledError:
                process.kill()  # cancelled once more: at once
                raise
            except TimeoutError:
                process.kill()
                await process.wait()
