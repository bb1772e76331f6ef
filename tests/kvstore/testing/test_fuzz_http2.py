"""The fuzzer finds nothing, and does reach what it is for. Long runs: `fuzz-http2 --inputs N`."""

import pytest

from kvstore.http2.connection import Connection
from kvstore.http2.receiver import Receiver
from kvstore.http2.stream import Stream
from kvstore.testing import fuzz_http2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_client_breaks_the_connection(seed: int) -> None:
    report = fuzz_http2.run(seed, 4_000)
    assert report.calls > 1_000
    assert report.messages > 1_000
    assert 0 < report.ended_by_server <= report.connections


def test_the_fuzzer_notices_what_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Receiver, "drop", lambda _self, _stream: None)
    with pytest.raises(fuzz_http2.FuzzFailure, match="left"):
        fuzz_http2.run(1, 20_000)


def test_the_fuzzer_notices_what_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Connection, _stream: Stream) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(Connection, "_half_close", fail)
    with pytest.raises(AssertionError, match="a bug"):
        fuzz_http2.run(1, 1_000)
