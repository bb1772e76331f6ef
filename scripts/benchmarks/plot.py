"""Rate and 99th percentile against clients, both systems. Needs matplotlib; imported only here."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

from benchmarks.report import Report, RowReport

_PANEL_INCHES = (3.2, 2.8)
_FIGURES = (("rate", "per second"), ("p99_ms", "p99, ms"))
_SYSTEMS = (("medians_etcd", "etcd", "C1"), ("medians_ours", "ours", "C0"))


def write(report: Report, path: Path) -> None:
    """One column for each load that was run with several numbers of clients."""
    mpl.use("Agg")  # no screen
    curves = curves_of(report.rows)
    width, height = _PANEL_INCHES
    figure, panels = pyplot.subplots(
        2, max(len(curves), 1), figsize=(width * max(len(curves), 1), height * 2), squeeze=False
    )
    for column, (load, rows) in enumerate(curves.items()):
        panels[0][column].set_title(load)
        for line, (field, label) in enumerate(_FIGURES):
            panel = panels[line][column]
            clients = [row.clients for row in rows]
            for medians, system, color in _SYSTEMS:
                figures = [getattr(getattr(row, medians), field) for row in rows]
                panel.plot(clients, figures, "o-", color=color, label=system)
            panel.set(xscale="log", yscale="log", xlabel="clients", ylabel=label)
            panel.set_xticks(clients, [str(number) for number in clients])
            panel.grid(alpha=0.3)
            panel.legend()
    figure.suptitle(f"{report.began[:10]}, {report.plan}: median of {report.pairs}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def curves_of(rows: list[RowReport]) -> dict[str, list[RowReport]]:
    """Rows by load where the number of clients varies, clients ascending."""
    curves: dict[str, list[RowReport]] = {}
    for row in rows:
        if not row.is_on_leader:
            curves.setdefault(row.load, []).append(row)
    return {
        load: sorted(found, key=lambda row: row.clients)
        for load, found in curves.items()
        if len({row.clients for row in found}) > 1
    }
