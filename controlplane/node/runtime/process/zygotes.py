"""The zygote of a node, found or started."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from controlplane.node.runtime.interface import RefusedError
from controlplane.node.runtime.process.calls import ask
from controlplane.node.runtime.process.images import packages
from controlplane.node.runtime.shim import records, wire, zygote
from controlplane.node.runtime.shim.isolation import Isolation

_ANSWER_SECONDS = 30.0
_START_SECONDS = 60.0
_LOG = "zygote.log"
_LOG_TOLD_BYTES = 2000


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a zygote says of itself and its machine."""

    version: int
    pid: int
    most: str
    isolation: str
    has_user_namespace: bool
    cgroups: dict[str, str]


class Zygote:
    """Of one root folder. most: the isolation that it tries for."""

    def __init__(self, root: Path, most: Isolation) -> None:
        self._root = root
        self._most = most
        self._starting = asyncio.Lock()

    async def abilities(self) -> Abilities:
        """Raises RefusedError: there is none, and none can be started."""
        async with self._starting:
            found = await self._hello()
            if found is not None and (found.version, found.most) != (zygote.VERSION, self._most):
                # Pods that it started go on without it.
                await self.quit()
                found = None
            if found is None:
                await self._start()
                found = await self._hello()
        if found is None:
            raise RefusedError("RuntimeNotReady", f"the zygote has ended at once: {self._told()}")
        return found

    async def run(self, pod: records.Pod, folder: Path) -> None:
        """Start the shim of a pod. Raises RefusedError."""
        request = {"op": "run", "pod": msgspec.to_builtins(pod), "folder": str(folder)}
        try:
            await self._ask(request)
        except (EOFError, OSError) as error:
            raise RefusedError("RunPodSandbox", f"the zygote has ended: {error}") from error

    async def quit(self) -> None:
        """End it; pods go on. The next pod starts another."""
        with suppress(RefusedError, EOFError, OSError):
            await self._ask({"op": "quit"})

    async def _hello(self) -> Abilities | None:
        try:
            return msgspec.convert(await self._ask({"op": "hello"}), Abilities, strict=True)
        except (EOFError, OSError, msgspec.ValidationError):
            return None

    async def _ask(self, request: wire.Message) -> wire.Message:
        path = self._root / records.ZYGOTE_SOCKET
        return await ask(path, request, timeout_seconds=_ANSWER_SECONDS)

    async def _start(self) -> None:
        """Run one; it puts itself into the background once it can be asked."""
        log = os.open(
            self._root / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        try:
            started = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "controlplane.node.runtime.shim"),
                *(str(self._root), self._most),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ) | {"PYTHONPATH": str(packages())},
                start_new_session=True,
            )
        finally:
            os.close(log)
        async with asyncio.timeout(_START_SECONDS):
            code = await started.wait()
        if code != 0:
            raise RefusedError("RuntimeNotReady", f"no zygote can be started: {self._told()}")

    def _told(self) -> str:
        try:
            return (self._root / _LOG).read_bytes()[-_LOG_TOLD_BYTES:].decode(errors="replace")
        except OSError as error:
            return str(error)
