"""A folder whose files change all at once: whoever reads it sees the old ones or the new ones.

The files are in a folder of their own, to which `..data` points; what readers open is a link
through `..data`, so that one rename changes everything. Source: Kubernetes' documentation,
"Secrets" (updates of mounted Secrets), whose layout programs rely on.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from controlplane.node.volume_files import File

DATA = "..data"
_NEW = "..data_tmp"
_READ = 0o440
_ENTER = stat.S_ISGID | 0o550


def write(folder: Path, files: Mapping[str, File], *, group: int | None = None) -> bool:
    """Make `folder` hold these files and no others; whether it had to be changed. OSError.

    group  whose they are to be, and who may read them; None: as whoever runs us
    """
    folder.mkdir(parents=True, exist_ok=True)
    if group is not None:
        files = {path: File(one.data, one.mode | _READ) for path, one in files.items()}
        _give([folder], group)
    current = _current(folder)
    if current is not None and _held(current, group) == dict(files):
        _link(folder, files)  # whoever ended in between left this undone
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    try:
        fresh.chmod(0o755)
        for path, file in files.items():
            target = fresh / path
            _make_folders(fresh, target.parent)
            target.write_bytes(file.data)
            if group is not None:
                os.chown(target, -1, group)
            target.chmod(file.mode)
        if group is not None:
            _give([fresh, *(one for one in fresh.rglob("*") if one.is_dir())], group)
        (folder / _NEW).unlink(missing_ok=True)
        (folder / _NEW).symlink_to(fresh.name)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)  # as on a full disk: the old files stay
        raise
    (folder / _NEW).rename(folder / DATA)
    _link(folder, files)
    _sweep(folder, fresh.name)
    return True


def _make_folders(top: Path, folder: Path) -> None:
    """Whoever the pod runs as must get through, whatever our umask is."""
    if folder != top and not folder.is_dir():
        _make_folders(top, folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def _give(folders: Iterable[Path], group: int) -> None:
    """Who is of the group may enter them; what is made in them is the group's, too."""
    for folder in folders:
        os.chown(folder, -1, group)
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | _ENTER)


def _current(folder: Path) -> Path | None:
    link = folder / DATA
    return folder / link.readlink() if link.is_symlink() else None


def _held(folder: Path, group: int | None) -> dict[str, File]:
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            told = path.stat()
            if group is not None and told.st_gid != group:
                return {}  # of an agent that gave them to nobody
            mode = told.st_mode & 0o777
            try:
                found[str(path.relative_to(folder))] = File(path.read_bytes(), mode)
            except PermissionError:
                return {}  # of a mode that we may not read: it is written anew
    return found


def _link(folder: Path, files: Mapping[str, File]) -> None:
    """One link for each name at the top; those of files that are gone go."""
    wanted = {path.split("/")[0] for path in files}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and entry.name not in (*wanted, DATA):
            entry.unlink()


def _sweep(folder: Path, current: str) -> None:
    for entry in folder.iterdir():
        is_ours = entry.name.startswith("..") and not entry.is_symlink()
        if is_ours and entry.name != current:
            shutil.rmtree(entry, ignore_errors=True)
