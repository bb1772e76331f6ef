"""What shares a cluster is run by one process, and begins first."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.groups import group_of, rank_of

ROOT = Path(__file__).parents[1]
SCRIPTS = "tests/e2e/kubectl/test_scripts.py::test_kubectl_sees_what_kubernetes_documents"
SHARING = "tests/e2e/running/test_running.py"
TEST = """\
import os
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with Path({told!r}).open("a") as file:
        print({name!r}, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/e2e/running/test_running.py::test_a[b]", "tests/e2e/running/"),
        (f"{SCRIPTS}[get-all-newest-keelson]", "tests/e2e/kubectl/-newest-keelson"),
        (f"{SCRIPTS}[get-all-1.20-keelson]", "tests/e2e/kubectl/-1.20-keelson"),
        ("tests/cluster/test_launcher.py::test_a", "tests/cluster/"),
        ("tests/conformance/test_put.py::test_a[etcd]", "tests/conformance/etcd"),
        ("tests/conformance/test_put.py::test_a[keelson-b-c]", "tests/conformance/keelson"),
        ("tests/conformance/test_put.py::test_a[b-keelson]", "tests/conformance/keelson"),
    ],
)
def test_who_shares_something_is_in_a_group(test: str, group: str) -> None:
    assert group_of(test) == group
    assert rank_of(test) < rank_of("tests/controlplane/test_codec.py::test_a")


@pytest.mark.parametrize(
    "test",
    [
        "tests/controlplane/test_codec.py::test_a",
        "tests/conformance/test_coverage_table.py::test_a",
        "tests/e2e/kubectl/test_list.py::test_a",
    ],
)
def test_who_shares_nothing_goes_to_whoever_is_free(test: str) -> None:
    assert group_of(test) == test


def test_a_group_is_run_by_one_process_and_first(tmp_path: Path) -> None:
    """Also with the next pytest-xdist, which has to ask us."""
    told = tmp_path / "told"
    for name in ("tests/alone/test_alone.py", SHARING):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(TEST.format(told=str(told), name=name))
    (tmp_path / "tests/conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "tests/groups.py").write_text((ROOT / "tests/groups.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    lines = [line.split() for line in told.read_text().splitlines()]
    assert len(lines) == 12
    (worker,) = {worker for name, worker in lines if name == SHARING}
    # Of its own: the other one may have ended all its tests before this one had its first.
    assert [name for name, one in lines if one == worker][:6] == [SHARING] * 6
