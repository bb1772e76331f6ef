"""Does a test notice when a number of Kubernetes' behaviour is changed?

`scripts/behaviour --mutations [ROW …]` puts each wrong number of `numbers.toml` into a copy of the
tree, runs the tests that name its row there, and prints which numbers nobody misses. The exit
status is then 1; it is 2 where the copy does not even pass as it is.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from generators import behaviour

TABLE = Path(__file__).with_name("numbers.toml")
RUN_SECONDS_MAX = 900.0
PASSED, FAILED = 0, 1  # pytest's exit statuses


class Number(NamedTuple):
    """right  stands once in the file at `path`
    tests  files; those of their tests are run that name the row
    """

    row: str
    what: str
    path: str
    right: str
    wrong: str
    tests: tuple[str, ...]


def all_numbers() -> list[Number]:
    """What `numbers.toml` says."""
    told = tomllib.loads(TABLE.read_text())["numbers"]
    return [
        Number(row, what, f"controlplane/{path}", right, wrong, tuple(map(_test_file, files)))
        for row, what, path, right, wrong, *files in told
    ]


def _test_file(name: str) -> str:
    return f"tests/controlplane/{name}.py"


def tests_for(number: Number) -> list[str]:
    """The tests that name its row, in the files that it names."""
    return [
        f"{path}::{name}"
        for path in number.tests
        if (behaviour.ROOT / path).exists()
        for name, rows in behaviour.tests_of(behaviour.ROOT / path)
        if number.row in rows
    ]


def misplaced(number: Number) -> str:
    """Why it cannot be changed, or nobody would notice; empty: it can."""
    path = behaviour.ROOT / number.path
    count = path.read_text().count(number.right) if path.exists() else 0
    if count != 1:
        return f"{number.path} has {number.right!r} {count} times, not once"
    if not tests_for(number):
        return f"no test of {', '.join(number.tests)} names row {number.row}"
    return ""


class Copy:
    """The tree as git sees it, uncommitted changes and new files included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=behaviour.ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in listed.stdout.splitlines():
            if (behaviour.ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(behaviour.ROOT / name, folder / name)

    def write(self, name: str, text: str) -> None:
        """Replace a file, and forget what it was compiled to."""
        path = self._folder / name
        path.write_text(text)
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def read(self, name: str) -> str:
        """The text of a file."""
        return (self._folder / name).read_text()

    def run(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Those tests, up to the first that fails."""
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(self._folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS_MAX,
        )


def is_noticed(copy: Copy, number: Number, tests: Sequence[str]) -> bool:
    """Whether one of the tests fails while the number is wrong."""
    text = copy.read(number.path)
    copy.write(number.path, text.replace(number.right, number.wrong))
    try:
        ended = copy.run(tests)
    finally:
        copy.write(number.path, text)
    if ended.returncode not in (PASSED, FAILED):
        sys.exit(f"{number.row} {number.what}: the tests cannot be run\n{ended.stdout[-2_000:]}")
    return ended.returncode == FAILED


def main(rows: Sequence[str]) -> int:
    """All numbers, or those of some rows."""
    wanted = [number for number in all_numbers() if not rows or number.row in rows]
    faults = [fault for number in wanted if (fault := misplaced(number))]
    if faults:
        print(*faults, sep="\n")
        return 2
    tests = {number: tests_for(number) for number in wanted}  # before anybody changes the tree
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="numbers-") as folder:
        copy = Copy(Path(folder))
        ended = copy.run(sorted({test for found in tests.values() for test in found}))
        if ended.returncode != PASSED:
            print(ended.stdout[-4_000:])
            return 2
        print("| row | number | place | wrong | noticed |", "|---|---|---|---|---|", sep="\n")
        missed = 0
        for number in wanted:
            noticed = is_noticed(copy, number, tests[number])
            missed += not noticed
            told = "yes" if noticed else "**no**"
            wrong = " ".join(number.wrong.split())
            row = (number.row, number.what, f"`{number.path}`", f"`{wrong}`", told)
            print(f"| {' | '.join(row)} |", flush=True)
    seconds = time.monotonic() - began
    rows_told = len({number.row for number in wanted})
    print(f"\n{len(wanted)} numbers of {rows_told} rows, {missed} not noticed, {seconds:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
