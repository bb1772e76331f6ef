"""A real member killed at a failpoint: what was acknowledged is there, and the write that was under
way is there if the point says so. The simulation crashes at every point; here is that real ones
are where their names say."""

import asyncio
import itertools
from pathlib import Path

import pytest

from kvstore import client
from kvstore.errors import KvError
from kvstore.server.failpoints import VARIABLE
from kvstore.testing.processes import KEELSON, ClusterProcesses

_ENDED_SECONDS_MAX = 60.0


async def put_until_it_dies(endpoints: list[str]) -> int:
    """Write 1, 2, 3 … to one key; the last that was acknowledged."""
    async with client.connect(endpoints) as store:
        for number in itertools.count(1):
            try:
                await store.put("number", str(number), timeout_seconds=5)
            except KvError:
                return number - 1
    raise AssertionError("unreachable")


async def read(endpoints: list[str]) -> int:
    async with client.connect(endpoints) as store:
        found = await store.get("number")
        assert found is not None
        return int(found.value)


@pytest.mark.parametrize(
    ("point", "is_kept"),
    [
        ("wal write:20", False),
        ("wal sync:20", True),  # the kernel has it, and the machine goes on
        ("applied:20", True),
        ("snapshot synced_folder:2", True),
    ],
)
def test_a_member_dies_where_it_is_told_to(tmp_path: Path, point: str, is_kept: bool) -> None:
    is_snapshot = point.startswith("snapshot")
    flags = ["--snapshot-count=15"] if is_snapshot else []
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", flags=flags)
    (member,) = cluster.members
    member.environment = {VARIABLE: f"{point}=kill"}
    try:
        cluster.start()
        acknowledged = asyncio.run(put_until_it_dies(cluster.endpoints))
        assert member.ends_within(_ENDED_SECONDS_MAX)
        member.environment = {}
        cluster.start_member(member)
        cluster.wait_ready()
        found = asyncio.run(read(cluster.endpoints))
    finally:
        cluster.kill()
    assert acknowledged > 10
    if is_snapshot:  # taken beside the writes
        assert acknowledged <= found <= acknowledged + 1
    else:
        assert found == acknowledged + is_kept
    assert f"failpoint {point.partition(':')[0]}: kill" in member.log_path.read_text()
