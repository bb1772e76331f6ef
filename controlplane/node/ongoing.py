"""The actions of one pod that were begun and have not ended: of each key one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from controlplane.api.types.core_v1 import Pod
from controlplane.node.actions import (
    Action,
    RemoveContainer,
    RunPreStop,
    RunSandbox,
    StartContainer,
    StopContainer,
)
from controlplane.node.view import PodView

SOONER_SECONDS = 0.5
"""A deadline that is so much earlier is another one: looks take a moment, too."""

Do = Callable[[Pod, PodView, Action], Awaitable[None]]


class _Running(msgspec.Struct, eq=False):
    """An action that was begun."""

    action: Action
    task: asyncio.Task[None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Once: what it does to end must not be broken off."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.task.cancel()


class Ongoing:
    """Of the pod `uid`.

    do       carries one out; it keeps to itself what fails
    refresh  returns when it is known what came of it
    again    called when one has ended

    pre_stopped  ids of containers whose preStop hooks were begun: that is done once
    """

    def __init__(
        self,
        uid: str,
        do: Do,
        *,
        refresh: Callable[[], Awaitable[None]],
        again: Callable[[], None],
    ) -> None:
        self.pre_stopped: set[str] = set()
        self._uid = uid
        self._do = do
        self._refresh = refresh
        self._again = again
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # with those whose place another has taken
        self._is_closed = False

    @property
    def actions(self) -> list[Action]:
        """In the order in which they were begun."""
        return [one.action for one in self._running.values()]

    def carry_out(
        self, pod: Pod, view: PodView, actions: Sequence[Action], *, is_ended: bool
    ) -> None:
        """Begin what is not begun yet. is_ended: nothing is to be started any more"""
        for action in actions:
            running = self._running.get(action.key)
            if running is None:
                self._begin(pod, view, action)
            elif _is_sooner(action, running.action):
                running.cancel()  # a hook has had its turn then
                if isinstance(action, StopContainer):
                    self._begin(pod, view, msgspec.structs.replace(action, is_again=True))
        for running in self._running.values():
            if _is_in_vain(running.action, view, is_ended=is_ended):
                running.cancel()

    async def close(self) -> None:
        """Break off what was begun; what runs in the runtime goes on."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _begin(self, pod: Pod, view: PodView, action: Action) -> None:
        if isinstance(action, RunPreStop | StopContainer):
            self.pre_stopped.add(action.container_id)
        elif isinstance(action, RemoveContainer):
            self.pre_stopped.discard(action.container_id)
        name = f"{action.key} of pod {self._uid}"
        task = asyncio.create_task(self._run(pod, view, action), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        running = self._running[action.key] = _Running(action, task)
        task.add_done_callback(lambda _: self._ended(running))

    def _ended(self, running: _Running) -> None:
        """However it did: the next look sees what came of it."""
        key = running.action.key
        if self._running.get(key) is running:  # else another has taken its place
            del self._running[key]
            if not self._is_closed:
                self._again()

    async def _run(self, pod: Pod, view: PodView, action: Action) -> None:
        try:
            await self._do(pod, view, action)
        except asyncio.CancelledError:
            if self._is_closed:
                raise
        await self._refresh()


def _is_in_vain(action: Action, view: PodView, *, is_ended: bool) -> bool:
    """Whether nothing comes of it: the pod has ended, or the sandbox in which it was to start."""
    if isinstance(action, StartContainer):
        sandbox = view.sandbox
        has_place = sandbox is not None and sandbox.is_ready and sandbox.id == action.sandbox_id
        return is_ended or not has_place
    return is_ended and isinstance(action, RunSandbox)


def _is_sooner(action: Action, running: Action) -> bool:
    """An end with less grace replaces one that is waiting for more."""
    ends = StopContainer | RunPreStop
    if not isinstance(action, ends) or not isinstance(running, ends):
        return False
    if isinstance(action, RunPreStop) and isinstance(running, StopContainer):
        return False  # it is being stopped already, and waits for no turn
    return (
        action.container_id == running.container_id
        and action.deadline < running.deadline - SOONER_SECONDS
    )
