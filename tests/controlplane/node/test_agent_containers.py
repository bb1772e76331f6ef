"""The agent of a node, in a simulated world: restarts, init containers, probes.

Numbers are rows of kube-behaviour.md.
"""

import itertools
from pathlib import Path

from controlplane.api.types.core_v1 import Probe
from controlplane.node.handlers import Answer, Target
from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.testing import World, run
from tests.controlplane.node.nodes import (
    container,
    events,
    find,
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

EXEC = {"exec": {"command": ["check"]}}


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


def test_container_takes_what_it_left_with_it() -> None:
    """Of a crash loop the last two attempts are on the disk: the log, and the previous one."""

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            log = Path(sandbox.log_folder, config.log_path)
            log.parent.mkdir(exist_ok=True)
            for name in ("", ".20260101-000000", ".20260101-000000.gz", ".tmp"):
                log.with_name(log.name + name).touch()
            return Script(run_seconds=1, exit_code=1)

        async with node(world, script=script) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            await world.clock.sleep(90)
            logs = {one.name.partition(".")[0] for one in here.root.glob("logs/*/a/*")}
            assert logs == {"3", "4"}
            assert {one.name for one in here.root.glob("pods/*/containers/a/*")} == {"3", "4"}
            assert len(list(here.root.glob("logs/*/a/4.log*"))) == 4

    run(application)


def test_containers_of_sandboxes_that_died_take_what_they_left_with_them() -> None:
    losses = 3

    async def application(world: World) -> None:
        def script(sandbox: SandboxConfig, config: ContainerConfig) -> Script:
            log = Path(sandbox.log_folder, config.log_path)
            log.parent.mkdir(exist_ok=True)
            log.touch()
            return Script()

        async with node(world, script=script) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))
            for number in range(losses):
                await until_ready(world, user, "p", seconds=60)
                sandboxes = {one.config.attempt: one for one in await here.runtime.list_sandboxes()}
                here.runtime.lose_sandbox(sandboxes[number].id)

            async def has_what_is_told_of() -> bool:
                logs = {one.name for one in here.root.glob("logs/*/a/*")}
                return logs == {f"{losses - 1}.log", f"{losses}.log"}

            await world.until(has_what_is_told_of, seconds_max=60)

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


def test_deaf_sidecars_keep_a_job_from_its_end_for_one_grace() -> None:
    """10.3."""
    deaf = Script(stop_seconds=None)

    async def application(world: World) -> None:
        script = scripted(a=Script(run_seconds=1), s=deaf, t=deaf, u=deaf)
        async with node(world, script=script) as here, world.connect() as user, here.agent():
            sidecars = [container(name, restartPolicy="Always") for name in ("s", "t", "u")]
            job = pod("p", initContainers=sidecars, restartPolicy="Never")
            await user.create(kinds().pods, job)
            began = world.clock.now()
            await until_phase(world, user, "p", "Succeeded", seconds=100)
            assert 30 < world.clock.now() - began < 36  # a second of work, 30 s, and 2 s more

    run(application)


def test_readiness_probe_decides_who_gets_requests() -> None:
    """10.5: out after 3 failures, no restart."""
    answers = {"is_up": True}

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        return Answer("success" if answers["is_up"] else "failure", "nobody is in")

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
        return Answer("failure", "it hangs")

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


def test_probe_that_succeeds_with_a_warning_is_told_of() -> None:
    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        return Answer("warning", "it is elsewhere")

    async def application(world: World) -> None:
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p", container("a", readinessProbe=EXEC)))
            await until_ready(world, user, "p", seconds=25)
            assert ("Warning", "ProbeWarning", "Readiness probe warning: it is elsewhere") in (
                await events(user)
            )

    run(application)


def test_probe_that_cannot_be_asked_says_nothing() -> None:
    """10.5: it is told of, and counts neither for the container nor against it."""

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        is_broken = target.container_id in broken
        return Answer("unknown", "rpc error: x") if is_broken else Answer("success")

    broken: set[str] = set()

    async def application(world: World) -> None:
        async with node(world, ask=ask) as here, world.connect() as user, here.agent():
            asked = container("a", livenessProbe=EXEC, readinessProbe=EXEC)
            await user.create(kinds().pods, pod("p", asked))
            before = await until_ready(world, user, "p", seconds=25)
            broken.update(one.id for one in await here.runtime.list_containers())
            await world.clock.sleep(60)
            assert await status(user, "p") == before
            said = {one[1:] for one in await events(user) if one[1] == "Unhealthy"}
            assert said == {
                ("Unhealthy", f"{kind} probe errored and resulted in unknown state: rpc error: x")
                for kind in ("Liveness", "Readiness")
            }

    run(application)


def test_startup_probe_keeps_others_waiting() -> None:
    """10.5: startup disables others until success."""
    asked: list[str] = []

    async def ask(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        is_startup = probe.exec is not None
        asked.append("startup" if is_startup else "liveness")
        is_up = not is_startup or asked.count("startup") == 3
        return Answer("success" if is_up else "failure")

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
        return Answer("success")

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


def test_pod_that_has_ended_in_time_stays_as_it_ended() -> None:
    """10.6: also when it is looked at once more after its deadline, by whichever agent."""

    async def application(world: World) -> None:
        once = scripted(a=Script(run_seconds=1))
        async with node(world, script=once) as here, world.connect() as user:
            async with here.agent():
                job = pod("p", restartPolicy="Never", activeDeadlineSeconds=20)
                await user.create(kinds().pods, job)
                before = await until_phase(world, user, "p", "Succeeded")
            await world.clock.sleep(30)
            async with here.agent():
                await world.clock.sleep(5)
                assert await status(user, "p") == before

    run(application)
