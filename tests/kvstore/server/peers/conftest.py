"""Every test of the peer transport runs on asyncio's own loop and on uvloop."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_stray_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may leave an error that nobody looked at."""
    caplog.set_level(logging.INFO)
    yield
    strays = [
        record.getMessage()
        for record in (*caplog.get_records("call"), *caplog.records)
        if record.levelno >= logging.ERROR
    ]
    assert strays == []
