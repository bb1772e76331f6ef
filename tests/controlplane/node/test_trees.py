"""Trees that a container has made to keep its node busy for ever."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controlplane.node.trees import TreeSize, remove_tree, tree_size

DEPTH = 3_000  # beyond what Python recurses, and what a path may have


def deep(folder: Path, depth: int) -> None:
    """A chain of folders, as a process makes it that goes down with it; a file in the last one."""
    above = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=above)
        below = os.open("d", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=above))
    os.close(above)


def test_any_depth_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    deep(folder, DEPTH)
    (folder / "wide").mkdir()
    for number in range(100):
        (folder / "wide" / str(number)).mkdir()
        (folder / "wide" / str(number) / "file").touch()
    assert tree_size(folder).bytes >= 0
    remove_tree(folder)
    assert not folder.exists()
    remove_tree(folder)


def test_what_a_removal_that_was_killed_has_left_is_removed(tmp_path: Path) -> None:
    """Folders were moved up by then, under the names that the next removal would give."""
    folder = tmp_path / "pod"
    for left in (".1/a/b", "volumes/c/d", "volumes/e/f"):
        (folder / left).mkdir(parents=True)
    (folder / ".1" / "token").touch()
    (folder / ".2").touch()
    remove_tree(folder)
    assert not folder.exists()


def test_two_may_remove_the_same_tree(tmp_path: Path) -> None:
    """A container, and the whole pod that it is of."""
    for number in range(3):
        folder = tmp_path / str(number)
        for wide in range(30):
            (folder / f"a{wide}" / "b" / "c").mkdir(parents=True)
            (folder / f"a{wide}" / "file").touch()
        with ThreadPoolExecutor(2) as pool:
            removals = [pool.submit(remove_tree, folder) for _ in range(2)]
        assert [one.exception() for one in removals] == [None, None]
        assert not folder.exists()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "volume"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "link").symlink_to(kept)
    (folder / "link").symlink_to(kept)
    assert tree_size(folder).bytes < 100_000
    remove_tree(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "kept"


def test_folders_without_rights_are_removed_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for one in (inner, inner.parent, folder):
        one.chmod(0)
    remove_tree(folder)
    assert not folder.exists()


def test_what_a_tree_takes_is_counted_up_to_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 100_000)
    assert tree_size(tmp_path).bytes >= 100_000
    assert tree_size(tmp_path, entries_max=1).inodes == 1
    assert tree_size(tmp_path / "nothing") == TreeSize()


def test_what_has_two_names_takes_its_room_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    alone = tree_size(tmp_path)
    (tmp_path / "other").hardlink_to(tmp_path / "file")
    assert tree_size(tmp_path) == TreeSize(alone.bytes, 2)


def test_counting_can_be_ended(tmp_path: Path) -> None:
    for number in range(3_000):
        (tmp_path / str(number)).touch()
    asked: list[int] = []

    def goes_on() -> bool:
        asked.append(1)
        return len(asked) < 3

    assert tree_size(tmp_path, goes_on=goes_on).inodes == 2_000


def test_a_link_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove_tree(tmp_path / "link")
