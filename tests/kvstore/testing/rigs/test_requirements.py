"""What lacks is named, with what to do."""

import os
from pathlib import Path

import pytest

from kvstore.testing.rigs import requirements
from kvstore.testing.rigs.requirements import missing


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "_capabilities", lambda: (1 << 64) - 1)


@pytest.mark.usefixtures("root")
def test_nothing_lacks_that_is_there(tmp_path: Path) -> None:
    assert missing(("sh", str(tmp_path))) == ""


@pytest.mark.usefixtures("root")
def test_a_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert missing(("mkfs.ext4",)) == "mkfs.ext4 is not installed: apt-get install e2fsprogs"


@pytest.mark.usefixtures("root")
def test_a_device_is_named() -> None:
    assert missing(("/dev/no-such",)) == "there is no /dev/no-such here, as in most containers"


@pytest.mark.usefixtures("root")
def test_a_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_capabilities", lambda: 1 << 12)
    assert missing(()) == "root lacks CAP_SYS_PTRACE here, as in most containers"


def test_other_users_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert missing(()) == "only root can build this rig"
