"""Everything is killed while pods come and go; `scripts/audit` judges what is left.

Shows issue 6, "Must show" 4, in short; and that the audit tells what somebody has planted in a
cluster that runs.
"""

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import control
from cluster.chaos import manifests
from cluster.namespaces import Namespace, until
from controlplane.ctl import kubeconfig
from controlplane.ctl.client import ApiClient
from tests.cluster.test_launcher import Up

# A whole cluster, as in test_running.py: one at a time is enough for a machine (tests/groups.py).
pytestmark = pytest.mark.timeout(600)
AUDIT = Path(__file__).parents[3] / "scripts" / "audit"
SEED = "4"
MINUTES = "0.15"
PODS = f"/registry/core/pods/{manifests.NAMESPACE}/"
WRITERS = ("controllers", "scheduler", "n1", "n2", "n3")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    if shutil.which("etcdctl") is None:
        pytest.skip("there is no etcdctl: scripts/test installs etcd-client")
    running = Up(tmp_path_factory.mktemp("cluster") / "data", is_store_only=False)
    yield running
    running.interrupt()


def audit(up: Up) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AUDIT, up.folder], capture_output=True, text=True, timeout=120, check=False
    )


def test_all_heals_and_nothing_is_lost_doubled_or_leaked(up: Up) -> None:
    chaos = [sys.executable, "-m", "cluster", "chaos", f"--data={up.folder}"]
    told = subprocess.run(
        [*chaos, "--minutes", MINUTES, "--seed", SEED],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert told.returncode == 0, (told.stdout, told.stderr)
    kills = [line.split() for line in told.stdout.splitlines() if line.endswith((" s", "-"))]
    assert sum(int(row[-3] if row[-1] == "s" else row[-2]) for row in kills) >= 3, told.stdout
    judged = audit(up)
    assert judged.returncode == 0, judged.stdout
    assert judged.stdout.endswith("compared: no faults\n")


def test_what_is_planted_is_told(up: Up) -> None:
    """Nobody may mend it before it is seen, so those who would do not run."""
    asyncio.run(_deploy(up))
    stray = _stray(up)
    try:
        for name in WRITERS:
            asyncio.run(control.request(up.folder, {"do": "kill", "name": name}))
        pod = _a_pod(up)
        pod["metadata"] |= {"name": "doubled", "uid": "0-doubled"}
        _etcdctl(up, "put", f"{PODS}doubled", json.dumps(pod))
        _etcdctl(up, "put", "/ranges/ip/127.66.200.200", "chaos/leaked")
        judged = audit(up)
    finally:
        stray.kill()
        stray.wait()
    assert judged.returncode == 1
    for fault in (
        f"process {stray.pid} (sleep 1000) of sandbox 0123456789abcdef is an orphan",
        "/ranges/ip/127.66.200.200 has leaked",
        f"have the same address {pod['status']['podIP']}",
        "is Running, and has 0 shims instead of one",
    ):
        assert fault in judged.stdout, judged.stdout


def _stray(up: Up) -> subprocess.Popen[bytes]:
    block = json.loads((up.folder / "cluster.json").read_text())["block"]
    told = {"KEELSON_SANDBOX": "0123456789abcdef", "POD_IP": f"127.{block + 1}.0.250"}
    return subprocess.Popen(["sleep", "1000"], env=os.environ | told)


async def _deploy(up: Up) -> None:
    """One pod, of a replica set: what chaos has left may have none just now."""
    access = kubeconfig.load(up.folder / "kubeconfig", None)
    async with ApiClient(access, lambda _warning: None) as client:
        space = Namespace(client, manifests.NAMESPACE, "test")
        await space.apply(manifests.namespace())
        await space.create(manifests.deployment("kept", 1, random.Random(0)))
        await until(lambda: space.is_rolled_out("kept"), 120)


def _a_pod(up: Up) -> dict[str, Any]:
    lines = _etcdctl(up, "get", "--prefix", f"{PODS}kept-").splitlines()
    found: dict[str, Any] = json.loads(lines[1])
    return found


def _etcdctl(up: Up, *arguments: str) -> str:
    folder = up.folder / "certificates"
    members = json.loads((up.folder / "cluster.json").read_text())["members"]
    command = [
        "etcdctl",
        f"--endpoints=https://127.0.0.1:{members[0]['client_port']}",
        f"--cacert={folder}/store-ca.crt",
        f"--cert={folder}/store-admin.crt",
        f"--key={folder}/store-admin.key",
        *arguments,
    ]
    environment = os.environ | {"ETCDCTL_API": "3"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env=environment
    ).stdout
