"""Faults of processes: killed, paused, restarted, replaced."""

import asyncio
import contextlib
import shutil
import time

from kvstore import client
from kvstore.errors import UnavailableError
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import MemberProcess
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import Scene

_CHANGE_SECONDS_MAX = 60.0
_ASK_AGAIN_SECONDS = 0.1
_KILLED = "it has ended by SIGKILL"
_STOOD_STILL = "it stood still at the beginning and at the end, as the kernel says"


class Kill(Fault):
    """SIGKILL to the leader."""

    name = "kill"

    async def begin(self, scene: Scene) -> None:
        self._killed = await scene.leader()
        self.detail = self._killed.name
        scene.kill(self._killed)
        self.evidence = _KILLED

    async def end(self, scene: Scene) -> None:
        scene.start(self._killed)


class KillFollower(Fault):
    """SIGKILL to a follower: nobody but its clients may notice."""

    name = "kill-follower"
    terms_max = 0

    async def begin(self, scene: Scene) -> None:
        self._killed = await scene.follower()
        self.detail = self._killed.name
        scene.kill(self._killed)
        self.evidence = _KILLED

    async def end(self, scene: Scene) -> None:
        scene.start(self._killed)


class KillAll(Fault):
    """SIGKILL to every member."""

    name = "kill-all"
    serves_meanwhile = False
    unavailable_seconds_max = 6.0

    async def begin(self, scene: Scene) -> None:
        scene.kill_all()
        self.evidence = f"{len(scene.members)} members have ended by SIGKILL"

    async def end(self, scene: Scene) -> None:
        for member in scene.members:
            scene.start(member)


class Pause(Fault):
    """SIGSTOP to the leader: when it goes on it must not believe that it leads."""

    name = "pause"
    hold_seconds = 5.0

    async def begin(self, scene: Scene) -> None:
        self._paused = await self._whom(scene)
        self.detail = self._paused.name
        await scene.pause(self._paused)

    async def end(self, scene: Scene) -> None:
        self.resume()
        self.note_step_down(await scene.stepped_down(self._paused))

    async def _whom(self, scene: Scene) -> MemberProcess:
        return await scene.leader()

    def resume(self) -> None:
        """SIGCONT; whether it stood still until now."""
        self.evidence = _STOOD_STILL if self._paused.is_paused else ""
        self._paused.resume()


class PauseFollower(Pause):
    """SIGSTOP to a follower: when it goes on it must not disturb the leader."""

    name = "pause-follower"
    terms_max = 0
    catch_up_seconds_max = 10.0

    async def end(self, scene: Scene) -> None:
        self.resume()

    async def _whom(self, scene: Scene) -> MemberProcess:
        return await scene.follower()


class PauseMajority(Fault):
    """SIGSTOP to all members but one."""

    name = "pause-majority"
    hold_seconds = 5.0
    serves_meanwhile = False

    async def begin(self, scene: Scene) -> None:
        self._paused = scene.random.sample(scene.members, k=len(scene.members) // 2 + 1)
        self.detail = ", ".join(member.name for member in self._paused)
        for member in self._paused:
            await scene.pause(member)

    async def end(self, scene: Scene) -> None:
        self.evidence = _STOOD_STILL if all(member.is_paused for member in self._paused) else ""
        for member in self._paused:
            member.resume()


class Restart(Fault):
    """SIGTERM to one member after the other, each started again before the next."""

    name = "restart"

    async def begin(self, scene: Scene) -> None:
        for member in scene.random.sample(scene.members, k=len(scene.members)):
            self.moments.append(time.monotonic())
            await scene.stop(member)
            scene.start(member)
            await scene.wait_ready()
        self.evidence = "each has ended well after SIGTERM"

    async def end(self, scene: Scene) -> None:
        """Everybody runs."""


class Replace(Fault):
    """A member is killed, removed, and a new one with an empty folder is added in its place."""

    name = "replace"

    async def begin(self, scene: Scene) -> None:
        self._gone = scene.random.choice(scene.members)
        scene.kill(self._gone)
        self.detail = self._gone.name

    async def end(self, scene: Scene) -> None:
        slot = scene.slot_of(self._gone)
        async with scene.connect() as store:
            members = (await store.cluster.member_list()).members
            member_id = next(m.member_id for m in members if m.name == self._gone.name)
            await _until_done(store, "remove", member_id)
            scene.cluster.leave(self._gone)
            # As an operator would: nobody may use it again, and a long run would fill the disk.
            await asyncio.to_thread(shutil.rmtree, self._gone.data_folder)
            new = scene.cluster.new_member(f"{slot.name}-{scene.turn('replace') + 1}")
            new.address, new.command_prefix = self._gone.address, self._gone.command_prefix
            new.client_port = self._gone.client_port  # clients know the address
            new.data_folder = self._gone.data_folder.with_name(f"{new.name}.data")
            await _until_done(store, "add", new.peer_url)
            slot.member = new
        self.detail += f" by {new.name}"
        await self._join(scene, new)

    async def _join(self, scene: Scene, new: MemberProcess) -> None:
        scene.join(new)
        async with scene.connect() as store:
            await _until_listed(store, new.name)
        self.evidence = "killed, removed, and another has joined"


async def _until_done(store: client.Client, change: str, what: int | str) -> None:
    """Change the membership; whether a change without an answer happened, the list tells."""
    deadline = time.monotonic() + _CHANGE_SECONDS_MAX
    while True:
        try:
            if await _is_done(store, what):
                return
            if isinstance(what, int):
                await store.cluster.member_remove(what)
            else:
                await store.cluster.member_add([what])
        except UnavailableError as error:
            if time.monotonic() > deadline:
                raise ViolationError(f"cannot {change} a member: {error!r}") from error
            await asyncio.sleep(_ASK_AGAIN_SECONDS)


async def _until_listed(store: client.Client, name: str) -> None:
    """A member that was added has no name in the list before it has started."""
    deadline = time.monotonic() + _CHANGE_SECONDS_MAX
    while True:
        with contextlib.suppress(UnavailableError):
            if any(member.name == name for member in (await store.cluster.member_list()).members):
                return
        if time.monotonic() > deadline:
            raise ViolationError(f"{name} is not listed as started {_CHANGE_SECONDS_MAX} s later")
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


async def _is_done(store: client.Client, what: int | str) -> bool:
    members = (await store.cluster.member_list()).members
    if isinstance(what, int):
        return all(member.member_id != what for member in members)
    return any(what in member.peer_urls for member in members)


PROCESS_FAULTS: tuple[type[Fault], ...] = (
    Kill,
    KillFollower,
    KillAll,
    Pause,
    PauseFollower,
    PauseMajority,
    Restart,
    Replace,
)
