"""A wall clock that jumps: what a process under it sees. What a member makes of it is tested in
tests/robustness."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.testing.rigs import clocks
from kvstore.testing.rigs.clocks import JumpingClock

pytestmark = pytest.mark.skipif(bool(clocks.missing()), reason=clocks.missing() or "-")

_HOUR = 3_600

# A line for each line: how far its wall clock is from the true time that it is told, and whether
# its monotonic clock has gone on by less than a minute since the last.
_TELLER = """
import sys, time
before = time.monotonic()
for line in sys.stdin:
    now = time.monotonic()
    print(round((time.time() - float(line)) / 60), 0 <= now - before < 60, flush=True)
    before = now
"""


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    clock = JumpingClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _TELLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **clock.environment()},
    ) as teller:
        assert teller.stdin is not None
        assert teller.stdout is not None
        for seconds, minutes in ((0, 0), (_HOUR, 60), (-_HOUR, -60), (0, 0)):
            clock.jump(seconds)
            teller.stdin.write(f"{time.time()}\n")
            teller.stdin.flush()
            assert teller.stdout.readline() == f"{minutes} True\n"
        teller.stdin.close()
