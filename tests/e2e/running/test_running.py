"""kubectl on pods that run: a whole cluster, as `cluster up` starts it, and its newest client.

Shows issue 6, "Must show" 2; each scenario names its rows of kube-behaviour.
"""

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import yaml

from tests.cluster.test_launcher import Up, cluster
from tests.e2e.kubectl import programs
from tests.e2e.kubectl.runner import Runner
from tests.e2e.kubectl.script import Line, Scenario
from tests.e2e.running import nodes, pods, workloads

pytestmark = pytest.mark.timeout(600)
COMMANDS_MIN, ERRORS_MIN = 80, 20
KILLED = ("a pod's process", "a node agent", "scheduler", "controllers", "leader", "apiserver")
SCENARIOS = (*pods.SCENARIOS, *workloads.SCENARIOS)
_HOLLOW = "3 hollow nodes; objects of those that are no more stay NotReady\n"

_numbers = count(1)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("cluster") / "data", is_store_only=False)
    yield running
    running.interrupt()


@pytest.fixture(scope="module")
def kubectl() -> Path:
    program = programs.found("newest")
    if program is None:
        pytest.skip("there is no kubectl: scripts/kubectls gets some")
    return program


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_kubectl_sees_pods_run(scenario: Scenario, up: Up, kubectl: Path, tmp_path: Path) -> None:
    _run(scenario, up, kubectl, tmp_path)


def test_hollow_nodes_come_have_pods_and_go(up: Up, kubectl: Path, tmp_path: Path) -> None:
    """`cluster hollow`: as many more nodes as it says, told from the others by nobody."""
    told = cluster(up.folder, "hollow", "--nodes=3")
    assert (told.returncode, told.stdout) == (0, _HOLLOW), told.stderr
    _run(nodes.HOLLOW_NODES_COME, up, kubectl, tmp_path)
    assert cluster(up.folder, "hollow", "--nodes=0").returncode == 0
    _run(nodes.HOLLOW_NODES_GO, up, kubectl, tmp_path)


def _run(scenario: Scenario, up: Up, kubectl: Path, tmp_path: Path) -> None:
    """In a namespace of its own."""
    namespace = f"run-{next(_numbers):03d}"
    kubeconfig = yaml.safe_load((up.folder / "kubeconfig").read_text())
    kubeconfig["contexts"][0]["context"]["namespace"] = namespace
    runner = Runner(kubectl, programs.minor_of(kubectl), tmp_path, kubeconfig, namespace)
    minor = programs.OLDEST_MINOR
    made = Line(command=f"create namespace {namespace}", out=None)
    gone = Line(command=f"delete namespace {namespace} --wait=false", out=None, err=None)
    runner.run(Scenario(name="namespace", rows="3.1", lines=(made,), since=minor))
    try:
        runner.run(scenario)
    finally:
        runner.run(Scenario(name="namespace", rows="3.1", lines=(gone,), since=minor))


def test_the_story_is_told_and_all_heals(up: Up) -> None:
    """`cluster demo`: no request is lost in an update, a roll-back or when a node is drained."""
    told = subprocess.run(
        [sys.executable, "-m", "cluster", "demo", f"--data={up.folder}"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert told.returncode == 0, (told.stdout, told.stderr)
    rows = [line for line in told.stdout.splitlines() if " s " in line]
    killed = [row.split("  ")[0] for row in rows if row.startswith("kill ")]
    assert killed == [f"kill {name}" for name in KILLED]
    assert told.stdout.splitlines()[-1] == "everything healed, and no update lost a request"


def test_there_are_many_commands_and_many_errors() -> None:
    lines = [line for scenario in SCENARIOS for line in scenario.lines if line.command]
    assert len({(line.command, line.stdin) for line in lines}) >= COMMANDS_MIN
    assert len({(line.command, line.stdin) for line in lines if line.is_error}) >= ERRORS_MIN
