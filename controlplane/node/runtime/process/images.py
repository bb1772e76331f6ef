"""Images of the embedded runtime: names for commands of the host, or mere labels. PURE but for
reading the tables.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

import controlplane
from controlplane.node.runtime.interface import Image, RefusedError

_TABLE = Path(__file__).with_name("images.toml")
_LOCAL = "local/"
_NAME_LENGTH_MAX = 255

# The grammar of references: distribution/reference, `reference.go`.
_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST})?{_WORD}(?:/{_WORD})*)"
    r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a table; the words are those of `Image`."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    working_folder: str = ""
    user: str = ""


class Images:
    """All names that can be run.

    own_table  a file that need not be there; ValueError when it is none of ours
    """

    def __init__(self, own_table: Path) -> None:
        self._rows = _read(_TABLE)
        if own_table.exists():
            self._rows |= _read(own_table)

    def find(self, name: str) -> Image:
        """What a name stands for.

        Raises RefusedError `InvalidImageName`, `ErrImagePull`.
        """
        match = _REFERENCE.fullmatch(name) if len(name) <= _NAME_LENGTH_MAX else None
        if match is None:
            told = f"couldn't parse image name {name!r}: invalid reference format"
            raise RefusedError("InvalidImageName", told)
        short = match["name"].removeprefix("docker.io/").removeprefix("library/")
        row = self._rows.get(short)
        if row is None and short.startswith(_LOCAL):
            known = ", ".join(sorted(each for each in self._rows if each.startswith(_LOCAL)))
            told = f"this node has no image {short!r}, but {known}; others go into its images.toml"
            raise RefusedError("ErrImagePull", told)
        fields = {} if row is None else msgspec.structs.asdict(row)
        return Image(id=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}", name=name, **fields)


def packages() -> Path:
    """The folder from which `controlplane` is imported."""
    return Path(controlplane.__file__).parent.parent


def _read(table: Path) -> dict[str, _Row]:
    text = table.read_text(encoding="utf-8")
    try:
        rows = msgspec.convert(tomllib.loads(text), dict[str, _Row])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{table} is no table of images: {error}") from error
    return {name: _filled(row) for name, row in rows.items()}


def _filled(row: _Row) -> _Row:
    def fill(text: str) -> str:
        return text.replace("{python}", sys.executable).replace("{packages}", str(packages()))

    return msgspec.structs.replace(
        row,
        entrypoint=tuple(map(fill, row.entrypoint)),
        command=tuple(map(fill, row.command)),
        environment={name: fill(value) for name, value in row.environment.items()},
    )
