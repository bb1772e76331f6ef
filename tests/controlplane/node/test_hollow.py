"""Agents of nodes that run nothing, as `controlplane hollow` has them, in a simulated world."""

from typing import Any

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
