"""PySyncObj's doors to the world lead into the simulated one, while a run goes on.

Its modules find clock, dice and files in names of their own (`monotonicTime`, `random`, `os`,
`open` …). These are replaced for as long as `opened` lasts, and are as before after it. There is
one set of names for all members, so each entry into PySyncObj's code says whose it is (`inside`).
"""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import pysyncobj.journal
import pysyncobj.serializer
import pysyncobj.syncobj

from kvstore.testing.pysyncobj.program_files import MappedFile, ProgramFiles, WrittenFile

_MISSING = object()


class Surroundings(Protocol):
    """What one life of one member finds behind the doors."""

    @property
    def files(self) -> ProgramFiles:
        """Its disk."""

    def now(self) -> float:
        """Its monotonic clock, in seconds."""

    def random(self) -> float:
        """Its dice: a float in [0, 1)."""


class Doors:
    """Lead to the surroundings of whoever runs now."""

    def __init__(self) -> None:
        self._inside: Surroundings | None = None

    @contextmanager
    def inside(self, surroundings: Surroundings) -> Iterator[None]:
        """For as long as code of PySyncObj runs that belongs there."""
        assert self._inside is None, "one member's code runs inside another's"
        self._inside = surroundings
        try:
            yield
        finally:
            self._inside = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Replace the names, and put them back."""
        before = []
        for module, name, value in list(self._replacements()):
            before.append((module, name, module.__dict__.get(name, _MISSING)))
            setattr(module, name, value)
        try:
            yield
        finally:
            for module, name, value in before:
                if value is _MISSING:
                    delattr(module, name)
                else:
                    setattr(module, name, value)

    def _replacements(self) -> Iterator[tuple[ModuleType, str, Any]]:
        everywhere = {
            "monotonicTime": self._now,
            "time": SimpleNamespace(time=self._now, sleep=_sleep),
            "random": SimpleNamespace(random=self._random),
        }
        for module in _modules():
            for name, value in everywhere.items():
                if name in module.__dict__:
                    yield module, name, value
        journal, serializer = pysyncobj.journal, pysyncobj.serializer
        path = SimpleNamespace(exists=self._exists, isfile=self._exists)
        yield journal, "os", SimpleNamespace(path=path)
        yield pysyncobj.syncobj, "os", SimpleNamespace(path=path)
        yield journal, "open", self._open
        yield journal, "mmap", SimpleNamespace(mmap=self._map)
        yield journal, "shutil", SimpleNamespace(move=self._move)
        yield serializer, "open", self._open
        yield serializer, "atomicReplace", self._move
        # Its header would hold the time of the real clock.
        yield serializer, "gzip", SimpleNamespace(GzipFile=partial(gzip.GzipFile, mtime=0))

    @property
    def _surroundings(self) -> Surroundings:
        assert self._inside is not None, "PySyncObj runs, and nobody said for whom"
        return self._inside

    def _now(self) -> float:
        return self._surroundings.now()

    def _random(self) -> float:
        return self._surroundings.random()

    def _exists(self, path: str) -> bool:
        return self._surroundings.files.exists(path)

    def _open(self, path: str, mode: str) -> Any:
        return self._surroundings.files.open(path, mode)

    def _map(self, file: WrittenFile, length: int) -> MappedFile:
        return self._surroundings.files.map(file, length)

    def _move(self, source: str, target: str) -> None:
        self._surroundings.files.move(source, target)


def _modules() -> list[ModuleType]:
    """All of PySyncObj's that are loaded."""
    return [module for name, module in sorted(sys.modules.items()) if name.startswith("pysyncobj.")]


def _sleep(_: float) -> None:
    raise AssertionError("PySyncObj would sleep, and all others with it")
