"""Agents of nodes that run nothing, as `controlplane hollow` has them, in a simulated world."""

import argparse
from typing import Any

import pytest

from controlplane.flags import SettingsError
from controlplane.node import hollow
from controlplane.testing import World, run
from tests.controlplane.node.nodes import BLOCK, NODE, container, kinds, node, pod
from tests.controlplane.node.waiting import delete, until_gone, until_ready

_TOKEN: dict[str, Any] = {
    "name": "access",
    "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
}
_MOUNT = {"name": "access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


def test_pod_with_an_account_runs_and_leaves_without_a_volume() -> None:
    """Each pod that a user makes has a token: a hollow node has no key to sign one with."""

    async def application(world: World) -> None:
        async with node(world, is_hollow=True) as here, world.connect() as user, here.agent():
            made = pod("p", container("a", volumeMounts=[_MOUNT]), volumes=[_TOKEN])
            await user.create(kinds().pods, made)
            told = await until_ready(world, user, "p")
            assert told["podIP"].startswith(BLOCK.removesuffix("0/24"))
            assert not list(here.root.glob("pods/*/volumes"))
            await delete(user)
            await until_gone(world, user, here, seconds=5)

    run(application)


def test_node_brings_its_range_and_comes_back_when_it_is_deleted() -> None:
    async def application(world: World) -> None:
        async with node(world, is_hollow=True) as here, world.connect() as user, here.agent():

            async def is_there() -> bool:
                page = await user.list(kinds().nodes)
                return [one["metadata"]["name"] for one in page.items] == [NODE]

            await world.until(is_there)
            first = await user.get(kinds().nodes, "", NODE)
            assert first["spec"]["podCIDRs"] == [BLOCK]
            await user.delete(kinds().nodes, "", NODE)
            await world.until(is_there)
            again = await user.get(kinds().nodes, "", NODE)
            assert again["metadata"]["uid"] != first["metadata"]["uid"]
            assert again["spec"]["podCIDR"] == BLOCK

    run(application)


def settings(*arguments: str) -> hollow.Settings:
    parser = argparse.ArgumentParser()
    hollow.add_flags(parser)
    store = "--store-endpoints=http://127.0.0.1:2379"
    return hollow.settings_of(parser.parse_args([store, *arguments]))


def test_names_have_the_prefix() -> None:
    assert settings("--nodes=2", "--name-prefix=a.").names == ("a.1", "a.2")


@pytest.mark.parametrize("prefix", ["A_", "-", "a..", "a" * 253])
def test_prefix_that_makes_no_name_of_a_node_is_refused(prefix: str) -> None:
    """An agent writes its Node past the API server, which would refuse it."""
    with pytest.raises(SettingsError, match=r"--name-prefix: .* is no name of a Node"):
        settings("--nodes=10", f"--name-prefix={prefix}")
