"""Rounds in numbers: what counts as being away, and what the table shows."""

import pytest

from kvstore.testing.torture import report
from kvstore.testing.torture.recorder import Acknowledgement
from kvstore.testing.torture.report import Round


def acknowledged(*pairs: tuple[float, float]) -> list[Acknowledgement]:
    return [Acknowledgement(invoked, completed) for invoked, completed in pairs]


def a_round(fault: str, **fields: object) -> Round:
    facts: dict[str, object] = {
        "operations": 10,
        "unavailable_seconds": 1.0,
        "gap_seconds": 1.5,
        "terms": 1,
        "lag_seconds": 0.5,
    }
    return Round(fault=fault, **{**facts, **fields})  # type: ignore[arg-type]


def test_an_answer_to_a_write_that_was_begun_before_ends_no_unavailability() -> None:
    told = acknowledged((0.9, 1.1), (1.5, 3.0), (1.2, 3.5))
    assert report.unavailable_seconds(told, [1.0]) == pytest.approx(2.0)


def test_the_longest_of_several_moments_counts() -> None:
    told = acknowledged((1.1, 1.2), (5.3, 5.4), (9.5, 9.9))
    assert report.unavailable_seconds(told, [1.0, 5.0, 9.4]) == pytest.approx(0.5)


def test_a_gap_may_be_at_the_edge() -> None:
    told = acknowledged((0, 1), (0, 2), (0, 2.5))
    assert report.gap_seconds(told, begun=0.5, ended=2.6) == 1.0
    assert report.gap_seconds(told, begun=0.5, ended=9.5) == 7.0
    assert report.gap_seconds([], begun=1.0, ended=3.0) == 2.0


def test_the_table_has_a_line_for_each_fault_and_for_all() -> None:
    rounds = [
        a_round("kill", unavailable_seconds=1.0),
        a_round("kill", unavailable_seconds=3.0, operations=1_000, terms=2),
        a_round("cut-all", unavailable_seconds=0.5),
    ]
    lines = report.table(rounds, {"full-disk": "only root can build this rig"}).splitlines()
    assert [line.split() for line in lines[:4]] == [
        [
            "fault",
            "rounds",
            "operations",
            "median",
            "s",
            "max",
            "s",
            "gap",
            "s",
            "terms",
            "lag",
            "s",
        ],
        ["cut-all", "1", "10", "0.50", "0.50", "1.50", "1", "0.50"],
        ["kill", "2", "1,010", "2.00", "3.00", "1.50", "2", "0.50"],
        ["all", "3", "1,020", "1.00", "3.00", "1.50", "2", "0.50"],
    ]
    assert lines[4] == "full-disk: not run: only root can build this rig"
    assert len({len(line) for line in lines[:4]}) == 1


def test_rounds_that_broke_a_bound_are_named_and_so_is_the_median() -> None:
    rounds = [a_round("kill", unavailable_seconds=s) for s in (1.0, 2.5, 5.1)]
    assert report.broken(rounds) == []
    rounds = [a_round("kill", unavailable_seconds=2.6), a_round("kill", detail="m1", broken="slow")]
    assert report.broken(rounds) == ["kill m1: slow"]
    rounds = [a_round("kill", unavailable_seconds=2.6)]
    assert report.broken(rounds) == [
        "the median of all rounds is 2.60 s until they served again",
    ]


def test_a_fault_that_shows_in_none_of_its_rounds_is_named() -> None:
    shown = "it has ended by SIGKILL"
    rounds = [
        a_round("kill", evidence=shown),
        a_round("kill"),
        a_round("loss"),
        a_round("delay", evidence="9 frames delayed"),
        a_round("loss"),
    ]
    assert report.unproven(rounds) == ["loss"]
    assert rounds[0].told.endswith(f"; {shown}")
    assert rounds[1].told.endswith("; NO EVIDENCE that it happened")


def test_failpoints_that_were_never_reached_are_named() -> None:
    rounds = [
        a_round("failpoint", point="wal sync", is_point_reached=True),
        a_round("failpoint", point="wal remove"),
        a_round("failpoint", point="wal sync"),
        a_round("kill"),
    ]
    assert report.points(rounds, ["wal sync", "wal remove"]) == (
        "a member ended at 1 failpoints: wal sync; not reached: wal remove"
    )
    assert report.points(rounds, ["wal sync", "wal roll", "wal remove", "send"]).endswith(
        "; not reached: wal remove; not tried: send, wal roll"
    )


def test_a_fault_that_had_no_turn_is_told_as_one_that_was_not_run() -> None:
    rounds = [a_round("kill")]
    not_run = report.without_turn(["kill", "pause"], rounds)
    assert report.table(rounds, not_run).splitlines()[-1] == (
        "pause: not run: the run was over before its turn"
    )
    assert report.without_turn(["kill"], rounds) == {}


def test_a_broken_bound_is_in_the_line_of_its_round() -> None:
    told = a_round("cut-follower", detail="m2", broken="2 new terms, at most 0 may come of it").told
    assert told.startswith("cut-follower m2: served again after 1.00 s")
    assert told.endswith("; BROKEN: 2 new terms, at most 0 may come of it")
