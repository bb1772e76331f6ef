"""What a node keeps of the log for followers; the core leads, the test plays its followers."""

import pytest

from kvstore.raft.core import Raft
from kvstore.raft.types import AppendReply, Entry
from kvstore.server import log_window
from kvstore.server.log_window import LogWindow
from tests.kvstore.raft.single import drain, make_leader, new_raft, step

_LIMIT, _HELD_LIMIT = 10, 50
_SLOW = 3


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_window, "LOG_ENTRIES_MAX", _LIMIT)
    monkeypatch.setattr(log_window, "HELD_ENTRIES_MAX", _HELD_LIMIT)


@pytest.fixture
def raft() -> Raft:
    raft = new_raft()
    make_leader(raft)
    return raft


def _write(raft: Raft, window: LogWindow, count: int) -> None:
    """Replicate entries to member 2 alone, apply them, and let the window do its work."""
    for _ in range(count):
        assert raft.propose([b"x"])
        drain(raft)
        step(raft, AppendReply(to=1, sender=2, term=1, match_index=raft.last_index))
        drain(raft)
        raft.applied(raft.commit_index)
        window.count([Entry(raft.last_index, 1, b"x")])
        window.compact(raft, raft.commit_index)


def test_a_log_is_kept_up_to_the_limit(raft: Raft) -> None:
    _write(raft, LogWindow(()), 100)
    assert raft.last_index - raft.first_index <= _LIMIT + 1


def test_what_follows_a_snapshot_on_its_way_is_kept_longer(raft: Raft) -> None:
    window = LogWindow(())
    _write(raft, window, 20)
    snapshot = raft.last_index
    window.hold(_SLOW, snapshot)
    _write(raft, window, 30)
    assert raft.first_index <= snapshot + 1
    _write(raft, window, 100)
    assert raft.last_index - raft.first_index <= _HELD_LIMIT + 1, "but not without end"


def test_a_snapshot_that_failed_holds_nothing(raft: Raft) -> None:
    window = LogWindow(())
    _write(raft, window, 20)
    window.hold(_SLOW, raft.last_index)
    window.release(_SLOW)
    _write(raft, window, 100)
    assert raft.last_index - raft.first_index <= _LIMIT + 1


def test_a_follower_that_has_caught_up_holds_nothing(raft: Raft) -> None:
    window = LogWindow(())
    _write(raft, window, 20)
    window.hold(_SLOW, raft.last_index)
    step(raft, AppendReply(to=1, sender=_SLOW, term=1, match_index=raft.last_index))
    _write(raft, window, 100)
    assert raft.last_index - raft.first_index <= _LIMIT + 1


def test_a_replaced_log_counts_anew(raft: Raft) -> None:
    window = LogWindow([Entry(index, 1, b"x") for index in range(1, 2000)])
    window.clear()
    window.compact(raft, raft.commit_index)
    assert raft.first_index == 1
