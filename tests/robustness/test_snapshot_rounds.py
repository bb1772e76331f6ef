"""Snapshots broken off on either side; GiB of them by `python -m kvstore.testing snapshots`."""

from pathlib import Path

import pytest

from kvstore.testing import __main__ as commands
from kvstore.testing import snapshot_rounds
from kvstore.testing.history import ViolationError
from kvstore.testing.snapshot_rounds import Round, SnapshotRounds


def test_a_snapshot_whose_sender_dies_comes_again(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "cluster"
    (done,) = snapshot_rounds.play(folder, megabytes=1, names=["sender-killed"], say=said.append)
    assert done.terms > 0
    assert done.commits > 100
    assert said == [done.told]


def _round(name: str, *, snapshots: int = 1, terms: int = 0) -> Round:
    return Round(
        name=name,
        seconds=1.0,
        snapshots=snapshots,
        commits=1,
        p99_seconds=0.0,
        max_seconds=0.0,
        terms=terms,
    )


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (_round("installed", terms=1), "the leader has changed, 1 new terms"),
        (_round("installed", snapshots=0), "0 snapshots were sent to their end, not 1"),
        (_round("two-in-a-row"), "1 snapshots were sent to their end, not 2"),
        (_round("sender-killed", snapshots=0, terms=1), "0 snapshots"),
    ],
)
def test_a_round_that_was_none_fails(done: Round, words: str) -> None:
    with pytest.raises(ViolationError, match=words):
        SnapshotRounds.judge(done)


def test_an_unknown_round_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["snapshots", "--rounds", "installed,uninstalled"]) == 2
    assert "there is no round 'uninstalled'; there are taken, " in capsys.readouterr().out


@pytest.mark.parametrize("megabytes", ["0", "-1", "many"])
def test_a_size_that_makes_no_sense_is_refused(
    megabytes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        commands.main(["snapshots", "--megabytes", megabytes])
    assert caught.value.code == 2
    assert "argument --megabytes" in capsys.readouterr().err
