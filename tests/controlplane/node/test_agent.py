"""The agent of a node, in a simulated world: from an object to containers, and back.

Numbers are rows of kube-behaviour.md.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Probe
from controlplane.node.handlers import Answer, Target
from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World, run
from controlplane.tokens import Tokens
from tests.controlplane.controllers.objects import signing_key
from tests.controlplane.node.nodes import (
    ADDRESS,
    Node,
    container,
    events,
    find,
    is_ready,
    kinds,
    node,
    pod,
    status,
)

EXEC = {"exec": {"command": ["check"]}}


async def until_ready(world: World, user: ObjectStore, name: str, seconds: float = 10) -> Any:
    async def is_so() -> bool:
        return is_ready(await status(user, name))

    await world.until(is_so, seconds_max=seconds)
    return await status(user, name)


async def until_phase(
    world: World, user: ObjectStore, name: str, phase: str, seconds: float = 60
) -> Any:
    async def is_so() -> bool:
        return (await status(user, name)).get("phase") == phase

    await world.until(is_so, seconds_max=seconds)
    return await status(user, name)


async def until_gone(world: World, user: ObjectStore, here: Node, seconds: float) -> None:
    async def is_so() -> bool:
        return await find(user, "p") is None and await here.is_empty()

    await world.until(is_so, seconds_max=seconds)


async def delete(user: ObjectStore, grace: int | None = None) -> None:
    options = DeleteOptions(grace_period_seconds=grace)
    await user.delete(kinds().pods, "default", "p", options=options)


def scripted(**by_name: Script) -> Callable[[SandboxConfig, ContainerConfig], Script]:
    return lambda sandbox, config: by_name.get(config.name, Script())


def test_pod_runs_and_tells_so() -> None:
    """10.1."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            told = await until_ready(world, user, "p")
            assert told["phase"] == "Running"
            assert told["hostIP"] == ADDRESS
            assert told["podIP"].startswith("10.1.0.")
            assert told["podIPs"] == [{"ip": told["podIP"]}]
            assert told["containerStatuses"][0]["containerID"].startswith("fake://container-")
            kinds_told = {one["type"]: one["status"] for one in told["conditions"]}
            assert kinds_told == dict.fromkeys(
                (
                    "PodReadyToStartContainers",
                    "Initialized",
                    "Ready",
                    "ContainersReady",
                    "PodScheduled",
                ),
                "True",
            )
            await delete(user)
            await until_gone(world, user, here, seconds=5)
            assert await events(user) == [
                ("Normal", "Pulling", 'Pulling image "local/a"'),
                (
                    "Normal",
                    "Pulled",
                    (
                        'Successfully pulled image "local/a" in 0s (0s including waiting). '
                        "Image size: 0 bytes."
                    ),
                ),
                ("Normal", "Created", "Created container: a"),
                ("Normal", "Started", "Started container a"),
                ("Normal", "Killing", "Stopping container a"),
            ]

    run(application)


def test_deaf_container_is_killed_when_its_grace_is_over() -> None:
    """10.6: 30 s."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=None))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            begun = world.clock.now()
            await delete(user)
            await until_gone(world, user, here, seconds=33)
            assert world.clock.now() - begun >= 30

    run(application)


def test_deletion_may_be_hurried() -> None:
    """10.6."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=None))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            await delete(user)
            await world.clock.sleep(2)
            await delete(user, grace=1)
            await until_gone(world, user, here, seconds=4)

    run(application)


def test_pod_that_is_deleted_by_force_ends() -> None:
    """10.6: its object is gone at once, its processes are not forgotten."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await until_ready(world, user, "p")
            await delete(user, grace=0)
            assert await find(user, "p") is None
            await until_gone(world, user, here, seconds=3)

    run(application)


def test_pre_stop_hook_comes_first_and_may_overrun_by_two_seconds() -> None:
    """10.6: + 2 s if preStop overruns."""

    async def application(world: World) -> None:
        slow = Script(answer_seconds=60, stop_seconds=None)
        slow_node = node(world, script=scripted(a=slow))
        async with slow_node as here, world.connect() as user, here.agent():
            hooked = container("a", lifecycle={"preStop": EXEC})
            await user.create(kinds().pods, pod("p", hooked))
            await until_ready(world, user, "p")
            begun = world.clock.now()
            await delete(user, grace=10)
            await until_gone(world, user, here, seconds=14)
            assert 12 <= world.clock.now() - begun < 13
            assert "FailedPreStopHook" in [one[1] for one in await events(user)]

    run(application)


def test_pods_outlive_their_agent() -> None:
    """… and stay ready: another agent begins with what was told."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            async with here.agent():
                asked = container("a", startupProbe=EXEC, readinessProbe=EXEC)
                await user.create(kinds().pods, pod("p", asked))
                before = await until_ready(world, user, "p", seconds=25)
                await user.create(kinds().pods, pod("q"))
                await until_ready(world, user, "q")
            await user.delete(kinds().pods, "default", "q")
            await world.clock.sleep(5)
            containers = await here.runtime.list_containers()
            assert [one.state for one in containers] == ["running", "running"]
            async with here.agent():

                async def is_q_gone() -> bool:
                    return await find(user, "q") is None

                await world.until(is_q_gone, seconds_max=10)
                assert await status(user, "p") == before
            assert len(await here.runtime.list_containers()) == 1

    run(application)


def test_what_a_pod_left_while_there_was_no_agent_is_removed() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            async with here.agent():
                await user.create(kinds().pods, pod("p"))
                await until_ready(world, user, "p")
            await delete(user, grace=0)
            async with here.agent():
                await until_gone(world, user, here, seconds=5)

    run(application)


def test_pod_of_the_same_name_is_another_one() -> None:
    """StatefulSets rely on it: the old one's processes end, the new one's begin."""

    async def application(world: World) -> None:
        deaf = scripted(a=Script(stop_seconds=5))
        async with node(world, script=deaf) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            old = (await until_ready(world, user, "p"))["podIP"]
            await delete(user, grace=0)
            await user.create(kinds().pods, pod("p"))
            new = (await until_ready(world, user, "p"))["podIP"]
            assert new != old
            await world.clock.sleep(10)
            assert len(await here.runtime.list_containers()) == 1

    run(application)


def test_pod_of_another_node_is_left_alone() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p", node="node-2"))
            unbound = pod("q")
            del unbound["spec"]["nodeName"]
            await user.create(kinds().pods, unbound)
            await world.clock.sleep(5)
            assert await here.is_empty()

    run(application)


def test_crash_loop_waits_longer_each_time() -> None:
    """10.4: started again at 0, 10, 20, 40 s after its end."""
    starts: list[float] = []

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            starts.append(world.clock.now())
            return Script(run_seconds=1, exit_code=1)

        async with node(world, script=script) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await world.clock.sleep(90)
            waits = [round(b - a - 1) for a, b in itertools.pairwise(starts)]
            assert waits == [0, 10, 20, 40]
            (one,) = (await status(user, "p"))["containerStatuses"]
            assert one["restartCount"] == 4
            assert one["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            backoffs = [one[2] for one in await events(user) if one[1] == "BackOff"]
            uid = (await find(user, "p") or {})["metadata"]["uid"]
            message = f"Back-off restarting failed container a in pod p_default({uid})"
            assert set(backoffs) == {message}

    run(application)


def test_crash_loop_goes_on_where_it_was_with_another_agent() -> None:
    """10.4: a new agent does not begin at 10 s again."""
    starts: list[float] = []

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            starts.append(world.clock.now())
            return Script(run_seconds=1, exit_code=1)

        async with node(world, script=script) as here, world.connect() as user:
            async with here.agent():
                await user.create(kinds().pods, pod("p"))
                await world.clock.sleep(37)  # it waits 40 s from now on
            async with here.agent():
                await world.clock.sleep(30)
                assert len(starts) == 4
                await world.clock.sleep(15)
                assert len(starts) == 5

    run(application)


def test_init_containers_sidecars_and_containers_in_their_order() -> None:
    """10.2, 10.3."""
    order: list[str] = []

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            order.append(config.name)
            ends = config.name in ("i", "j", "a")
            return Script(run_seconds=3.0 if ends else None)

        async with node(world, script=script) as here, world.connect() as user, here.agent():
            inits = [
                container("i"),
                container("s", restartPolicy="Always"),
                container("j"),
            ]
            made = pod("p", initContainers=inits, restartPolicy="Never")
            await user.create(kinds().pods, made)
            told = await until_phase(world, user, "p", "Succeeded")
            assert order == ["i", "s", "j", "a"]
            names = {
                one["name"]: one["state"]["terminated"]["exitCode"]
                for one in (*told["initContainerStatuses"], *told["containerStatuses"])
            }
            assert names == {"i": 0, "s": 143, "j": 0, "a": 0}

    run(application)


def test_readiness_probe_decides_who_gets_requests() -> None:
    """10.5: out after 3 failures, no restart."""
    answers = {"is_up": True}

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        return Answer(answers["is_up"], "nobody is in")

    async def application(world: World) -> None:
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            probe = {"httpGet": {"port": 80}, "periodSeconds": 5}
            await user.create(kinds().pods, pod("p", container("a", readinessProbe=probe)))
            await until_ready(world, user, "p")
            answers["is_up"] = False
            begun = world.clock.now()

            async def is_out() -> bool:
                return not is_ready(await status(user, "p"))

            await world.until(is_out, seconds_max=16)
            assert world.clock.now() - begun > 10  # not after one failure, nor two
            told = await status(user, "p")
            assert told["phase"] == "Running"
            assert told["containerStatuses"][0]["restartCount"] == 0
            said = {one[1:] for one in await events(user) if one[0] == "Warning"}
            assert said == {("Unhealthy", "Readiness probe failed: nobody is in")}

    run(application)


def test_liveness_probe_that_fails_three_times_restarts_its_container() -> None:
    """10.5: period 10 s, failure 3."""

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        return Answer(False, "it hangs")

    async def application(world: World) -> None:
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            await world.clock.sleep(11)  # beyond what an agent that begins spreads its probes over
            await user.create(kinds().pods, pod("p", container("a", livenessProbe=EXEC)))
            await until_ready(world, user, "p")
            begun = world.clock.now()

            async def is_again() -> bool:
                statuses = (await status(user, "p"))["containerStatuses"]
                return bool(statuses[0]["restartCount"] == 1)

            await world.until(is_again, seconds_max=25)
            assert world.clock.now() - begun >= 19
            killing = [one[2] for one in await events(user) if one[1] == "Killing"]
            assert killing == ["Container a failed liveness probe, will be restarted"]

    run(application)


def test_startup_probe_keeps_others_waiting() -> None:
    """10.5: startup disables others until success."""
    asked: list[str] = []

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        is_startup = probe.exec is not None
        asked.append("startup" if is_startup else "liveness")
        return Answer(not is_startup or asked.count("startup") == 3)

    async def application(world: World) -> None:
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            probes = {
                "startupProbe": {**EXEC, "periodSeconds": 1},
                "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
            }
            await user.create(kinds().pods, pod("p", container("a", **probes)))
            await until_ready(world, user, "p")
            await world.clock.sleep(3)
            assert asked[:3] == ["startup"] * 3
            assert set(asked[3:]) == {"liveness"}

    run(application)


def test_probe_that_hangs_harms_nobody() -> None:
    """10.5: others are asked meanwhile."""

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        if target.spec.name == "hangs":
            await world_of[0].clock.sleep(10_000)
        return Answer(True)

    world_of: list[World] = []

    async def application(world: World) -> None:
        world_of.append(world)
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("q", container("hangs", readinessProbe=EXEC)))
            await user.create(kinds().pods, pod("p", container("a", readinessProbe=EXEC)))
            await until_ready(world, user, "p", seconds=15)
            assert not is_ready(await status(user, "q"))
            await user.delete(kinds().pods, "default", "q")
            await delete(user)
            await until_gone(world, user, here, seconds=10)

    run(application)


def test_pod_that_is_active_for_too_long_fails() -> None:
    """10.6: DeadlineExceeded."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p", activeDeadlineSeconds=20))
            await until_ready(world, user, "p")
            told = await until_phase(world, user, "p", "Failed", seconds=25)
            assert told["reason"] == "DeadlineExceeded"
            containers = await here.runtime.list_containers()
            assert [one.state for one in containers] == ["exited"]  # kept for its log

    run(application)


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
            token = (here.root / "pods" / uid / "volumes" / "v" / "token").read_text()
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
            folder = here.root / "pods" / made["metadata"]["uid"] / "volumes" / "v"
            (folder / "big").write_bytes(b"x" * 100_000)
            told = await until_phase(world, user, "p", "Failed", seconds=15)
            assert told["reason"] == "Evicted"
            assert 'EmptyDir volume "v" exceeds the limit "64Ki"' in told["message"]

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
