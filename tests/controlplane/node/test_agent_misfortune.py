"""The agent of a node, in a simulated world: what goes wrong, and what comes late.

Numbers are rows of kube-behaviour.md.
"""

from pathlib import Path
from typing import Any

import pytest

from controlplane.api.resource import Object
from controlplane.node.runtime.fake import Script
from controlplane.testing import Cut, World, run
from controlplane.tokens import Tokens
from tests.controlplane.controllers.objects import signing_key
from tests.controlplane.node.nodes import (
    ADDRESS,
    container,
    events,
    is_ready,
    kinds,
    node,
    pod,
    status,
)
from tests.controlplane.node.waiting import (
    delete,
    scripted,
    until_gone,
    until_phase,
    until_ready,
)

PROJECTED = "volumes/kubernetes.io~projected"
EMPTY_DIRS = "volumes/kubernetes.io~empty-dir"


def test_pod_that_does_not_fit_is_refused() -> None:
    """10.1: OutOfcpu."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            asks = {"requests": {"cpu": "20"}}  # of 32
            await user.create(kinds().pods, pod("p", container("a", resources=asks)))
            await until_ready(world, user, "p")
            await user.create(kinds().pods, pod("q", container("a", resources=asks)))
            told = await until_phase(world, user, "q", "Failed")
            assert told["reason"] == "OutOfcpu"
            assert told["message"] == (
                "Pod was rejected: Node didn't have enough resource: cpu, "
                "requested: 20000, used: 20000, capacity: 32000"
            )
            assert len(await here.runtime.list_sandboxes()) == 1
            await delete(user)
            await user.delete(kinds().pods, "default", "q")
            await until_gone(world, user, here, seconds=5)
            await user.create(kinds().pods, pod("r", container("a", resources=asks)))
            await until_ready(world, user, "r")

    run(application)


def test_image_that_cannot_be_had() -> None:
    """10.4: ErrImagePull, ImagePullBackOff, and again after 10 s."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            here.runtime.images["local/a"] = ("ErrImagePull", "no such image")
            await user.create(kinds().pods, pod("p"))
            reasons: list[str] = []

            async def is_seen() -> bool:
                statuses = (await status(user, "p")).get("containerStatuses") or ()
                for one in statuses:
                    reason = one["state"].get("waiting", {}).get("reason")
                    if reason and reason not in reasons[-1:]:
                        reasons.append(reason)
                return reasons[-1:] == ["ImagePullBackOff"]

            await world.until(is_seen, seconds_max=5)
            assert reasons[-2:] == ["ErrImagePull", "ImagePullBackOff"]
            here.runtime.images.clear()
            await until_ready(world, user, "p", seconds=11)
            said = [one[2] for one in await events(user) if one[0] == "Warning"]
            assert said[:2] == [
                'Failed to pull image "local/a": no such image',
                "Error: ErrImagePull",
            ]

    run(application)


def test_pod_that_cannot_be_called_as_it_is_to_be_does_not_start() -> None:
    """setHostnameAsFQDN."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            called: dict[str, Any] = {
                "hostname": "x" * 63,
                "subdomain": "web",
                "setHostnameAsFQDN": True,
            }
            await user.create(kinds().pods, pod("p", **called))
            await world.clock.sleep(5)
            said = [one for one in await events(user) if one[0] == "Warning"]
            why = "Failed to create pod sandbox: failed to construct FQDN from pod hostname"
            assert said[0][1] == "FailedCreatePodSandBox"
            assert said[0][2].startswith(why)
            told = await status(user, "p")
            assert told["phase"] == "Pending"
            assert told["containerStatuses"][0]["state"] == {
                "waiting": {"reason": "ContainerCreating"}
            }

    run(application)


def test_config_that_comes_late_is_waited_for() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            needs = container("a", envFrom=[{"configMapRef": {"name": "c"}}])
            await user.create(kinds().pods, pod("p", needs))

            async def is_refused() -> bool:
                statuses = (await status(user, "p")).get("containerStatuses") or [{}]
                waiting = statuses[0].get("state", {}).get("waiting", {})
                return bool(
                    waiting.get("reason") == "CreateContainerConfigError"
                    and waiting["message"] == 'configmap "c" not found'
                )

            await world.until(is_refused, seconds_max=5)
            config: Object = {
                "metadata": {"name": "c", "namespace": "default"},
                "data": {"COLOUR": "red"},
            }
            await user.create(kinds().configmaps, config)
            await until_ready(world, user, "p", seconds=11)
            (made,) = await here.runtime.list_containers()
            assert made.config.environment["COLOUR"] == "red"

    run(application)


def test_sandbox_that_dies_is_made_anew_and_the_restart_counts() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            (sandbox,) = await here.runtime.list_sandboxes()
            here.runtime.lose_sandbox(sandbox.id)

            async def is_again() -> bool:
                told = await status(user, "p")
                return is_ready(told) and told["containerStatuses"][0]["restartCount"] == 1

            await world.until(is_again, seconds_max=5)
            assert "SandboxChanged" in [one[1] for one in await events(user)]

    run(application)


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_node_that_has_lost_everything(policy: str) -> None:
    """As after a reboot: what may run again does; what may not has failed."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            async with here.agent():
                await user.create(kinds().pods, pod("p", restartPolicy=policy))
                await until_ready(world, user, "p")
            for sandbox in await here.runtime.list_sandboxes():
                await here.runtime.remove_sandbox(sandbox.id)
            async with here.agent():
                if policy == "Never":
                    told = await until_phase(world, user, "p", "Failed")
                    ended = told["containerStatuses"][0]["state"]["terminated"]
                    assert ended["reason"] == "ContainerStatusUnknown"
                else:

                    async def is_again() -> bool:
                        told = await status(user, "p")
                        return bool(told["containerStatuses"][0]["restartCount"] == 1)

                    await world.until(is_again, seconds_max=5)

    run(application)


def test_object_of_a_stranger_stops_nobody() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            broken = pod("x")
            broken["spec"]["containers"] = [{"name": ["no"]}, 3]
            await user.create(kinds().pods, broken)
            empty: Object = {
                "metadata": {"name": "y", "namespace": "default"},
                "spec": {"nodeName": "node-1"},
            }
            await user.create(kinds().pods, empty)
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")

    run(application)


def test_finalizers_hold_the_object_but_not_what_runs() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            held = pod("p")
            held["metadata"]["finalizers"] = ["example.com/mine"]
            await user.create(kinds().pods, held)
            await until_ready(world, user, "p")
            await delete(user)
            await until_phase(world, user, "p", "Failed")

            async def is_quiet() -> bool:
                return not await here.runtime.list_sandboxes()

            await world.until(is_quiet, seconds_max=5)

            def free(current: Object) -> Object:
                return {**current, "metadata": {**current["metadata"], "finalizers": []}}

            await user.update(kinds().pods, "default", "p", free)
            await until_gone(world, user, here, seconds=5)

    run(application)


def test_pods_are_kept_running_while_the_store_is_away() -> None:
    """10.4: a container that ends is started again, and told of when the store is back."""

    async def application(world: World) -> None:
        async with (
            node(world) as here,
            world.connect() as user,
            here.agent(Cut(at_seconds=8, for_seconds=40)),
        ):
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p", seconds=7)
            await world.clock.sleep(8)
            (container,) = await here.runtime.list_containers()
            here.runtime.end(container.id, 1)
            await world.clock.sleep(1)
            states = sorted(one.state for one in await here.runtime.list_containers())
            assert states == ["exited", "running"]
            assert (await status(user, "p"))["containerStatuses"][0]["restartCount"] == 0

            async def is_told() -> bool:
                (one,) = (await status(user, "p"))["containerStatuses"]
                return bool(one["restartCount"] == 1)

            await world.until(is_told, seconds_max=60)

    run(application)


def test_files_follow_their_config_map_within_a_minute() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            config = {"metadata": {"name": "c", "namespace": "default"}, "data": {"a": "1"}}
            await user.create(kinds().configmaps, config)
            volumes = [{"name": "v", "configMap": {"name": "c"}}]
            mounts = [{"name": "v", "mountPath": "/v"}]
            made = pod("p", container("a", volumeMounts=mounts), volumes=volumes)
            await user.create(kinds().pods, made)
            await until_ready(world, user, "p")
            (running,) = await here.runtime.list_containers()
            place = next(
                Path(one.host_path) for one in running.config.mounts if one.container_path == "/v"
            )
            assert (place / "a").read_text() == "1"

            def change(current: Object) -> Object:
                return {**current, "data": {"a": "2"}}

            await user.update(kinds().configmaps, "default", "c", change)

            async def is_new() -> bool:
                return (place / "a").read_text() == "2"

            await world.until(is_new, seconds_max=70)

    run(application)


def test_pod_has_a_token_of_its_account() -> None:
    """11.2: bound to the pod, for the audience that it asks for."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            account: Object = {"metadata": {"name": "default", "namespace": "default"}}
            sources = [{"serviceAccountToken": {"path": "token", "audience": "them"}}]
            volumes = [{"name": "v", "projected": {"sources": sources}}]
            wanted = pod("p", volumes=volumes, serviceAccountName="default")
            made = await user.create(kinds().pods, wanted)

            async def is_told() -> bool:
                return "FailedMount" in [one[1] for one in await events(user)]

            await world.until(is_told, seconds_max=5)
            await user.create(kinds().accounts, account)
            await until_ready(world, user, "p", seconds=15)
            uid = made["metadata"]["uid"]
            token = (here.root / "pods" / uid / PROJECTED / "v" / "token").read_text()
            tokens = Tokens([signing_key()], issuer="us", audiences=("us",))
            claims = tokens.verify(token, now=world.now(), audiences=("them",))
            assert claims.name == "default"
            assert claims.bound == ("pod", "p", uid)

    run(application)


def test_pod_that_fills_its_volume_is_evicted() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            volumes = [{"name": "v", "emptyDir": {"sizeLimit": "64Ki"}}]
            made = await user.create(kinds().pods, pod("p", volumes=volumes))
            await until_ready(world, user, "p")
            folder = here.root / "pods" / made["metadata"]["uid"] / EMPTY_DIRS / "v"
            (folder / "big").write_bytes(b"x" * 100_000)
            told = await until_phase(world, user, "p", "Failed", seconds=15)
            assert told["reason"] == "Evicted"
            assert 'EmptyDir volume "v" exceeds the limit "64Ki"' in told["message"]

    run(application)


def test_pod_that_has_ended_takes_no_address() -> None:
    """… though its object is still there."""

    async def application(world: World) -> None:
        once = scripted(a=Script(run_seconds=1))
        here_small = node(world, block="10.1.0.0/29", script=once)  # five addresses
        async with here_small as here, world.connect() as user, here.agent():
            addresses = []
            for number in range(10):
                await user.create(kinds().pods, pod(f"p{number}", restartPolicy="Never"))
                told = await until_phase(world, user, f"p{number}", "Succeeded", seconds=10)
                addresses.append(told["podIP"])
            assert len(set(addresses)) == 5
            assert (await status(user, "p0"))["podIP"] == addresses[0]

    run(application)


def test_node_without_addresses_is_not_ready_and_waits_for_some() -> None:
    async def application(world: World) -> None:
        here_without = node(world, block="")
        async with here_without as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await user.create(kinds().pods, pod("q", hostNetwork=True))
            assert (await until_ready(world, user, "q"))["podIP"] == ADDRESS
            found = await user.get(kinds().nodes, "", here.name)
            assert not is_ready(found["status"])
            assert "FailedCreatePodSandBox" in [one[1] for one in await events(user)]

            def give(current: Object) -> Object:
                return {**current, "spec": {"podCIDR": "10.2.0.0/24"}}

            await user.update(kinds().nodes, "", here.name, give)
            assert (await until_ready(world, user, "p", 15))["podIP"].startswith("10.2.0.")
            found = await user.get(kinds().nodes, "", here.name)
            assert is_ready(found["status"])

    run(application)
