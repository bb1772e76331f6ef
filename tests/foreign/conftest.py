"""How environments for other people's clients are made."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL_SECONDS_MAX = 500

Install = Callable[[list[str]], None]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Runs an installer; without its registry the test cannot be run."""

    def run(command: list[str]) -> None:
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS_MAX,
            check=False,
        )
        if ended.returncode != 0:
            pytest.skip(f"{command[-1]} cannot be installed here: {ended.stderr[-300:]}")

    return run


def python_with(install: Install, folder: Path, *wanted: str) -> str:
    """The Python of a new environment in `folder`, into which `uv pip install WANTED` was run."""
    uv = [sys.executable, "-m", "uv"]
    python = str(folder / "venv" / "bin" / "python")
    install([*uv, "venv", "--quiet", "--python", sys.executable, "venv"])
    install([*uv, "pip", "install", "--quiet", "--python", python, *wanted])
    return python
