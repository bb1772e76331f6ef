"""The process runtime by the words of its interface, at every level of isolation."""

import asyncio
import contextlib
import os
import re
import sys
import time
from pathlib import Path

import pytest

from controlplane.node.runtime.interface import Mount, RefusedError, Resources, Runtime
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.node.runtime.shim import cgroups
from tests.controlplane.node.runtime.conftest import Machine, refusal, until

SLEEP = ("sleep", "1000")
POLITE = ("sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done")
STUBBORN = ("sh", "-c", "trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done")


def has_group(container_id: str) -> bool:
    return any(Path(each, container_id).exists() for each in cgroups.usable("keelson").values())


def test_it_is_a_runtime() -> None:
    def known(runtime: Runtime) -> Runtime:
        return runtime  # the type checker does the rest

    assert known(ProcessRuntime(Path("/no/such/folder")))


async def test_the_log_is_in_the_format_of_cri(machine: Machine) -> None:
    """10.7: `time stream F|P text`, P for a part of a line; 16 KiB at most."""
    sandbox = await machine.sandbox()
    script = "echo out; echo err >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; printf rest"
    ended, _ = await machine.run(sandbox, "sh", "-c", script)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    lines = sorted(machine.log(ended).splitlines(), key=lambda line: line.split(" ")[1] == "stdout")
    assert all(re.fullmatch(rf"{stamp} (stdout|stderr) [FP] .*", line) for line in lines)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "stderr F err",
        "stdout F out",
        "stdout P " + "x" * 16384,
        "stdout F " + "x" * (20000 - 16384),
        "stdout P rest",
    ]


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("exit 0", 0, "Completed"), ("exit 7", 7, "Error"), ("kill -9 $$; kill -9 0", 137, "Error")],
)
async def test_how_a_container_ends(machine: Machine, script: str, code: int, reason: str) -> None:
    sandbox = await machine.sandbox()
    # The first process of a pid namespace cannot be killed from within.
    command = ("sh", "-c", f"(exec sh -c '{script}'); exit $?")
    ended, _ = await machine.run(sandbox, *command)
    assert (ended.exit_code, ended.reason) == (code, reason)
    assert 0 < ended.created_at <= ended.started_at <= ended.finished_at <= time.time()


async def test_a_program_that_is_not_there_is_a_start_error(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    ended, _ = await machine.run(sandbox, "no-such-program")
    assert (ended.exit_code, ended.reason) == (128, "StartError")
    assert ended.message == 'exec: "no-such-program": executable file not found in $PATH'
    denied, _ = await machine.run(sandbox, "/etc/passwd")
    assert (denied.reason, denied.message) == (
        "StartError",
        'exec: "/etc/passwd": permission denied',
    )


async def test_start_twice_runs_once(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.create(sandbox, "echo", "once")
    assert (await machine.container(container)).state == "created"
    await machine.runtime.start_container(container)
    await machine.runtime.start_container(container)
    assert machine.said(await machine.ended(container)) == "once\n"
    await machine.runtime.start_container(container)
    assert (await machine.container(container)).state == "exited"


async def test_stop_asks_first(machine: Machine) -> None:
    """10.6: SIGTERM to the first process."""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *POLITE)
    await machine.has_said(container, "up")
    await machine.runtime.stop_container(container, 60.0)
    stopped = await machine.container(container)
    assert (stopped.state, stopped.exit_code) == ("exited", 3)
    assert machine.said(stopped) == "up\nbye\n"
    await machine.runtime.stop_container(container, 0.0)  # idempotent


async def test_stop_kills_all_after_its_grace(machine: Machine) -> None:
    """10.6: SIGKILL after the grace, also to what the first process has started."""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *STUBBORN)
    await machine.has_said(container, "up")
    before = time.monotonic()
    await machine.runtime.stop_container(container, 0.3)
    assert time.monotonic() - before >= 0.3
    assert (await machine.container(container)).exit_code == 137
    await until(lambda: not machine.left())


async def test_the_stop_signal_is_the_one_that_is_asked_for(machine: Machine) -> None:
    """10.6: or STOPSIGNAL."""
    sandbox = await machine.sandbox()
    script = "trap 'exit 9' USR1; echo up; while :; do sleep 0.02; done"
    container = await machine.start(sandbox, "sh", "-c", script, stop_signal="SIGUSR1")
    await machine.has_said(container, "up")
    await machine.runtime.stop_container(container, 60.0)
    assert (await machine.container(container)).exit_code == 9


async def test_exec_tells_output_and_exit_code(machine: Machine) -> None:
    """10.7"""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP, environment={"WORD": "w"})
    result = await machine.runtime.exec_sync(
        container, ("sh", "-c", "echo $WORD; echo err >&2; exit 5"), 60.0
    )
    assert (result.exit_code, result.output, result.errors) == (5, b"w\n", b"err\n")
    missing = await machine.runtime.exec_sync(container, ("no-such-program",), 60.0)
    assert missing.exit_code == 127
    assert b"executable file not found in $PATH" in missing.errors
    assert (await machine.runtime.exec_sync(container, ("/etc/passwd",), 60.0)).exit_code == 126
    flood = ("sh", "-c", "head -c 20000000 /dev/zero; exit 4")
    flooded = await machine.runtime.exec_sync(container, flood, 60.0)
    assert (flooded.exit_code, len(flooded.output)) == (4, 10 * 1024)


async def test_a_name_with_line_ends_harms_nobody(machine: Machine) -> None:
    """It is told back by the line, and what it says is not taken for what was told."""
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    told = await machine.runtime.exec_sync(container, ("x\npid y\n127 z",), 60.0)
    assert told.exit_code == 127
    assert (await machine.container(container)).state == "running"


async def test_exec_that_takes_too_long_is_killed(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    with pytest.raises(TimeoutError):
        await machine.runtime.exec_sync(container, ("sh", "-c", "sleep 999 & sleep 999"), 0.3)
    assert (await machine.container(container)).state == "running"
    extra = 1 if machine.has_namespaces else 2  # the keeper is of the same program
    await until(lambda: len(machine.left()) <= extra)


async def test_exec_needs_a_container_that_runs(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.create(sandbox, *SLEEP)
    refused = await refusal(machine.runtime.exec_sync(container, ("true",), 5.0))
    assert refused.reason == "NotRunning"
    refused = await refusal(machine.runtime.exec_sync("nobody", ("true",), 5.0))
    assert refused.reason == "NotFound"


async def test_exec_streams_stdin_until_it_is_closed(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    session = await machine.runtime.exec(container, ("cat",), has_stdin=True, has_tty=False)
    assert session.stdin is not None
    sent = os.urandom(300_000)
    session.stdin.write(sent)
    session.stdin.close()
    assert await session.output.read(-1) == sent
    assert await session.wait() == 0
    await session.close()


async def test_exec_with_a_terminal(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    session = await machine.runtime.exec(container, ("sh",), has_stdin=True, has_tty=True)
    assert session.stdin is not None
    assert session.errors is None
    session.resize(123, 45)
    session.stdin.write(b"stty size; tty; echo $TERM; exit 9\n")
    said = await session.output.read(-1)
    assert b"45 123\r\n" in said
    assert re.search(rb"/dev/pts/\d+\r\n", said)
    assert b"xterm\r\n" in said
    assert await session.wait() == 9
    await session.close()


async def test_a_session_that_is_closed_ends_its_command(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    before = len(machine.left())
    session = await machine.runtime.exec(container, SLEEP, has_stdin=True, has_tty=True)
    await until(lambda: len(machine.left()) > before)
    await session.close()
    await until(lambda: len(machine.left()) == before)


async def test_attach_gets_what_is_written_from_now_on(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    script = "while read word; do echo got $word; done; echo end; exit 6"
    container = await machine.start(
        sandbox, "sh", "-c", script, has_stdin=True, closes_stdin_once=True
    )
    session = await machine.runtime.attach(container, has_stdin=True)
    assert session.stdin is not None
    session.stdin.write(b"one\n")
    assert await session.output.readline() == b"got one\n"
    session.stdin.write(b"two\n")
    session.stdin.close()
    assert await session.output.read(-1) == b"got two\nend\n"
    assert await session.wait() == 6
    await session.close()
    assert machine.said(await machine.ended(container)) == "got one\ngot two\nend\n"


async def test_attach_to_a_container_with_a_terminal(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    script = "read word; stty size; echo $word; echo err >&2; exit 3"
    container = await machine.start(sandbox, "sh", "-c", script, has_stdin=True, has_tty=True)
    session = await machine.runtime.attach(container, has_stdin=True)
    assert session.stdin is not None
    assert session.errors is None
    session.resize(70, 20)
    session.resize(0, 1 << 20)  # no size
    session.stdin.write(b"word\n")
    assert (await session.output.read(-1)).endswith(b"20 70\r\nword\r\nerr\r\n")
    assert await session.wait() == 3
    await session.close()


async def test_an_attached_client_that_does_not_read_stops_nobody(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    script = "sleep 0.2; head -c 9000000 /dev/zero; echo; echo done"
    container = await machine.start(sandbox, "sh", "-c", script)
    session = await machine.runtime.attach(container, has_stdin=False)
    assert (await machine.ended(container)).exit_code == 0
    await session.close()


async def test_a_log_that_was_renamed_goes_on_in_a_new_file(machine: Machine) -> None:
    """10.7: rotation."""
    sandbox = await machine.sandbox()
    script = "while read word; do echo $word; done"
    container = await machine.start(sandbox, "sh", "-c", script, has_stdin=True)
    session = await machine.runtime.attach(container, has_stdin=True)
    assert session.stdin is not None
    session.stdin.write(b"one\n")
    await machine.has_said(container, "one")
    path = machine.logs / (await machine.container(container)).config.log_path
    path.rename(path.with_suffix(".old"))
    await machine.runtime.reopen_log(container)
    session.stdin.write(b"two\n")
    await machine.has_said(container, "two")
    assert "two" not in path.with_suffix(".old").read_text()
    await session.close()


async def test_a_log_flood_stalls_nobody_else(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    flood = await machine.start(sandbox, "sh", "-c", "yes flood | head -c 40000000; sleep 1000")
    _, said = await machine.run(sandbox, "echo", "quick")
    assert said == "quick\n"
    assert (await machine.runtime.exec_sync(flood, ("echo", "here"), 60.0)).output == b"here\n"
    await machine.runtime.stop_container(flood, 0.0)


async def test_a_new_agent_finds_what_runs_and_what_has_ended(machine: Machine) -> None:
    sandbox = await machine.sandbox(labels={"a": "b"})
    running = await machine.start(sandbox, *SLEEP)
    ending = await machine.start(sandbox, "sh", "-c", "read word; exit 4", has_stdin=True)
    created = await machine.create(sandbox, *SLEEP)
    session = await machine.runtime.attach(ending, has_stdin=True)
    await machine.runtime.close()
    assert session.stdin is not None
    session.stdin.write(b"go\n")  # while there is no agent
    assert await session.wait() == 4
    await session.close()
    machine.runtime = machine.another()
    found = {each.id: each for each in await machine.runtime.list_containers()}
    states = {name: found[name].state for name in (running, ending, created)}
    assert states == {running: "running", ending: "exited", created: "created"}
    assert found[ending].exit_code == 4
    [told] = await machine.runtime.list_sandboxes()
    assert (told.id, told.is_ready, told.config.labels) == (sandbox, True, {"a": "b"})
    assert (await machine.runtime.exec_sync(running, ("true",), 60.0)).exit_code == 0


async def test_a_removed_pod_leaves_its_logs_only(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    daemon = "(setsid sh -c 'sleep 1000 & exec env -i sleep 1000' &) ; echo up; sleep 1000"
    container = await machine.start(sandbox, "sh", "-c", daemon)
    await machine.has_said(container, "up")
    await machine.runtime.stop_sandbox(sandbox)
    [stopped] = await machine.runtime.list_sandboxes()
    assert not stopped.is_ready
    ended = await machine.container(container)
    assert ended.exit_code == 137
    await machine.runtime.remove_sandbox(sandbox)
    assert await machine.runtime.list_sandboxes() == []
    assert await machine.runtime.list_containers() == []
    assert machine.said(ended) == "up\n"
    assert machine.folders() == []
    await machine.runtime.remove_sandbox(sandbox)  # idempotent


async def test_a_removed_container_is_killed_and_forgotten(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *STUBBORN)
    await machine.runtime.remove_container(container)
    assert await machine.runtime.list_containers() == []
    await until(lambda: not machine.left())
    await machine.runtime.remove_container(container)  # idempotent


async def test_what_is_killed_while_it_is_started_does_not_escape(machine: Machine) -> None:
    sandbox = await machine.sandbox()

    async def one(delay_seconds: float) -> None:
        container = await machine.create(sandbox, *STUBBORN)
        starting = asyncio.create_task(machine.runtime.start_container(container))
        await asyncio.sleep(delay_seconds)
        await machine.runtime.remove_container(container)
        with contextlib.suppress(RefusedError):  # removed before it was asked for
            await starting

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(one(number * 0.004))
    assert await machine.runtime.list_containers() == []
    await until(lambda: not machine.left())


async def test_an_exec_that_is_left_while_it_is_started_does_not_escape(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    container = await machine.start(sandbox, *SLEEP)
    before = len(machine.left())
    for _ in range(8):
        session = await machine.runtime.exec(container, SLEEP, has_stdin=False, has_tty=False)
        await session.close()
    await until(lambda: len(machine.left()) == before)


async def test_ports_of_a_pod_are_reached_at_its_address(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    [told] = await machine.runtime.list_sandboxes()
    refused = await refusal(machine.runtime.connect(sandbox, 8080))
    assert "8080" in refused.message
    container = await machine.start(
        sandbox, image="local/http", environment={"POD_IP": told.address, "PORT": "8080"}
    )
    await machine.has_said(container, f"serving on {told.address}:8080")
    reader, writer = await machine.runtime.connect(sandbox, 8080)
    writer.write(b"GET /path HTTP/1.0\r\n\r\n")
    answer = await reader.read(-1)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"{told.address} /path\n".encode() in answer
    await machine.runtime.stop_container(container, 60.0)
    assert (await machine.container(container)).exit_code == 0


async def test_a_container_has_no_descriptors_of_ours(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    _, said = await machine.run(sandbox, "sh", "-c", "ls /proc/self/fd | wc -l")
    assert said == "4\n"  # with the one of `ls`


async def test_shared_memory_counts_once(machine: Machine) -> None:
    """Forks of a process that holds two thirds of what it may."""
    sandbox = await machine.sandbox()
    program = (
        "import os, signal, time; held = bytearray(os.urandom(1 << 20)) * 40\n"
        "[os.fork() or signal.pause() for _ in range(4)]; time.sleep(0.5)\n"
    )
    bounded = Resources(memory_bytes=64 << 20)
    ended, said = await machine.run(
        sandbox, sys.executable, "-c", program, resources=bounded, environment={}
    )
    assert (ended.exit_code, ended.reason, said) == (0, "Completed", "")


async def test_usage_counts_what_runs(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 1000 & echo done; wait"
    container = await machine.start(sandbox, "sh", "-c", script)
    await machine.has_said(container, "done")
    used = (await machine.runtime.usage())[container]
    assert used.cpu_seconds > 0.01
    assert used.pids == 2
    assert 0 < used.memory < 100_000_000


async def test_too_much_memory_is_oom_killed(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    greedy = "head -c 400000000 /dev/zero | tail -c 400000000 | wc -c; exit 137"
    bounded = Resources(memory_bytes=48 * 1024 * 1024)
    ended, said = await machine.run(sandbox, "sh", "-c", greedy, resources=bounded)
    assert (ended.exit_code, ended.reason) == (137, "OOMKilled")
    assert "400000000" not in said


async def test_a_fork_bomb_stays_within_its_bound(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    other = await machine.start(sandbox, *SLEEP)
    container = await machine.start(
        sandbox, "sh", "-c", "f() { f | f & f; }; f", resources=Resources(pids=40)
    )
    await asyncio.sleep(0.3)  # for as long as it can
    # At level `process` without root nobody counts but the shim: that kills it at once.
    assert len(machine.left()) < 6000
    answer = await machine.runtime.exec_sync(other, ("echo", "here"), 60.0)
    assert answer.output == b"here\n"
    if machine.has_namespaces:
        assert len(machine.left()) <= 40 + 2
    await machine.runtime.stop_container(container, 0.0)
    await machine.runtime.stop_container(other, 0.0)
    await until(lambda: not machine.left())


async def test_what_cannot_be_is_refused_and_nothing_is_left(machine: Machine) -> None:
    """Bad input on the node."""
    sandbox = await machine.sandbox()

    async def reason(*command: str, **fields: object) -> str:
        return (await refusal(machine.create(sandbox, *command, **fields))).reason

    assert await reason("sh", image="UPPER:case:bad") == "InvalidImageName"
    assert await reason(image="local/nothing") == "ErrImagePull"
    assert await reason(image="nginx") == "ErrImagePull"
    assert await reason("sh", "a\0b") == "CreateContainerError"
    assert await reason("sh", log_path="../../escape.log") == "CreateContainerError"
    gone = Mount(container_path="/data", host_path="/no/such/folder")
    assert await reason("sh", mounts=(gone,)) == "CreateContainerError"
    assert await reason("sh", stop_signal="NONSENSE") == "CreateContainerError"
    assert (await refusal(machine.create("nobody", "sh"))).reason == "NotFound"
    assert await machine.runtime.list_containers() == []
    sysctl = {"net.core.somaxconn": "1"}
    assert (await refusal(machine.sandbox(sysctls=sysctl))).reason == "SysctlForbidden"
    assert len(await machine.runtime.list_sandboxes()) == 1


async def test_a_log_that_cannot_be_written_refuses_the_start(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    (machine.logs / "file").touch()
    container = await machine.create(sandbox, "true", log_path="file/0.log")
    refused = await refusal(machine.runtime.start_container(container))
    assert refused.reason == "RunContainerError"
    assert (await machine.container(container)).state == "created"


async def test_the_user_is_the_one_that_is_asked_for(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    if machine.has_namespaces or os.geteuid() == 0:
        script = "id -u; id -g; echo open > /dev/stdout"
        _, said = await machine.run(sandbox, "sh", "-c", script, user=1234, group=77)
        assert said == "1234\n77\nopen\n"
        kept = await machine.start(sandbox, *SLEEP, user=1234)
        assert (await machine.runtime.exec_sync(kept, ("id", "-u"), 60.0)).output == b"1234\n"
    else:
        refused = await refusal(machine.create(sandbox, *SLEEP, user=1234))
        assert "no root" in refused.message


async def test_many_containers_come_and_go(machine: Machine) -> None:
    sandbox = await machine.sandbox()

    made = []

    async def one() -> None:
        container = await machine.start(sandbox, "true")
        made.append(container)
        await machine.runtime.stop_container(container, 60.0)
        await machine.runtime.remove_container(container)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(one())
    assert await machine.runtime.list_containers() == []
    assert not any(map(has_group, made))
