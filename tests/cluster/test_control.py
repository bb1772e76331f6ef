"""One question, one answer, by a socket that is its owner's."""

import asyncio
import contextlib
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from cluster import control
from cluster.errors import NotRunningError


async def echo(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("do") == "fail":
        raise RuntimeError("our own fault")
    if message.get("do") == "wait":
        await asyncio.Event().wait()
    return {"heard": message}


def open_to_all(folder: Path) -> None:
    folder.chmod(0o777)


async def raw(folder: Path, line: bytes) -> bytes:
    """What comes back until the connection is closed."""
    reader, writer = await asyncio.open_unix_connection(str(folder / control.SOCKET_NAME))
    writer.write(line)
    answer = await reader.read()
    writer.close()
    return answer


async def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)  # more than a unix address holds
    deep.mkdir(parents=True)
    async with control.serve(deep, echo):
        assert await control.request(deep, {"do": "status"}) == {"heard": {"do": "status"}}


async def test_nobody_else_may_ask_also_in_a_folder_that_is_open_to_all(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    async with control.serve(tmp_path, echo):
        mode = (tmp_path / control.SOCKET_NAME).stat().st_mode
        assert stat.S_IMODE(mode) & 0o077 == 0
    (tmp_path / "after").touch()
    assert stat.S_IMODE((tmp_path / "after").stat().st_mode) & 0o400


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"[]\n", b'"x"\n', b"\xff\n", b"x" * 100_000])
async def test_who_asks_nothing_sensible_is_hung_up_on(tmp_path: Path, line: bytes) -> None:
    async with control.serve(tmp_path, echo):
        assert await raw(tmp_path, line) == b""
        assert await control.request(tmp_path, {"do": "x"})  # others go on


async def test_a_question_that_fails_does_not_leave_its_client_waiting(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        told = json.dumps({"do": "fail"}).encode()
        assert await raw(tmp_path, told + b"\n") == b""
        with pytest.raises(NotRunningError, match="ended before it answered"):
            await control.request(tmp_path, {"do": "fail"})


async def test_a_launcher_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_SECONDS_MAX", 0.05)
    async with control.serve(tmp_path, echo):
        with pytest.raises(NotRunningError, match="does not answer"):
            await control.request(tmp_path, {"do": "wait"})


async def test_a_socket_that_a_killed_launcher_has_left_is_nobodys(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        (tmp_path / control.SOCKET_NAME).rename(tmp_path / "left")
    (tmp_path / "left").rename(tmp_path / control.SOCKET_NAME)
    with pytest.raises(NotRunningError, match="no cluster runs in"):
        await control.request(tmp_path, {"do": "status"})
    async with control.serve(tmp_path, echo):
        assert await control.request(tmp_path, {"do": "x"})


async def test_a_folder_that_was_made_anew_is_its_new_launchers(tmp_path: Path) -> None:
    """Who runs on after somebody has deleted its folder leaves the next one's socket alone."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        first = contextlib.AsyncExitStack()
        is_anothers = await first.enter_async_context(control.serve(folder, echo))
        assert not is_anothers()
        shutil.rmtree(folder)
        assert not is_anothers()  # nobody's
        folder.mkdir()
        is_seconds = await stack.enter_async_context(control.serve(folder, echo))
        assert is_anothers()
        assert not is_seconds()
        await first.aclose()
        assert await control.request(folder, {"do": "x"})
    assert not (folder / control.SOCKET_NAME).exists()
