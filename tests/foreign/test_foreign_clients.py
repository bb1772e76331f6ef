"""Other people's Python clients against our member, each in an environment of its own.

Their generated protobuf files define the same messages as ours, so they cannot share a process.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import KEELSON, ClusterProcesses

SESSIONS = {
    # etcd3's generated code needs protobuf before 4.
    "etcd3": ["etcd3==0.12.0", "protobuf==3.20.3", "setuptools<81"],
    "aetcd": ["aetcd==1.0.0a4"],
}
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcesses]:
    with ClusterProcesses(KEELSON, tmp_path_factory.mktemp("foreign")) as cluster:
        yield cluster


@pytest.mark.parametrize("name", SESSIONS)
def test_a_foreign_client_works_unmodified(
    name: str, member: ClusterProcesses, tmp_path: Path
) -> None:
    folder = tmp_path / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", str(folder)], check=True, timeout=300)
    install = subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", str(folder), *SESSIONS[name]],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if install.returncode != 0:
        pytest.skip(f"{name} cannot be installed here: {install.stderr[-300:]}")
    host, _, port = member.endpoints[0].rpartition(":")
    session = Path(__file__).with_name(f"{name}_session.py")
    ended = subprocess.run(
        [str(folder / "bin" / "python"), str(session), host, port],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "all calls answered as expected" in ended.stdout
