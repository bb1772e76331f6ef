"""Other people's clients against our member, each in an environment of its own.

The Python ones have generated protobuf files that define the same messages as ours, so they cannot
share a process with them.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import KEELSON, ClusterProcesses
from tests.foreign.conftest import Install, python_with

PYTHON_CLIENTS = {
    # etcd3's generated code needs protobuf before 4.
    "etcd3": ["etcd3==0.12.0", "protobuf==3.20.3", "setuptools<81"],
    "aetcd": ["aetcd==1.0.0a4"],
}
NODE_CLIENT = "etcd3@1.1.2"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcesses]:
    with ClusterProcesses(KEELSON, tmp_path_factory.mktemp("foreign")) as cluster:
        yield cluster


@pytest.mark.parametrize("name", PYTHON_CLIENTS)
def test_a_python_client_works_unmodified(
    name: str, member: ClusterProcesses, install: Install, tmp_path: Path
) -> None:
    python = python_with(install, tmp_path, *PYTHON_CLIENTS[name])
    _run_session([python], f"{name}_session.py", member, tmp_path)


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_node_client_works_unmodified(
    member: ClusterProcesses, install: Install, tmp_path: Path
) -> None:
    install(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), NODE_CLIENT])
    _run_session(["node"], "etcd3_session.cjs", member, tmp_path)


def _run_session(
    interpreter: list[str], script: str, member: ClusterProcesses, folder: Path
) -> None:
    host, _, port = member.endpoints[0].rpartition(":")
    ended = subprocess.run(
        [*interpreter, str(Path(__file__).with_name(script)), host, port],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "all calls answered as expected" in ended.stdout
