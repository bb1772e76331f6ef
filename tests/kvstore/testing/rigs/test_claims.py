"""What a killed run has left is taken down by the next one; what a living one holds is not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.rigs import claims, commands, disks, networks
from kvstore.testing.rigs.claims import NAMESPACES, Claim, Kind
from kvstore.testing.rigs.disks import SmallDisk
from kvstore.testing.rigs.requirements import missing

_NEEDS = missing((*disks.POWER_PROGRAMS, *networks.PROGRAMS))
pytestmark = pytest.mark.skipif(bool(_NEEDS), reason=_NEEDS or "-")

_SECONDS_MAX = 60.0
_CLAIMS = Path("/run/keelson-rigs")
_MEGABYTE = 1_000_000
_BUILD = """
import sys
from pathlib import Path
from kvstore.testing.rigs.disks import PowerDisk, SmallDisk
from kvstore.testing.rigs.networks import Networks
folder = Path(sys.argv[1])
Networks(["a", "b"]).__enter__()
PowerDisk(folder / "power", 16_000_000).__enter__()
SmallDisk(folder / "small", 1_000_000).__enter__()
print("built", flush=True)
sys.stdin.read()
"""


class _Run:
    """Another process that has built a rig of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BUILD, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"built\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=_SECONDS_MAX)

    @property
    def left(self) -> set[str]:
        """All that is there of it."""
        namespaces = {path.name for path in NAMESPACES.glob(f"*-{self.process.pid}-*")}
        mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
        loops = (path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file"))
        images = {str(path) for path in self.folder.glob("*/disk.img")}
        ours = {*mounts, *(f"loop of {text.strip()}" for text in loops), *images}
        return namespaces | {text for text in ours if str(self.folder) in text}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[_Run]:
    run = _Run(tmp_path)
    yield run
    run.kill()
    claims.sweep()


def test_what_the_living_have_built_stays(run: _Run) -> None:
    built = run.left
    assert len(built) == 3 + 2 + 1 + 1, built
    claims.sweep()
    assert run.left == built


def test_what_the_dead_have_built_is_taken_down(run: _Run) -> None:
    run.kill()
    assert len(run.left) == 7
    claims.sweep()
    assert run.left == set()


def test_a_rig_sweeps_before_it_is_built(run: _Run, tmp_path: Path) -> None:
    run.kill()
    with SmallDisk(tmp_path / "mine", _MEGABYTE):
        assert run.left == {str(tmp_path / "mine")}


def test_a_claim_is_gone_with_its_rig(tmp_path: Path) -> None:
    before = set(_CLAIMS.glob("*.claim"))
    with SmallDisk(tmp_path / "mine", _MEGABYTE):
        (mine,) = set(_CLAIMS.glob("*.claim")) - before
        assert mine.read_text() == f"mount {tmp_path / 'mine'}\n"
    assert not mine.exists()


def test_what_was_claimed_and_never_built_is_no_obstacle(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from kvstore.testing.rigs.claims import Claim, Kind\n"
        "claim = Claim()\n"
        "for kind in Kind: claim.note(kind, sys.argv[1])\n"
        "os._exit(1)\n"
    )
    never = str(tmp_path / "never")
    subprocess.run([sys.executable, "-c", program, never], timeout=_SECONDS_MAX, check=False)
    assert any(never in path.read_text() for path in _CLAIMS.glob("*.claim"))
    claims.sweep()
    assert not any(never in path.read_text() for path in _CLAIMS.glob("*.claim"))


_GARBAGE = {
    "a kind that nobody knows": b"castle somewhere\n",
    "no text": b"\xff\xfe\n",
    "an image that is a folder": b"image /proc\n",
}


@pytest.mark.parametrize("content", _GARBAGE.values(), ids=_GARBAGE.keys())
def test_a_claim_that_cannot_be_taken_down_keeps_nobody_from_his_rig(
    content: bytes, tmp_path: Path
) -> None:
    claims.sweep()
    broken = _CLAIMS / "broken.claim"
    broken.write_bytes(content)
    try:
        with SmallDisk(tmp_path / "mine", _MEGABYTE) as disk:
            assert commands.is_mounted(disk.path)
        assert broken.exists(), "the next sweep tries again"
    finally:
        broken.unlink()


def test_the_claims_of_this_process_are_of_the_living(tmp_path: Path) -> None:
    claim = Claim()
    image = tmp_path / "image"
    image.touch()
    claim.note(Kind.IMAGE, str(image))
    claims.sweep()
    assert image.exists()
    claim.release()
    claims.sweep()
    assert image.exists(), "it was released"
