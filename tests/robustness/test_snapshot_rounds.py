"""Snapshots broken off on either side; GiB of them by `python -m kvstore.testing snapshots`."""

from pathlib import Path

import pytest

from kvstore.testing import __main__ as commands
from kvstore.testing import snapshot_rounds
from kvstore.testing.history import ViolationError
from kvstore.testing.snapshot_rounds import Round, SnapshotRounds


def test_a_snapshot_that_is_broken_off_comes_again(tmp_path: Path) -> None:
    said: list[str] = []
    names = ["installer-killed", "sender-killed"]
    rounds = snapshot_rounds.play(tmp_path / "cluster", megabytes=1, names=names, say=said.append)
    assert [(done.name, done.terms > 0) for done in rounds] == [
        ("installer-killed", False),
        ("sender-killed", True),
    ]
    assert rounds[0].snapshots >= 2
    assert all(done.commits > 100 for done in rounds)
    assert said == [done.told for done in rounds]


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
