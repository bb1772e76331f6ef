"""What the process does with errors that nobody waits for, on the loop of a real member."""

import subprocess
import sys

import pytest

_PROGRAM = """
import asyncio, uvloop
from kvstore.__main__ import _on_stray_error

def fail():
    raise {error}

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_stray_error)
    loop.call_soon(fail)
    await asyncio.sleep(0.2)
    print("went on")

uvloop.run(main())
"""


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        ("AssertionError('acknowledged entries are lost')", 1, ""),
        ("OSError('gone')", 0, "went on\n"),
    ],
)
def test_a_broken_invariant_in_a_callback_ends_the_process(
    error: str, status: int, printed: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(error=error)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (status, printed)
    assert error.partition("(")[0] in ended.stderr, "it is told in any case"
