"""Trees are measured beside the loop, and one that is large keeps nobody waiting."""

import asyncio
import threading
from pathlib import Path

import pytest

from controlplane.node import tree_sizes
from controlplane.node.tree_sizes import TreeSizes
from controlplane.node.trees import TreeSize


async def test_sizes_of_several(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    sizes = TreeSizes()
    try:
        found = await sizes.measure([tmp_path, tmp_path / "nothing"])
    finally:
        sizes.close()
    assert found[tmp_path].bytes >= 100_000
    assert found[tmp_path / "nothing"] == TreeSize()


async def test_who_asks_waits_for_no_walk_that_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk takes until we let it go on."""
    release = threading.Event()

    def walk(folder: Path, **_: object) -> TreeSize:
        release.wait()
        return TreeSize(7, 1)

    monkeypatch.setattr(tree_sizes, "tree_size", walk)
    monkeypatch.setattr(tree_sizes, "PATIENCE_SECONDS", 0.01)
    sizes = TreeSizes()
    assert (await sizes.measure([tmp_path]))[tmp_path] == TreeSize()
    assert (await sizes.measure([tmp_path]))[tmp_path] == TreeSize()  # it is not begun twice
    release.set()
    async with asyncio.timeout(60):
        while (found := await sizes.measure([tmp_path]))[tmp_path] != TreeSize(7, 1):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert found[tmp_path].bytes == 7
    sizes.close()


async def test_nothing_is_measured_any_more_once_it_is_closed(tmp_path: Path) -> None:
    sizes = TreeSizes()
    sizes.close()
    assert await sizes.measure([tmp_path]) == {tmp_path: TreeSize()}
