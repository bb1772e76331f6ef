"""The fuzzer finds nothing, and does reach what it is for. Long runs: `fuzz-peers --inputs N`."""

import msgspec
import pytest

from kvstore.raft import codec
from kvstore.raft.types import Message
from kvstore.server import peer_frames
from kvstore.server.peer_frames import FrameReader
from kvstore.testing import __main__ as commands
from kvstore.testing import fuzz_peers
from kvstore.testing.fuzz_peers import Fuzzer, FuzzFailure

_FORGETFUL = (msgspec.MsgspecError, UnicodeDecodeError)  # of absurd nesting


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_breaks_the_decoders(seed: int) -> None:
    report = Fuzzer(seed).run(20_000)
    assert report.decoded > 1_000
    assert report.refused > 5_000
    assert report.frames > 1_000
    assert report.broken_streams > 100


def test_a_seed_repeats_itself() -> None:
    first, second = Fuzzer(5).run(5_000), Fuzzer(5).run(5_000)
    assert (first.decoded, first.frames) == (second.decoded, second.frames)


def test_every_message_is_tried() -> None:
    assert {type(message) for message in fuzz_peers._messages()} == set(Message.__args__)


@pytest.mark.parametrize("module", [peer_frames, codec])
def test_the_fuzzer_notices_an_error_that_escapes(
    monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    monkeypatch.setattr(module, "DECODE_ERRORS", _FORGETFUL)
    with pytest.raises(RecursionError):
        Fuzzer(1).run(20_000)


def test_the_fuzzer_notices_memory_for_a_mere_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(reader: FrameReader, _body: int, length: int) -> None:
        reader._large = bytearray(length)
        reader._large_length, reader._large_filled = length, 0
        reader._start = reader._end = 0

    monkeypatch.setattr(FrameReader, "_begin_large", believe)
    with pytest.raises(FuzzFailure, match="are held for"):
        Fuzzer(1).run(20_000)


def test_the_fuzzer_notices_a_message_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "encode", lambda _: fuzz_peers_sample)
    with pytest.raises(FuzzFailure, match="another one"):
        Fuzzer(1).run(20_000)


fuzz_peers_sample = codec.encode(fuzz_peers._messages()[0])


def test_the_command_says_what_it_did_and_how_to_repeat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fuzz-peers", "--inputs", "2000", "--seed", "9"]
    assert commands.main(arguments) == 0
    assert "refused=" in capsys.readouterr().out
    monkeypatch.setattr(peer_frames, "DECODE_ERRORS", _FORGETFUL)
    with pytest.raises(RecursionError):
        commands.main([*arguments[:2], "20000", *arguments[3:]])
    repeat = "repeat: python -m kvstore.testing fuzz-peers --seed 9 --inputs 20000"
    assert repeat in capsys.readouterr().err
