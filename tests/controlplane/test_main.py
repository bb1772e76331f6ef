"""How components end."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import pytest

from controlplane.__main__ import COMPONENTS, main
from controlplane.controllers import manager
from controlplane.informer import InformerEndedError


async def _fail() -> None:
    async with asyncio.TaskGroup() as outer:
        outer.create_task(_fail_below())


async def _fail_below() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_ended())


async def _ended() -> None:
    raise InformerEndedError("the informer of pods has ended")


async def _be_cancelled() -> None:
    asking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking.cancel()
    await asking


async def _return() -> None:
    pass


async def _be_told() -> None:
    signal.raise_signal(signal.SIGTERM)
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("work", "status", "told"),
    [
        (_fail, 1, "controllers ends: InformerEndedError: the informer of pods has ended"),
        (_be_cancelled, 1, "controllers ends: it was cancelled from within"),
        (_return, 1, "controllers ends, though nobody told it to"),
        (_be_told, 0, None),
    ],
)
def test_component_that_ends_by_itself_says_why_and_fails(
    work: Callable[[], Awaitable[None]],
    status: int,
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever supervises it starts it again; exit status 0 is for who was told to end."""
    monkeypatch.setattr(manager, "run", lambda chosen, announce: work())
    with caplog.at_level(logging.CRITICAL):
        assert main(["controllers", "--store-endpoints=127.0.0.1:1"]) == status
    assert caplog.messages == ([told] if told else [])


@pytest.mark.parametrize("word", COMPONENTS)
def test_each_component_tells_its_flags(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word, "--help"])
    assert ended.value.code == 0
    assert "--store-endpoints" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nope"], ["--nope"]])
def test_who_names_no_component_is_told_which_there_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "{agent,apiserver,controllers,hollow,proxy,scheduler}" in capsys.readouterr().err
