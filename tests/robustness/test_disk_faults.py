"""Real members on real files that were damaged, and on disks that are full, failing or slow
(raft.md, 5.12): refused or recovered with words, and never wrong data. tests/kvstore/storage goes
through every bit and every crash; here it is the whole process that has to behave."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore import client
from kvstore.errors import KvError
from kvstore.storage import records
from kvstore.storage.frames import FrameReader
from kvstore.storage.records import RecordKind
from kvstore.testing.processes import KEELSON, ClusterProcesses
from kvstore.testing.rigs import disks
from kvstore.testing.rigs.disks import SmallDisk, failing_syncs, slow_syncs
from kvstore.testing.rigs.requirements import missing

_ENDED_SECONDS_MAX = 60.0
_WRITES = 60
_SLOW_WRITES = 3  # each takes as long as a sync
_SNAPSHOT_COUNT = 25  # two snapshots, and some records behind the marker of the second
_PAGE_BYTES = 4_096
_MEGABYTE = 1_000_000


def needs(things: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing(things)), reason=missing(things) or "-")


async def write(endpoints: list[str], count: int, size: int = 200) -> int:
    """Put `count` keys, each of them with its number and much else; how many were acknowledged."""
    async with client.connect(endpoints) as store:
        for number in range(count):
            try:
                await store.put(f"key-{number:04d}", _value(number, size), timeout_seconds=15)
            except KvError:
                return number
    return count


async def read(endpoints: list[str], size: int = 200) -> int:
    """How many keys there are. They must be the first ones, with their values."""
    async with client.connect(endpoints) as store:
        found = await store.get_range("key-", prefix=True)
    assert [(pair.key, pair.value) for pair in found.kvs] == [
        (b"key-%04d" % number, _value(number, size)) for number in range(len(found.kvs))
    ]
    return len(found.kvs)


def _value(number: int, size: int) -> bytes:
    return (b"%d " % number) * (size // len(b"%d " % number))


# ---------------------------------------------------------------------- damaged files


class Damaged:
    """A stopped member whose files are damaged and put right again, one after the other."""

    def __init__(self, cluster: ClusterProcesses) -> None:
        self.cluster = cluster
        (self.member,) = cluster.members
        folder = self.member.data_folder / "member"
        (self.segment,) = (folder / "wal").iterdir()
        (self.snapshot,) = (folder / "snap").iterdir()

    def start(self) -> subprocess.CompletedProcess[str]:
        """Start it, expecting that it refuses."""
        flags = self.member.command(self.cluster.initial_cluster)[len(KEELSON) :]
        return subprocess.run(
            [sys.executable, "-m", "kvstore", *flags],
            capture_output=True,
            text=True,
            timeout=_ENDED_SECONDS_MAX,
            check=False,
        )


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    flags = [f"--snapshot-count={_SNAPSHOT_COUNT}"]
    folder = tmp_path_factory.mktemp("damaged") / "cluster"
    cluster = ClusterProcesses(KEELSON, folder, flags=flags)
    try:
        cluster.start()
        assert asyncio.run(write(cluster.endpoints, _WRITES)) == _WRITES
        cluster.stop()
        yield Damaged(cluster)
    finally:
        cluster.kill()


def frames_of(path: Path) -> list[tuple[int, int, int]]:
    """Kind, start and end of each good frame of a segment or a snapshot."""
    reader, found, start = FrameReader(path.read_bytes()), [], 0
    while (frame := next(iter(reader), None)) is not None:
        kind, payload = frame
        found.append((kind, start, reader.offset))
        start = reader.offset
        if kind == RecordKind.SEGMENT_HEADER:
            header = records.decode_segment_header(payload)
            reader.chain, reader.salt = header.chain, header.salt
    return found


def refuses(damaged: Damaged, path: Path, offset: int, bytes_: bytes) -> str:
    """Damage a file, start the member, put the file right; what the member said."""
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes_)
    after = path.read_bytes()
    assert after != before, "no damage"
    ended = damaged.start()
    assert path.read_bytes() == after, "nothing may be repaired away"
    path.write_bytes(before)
    assert ended.returncode == 1, ended.stderr
    assert path.name in ended.stderr
    assert "serving clients" not in ended.stderr
    assert "restore the cluster from a backup" in ended.stderr, "it says what to do"
    return ended.stderr


@pytest.mark.parametrize("kind", list(RecordKind), ids=lambda kind: kind.name.lower())
def test_a_flipped_bit_in_a_record_of_each_kind_is_refused(
    damaged: Damaged, kind: RecordKind
) -> None:
    is_wal = kind <= RecordKind.SNAPSHOT_MARKER
    path = damaged.segment if is_wal else damaged.snapshot
    places = [(start, end) for found, start, end in frames_of(path) if found == kind]
    start, end = places[len(places) // 2]
    middle = (start + end) // 2
    flipped = bytes([path.read_bytes()[middle] ^ 0x10])
    refuses(damaged, path, middle, flipped)


@pytest.mark.parametrize("which", ["segment", "snapshot"])
def test_a_page_of_zeros_is_refused(damaged: Damaged, which: str) -> None:
    path: Path = getattr(damaged, which)
    end = frames_of(path)[-1][2]
    page = end // 2 // _PAGE_BYTES * _PAGE_BYTES
    assert end > 2 * _PAGE_BYTES
    refuses(damaged, path, page, bytes(_PAGE_BYTES))


def test_a_snapshot_cut_off_is_refused(damaged: Damaged) -> None:
    content = damaged.snapshot.read_bytes()
    damaged.snapshot.write_bytes(content[: len(content) // 2])
    ended = damaged.start()
    damaged.snapshot.write_bytes(content)
    assert ended.returncode == 1
    assert damaged.snapshot.name in ended.stderr


def test_a_member_serves_again_once_its_files_are_what_they_were(damaged: Damaged) -> None:
    damaged.cluster.start_member(damaged.member)
    damaged.cluster.wait_ready()
    assert asyncio.run(read(damaged.cluster.endpoints)) == _WRITES
    damaged.cluster.kill()


# ---------------------------------------------------------------------- a lost tail


def test_a_member_that_lost_its_tail_gets_it_from_the_others(tmp_path: Path) -> None:
    """It had promised what it has lost; two others have it, so nothing is wrong anywhere."""
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", count=3)
    try:
        cluster.start()
        leader = cluster.leader()
        victim = next(member for member in cluster.members if member is not leader)
        assert asyncio.run(write(cluster.endpoints, _WRITES)) == _WRITES
        victim.kill()
        (segment,) = (victim.data_folder / "member" / "wal").iterdir()
        frames = frames_of(segment)
        _, start, end = frames[len(frames) // 2]
        with segment.open("r+b") as file:
            file.truncate((start + end) // 2)
        cluster.start_member(victim)
        cluster.wait_ready()
        assert asyncio.run(read([victim.endpoint])) == _WRITES
        assert len(asyncio.run(hashes(cluster.endpoints))) == 1
    finally:
        cluster.kill()


async def hashes(endpoints: list[str]) -> set[int]:
    """HashKV of every member at the newest revision."""
    async with client.connect(endpoints) as store:
        revision = (await store.get_range("key-", prefix=True)).header.revision
    found = set()
    for endpoint in endpoints:
        async with client.connect([endpoint]) as store:
            await store.get("key-")  # linearizable: it has all that there is
            found.add((await store.maintenance.hash_kv(revision=revision)).hash)
    return found


# ---------------------------------------------------------------------- no space


@needs(disks.SMALL_PROGRAMS)
@pytest.mark.parametrize("what", ["segment", "snapshot"])
def test_a_full_disk_ends_a_member_and_loses_nothing(tmp_path: Path, what: str) -> None:
    """Another segment cannot be had, or another snapshot."""
    size, flags = _MEGABYTE, list[str]()
    if what == "snapshot":
        size, flags = 200, [f"--snapshot-count={_WRITES}"]
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", flags=flags)
    (member,) = cluster.members
    with SmallDisk(tmp_path / "small", 80 * _MEGABYTE) as disk:
        member.data_folder = disk.path / "data"
        try:
            cluster.start()
            disk.fill()
            acknowledged = asyncio.run(write(cluster.endpoints, 2 * _WRITES, size))
            assert 10 < acknowledged < 2 * _WRITES
            assert member.ends_within(_ENDED_SECONDS_MAX)
            assert member.stop() == 1
            assert "No space left on device; free space on this disk" in member.log_tail()
            disk.free()
            cluster.start_member(member)
            cluster.wait_ready()
            assert asyncio.run(read(cluster.endpoints, size)) in (acknowledged, acknowledged + 1)
        finally:
            cluster.kill()


# ---------------------------------------------------------------------- syncs


@needs(disks.SYNC_PROGRAMS)
def test_a_failed_sync_ends_a_member_before_it_answers(tmp_path: Path) -> None:
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster")
    (member,) = cluster.members
    try:
        cluster.start()
        assert asyncio.run(write(cluster.endpoints, _WRITES)) == _WRITES
        with failing_syncs(member.pid):
            assert asyncio.run(write(cluster.endpoints, 1, size=100)) == 0
            assert member.ends_within(_ENDED_SECONDS_MAX)
        assert member.stop() == 1
        assert "Input/output error; the disk is failing: replace it" in member.log_tail()
        cluster.start_member(member)
        cluster.wait_ready()
        found = asyncio.run(first_value(cluster.endpoints))
        assert found in (_value(0, 200), _value(0, 100)), "nobody knows which; but one of them"
    finally:
        cluster.kill()


async def first_value(endpoints: list[str]) -> bytes:
    async with client.connect(endpoints) as store:
        found = await store.get("key-0000")
    assert found is not None
    return found.value


@needs(disks.SYNC_PROGRAMS)
def test_syncs_of_a_second_cost_neither_the_leader_nor_a_write(tmp_path: Path) -> None:
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", count=3)
    try:
        cluster.start()
        leader = cluster.leader()
        assert leader is not None
        before = leader.status(timeout_seconds=30)
        with slow_syncs(leader.pid, 1.0):
            assert asyncio.run(write(cluster.endpoints, _SLOW_WRITES)) == _SLOW_WRITES
            assert asyncio.run(read(cluster.endpoints)) == _SLOW_WRITES
        after = leader.status(timeout_seconds=30)
        assert before is not None
        assert after is not None
        assert (after.leader, after.raftTerm) == (before.leader, before.raftTerm)
        assert len(asyncio.run(hashes(cluster.endpoints))) == 1
    finally:
        cluster.kill()
