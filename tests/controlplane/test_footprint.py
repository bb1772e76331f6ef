"""No component carries what only others need: each costs tens of MiB, and every start its time."""

import subprocess
import sys

import pytest

from controlplane.__main__ import COMPONENTS

HEAVY = {
    "aiohttp": {"agent", "apiserver", "hollow"},
    "grpc": {"agent", "hollow"},
    "numpy": {"scheduler"},
}
"""Who may load it."""


@pytest.mark.parametrize("name", COMPONENTS)
def test_component_loads_what_it_needs(name: str) -> None:
    script = (
        f"import sys, {COMPONENTS[name].module}; print(*{set(HEAVY)}.intersection(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    ).stdout
    assert {one for one in loaded.split() if name not in HEAVY[one]} == set()
