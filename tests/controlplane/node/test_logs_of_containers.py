"""Rotation of logs, and what containers say at their end."""

import time
from pathlib import Path

import pytest

from controlplane.node import log_rotation
from controlplane.node.container_config import MESSAGE_PATH, MESSAGE_POLICY
from controlplane.node.log_rotation import BYTES_MAX, LogRotation, next_stamp, surplus
from controlplane.node.runtime.fake import FakeRuntime
from controlplane.node.runtime.interface import Container, ContainerConfig, Sandbox, SandboxConfig
from controlplane.node.termination_messages import message_of, text_of_log
from kvstore.client.clock import AsyncioClock
from tests.controlplane.node.views import WALL


def test_numbers() -> None:
    """10.7: 10 MiB x 5."""
    assert (log_rotation.BYTES_MAX, log_rotation.FILES_MAX) == (10 * 1024 * 1024, 5)


def test_oldest_logs_go() -> None:
    """10.7: five files, with the one that is written."""
    stamps = [f"0.log.2026010{number}-000000" for number in range(1, 7)]
    names = ["0.log", "1.log", "1.log.20200101-000000", *reversed(stamps)]
    assert surplus("0.log", names) == stamps[:2]
    assert surplus("0.log", names[:1]) == []


def test_stamps_are_in_order_whatever_the_clock_says() -> None:
    """Logs are read, and removed, in the order of their stamps."""
    assert next_stamp("0.log", ["0.log", "1.log.20991231-235959"], WALL) == "20231114-221320"
    names = ["0.log.20231114-221320", "0.log.20231115-101500", "0.log.left"]
    assert next_stamp("0.log", names, WALL) == "20231115-101501"


async def running(folder: Path) -> tuple[FakeRuntime, Sandbox, Container]:
    runtime = FakeRuntime(AsyncioClock(), time.time)
    config = SandboxConfig(name="p", namespace="n", uid="u", log_folder=str(folder))
    sandbox_id = await runtime.run_sandbox(config)
    made = ContainerConfig(name="a", attempt=0, image="i", log_path="a/0.log")
    container_id = await runtime.create_container(sandbox_id, made)
    await runtime.start_container(container_id)
    (sandbox,) = await runtime.list_sandboxes()
    (container,) = await runtime.list_containers()
    return runtime, sandbox, container


def grow(path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.truncate(size)


async def test_log_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    """10.7."""
    runtime, sandbox, container = await running(tmp_path)
    now = [WALL]
    rotation = LogRotation(runtime, lambda: now[0])
    log = tmp_path / "a" / "0.log"
    assert not await rotation.rotate(sandbox, container)
    grow(log, BYTES_MAX - 1)
    assert not await rotation.rotate(sandbox, container)
    for _ in range(6):
        grow(log, BYTES_MAX)
        assert await rotation.rotate(sandbox, container)
        now[0] += 1
    names = sorted(one.name for one in log.parent.iterdir())
    assert names == [f"0.log.20231114-22132{second}" for second in range(2, 6)]


async def test_log_stays_where_the_runtime_cannot_begin_another(tmp_path: Path) -> None:
    runtime, sandbox, container = await running(tmp_path)
    await runtime.remove_container(container.id)
    log = tmp_path / "a" / "0.log"
    grow(log, BYTES_MAX)
    assert not await LogRotation(runtime, lambda: WALL).rotate(sandbox, container)
    assert log.stat().st_size == BYTES_MAX


def ended(folder: Path, code: int, policy: str) -> tuple[Container, Sandbox]:
    config = SandboxConfig(name="p", namespace="n", uid="u", log_folder=str(folder))
    sandbox = Sandbox(id="s", config=config, is_ready=True, address="", created_at=0.0)
    notes = {MESSAGE_PATH: str(folder / "message"), MESSAGE_POLICY: policy}
    made = ContainerConfig(name="a", attempt=0, image="i", log_path="a/0.log", annotations=notes)
    container = Container(
        id="c", sandbox_id="s", config=made, state="exited", created_at=0.0, exit_code=code
    )
    return container, sandbox


@pytest.mark.parametrize(
    ("said", "code", "policy", "expected"),
    [
        ("broken", 1, "File", "broken"),
        ("", 1, "File", ""),
        ("", 1, "FallbackToLogsOnError", "last words\n"),
        ("", 0, "FallbackToLogsOnError", ""),
        ("broken", 1, "FallbackToLogsOnError", "broken"),
        ("x" * 5_000, 0, "File", "x" * 4_096),
    ],
)
def test_termination_message(
    tmp_path: Path, said: str, code: int, policy: str, expected: str
) -> None:
    (tmp_path / "message").write_text(said)
    (tmp_path / "a").mkdir()
    line = "2026-01-01T00:00:00.000000000Z stderr F last words\n"
    (tmp_path / "a" / "0.log").write_text(line)
    assert message_of(*ended(tmp_path, code, policy)) == expected


def test_link_in_the_place_of_a_message_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "message").symlink_to("/etc/hostname")
    assert message_of(*ended(tmp_path, 1, "File")) == ""


def test_lines_of_a_log() -> None:
    when = "2026-01-01T00:00:00.000000000Z"
    assert text_of_log(f"{when} stdout P one\n{when} stdout F  two\n{when} stderr F \nodd\n") == (
        "one two\n\n"
    )
    assert len(text_of_log(f"{when} stdout F {'x' * 3_000}\n")) == 2_048
    # A bar that a program draws, a form feed: only a line feed ends an entry.
    drawn = f"{when} stderr F 50%\rwhy it failed\n{when} stderr F a\x0cb\u2028c\n"
    assert text_of_log(drawn) == "50%\rwhy it failed\na\x0cb\u2028c\n"
    many = "".join(f"{when} stdout F {number}\n" for number in range(100))
    assert text_of_log(many).splitlines() == [str(number) for number in range(20, 100)]
