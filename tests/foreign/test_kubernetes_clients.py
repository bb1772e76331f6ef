"""Other people's Python clients of Kubernetes, unmodified, against our API server and our store.

Each session creates, lists, patches in every way that its client has (2.14), applies where it can
(2.15), watches (2.4) and handles a custom resource from its definition to its end.
`requirements/NAME.txt` are made by `uv pip compile --generate-hashes --universal`.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import KEELSON, ClusterProcesses
from tests.e2e.processes import ApiServerProcess, ControllersProcess
from tests.foreign.conftest import Install, python_with

HERE = Path(__file__).parent
SESSION_SECONDS_MAX = 240
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServerProcess]:
    """One of our store's members, an API server and its controllers."""
    folder = tmp_path_factory.mktemp("kubernetes")
    with (
        ClusterProcesses(KEELSON, folder / "store") as store,
        ApiServerProcess(folder / "apiserver", store.endpoints) as server,
        ControllersProcess(folder / "controllers", store.endpoints, server),
    ):
        yield server


@pytest.mark.parametrize("name", ["kubernetes", "kr8s", "lightkube"])
def test_a_client_of_kubernetes_works_unmodified(
    name: str, api_server: ApiServerProcess, install: Install, tmp_path: Path
) -> None:
    locked = HERE / "requirements" / f"{name}.txt"
    python = python_with(install, tmp_path, "--require-hashes", "-r", str(locked))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(api_server.kubeconfig(namespace="default")))
    ended = subprocess.run(
        [python, str(HERE / f"{name}_session.py"), str(kubeconfig), f"foreign-{name}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SESSION_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4_000:]
    assert "all calls answered as expected" in ended.stdout
