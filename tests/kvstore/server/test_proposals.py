"""Proposals across a change of leader: what is lost is sent again, and nothing else is."""

from typing import Any

import pytest

from kvstore import commands
from kvstore.commands import Put
from kvstore.errors import RequestTimeoutError, StoppedError, TooManyRequestsError
from kvstore.server import proposals
from kvstore.server.proposals import Proposals


class Core:
    """Takes batches, unless there is no leader; remembers the ids in them."""

    def __init__(self) -> None:
        self.has_leader = True
        self.batches: list[list[int]] = []

    def propose(self, batch: list[bytes]) -> bool:
        if self.has_leader:
            self.batches.append([commands.decode(data).request_id for data in batch])
        return self.has_leader


class Bench:
    def __init__(self) -> None:
        self.core = Core()
        self.queue = Proposals(1, 100, 7.0)
        self.results: dict[int, Any] = {}
        self._added = 0

    def add(self, now: float = 0.0, value: bytes = b"") -> int:
        """Add a proposal; its number, by which its result is found."""
        number = self._added
        self._added += 1
        self.queue.add(now, Put(b"k", value), lambda result: self.results.update({number: result}))
        return number

    def submit(self, term: int) -> list[list[int]]:
        """The batches that go out."""
        self.core.batches.clear()
        self.queue.submit(self.core.propose, term)
        return list(self.core.batches)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_was_gathered_goes_as_one_batch(bench: Bench) -> None:
    for _ in range(3):
        bench.add()
    assert bench.submit(1) == [[100, 101, 102]]
    assert bench.submit(1) == []
    bench.queue.resolve(101, "done")
    assert bench.results == {1: "done"}


def test_what_is_lost_with_a_leader_goes_to_the_next_once_and_in_order(bench: Bench) -> None:
    for _ in range(4):
        bench.add()
    bench.submit(1)
    bench.queue.resolve(102, "committed")
    bench.add()  # has not gone out yet
    assert bench.submit(2) == [[104]]
    bench.queue.on_term_applied(2)
    assert bench.submit(2) == [[100, 101, 103]]
    bench.queue.on_term_applied(2)
    assert bench.submit(2) == []
    bench.queue.on_term_applied(3)
    assert bench.submit(3) == [[104, 100, 101, 103]]


def test_what_waits_comes_after_what_was_lost(bench: Bench) -> None:
    bench.add()
    bench.submit(1)
    bench.core.has_leader = False
    bench.add()
    assert bench.submit(1) == []
    bench.core.has_leader = True
    bench.queue.on_term_applied(2)
    assert bench.submit(2) == [[100, 101]]


def test_nothing_is_sent_again_after_a_snapshot(bench: Bench) -> None:
    bench.add()
    bench.submit(1)
    bench.queue.on_snapshot()
    bench.queue.on_term_applied(2)
    assert bench.submit(2) == []
    bench.queue.expire(8.0)
    assert isinstance(bench.results[0], RequestTimeoutError)


def test_what_has_timed_out_is_not_sent(bench: Bench) -> None:
    bench.add(now=0.0)
    bench.submit(1)
    bench.core.has_leader = False
    bench.add(now=1.0)
    bench.add(now=5.0)
    bench.submit(1)
    bench.queue.expire(8.5)
    assert {number: type(result) for number, result in bench.results.items()} == {
        0: RequestTimeoutError,
        1: RequestTimeoutError,
    }
    bench.queue.on_term_applied(2)
    bench.core.has_leader = True
    assert bench.submit(2) == [[102]]
    assert len(bench.queue) == 1
    bench.queue.fail_all(StoppedError)
    assert isinstance(bench.results[2], StoppedError)


def test_what_was_lost_and_has_timed_out_is_not_sent_again(bench: Bench) -> None:
    """Also behind one that still waits: what is sent again comes after what is newer."""
    bench.add(now=0.0)
    bench.submit(1)
    bench.add(now=5.0)
    assert bench.submit(2) == [[101]]
    bench.queue.on_term_applied(2)
    assert bench.submit(2) == [[100]]
    bench.queue.expire(8.0)
    bench.queue.on_term_applied(3)
    assert bench.submit(3) == [[101]]


def test_batches_and_what_waits_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "BATCH_BYTES_MAX", 1000)
    monkeypatch.setattr(proposals, "PENDING_BYTES_MAX", 5000)
    for _ in range(5):
        bench.add(value=bytes(900))
    refused = bench.add(value=bytes(900))
    assert isinstance(bench.results[refused], TooManyRequestsError)
    assert bench.submit(1) == [[100, 101], [102, 103], [104]]
    bench.add(value=bytes(900))
    assert refused + 1 not in bench.results
