"""One pod as the agent sees it: its shim while that lives, the files of it when not."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec

from controlplane.node.runtime.interface import Container, ContainerState, RefusedError, Sandbox
from controlplane.node.runtime.process.calls import Call, ask
from controlplane.node.runtime.process.folders import ContainerRecord, Folders, SandboxRecord
from controlplane.node.runtime.shim import processes, records, wire
from controlplane.node.runtime.shim.cgroups import remove_groups
from controlplane.node.runtime.shim.records import State

# A shim does nothing that lasts: one that does not answer for so long was stopped or is stuck.
_ANSWER_SECONDS = 60.0
_FIRST_STATES_SECONDS = 10.0
_END_SECONDS = 10.0
_KILLS_MAX = 6
_LOST_SECONDS = 0.01
_KILLED_CODE = 137


class Pod:
    """A sandbox with its containers.

    changed  called whenever one of them may be otherwise than it was
    """

    def __init__(
        self, folders: Folders, sandbox_id: str, record: SandboxRecord, changed: Callable[[], None]
    ) -> None:
        self.id = sandbox_id
        self.record = record
        self.is_ready = False
        self._folders = folders
        self._changed = changed
        self._containers: dict[str, tuple[ContainerRecord, State]] = {}
        self._following: asyncio.Task[None] | None = None
        self._has_states = asyncio.Event()

    async def attach(self) -> None:
        """Read what there is, and follow the shim; return when all is as it is now."""
        self._containers = await asyncio.to_thread(self._folders.containers, self.id)
        self.is_ready = True
        self._following = asyncio.create_task(self._follow())
        with suppress(TimeoutError):  # a shim that was stopped: its files must do
            async with asyncio.timeout(_FIRST_STATES_SECONDS):
                await self._has_states.wait()

    async def detach(self) -> None:
        """Let it be; it goes on."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    async def _follow(self) -> None:
        """Hear of changes until the shim has ended."""
        while True:
            try:
                await self._hear()
            except (EOFError, OSError, RefusedError, wire.WireError):
                if not self._is_shim_alive():
                    break
                # It lives, and only let go of a listener that was too slow; or is just ending.
                await asyncio.sleep(_LOST_SECONDS)
        self.is_ready = False
        known = {name: state for name, (_, state) in self._containers.items()}
        for name, state in (await asyncio.to_thread(self._bury, known)).items():
            if name in self._containers:  # it may have been removed meanwhile
                self._containers[name] = (self._containers[name][0], state)
        self._has_states.set()
        self._changed()

    async def _hear(self) -> None:
        call = await Call.open(self._folders.socket(self.id), {"op": "watch"})
        try:
            await call.answer()
            while True:
                message = await call.next()
                for name, told in message["states"].items():
                    self.apply(name, told)
                self._has_states.set()
        finally:
            call.close()

    def _is_shim_alive(self) -> bool:
        identity = self._folders.shim(self.id)
        return (
            identity is not None
            and identity.boot == processes.boot()
            and processes.start_ticks(identity.pid) == identity.start_ticks
        )

    def _bury(self, known: Mapping[str, State]) -> dict[str, State]:
        """The shim is gone: whatever it left behind goes too, and its containers have ended.

        known  states that it has told; it may have written down later ones
        Blocks.
        """
        if not self.record.pod.has_namespaces:
            processes.kill_marked(records.MARKER, self.id)
        ends = {}
        written_down: Mapping[str, tuple[ContainerRecord, State]] = {}
        with suppress(OSError):
            written_down = self._folders.containers(self.id)
        with suppress(OSError):  # somebody else's are in it
            remove_groups(self.record.pod.cgroups, known.keys() | written_down.keys())
        for name in known.keys() | written_down.keys():
            written = written_down[name][1] if name in written_down else known[name]
            latest = max(known.get(name, written), written, key=_progress)
            ends[name] = _lost(latest)
            if ends[name] != written:
                with suppress(OSError):  # the next agent finds it out again
                    self._folders.write_state(self.id, name, ends[name])
        return ends

    def apply(self, container_id: str, told: wire.Message) -> None:
        """What the shim has said of a container."""
        known = self._containers.get(container_id)
        if known is None:
            return
        state = records.decode(State, told)
        # Answers and the watch are two connections: an older word may come later.
        if _progress(state) >= _progress(known[1]) and state != known[1]:
            self._containers[container_id] = (known[0], state)
            self._changed()

    async def ask(
        self, request: wire.Message, *, timeout_seconds: float = _ANSWER_SECONDS
    ) -> wire.Message:
        """Raises RefusedError."""
        try:
            return await ask(
                self._folders.socket(self.id), request, timeout_seconds=timeout_seconds
            )
        except TimeoutError as error:
            told = f"the shim of sandbox {self.id} does not answer"
            raise RefusedError("RuntimeNotReady", told) from error
        except (EOFError, OSError) as error:
            raise self.no_shim(error) from error

    def no_shim(self, error: Exception) -> RefusedError:
        return RefusedError("NotRunning", f"the shim of sandbox {self.id} has ended: {error}")

    async def open(self, request: wire.Message) -> tuple[Call, wire.Message]:
        """A request whose connection stays; the caller closes it. Raises RefusedError."""
        try:
            call = await Call.open(self._folders.socket(self.id), request)
        except OSError as error:
            raise self.no_shim(error) from error
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return call, await call.answer()
        except (EOFError, TimeoutError) as error:
            call.close()
            raise self.no_shim(error) from error
        except BaseException:
            call.close()
            raise

    async def terminate(self) -> None:
        """Kill all of it; return when nothing is left. Raises RefusedError: that fails."""
        with suppress(RefusedError):
            await self.ask({"op": "terminate"}, timeout_seconds=_FIRST_STATES_SECONDS)
        if self._following is None:
            return
        for _ in range(_KILLS_MAX):
            await asyncio.wait([self._following], timeout=_END_SECONDS)
            if self._following.done():
                return
            self._kill_shim()
        raise RefusedError("StopPodSandbox", f"processes of sandbox {self.id} cannot be killed")

    def _kill_shim(self) -> None:
        identity = self._folders.shim(self.id)
        if identity is not None and self._is_shim_alive():
            processes.send_signal(identity.pid, signal.SIGKILL)

    def add(self, container_id: str, record: ContainerRecord) -> None:
        """A container that was just made."""
        self._containers[container_id] = (record, State())

    def forget(self, container_id: str) -> None:
        self._containers.pop(container_id, None)

    @property
    def container_ids(self) -> list[str]:
        return list(self._containers)

    def state(self, container_id: str) -> State:
        return self._containers[container_id][1]

    def sandbox(self) -> Sandbox:
        """As the interface has it."""
        record = self.record
        return Sandbox(
            id=self.id,
            config=record.config,
            is_ready=self.is_ready,
            address=record.config.address,
            created_at=record.created_at,
        )

    def containers(self) -> list[Container]:
        """As the interface has them."""
        return [
            Container(
                id=name,
                sandbox_id=self.id,
                config=record.config,
                state=_state_word(state),
                image_id=record.image_id,
                created_at=record.created_at,
                **msgspec.to_builtins(state),
            )
            for name, (record, state) in self._containers.items()
        ]


def _state_word(state: State) -> ContainerState:
    if state.finished_at:
        return "exited"
    return "running" if state.started_at else "created"


def _progress(state: State) -> int:
    return ("created", "running", "exited").index(_state_word(state))


def _lost(state: State) -> State:
    """Of a container whose shim is gone."""
    if not state.started_at or state.finished_at:
        return state
    return replace(
        state,
        finished_at=time.time(),
        exit_code=_KILLED_CODE,
        reason="Error",
        message="it was killed with the shim of its pod",
    )
