"""The I/O points at which a member can die: the file, and what it was about to do with it.

`write`: the bytes are not the kernel's yet. `sync`: they are, and nothing is durable. `synced`: all
is durable, and nobody was told. "frames send" is before frames leave for another member and "frames
sent" after, when whatever they promise must be durable. The simulation crashes members at them;
`failpoints` ends real processes there. Names only.
"""

import re

# Wherever the data folder is, and whatever its name.
_STORAGE_PATH = re.compile(r"/member/(?P<folder>wal|snap)(/[^/]*)?$")

_OF_A_FILE = ("create", "write", "sync", "synced", "rename")
_OF_A_FOLDER = ("sync_folder", "synced_folder")

FIRST_START_POINTS = tuple(f"identity {name}" for name in (*_OF_A_FILE, *_OF_A_FOLDER))
"""Passed only in a member's first life (or again, after a crash in it)."""

START_POINTS = ("wal open_append",)
"""Passed only when a member starts."""

POINTS = (
    "frames send",
    "frames sent",
    "wal write",
    "wal sync",
    "wal synced",
    "wal remove",
    *(f"wal {name}" for name in _OF_A_FOLDER),
    *(f"segment {name}" for name in _OF_A_FILE),
    *(f"snapshot {name}" for name in (*_OF_A_FILE, *_OF_A_FOLDER)),
    "snapshot remove",
    *START_POINTS,
)
"""All others. A segment is a file of the WAL until it has its name."""

ALL_POINTS = (*FIRST_START_POINTS, *POINTS)

NODE_POINTS = ("apply", "applied", "snapshot install", "snapshot installed")
"""Before and after a committed batch becomes the state (after: no client has its answer), and
before and after a leader's snapshot does. For real processes only."""

_FREQUENT = frozenset({"frames send", "frames sent", "wal write", "wal sync", "wal synced"})


def point_of(operation: str, path: str) -> str:
    """The name of an operation of `Files` on a path."""
    return f"{_file_of(path)} {operation}"


def is_frequent(point: str) -> bool:
    """Tell whether a member passes it with every batch that it writes."""
    return point in _FREQUENT


def _file_of(path: str) -> str:
    found = _STORAGE_PATH.search(path)
    if found is None:
        return "identity"
    if found["folder"] == "snap":
        return "snapshot"
    return "segment" if path.endswith(".tmp") else "wal"
