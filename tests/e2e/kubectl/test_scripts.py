"""Every scenario of `scripts/`, with two kubectls and over two stores.

Shows issue 5, "Must show" 2 and 3; each scenario names its rows of kube-behaviour.
"""

from itertools import count
from pathlib import Path

import pytest

from tests.e2e.kubectl import programs
from tests.e2e.kubectl.runner import Runner
from tests.e2e.kubectl.script import Scenario
from tests.e2e.kubectl.scripts import SCENARIOS
from tests.e2e.processes import ApiServerProcess

OFFERED = frozenset({"controllers"})
"""Parts that scenarios may need and that run beside the API server: "controllers"."""

PAIRS = {("newest", "keelson"), ("oldest", "etcd")}
"""Versions and stores that meet unless all are asked for: `--all-pairs`, or `--target STORE`."""

_numbers = count(1)


@pytest.fixture(scope="session", params=programs.VERSIONS)
def kubectl(request: pytest.FixtureRequest) -> Path:
    """The kubectl on PATH, and the oldest that is installed beside it."""
    program = programs.found(request.param)
    if program is None:
        pytest.skip(f"no {request.param} kubectl ≥ 1.{programs.OLDEST_MINOR} is installed")
    return program


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_kubectl_sees_what_kubernetes_documents(
    scenario: Scenario,
    kubectl: Path,
    api_server: ApiServerProcess,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    pair = tuple(request.node.callspec.params[name] for name in ("kubectl", "store"))
    option = request.config.getoption
    if pair not in PAIRS and not option("--all-pairs") and option("--target") is None:
        pytest.skip("only with --all-pairs")
    if scenario.needs is not None and scenario.needs not in OFFERED:
        pytest.skip(f"needs: {scenario.needs}")
    namespace = f"case-{next(_numbers):04d}"
    _make_namespace(api_server, namespace)
    kubeconfig = api_server.kubeconfig(namespace)
    Runner(kubectl, programs.minor_of(kubectl), tmp_path, kubeconfig, namespace).run(scenario)


def _make_namespace(api_server: ApiServerProcess, namespace: str) -> None:
    """With its account, which a controller would make (kube-behaviour 3.1)."""
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api_server.create("/api/v1/namespaces", made)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    api_server.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
