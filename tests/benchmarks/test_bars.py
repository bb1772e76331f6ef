import math

import pytest

from benchmarks.bars import BARS, Bar, Ratios
from benchmarks.rows import all_rows


def test_every_bar_belongs_to_a_row() -> None:
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names)
    assert set(BARS) <= set(names)


def test_rows_on_the_leader_and_of_large_values_have_no_bar() -> None:
    free = {row.name for row in all_rows()} - set(BARS)
    assert free == {
        "txn of 4 puts, 1 client",
        "put 256 B, 32 clients on the leader",
        "linearizable get, 32 clients on the leader",
        "put 1 MiB, 8 clients",
        "get 1 MiB, 8 clients",
    }


@pytest.mark.parametrize(
    ("ratios", "missed"),
    [
        (Ratios(rate=1.8, cpu=0.5, p99=1.0), []),
        (Ratios(rate=1.79, cpu=0.5, p99=1.0), ["rate 1.79 < 1.8"]),
        (Ratios(rate=9.0, cpu=0.51, p99=1.01), ["cpu 0.51 > 0.5", "p99 1.01 > 1"]),
        (
            Ratios(rate=math.nan, cpu=math.nan, p99=math.inf),
            ["rate nan < 1.8", "cpu nan > 0.5", "p99 inf > 1"],
        ),
    ],
)
def test_a_bar_says_what_was_missed(ratios: Ratios, missed: list[str]) -> None:
    assert Bar(rate_min=1.8, cpu_max=0.5, p99_max=1.0).misses(ratios) == missed


def test_what_has_no_bound_is_never_missed() -> None:
    assert Bar().misses(Ratios(rate=0.0, cpu=99.0, p99=99.0)) == []
