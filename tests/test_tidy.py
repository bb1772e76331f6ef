"""The source, tested as a text: budgets, charters, words that have no place."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATED = ("/pb/", "/api/types/")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50
BANNED_MODULES = {"utils", "util", "helpers", "common", "misc"}
BANNED_TEXT = re.compile(r"\b(TODO|FIXME|XXX)\b|pickle\.loads")


def _tracked(pattern: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / line for line in listing.stdout.splitlines())
    return [
        path for path in paths if path.exists() and not any(part in str(path) for part in GENERATED)
    ]


SOURCES = _tracked("*.py")


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and decorators."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_keeps_its_budgets(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= FILE_LINES_MAX, "a noun is missing: find it, don't shave lines"
    long = [
        f"{node.name}: {_code_lines(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _code_lines(node) > FUNCTION_LINES_MAX
    ]
    assert not long, long
    if "tests" not in path.relative_to(ROOT).parts:
        assert ast.get_docstring(tree), "every module says what it is for"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_has_no_banned_words(path: Path) -> None:
    assert path.stem not in BANNED_MODULES
    if path != Path(__file__):
        assert not BANNED_TEXT.search(path.read_text())


def test_no_path_of_one_machine_is_named() -> None:
    """Neither where this checkout lies nor whose machine it is belongs into a file."""
    listing = subprocess.run(
        ["git", "grep", "-nF", "-e", f"{ROOT}/", "-e", f"{Path.home()}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listing.stdout == ""
