"""A bounded run of the torture; 20 rounds and more by `python -m kvstore.testing torture`."""

import shutil
from pathlib import Path

import pytest

from kvstore.testing import torture
from kvstore.testing.processes import ETCD

pytestmark = [
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize(("faults", "rounds"), [("kill", 3), ("kill-all", 2)])
def test_no_acknowledged_write_is_lost(tmp_path: Path, faults: str, rounds: int) -> None:
    report = torture.run(tmp_path / "cluster", faults=faults, rounds=rounds, writers=32)
    assert report.acknowledged >= (rounds + 1) * torture.ACKNOWLEDGEMENTS_PER_ROUND
    assert len(report.recoveries) == rounds


@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
def test_etcd_itself_can_be_compared_with(tmp_path: Path) -> None:
    report = torture.run(tmp_path / "cluster", faults="kill-all", rounds=1, writers=8, program=ETCD)
    assert report.acknowledged >= 2 * torture.ACKNOWLEDGEMENTS_PER_ROUND
