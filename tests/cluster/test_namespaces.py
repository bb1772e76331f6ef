"""The namespaces of `cluster demo` and `cluster chaos`, beside those of others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.chaos import manifests as of_chaos
from cluster.demo import manifests as of_demo
from cluster.namespaces import Namespace
from controlplane.ctl import kubeconfig
from controlplane.ctl.client import ApiClient
from tests.cluster.test_control_plane import cpctl, create
from tests.cluster.test_launcher import Up, cluster

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cluster") / "data"
    up = Up(path, "--members=1", "--nodes=0", is_store_only=False)
    yield path
    up.interrupt()


@pytest.mark.parametrize("command", [("demo",), ("chaos", "--minutes=0.1")])
def test_a_namespace_of_a_users_is_never_deleted(folder: Path, command: tuple[str, ...]) -> None:
    name = command[0]
    create(folder, name, kind="Namespace")
    refused = cluster(folder, *command)
    assert refused.returncode == 1
    assert f"cluster: namespace {name} is not of an earlier {name}" in refused.stderr
    found = cpctl(folder, "get", "namespace", name, "--no-headers")
    assert found.stdout.split()[:2] == [name, "Active"], found.stderr
    assert cpctl(folder, "delete", "namespace", name).returncode == 0


async def test_one_of_an_earlier_run_is_deleted_with_all_that_is_in_it(folder: Path) -> None:
    access = kubeconfig.load(folder / "kubeconfig", None)
    async with ApiClient(access, lambda _warning: None) as client:
        for manifests in (of_demo, of_chaos):
            space = Namespace(client, manifests.NAMESPACE, manifests.MANAGER)
            await space.delete_all()  # there is none
            await space.apply(manifests.namespace())
            await space.create(config_map("a"))
            await space.delete_all()
            await space.apply(manifests.namespace())
            assert "a" not in [one["metadata"]["name"] for one in await space.all("ConfigMap")]
            await space.delete_all()


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
