"""Volumes in memory. Numbers are rows of kube-behaviour.md."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.node import folders
from controlplane.node.folders import Folders
from controlplane.node.memory_volumes import mount, size_bytes, unmount_below
from controlplane.node.runtime.shim import syscalls
from controlplane.node.trees import remove_tree
from controlplane.node.volumes import Volumes
from tests.controlplane.node.nodes import container
from tests.controlplane.node.test_volumes import Held
from tests.controlplane.node.views import UID, pod

MIB = 1 << 20
MEMORY: dict[str, Any] = {"medium": "Memory"}


def limited(memory: str = "", **fields: Any) -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": memory}}} if memory else {}
    return container("a", **limits, **fields)


@pytest.mark.parametrize(
    ("limit", "containers", "node", "size"),
    [
        ("", [limited()], "", 0),
        ("", [limited()], "8Mi", 8),
        ("", [limited("2Mi"), limited("3Mi")], "8Mi", 5),
        ("", [limited("2Mi"), limited()], "8Mi", 8),
        ("4Mi", [limited("2Mi"), limited()], "8Mi", 4),
        ("4Mi", [limited("2Mi")], "8Mi", 2),
        ("9Mi", [limited()], "8Mi", 8),
    ],
)
def test_size_is_the_least_that_is_known(
    limit: str, containers: list[Any], node: str, size: int
) -> None:
    """9.1."""
    source = {**MEMORY, **({"sizeLimit": limit} if limit else {})}
    found = pod(*containers, volumes=[{"name": "v", "emptyDir": source}])
    assert size_bytes(found, found.spec.volumes[0], node) == size * MIB


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where something can be mounted; nothing stays mounted after the test."""
    made = tmp_path / "pods" / UID / "volumes" / folders.EMPTY_DIR / "v"
    made.mkdir(parents=True)
    try:
        if not mount(made, size=MIB, group=None):
            pytest.skip("nothing may be mounted here")
        yield made
    finally:
        unmount_below(tmp_path)


def test_volume_in_memory_is_bounded_and_found_again(folder: Path) -> None:
    """9.1: whoever comes later, as another agent, finds it as it is."""
    (folder / "kept").write_text("x")
    assert mount(folder, size=MIB, group=None)
    assert (folder / "kept").read_text() == "x"
    assert folder.stat().st_mode & 0o7777 == 0o777
    found = os.statvfs(folder)
    assert found.f_frsize * found.f_blocks == MIB
    unmount_below(folder.parent)
    assert not list(folder.iterdir())
    assert not folder.is_mount()
    mount(folder, size=0, group=7)
    assert (folder.stat().st_mode & 0o7777, folder.stat().st_gid) == (0o2777, 7)


def test_what_a_volume_has_on_the_disk_stays_in_sight(folder: Path) -> None:
    unmount_below(folder.parent)
    (folder / "kept").touch()
    assert not mount(folder, size=MIB, group=None)
    assert (folder / "kept").exists()


def test_places_of_mounts_may_be_called_anything(folder: Path) -> None:
    odd = folder.parent / "a b\\c"
    odd.mkdir()
    assert mount(odd, size=MIB, group=None)
    unmount_below(folder.parent)
    assert not odd.is_mount()


def test_what_is_mounted_is_not_emptied(folder: Path, tmp_path: Path) -> None:
    (folder / "kept").touch()
    for above in (folder.parent, folder.parents[1], tmp_path / "pods"):
        with pytest.raises(OSError, match=r"mounted|busy"):
            remove_tree(above)
        assert len(list((tmp_path / "pods").rglob("kept"))) == 1


def test_nothing_stays_mounted_when_a_pod_is_gone(folder: Path, tmp_path: Path) -> None:
    node = Folders(tmp_path, folders.at_once)
    (folder / "x").touch()
    asyncio.run(node.remove_volumes(UID))
    assert not folder.exists()
    folder.mkdir(parents=True)
    assert mount(folder, size=MIB, group=None)
    (folder / "x").touch()
    asyncio.run(node.remove(UID))
    assert not (tmp_path / "pods" / UID).exists()
    folder.mkdir(parents=True)
    assert mount(folder, size=MIB, group=None)
    node.forget_secrets()
    assert folder.is_dir()
    assert not folder.is_mount()


async def test_volume_is_on_the_disk_where_nothing_can_be_mounted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9.1: and the node knows it."""
    found = pod("a", volumes=[{"name": "v", "emptyDir": MEMORY}, {"name": "w", "emptyDir": {}}])

    def node(*, may_mount: bool) -> Volumes:
        return Volumes(
            Folders(tmp_path, folders.at_once),
            Held(),  # type: ignore[arg-type]
            host_ip="192.0.2.1",
            allocatable=lambda: {"memory": "1Mi"},
            may_mount=lambda: may_mount,
        )

    def refuse(*_: Any) -> None:
        raise PermissionError

    able = node(may_mount=True)
    await able.set_up(found)
    assert able.on_disk_instead(found) == []
    assert not able.folder(found, found.spec.volumes[1]).is_mount()
    unmount_below(tmp_path)
    shared = node(may_mount=False)
    await shared.set_up(found)
    assert shared.on_disk_instead(found) == ["v"]
    with monkeypatch.context() as patch:
        patch.setattr(syscalls, "mount", refuse)
        await able.set_up(found)
        assert able.on_disk_instead(found) == ["v"]
    await able.set_up(found)
    assert able.on_disk_instead(found) == []
