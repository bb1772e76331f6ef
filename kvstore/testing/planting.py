"""Planted bugs: patches of our own code, each of which breaks one rule that a test must notice.

    planted/NAME.patch     what it breaks, a blank line, then a unified diff

A patch is applied to a copy of the package, never to the running one: production code has no
switch. Its line numbers do not count; a hunk must fit exactly one place, so one that has grown
stale is an error and not a different bug.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from kvstore.errors import ConfigError

_PACKAGE = Path(__file__).parent.parent
_FOLDER = Path(__file__).parent / "planted"
_FILE_HEADER = "+++ b/"
_HUNK_HEADER = "@@"


class Hunk(msgspec.Struct, frozen=True):
    """Lines of one place, before and after."""

    before: tuple[str, ...]
    after: tuple[str, ...]


class Patch(msgspec.Struct, frozen=True):
    """One planted bug. `hunks`: by path, relative to the folder that has the package."""

    name: str
    breaks: str
    hunks: dict[str, list[Hunk]]


def find_all() -> list[Patch]:
    """All planted bugs, by name."""
    return [parse(path.stem, path.read_text()) for path in sorted(_FOLDER.glob("*.patch"))]


def parse(name: str, text: str) -> Patch:
    """Read a patch. Raises ConfigError when it is none."""
    breaks, _, diff = text.partition("\n\n")
    hunks: dict[str, list[Hunk]] = {}
    of_file: list[Hunk] | None = None
    for kind, lines in _sections(diff.splitlines()):
        if kind == _FILE_HEADER:
            of_file = hunks.setdefault(lines[0].removeprefix(_FILE_HEADER), [])
        elif of_file is None:
            raise ConfigError(f"patch {name}: a hunk comes before the name of its file")
        else:
            of_file.append(_hunk(name, lines[1:]))
    if not breaks or not any(hunks.values()):
        raise ConfigError(f"patch {name}: it needs a line that says what it breaks, and a hunk")
    return Patch(name, " ".join(breaks.split()), hunks)


def plant(patch: Patch, folder: Path) -> None:
    """Copy the package into `folder`, with the bug. Raises ConfigError when it does not fit."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=ignored)
    for path, hunks in patch.hunks.items():
        target = folder / path
        if not target.is_file():
            raise ConfigError(f"patch {patch.name}: there is no {path}")
        source = target.read_text()
        for hunk in hunks:
            source = _replaced(patch.name, path, source, hunk)
        target.write_text(source)


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Headers of files, and hunks with their lines."""
    section: list[str] = []
    kind = ""
    for line in lines:
        if line.startswith("--- "):
            continue
        for header in (_FILE_HEADER, _HUNK_HEADER):
            if line.startswith(header):
                if kind:
                    yield kind, section
                kind, section = header, []
        section.append(line)
    if kind:
        yield kind, section


def _hunk(name: str, lines: Sequence[str]) -> Hunk:
    before, after = [], []
    for line in lines:
        mark, text = line[:1] or " ", line[1:]
        if mark not in " -+":
            raise ConfigError(f"patch {name}: {line!r} is no line of a hunk")
        if mark in " -":
            before.append(text)
        if mark in " +":
            after.append(text)
    return Hunk(tuple(before), tuple(after))


def _replaced(name: str, path: str, source: str, hunk: Hunk) -> str:
    before = "".join(f"{line}\n" for line in hunk.before)
    count = source.count(before)
    if count != 1:
        raise ConfigError(
            f"patch {name}: a hunk fits {count} places of {path}. Make it anew: change the code,"
            " then keep `git diff` in the patch"
        )
    return source.replace(before, "".join(f"{line}\n" for line in hunk.after))
