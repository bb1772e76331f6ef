"""kubectl's logs, exec, attach, cp and port-forward as a user has them: by WebSocket (the newest)
and by SPDY (the oldest that we serve). kube-behaviour 10.7.
"""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api import quantity
from controlplane.apiserver import usage
from controlplane.apiserver.call import Deliver, Outgoing, Streaming, Upgrading
from controlplane.apiserver.http import HttpServer
from controlplane.apiserver.incoming import Incoming
from controlplane.apiserver.metrics import Metrics
from controlplane.node.measuring import FRESH_SECONDS
from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.pods_that_run import Pods, Ran, pods_that_run
from tests.controlplane.node.subprocess_runtime import entry
from tests.e2e.kubectl import programs

WEBSOCKET_MINOR = 30
SLEEPING = ("sleep", "1000")


@pytest.fixture
async def pods(client: Client, member: ClusterProcesses, tmp_path: Path) -> AsyncIterator[Pods]:
    async with pods_that_run(client, member, tmp_path) as running:
        yield running


@pytest.fixture(params=["newest", "oldest"])
def kubectl(request: pytest.FixtureRequest) -> Path:
    found = programs.found(request.param)
    if found is None:
        pytest.skip(f"there is no kubectl: {request.param}")
    return found


async def test_a_command_has_its_streams_and_its_exit_code(pods: Pods, kubectl: Path) -> None:
    """10.7: exec exit code in Status causes ExitCode."""
    await pods.add("web", {"main": SLEEPING})
    ran = await pods.kubectl(kubectl, "exec", "web", "--", "sh", "-c", "echo a; echo b >&2; exit 7")
    assert ran == Ran(7, b"a\n", "b\ncommand terminated with exit code 7\n")
    given = bytes(range(256)) * 4096
    ran = await pods.kubectl(kubectl, "exec", "-i", "web", "--", "cat", stdin=given)
    assert (ran.status, ran.out == given) == (0, True), ran.err
    # Newer ones speak WebSocket, and would fall back to SPDY without a word.
    verb = "GET" if programs.minor_of(kubectl) >= WEBSOCKET_MINOR else "CREATE"
    labels = f'verb="{verb}",group="",version="v1",resource="pods/exec",scope="resource",code="101"'
    metrics = (await pods.api.ask("GET", "/metrics")).raw.decode()
    assert f"{{{labels}}} 2" in metrics


async def test_what_cannot_be_run_is_told_as_kubernetes_tells_it(pods: Pods, kubectl: Path) -> None:
    await pods.add("web", {"main": SLEEPING, "other": SLEEPING})
    ran = await pods.kubectl(kubectl, "exec", "web", "-c", "none", "--", "true")
    assert "container none is not valid for pod web" in ran.err
    ran = await pods.kubectl(kubectl, "exec", "web", "-c", "main", "--", "no-such-program")
    assert (ran.status, ran.out) == (1, b"")
    assert "error executing command in container" in ran.err
    assert "executable file not found in $PATH" in ran.err


async def test_a_command_on_a_terminal(pods: Pods, kubectl: Path) -> None:
    """`script` gives kubectl a terminal, whose size the command's has."""
    await pods.add("web", {"main": SLEEPING})
    line = " ".join(
        (
            f"stty rows 33 cols 77; {kubectl} --kubeconfig={pods.kubeconfig}",
            f"-n {pods.namespace} exec -it web -- sh -c 'sleep 1; stty size; tty >&2; exit 3'",
        )
    )
    process = await asyncio.create_subprocess_exec(
        *("script", "-qec", line, "/dev/null"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert b"33 77" in out, out
    assert b"/dev/pts/" in out
    assert process.returncode == 3


async def test_files_are_copied_both_ways(pods: Pods, kubectl: Path, tmp_path: Path) -> None:
    await pods.add("web", {"main": SLEEPING})
    content = bytes(range(256)) * 8192
    (tmp_path / "one").write_bytes(content)
    there, back = tmp_path / "there", tmp_path / "back"
    ran = await pods.kubectl(kubectl, "cp", str(tmp_path / "one"), f"web:{there}")
    assert ran.status == 0, ran
    assert there.read_bytes() == content
    ran = await pods.kubectl(kubectl, "cp", f"web:{there}", str(back))
    assert ran.status == 0, ran
    assert back.read_bytes() == content


async def test_a_container_is_attached_to(pods: Pods, kubectl: Path) -> None:
    await pods.add("web", {"main": ("sh", "-c", "while read x; do echo got $x; done")})
    process = await pods.begin(kubectl, "attach", "-i", "web")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    await process.stdin.drain()
    assert await process.stdout.readline() == b"got hello\n"
    process.stdin.close()
    assert await process.wait() == 0


async def test_ports_are_forwarded(pods: Pods, kubectl: Path) -> None:
    """Many connections at once, and one to a port where nobody listens."""
    await pods.add("web", {"main": SLEEPING})

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    closed = await asyncio.start_server(shout, "127.0.0.1", 0)
    unused = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    process = await pods.begin(kubectl, "port-forward", "web", f":{port}", f":{unused}")
    try:
        first = await _forwarded(process)
        second = await _forwarded(process)
        given = b"abc" * 300_000
        answers = await asyncio.gather(*(_ask(first, given) for _ in range(5)))
        assert answers == [given.upper()] * 5
        assert await _ask(second, b"a") == b""
        assert process.stderr is not None
        told = ""
        while "error forwarding port" not in told:
            told += (await process.stderr.readline()).decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()
        listening.close()
    assert f"error forwarding port {unused} to pod" in told


async def _forwarded(process: asyncio.subprocess.Process) -> int:
    """The local port of the next line that kubectl prints, of those of IPv4."""
    assert process.stdout is not None
    while True:
        line = (await process.stdout.readline()).decode()
        match = re.search(r"127\.0\.0\.1:(\d+)", line)
        if match is not None:
            return int(match[1])
        assert line, await process.communicate()


async def _ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    writing = asyncio.create_task(write())
    try:
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65_536):
                answer += part
        return answer
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        writer.close()


async def test_logs_are_chosen_by_lines_time_and_attempt(pods: Pods, kubectl: Path) -> None:
    """10.7: previous, sinceTime, tailLines, timestamps, limitBytes."""
    await pods.add("web", {"main": ("sh", "-c", "for i in 1 2 3; do echo first $i; done")})
    first = await pods.last_container()
    await pods.runtime.ended(first)
    await pods.start("web", "main", ("sh", "-c", "echo one; echo two; sleep 1000"), attempt=1)
    ended = {"terminated": {"exitCode": 0, "containerID": f"subprocess://{first}"}}
    await pods.say(
        "web",
        {
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "none",
                    "imageID": "",
                    "ready": True,
                    "restartCount": 1,
                    "state": {"running": {}},
                    "lastState": ended,
                }
            ]
        },
    )
    await pods.has_logged(await pods.last_container(), b"two\n")

    async def logs(*words: str) -> str:
        ran = await pods.kubectl(kubectl, "logs", "web", *words)
        assert ran.status == 0, ran
        return ran.out.decode()

    assert await logs() == "one\ntwo\n"
    assert await logs("--tail=1") == "two\n"
    assert await logs("-p") == "first 1\nfirst 2\nfirst 3\n"
    assert await logs("-p", "--tail=2") == "first 2\nfirst 3\n"
    assert await logs("--limit-bytes=5") == "one\nt"
    assert await logs("--since=1h") == "one\ntwo\n"
    assert await logs("--since-time=2999-01-01T00:00:00Z") == ""
    lines = (await logs("--timestamps")).splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", "", one) for one in lines] == [
        "one",
        "two",
    ]


async def test_a_log_is_followed_until_its_container_ends(pods: Pods, kubectl: Path) -> None:
    """10.7: follow; also over the rotation of its file."""
    await pods.add("web", {"main": ("sh", "-c", "echo begun; read x; echo ended")})
    number = await pods.last_container()
    process = await pods.begin(kubectl, "logs", "-f", "web")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    log = pods.log(number)
    with log.open("ab") as file:
        file.write(entry(b"more"))  # without its end: the tag P
    log.rename(log.with_name("0.log.20261129-200000"))
    log.write_bytes(entry(b" of it\n"))
    assert await process.stdout.readline() == b"more of it\n"
    pods.feed(number, b"x\n")
    assert await process.stdout.readline() == b"ended\n"
    await pods.runtime.ended(number)
    assert await process.wait() == 0


async def test_why_there_is_no_log(pods: Pods, kubectl: Path) -> None:
    await pods.add("web", {"main": SLEEPING, "other": SLEEPING}, runs=False)

    async def refusal(*words: str) -> Ran:
        return await pods.kubectl(kubectl, "logs", "web", *words)

    told = "Error from server (BadRequest): container"
    ran = await refusal("-c", "main")
    assert ran == Ran(1, b"", f'{told} "main" in pod "web" is not available\n')
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    statuses = [
        {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 0}
        | {"state": waiting}
    ]
    await pods.say("web", {"phase": "Pending", "containerStatuses": statuses})
    ran = await refusal("-c", "main")
    whom = '"main" in pod "web" is waiting to start: ContainerCreating'
    assert ran == Ran(1, b"", f"{told} {whom}\n")
    ran = await refusal("-c", "main", "-p")
    why = 'Error from server (BadRequest): previous terminated container "main" in pod "web"'
    assert ran == Ran(1, b"", f"{why} not found\n")


async def test_the_container_must_be_clear(pods: Pods) -> None:
    await pods.add("web", {"main": SLEEPING, "other": SLEEPING}, runs=False)
    path = f"/api/v1/namespaces/{pods.namespace}/pods/web/log"
    told = (await pods.api.fault("GET", path))["message"]
    assert told == "a container name must be specified for pod web, choose one of: [main other]"
    told = (await pods.api.fault("GET", f"{path}?container=x"))["message"]
    assert told == "container x is not valid for pod web"
    told = (await pods.api.fault("GET", f"{path}?container=main&tailLines=-1"))["message"]
    assert told == (
        'PodLogOptions "" is invalid: tailLines: Invalid value: -1: '
        "must be greater than or equal to 0"
    )


async def test_what_is_streamed_needs_its_own_right(pods: Pods) -> None:
    """Verb `create` by POST (SPDY), `get` by GET (WebSocket), of `pods/exec`."""
    await pods.add("web", {"main": SLEEPING}, runs=False)
    path = f"/api/v1/namespaces/{pods.namespace}/pods/web"
    for method, below, verb in (
        ("POST", "exec", "create"),
        ("GET", "exec", "get"),
        ("POST", "attach", "create"),
        ("GET", "portforward", "get"),
        ("GET", "log", "get"),
    ):
        status = await pods.api.fault(method, f"{path}/{below}", user="bob")
        assert status["code"] == 403
        whom = f'cannot {verb} resource "pods/{below}" in API group ""'
        assert f'User "bob" {whom}' in status["message"]
    for below in ("exec", "attach", "portforward"):
        status = await pods.api.fault("POST", f"{path}/{below}")
        assert (status["code"], status["message"]) == (400, "Upgrade request required")


async def test_what_is_used_is_told_by_top(
    pods: Pods, kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """metrics.k8s.io is there, in discovery too, and asks the agents."""
    monkeypatch.setattr(usage, "FRESH_SECONDS", 0.0)
    await pods.add("web", {"main": ("sh", "-c", "while true; do :; done")})
    await pods.add("idle", {"main": SLEEPING}, runs=False)
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{pods.namespace}/pods"
    await pods.api.good("GET", path)
    await asyncio.sleep(FRESH_SECONDS)  # as long as two samples are apart
    [web] = (await pods.api.good("GET", path))["items"]
    assert web["metadata"]["name"] == "web"
    [container] = web["containers"]
    assert quantity.parse(container["usage"]["cpu"]) > 0
    ran = await pods.kubectl(kubectl, "top", "pods")
    assert ran.status == 0, ran
    assert [line.split()[0] for line in ran.out.decode().splitlines()] == ["NAME", "web"]
    ran = await pods.kubectl(kubectl, "top", "nodes", pods.node)
    assert ran.status == 0, ran
    assert ran.out.decode().splitlines()[1].split()[0] == pods.node
    missing = await pods.api.fault("GET", f"{path}/idle")
    assert missing["message"] == (f'podmetrics.metrics.k8s.io "{pods.namespace}/idle" not found')


async def test_without_the_flags_no_node_is_asked(api: Api) -> None:
    """--kubelet-client-certificate. There is no `top` then, and logs say why."""
    space = await api.new_namespace()
    pods = f"/api/v1/namespaces/{space}/pods"
    spec = {"nodeName": "n", "containers": [{"name": "main", "image": "none"}]}
    await api.good("POST", pods, {"metadata": {"name": "web"}, "spec": spec})
    status = await api.fault("GET", f"{pods}/web/log")
    assert status["code"] == 503
    assert "--kubelet-client-certificate" in status["message"]
    assert (await api.fault("GET", "/apis/metrics.k8s.io/v1beta1/nodes"))["code"] == 404


async def test_a_node_that_is_not_there(pods: Pods) -> None:
    """Its agent does not answer, or there is no such node: who asks is told, and top leaves it
    out."""
    nodes = "/api/v1/nodes"
    await pods.api.good("POST", nodes, {"metadata": {"name": "gone"}})
    await pods.api.good(
        "PATCH",
        f"{nodes}/gone/status",
        {
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
            }
        },
        content_type="application/merge-patch+json",
    )
    path = f"/api/v1/namespaces/{pods.namespace}/pods"
    upgrade = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
    for name in ("gone", "never"):
        spec = {"nodeName": name, "containers": [{"name": "main", "image": "none"}]}
        await pods.api.good("POST", path, {"metadata": {"name": name}, "spec": spec})
    for below in ("log", "exec"):
        status = await pods.api.fault("GET", f"{path}/gone/{below}", **upgrade)
        assert status["code"] == 500
        assert "error dialing backend: " in status["message"]
        status = await pods.api.fault("GET", f"{path}/never/{below}", **upgrade)
        assert (status["code"], status["message"]) == (404, 'nodes "never" not found')
    spec = {"containers": [{"name": "main", "image": "none"}]}
    await pods.api.good("POST", path, {"metadata": {"name": "nowhere"}, "spec": spec})
    assert (await pods.api.ask("GET", f"{path}/nowhere/log")).raw == b""
    status = await pods.api.fault("GET", f"{path}/nowhere/exec", **upgrade)
    assert status["message"] == "pod nowhere does not have a host assigned"
    listed = await pods.api.good("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
    assert "gone" not in [one["metadata"]["name"] for one in listed["items"]]


async def test_a_stream_holds_no_seat_and_is_audited_to_its_end(pods: Pods, kubectl: Path) -> None:
    """Flow control counts requests that are handled; a followed log may last for days."""
    await pods.add("web", {"main": ("sh", "-c", "echo begun; read x")})
    process = await pods.begin(kubectl, "logs", "-f", "web")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    metrics = (await pods.api.ask("GET", "/metrics")).raw.decode()
    assert _value(metrics, "apiserver_longrunning_requests") == 1
    assert _value(metrics, "apiserver_current_inflight_requests") <= 1, "this one"
    process.terminate()
    await process.communicate()
    async with asyncio.timeout(60):
        while _value(metrics, "apiserver_longrunning_requests"):
            await asyncio.sleep(0.01)
            metrics = (await pods.api.ask("GET", "/metrics")).raw.decode()


@pytest.mark.parametrize("is_upgrade", [False, True])
async def test_what_was_to_last_is_given_back_when_its_client_has_gone(is_upgrade: bool) -> None:
    """The agent's answer came too late for anybody to have it: its connection is closed."""
    asked, answered, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(_: Incoming, __: Deliver) -> Outgoing:
        asked.set()
        await answered.wait()
        if is_upgrade:
            return Upgrading(run=_never, release=released.set)
        return Streaming(run=_never, release=released.set)

    metrics = Metrics()
    server = HttpServer(serve, None, metrics)
    port = await server.listen("127.0.0.1", 0)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asked.wait()
        writer.transport.abort()
        while b"apiserver_connections 0" not in metrics.text():  # noqa: ASYNC110 (the kernel's)
            await asyncio.sleep(0.01)
        answered.set()
        async with asyncio.timeout(60):
            await released.wait()
    finally:
        await server.close()


async def _never(_: object) -> None:
    raise AssertionError("nobody is there")


def _value(metrics: str, name: str) -> float:
    """The sum of a metric's rows."""
    rows = (line for line in metrics.splitlines() if re.match(rf"{name}[ {{]", line))
    return sum(float(row.rpartition(" ")[2]) for row in rows)


# ------------------------------------------------------------------------------- cpctl


async def test_cpctl_has_logs_and_exec(pods: Pods) -> None:
    await pods.add("web", {"main": ("sh", "-c", "echo one; echo two; read x")})
    await pods.has_logged(await pods.last_container(), b"two\n")
    assert await pods.cpctl("logs", "pod/web", "--tail=1", "-c", "main") == Ran(0, b"two\n", "")
    told = "Error from server (BadRequest): container x is not valid for pod web\n"
    assert await pods.cpctl("logs", "web", "-c", "x") == Ran(1, b"", told)
    command = ("sh", "-c", "cat; echo b >&2; exit 7")
    given = bytes(range(256)) * 1024
    ran = await pods.cpctl("exec", "-i", "web", "--", *command, stdin=given)
    assert (ran.status, ran.out == given) == (7, True)
    assert ran.err == "b\ncommand terminated with exit code 7\n"
    ran = await pods.cpctl("exec", "web", "--", "no-such-program")
    assert (ran.status, ran.out) == (1, b"")
    assert "executable file not found in $PATH" in ran.err


async def test_cpctl_gives_a_command_its_terminal(pods: Pods) -> None:
    await pods.add("web", {"main": SLEEPING})
    cpctl = f"{sys.executable} -m controlplane.ctl --kubeconfig={pods.kubeconfig}"
    line = f"stty rows 31 cols 71; {cpctl} -n {pods.namespace} exec -it web -- "
    process = await asyncio.create_subprocess_exec(
        *("script", "-qec", line + "sh -c 'sleep 1; stty size; exit 3'", "/dev/null"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert b"31 71" in out, out
    assert process.returncode == 3
