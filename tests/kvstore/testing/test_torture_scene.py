"""What a scene makes of members that end: as they were told to, or unasked. Any program will do."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvstore.testing.history import ViolationError
from kvstore.testing.processes import ETCD, ClusterProcesses, MemberProcess
from kvstore.testing.torture.process_faults import Pause
from kvstore.testing.torture.scene import DISK_FAILED, Scene, Slot

# It ends when a file says how: "STATUS WORDS". At SIGTERM it ends with the status of its name.
_PROGRAM = """
import pathlib, signal, sys, time
flags = dict(text.lstrip("-").split("=", 1) for text in sys.argv[1:])
stopped = int(flags["stopped"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(stopped))
print("begun", flush=True)
told = pathlib.Path(flags["data-dir"] + ".end")
while not told.exists():
    time.sleep(0.005)
status, _, words = told.read_text().partition(" ")
told.unlink()
print(words, flush=True)
if status == "-9":
    import os
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(status))
"""
_SECONDS_MAX = 60.0


class _Stage:
    """A scene of two such members."""

    def __init__(self, folder: Path, stopped: int, stack: contextlib.ExitStack) -> None:
        program = (sys.executable, "-c", _PROGRAM)
        self.cluster = ClusterProcesses(program, folder, count=2, flags=[f"--stopped={stopped}"])
        stack.callback(self.cluster.kill)
        self.first, self.second = self.cluster.members
        slots = [Slot(name=member.name, member=member) for member in self.cluster.members]
        self.scene = Scene(self.cluster, slots, seed=1, network=None, clock=None, undoing=stack)
        for member in self.cluster.members:
            self.cluster.start_member(member)
            _until_begun(member)

    def end(self, member: MemberProcess, status: int, words: str) -> None:
        """It ends by itself."""
        told = member.data_folder.with_name(f"{member.data_folder.name}.end")
        new = told.with_suffix(".new")
        new.write_text(f"{status} {words}")
        new.rename(told)
        assert member.ends_within(_SECONDS_MAX)


def _until_begun(member: MemberProcess) -> None:
    while "begun" not in member.log():
        assert not member.ends_within(0.01), member.log_tail()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[_Stage]:
    with contextlib.ExitStack() as stack:
        yield _Stage(tmp_path, 0, stack)


def _touch(stage: _Stage) -> list[Callable[[], object]]:
    """Everything that a fault may ask for; all about the other member."""
    scene, other = stage.scene, stage.second
    return [scene.require_alive, lambda: scene.kill(other), lambda: scene.start(other)]


async def test_members_that_run_are_killed_and_stopped_as_they_are_told(stage: _Stage) -> None:
    scene = stage.scene
    scene.require_alive()
    scene.kill(stage.first)
    await scene.stop(stage.second)
    scene.require_alive()
    scene.start(stage.first)
    scene.start(stage.second)
    scene.kill_all()


@pytest.mark.parametrize("status", [0, 1, -9])
async def test_a_member_that_ends_unasked_is_noticed_by_whatever_comes_next(
    stage: _Stage, status: int
) -> None:
    stage.end(stage.first, status, "a broken invariant")
    told = rf"m1 has ended with status {status}; it ought to go on:\n(.*\n)*a broken invariant"
    for touch in _touch(stage):
        with pytest.raises(ViolationError, match=told):
            touch()
    with pytest.raises(ViolationError, match=told):
        await stage.scene.stop(stage.second)
    with pytest.raises(ViolationError, match=told):
        await stage.scene.pause(stage.second)
    with pytest.raises(ViolationError, match=told):
        stage.scene.kill_all()
    with pytest.raises(ViolationError, match=told):
        stage.scene.kill(stage.first)


async def test_a_member_that_does_not_stop_well_is_told(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stage = _Stage(tmp_path, 5, stack)
        with pytest.raises(ViolationError, match="status 5; it ought to end with status 0 after"):
            await stage.scene.stop(stage.first)


async def test_etcd_ends_of_the_signal_that_it_is_sent(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stage = _Stage(tmp_path, 0, stack)
        stage.first.program = ETCD
        with pytest.raises(ViolationError, match="it ought to end with status -15 after SIGTERM"):
            await stage.scene.stop(stage.first)


def test_the_end_that_a_fault_wants_is_taken(stage: _Stage) -> None:
    stage.end(stage.first, -signal.SIGKILL, "failpoint wal sync: kill")
    stage.scene.take_end(stage.first, status=-signal.SIGKILL, words="failpoint wal sync: kill")
    stage.scene.start(stage.first)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "failpoint wal sync: kill"),
        (1, "failpoint wal sync: kill"),
        (-signal.SIGKILL, "failpoint wal write: kill"),
    ],
)
def test_no_other_end_is_taken_for_it(stage: _Stage, status: int, words: str) -> None:
    stage.end(stage.first, status, words)
    with pytest.raises(ViolationError, match="it ought to end with status -9 and 'failpoint wal s"):
        stage.scene.take_end(stage.first, status=-9, words="failpoint wal sync: kill")
    with pytest.raises(ViolationError, match="m2 runs; it ought to end with status 1 and 'full'"):
        stage.scene.take_end(stage.second, status=1, words="full")


def test_words_of_an_earlier_life_count_for_nothing(stage: _Stage) -> None:
    stage.end(stage.first, 1, "No space left on device")
    stage.scene.take_end(stage.first, status=1, words="No space left on device")
    stage.scene.start(stage.first)
    stage.end(stage.first, 1, "something else")
    with pytest.raises(ViolationError, match="something else"):
        stage.scene.take_end(stage.first, status=1, words="No space left on device")


def test_without_a_disk_a_member_may_end_before_it_is_killed(stage: _Stage) -> None:
    stage.end(stage.first, 1, f"cannot write: {DISK_FAILED}")
    stage.scene.kill_without_disk(stage.cluster.members)
    stage.scene.require_alive()


@pytest.mark.parametrize(("status", "words"), [(1, "a broken invariant"), (0, DISK_FAILED)])
def test_but_of_its_disk_only(stage: _Stage, status: int, words: str) -> None:
    stage.end(stage.first, status, words)
    with pytest.raises(ViolationError, match=f"m1 has ended with status {status}; it ought"):
        stage.scene.kill_without_disk(stage.cluster.members)


class _PauseFirst(Pause):
    """Whoever leads: none of these does."""

    async def _whom(self, scene: Scene) -> MemberProcess:
        return scene.members[0]


@pytest.mark.parametrize("is_woken", [False, True])
async def test_a_pause_that_somebody_ends_is_none(stage: _Stage, is_woken: bool) -> None:
    pause = _PauseFirst()
    await pause.begin(stage.scene)
    assert stage.first.is_paused
    if is_woken:
        stage.first.resume()
        while stage.first.is_paused:
            assert not stage.first.ends_within(0.01)
    pause.resume()
    assert bool(pause.evidence) is not is_woken
