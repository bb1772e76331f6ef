"""A program that dies with whoever has started it."""

import os
import subprocess
import sys

from cluster import leash


def start(parent: int, *wanted: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        leash.command(parent, wanted), capture_output=True, text=True, timeout=60, check=False
    )


def test_it_becomes_the_command() -> None:
    told = start(
        os.getpid(), sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(3)", "a b"
    )
    assert (told.stdout, told.stderr, told.returncode) == ("a b\n", "", 3)


def test_whoever_started_it_is_gone_already() -> None:
    told = start(1, sys.executable, "-c", "print('it runs')")
    assert (told.stdout, told.returncode) == ("", 1)


def test_what_is_no_program_is_told() -> None:
    told = start(os.getpid(), "/nowhere/at/all")
    assert told.stderr == "/nowhere/at/all cannot be started: No such file or directory\n"
    assert told.returncode == 127
