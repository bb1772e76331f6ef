"""Planted bugs fit the code as it is, and a patch that does not is an error."""

import argparse
from pathlib import Path

import pytest

from kvstore.errors import ConfigError
from kvstore.testing import controls, planting
from kvstore.testing.planting import Hunk, Patch

PATCHES = planting.find_all()
TEXT = """It breaks a rule
of the paper.

--- a/kvstore/lease.py
+++ b/kvstore/lease.py
@@ -1,2 +1,2 @@
 before
-old
+new
+newer
@@ -9 +9 @@
-gone
"""


def test_a_patch_is_read() -> None:
    patch = planting.parse("name", TEXT)
    assert patch.breaks == "It breaks a rule of the paper."
    assert patch.hunks == {
        "kvstore/lease.py": [
            Hunk(("before", "old"), ("before", "new", "newer")),
            Hunk(("gone",), ()),
        ]
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a line that says what it breaks"),
        ("breaks\n\n+++ b/kvstore/lease.py\n", "and a hunk"),
        ("breaks\n\n@@ -1 +1 @@\n-a\n", "before the name of its file"),
        ("breaks\n\n+++ b/x\n@@ -1 +1 @@\n?a\n", "is no line of a hunk"),
    ],
)
def test_what_is_no_patch_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        planting.parse("name", text)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_a_planted_bug_fits_and_is_python(patch: Patch, tmp_path: Path) -> None:
    planting.plant(patch, tmp_path)
    for path in patch.hunks:
        source = (tmp_path / path).read_text()
        assert source != Path(path).read_text()
        compile(source, path, "exec")


@pytest.mark.parametrize(
    ("path", "lines", "words"),
    [
        ("kvstore/none.py", ("x",), r"there is no kvstore/none\.py"),
        ("kvstore/lease.py", ("this line is nowhere",), "fits 0 places"),
        ("kvstore/lease.py", ("",), r"fits \d+ places"),
    ],
)
def test_a_patch_that_has_grown_stale_is_an_error(
    path: str, lines: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        planting.plant(Patch("stale", "x", {path: [Hunk(lines, ())]}), tmp_path)


# ---------------------------------------------------------------------- the command


def outcome_of(*arguments: str) -> tuple[int, list[str]]:
    parser = argparse.ArgumentParser()
    controls.add_parser(parser.add_subparsers())
    said: list[str] = []
    status = controls.run(parser.parse_args(["controls", *arguments]), said.append)
    return status, said


@pytest.mark.timeout(600)
def test_a_planted_bug_is_caught_in_a_copy() -> None:
    status, said = outcome_of("--only", "blind-retry", "--seeds", "20", "--jobs", "1")
    assert status == 0
    assert len(said) == 2
    assert "ViolationError" in said[1]


@pytest.mark.timeout(600)
def test_a_bug_that_passes_fails_the_command() -> None:
    """One seed does not show what needs a crash at the right moment."""
    status, said = outcome_of("--only", "vote-not-saved", "--seeds", "1", "--jobs", "1")
    assert status == 1
    assert "1 of 1 seeds held" in said[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("path", "before", "after", "words"),
    [
        ("kvstore/lease.py", "nowhere", "x", "fits 0 places"),
        ("kvstore/raft/core.py", "class Raft:", "class Raft(Unknown):", "ended by itself"),
    ],
)
def test_a_patch_that_is_no_bug_fails_the_command(
    path: str, before: str, after: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = Patch("broken", "x", {path: [Hunk((before,), (after,))]})
    monkeypatch.setattr(planting, "find_all", lambda: [patch])
    status, said = outcome_of("--only", "broken", "--seeds", "1", "--jobs", "1")
    assert status == 1
    assert words in said[1]
