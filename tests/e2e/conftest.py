"""One store and one API server a session (for each kind of store); whoever uses it keeps to an
own namespace.
"""

from collections.abc import Iterator

import pytest

from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses
from tests.e2e.processes import ApiServerProcess, ControllersProcess

STORES = {"keelson": KEELSON, "etcd": ETCD}
# A crowded machine may hold a member up for a second: no leadership shall be lost by that alone.
PATIENCE = ("--heartbeat-interval=200", "--election-timeout=2000")


@pytest.fixture(scope="session")
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterProcesses]:
    """One member of the store that the parameter names: our own, or Debian's etcd."""
    folder = tmp_path_factory.mktemp(f"store-{request.param}")
    with ClusterProcesses(STORES[request.param], folder, flags=PATIENCE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def api_server(
    store: ClusterProcesses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServerProcess]:
    """An API server over `store`, and its controllers."""
    folder = tmp_path_factory.mktemp("apiserver")
    with (
        ApiServerProcess(folder, store.endpoints) as server,
        ControllersProcess(folder, store.endpoints, server),
    ):
        yield server
