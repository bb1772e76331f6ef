"""Every scenario of `scripts/`, with three kubectls and over two stores.

Shows issue 5, "Must show" 2 and 3; each scenario names its rows of kube-behaviour.
"""

from itertools import count, product
from pathlib import Path

import pytest

from tests.e2e.conftest import STORES
from tests.e2e.kubectl import programs
from tests.e2e.kubectl.runner import Runner
from tests.e2e.kubectl.script import Scenario
from tests.e2e.kubectl.scripts import SCENARIOS
from tests.e2e.processes import ApiServerProcess

OFFERED = frozenset({"controllers"})
"""Parts that scenarios may need and that run beside the API server: "controllers"."""

PAIRS = (("newest", "keelson"), ("oldest", "etcd"), ("1.20", "keelson"))
"""Versions and stores that meet unless all are asked for: `--all-pairs`, or `--target STORE`."""

_numbers = count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scenario with each pair that is asked for, if such a kubectl can type it."""
    cases = [
        pytest.param(version, store, one, id=f"{one.name}-{version}-{store}")
        for version, store in _pairs(metafunc.config)
        for one in SCENARIOS
        if one.since <= _minor(version)
    ]
    metafunc.parametrize(
        ("kubectl", "store", "scenario"), cases, indirect=("kubectl", "store"), scope="session"
    )


def _pairs(config: pytest.Config) -> list[tuple[str, str]]:
    target = config.getoption("--target")
    if config.getoption("--all-pairs"):
        pairs = list(product(programs.all_versions(), STORES))
    elif target is not None:
        pairs = list(product(programs.VERSIONS, STORES))
    else:
        pairs = list(PAIRS)
    return [pair for pair in pairs if target in (None, pair[1])]


def _minor(version: str) -> int:
    number = version.removeprefix("1.")
    return int(number) if number.isdigit() else programs.OLDEST_MINOR


@pytest.fixture(scope="session")
def kubectl(request: pytest.FixtureRequest) -> Path:
    """A kubectl of one of `programs.VERSIONS`, or of a version by its number."""
    program = programs.found(request.param)
    if program is None:
        pytest.skip(f"there is no {request.param} kubectl: scripts/kubectls gets some")
    return program


def test_kubectl_sees_what_kubernetes_documents(
    scenario: Scenario, kubectl: Path, api_server: ApiServerProcess, tmp_path: Path
) -> None:
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
