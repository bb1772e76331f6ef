from pathlib import Path

import pytest

from benchmarks.report import RowReport, row_report
from benchmarks.rows import Row, all_rows
from tests.benchmarks.made_up import outcome, report

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from benchmarks import plot


def _measured(row: Row) -> RowReport:
    return row_report(row, [(outcome(1_000.0 * row.clients), outcome(2_000.0 * row.clients))])


def test_a_curve_is_a_load_with_several_numbers_of_clients() -> None:
    curves = plot.curves_of([_measured(row) for row in reversed(all_rows())])
    assert {load: [row.clients for row in rows] for load, rows in curves.items()} == {
        load: [1, 32, 500]
        for load in ("put 256 B", "linearizable get", "serializable get", "txn of 4 puts")
    }


@pytest.mark.parametrize("count", [0, 2, 6])
def test_a_picture_is_drawn_of_what_there_is(tmp_path: Path, count: int) -> None:
    path = tmp_path / "plot.png"
    plot.write(report(*map(_measured, all_rows()[:count])), path)
    assert path.read_bytes().startswith(b"\x89PNG")
