"""`cluster up` with its control plane, as a user has it."""

import base64
import http.client
import json
import os
import shlex
import shutil
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.cluster.test_launcher import (
    COMMAND_SECONDS_MAX,
    Up,
    all_healthy,
    cluster,
    statuses,
    until,
)
from tests.cluster.test_pods import processes_of

pytestmark = pytest.mark.timeout(900)
FOREIGN = ("kubectl", "etcdctl")
OURS = {"cpctl": "controlplane.ctl", "kvctl": "kvstore.ctl"}
COMPONENTS = ("controllers", "scheduler", "proxy", "n1", "n2", "n3")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path / "da ta", "--members=3", is_store_only=False)
    yield running
    if running.process.poll() is None:
        running.interrupt()


def cpctl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "controlplane.ctl", f"--kubeconfig={folder / 'kubeconfig'}"]
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
    )


def create(folder: Path, name: str, kind: str = "ConfigMap") -> None:
    path = folder.parent / "a.yaml"
    path.write_text(f"{{apiVersion: v1, kind: {kind}, metadata: {{name: {name}}}}}")
    answer = cpctl(folder, "create", "-f", str(path))
    assert answer.returncode == 0, answer.stderr


def test_every_line_that_is_printed_works_as_printed(up: Up) -> None:
    lines = [line for line in up.printed.splitlines() if program_of(line)]
    assert [program_of(line) for line in lines] == [
        *("kubectl", "kubectl", "kubectl", "cpctl", "etcdctl", "kvctl")
    ]
    for line in lines:
        if program_of(line) in FOREIGN and shutil.which(program_of(line)) is None:
            continue
        ran = subprocess.run(
            as_checked_out(line),
            shell=True,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert ran.returncode == 0, (line, ran.stderr)
        assert ran.stdout
    assert up.printed.splitlines()[-1] == "healthy"


def program_of(line: str) -> str:
    program = Path(shlex.split(line)[0]).name if line else ""
    return program if program in (*FOREIGN, *OURS) else ""


def as_checked_out(line: str) -> str:
    """A program of ours that nobody has installed is run by its module."""
    first, rest = shlex.split(line)[0], shlex.split(line)[1:]
    if first not in OURS or shutil.which(first) is not None:
        return line
    return shlex.join([sys.executable, "-m", OURS[first], *rest])


def test_the_api_server_is_killed_healed_paused_and_stopped(up: Up) -> None:
    folder = up.folder
    assert set(statuses(folder)) == {"m1", "m2", "m3", "apiserver", *COMPONENTS}
    create(folder, "before")
    for name in ("apiserver", *COMPONENTS):
        os.kill(statuses(folder)[name]["pid"], signal.SIGKILL)
        until(partial(was_healed, folder, name))
    assert cpctl(folder, "get", "cm/before").returncode == 0
    create(folder, "passing", kind="Namespace")
    assert cpctl(folder, "delete", "namespace", "passing").returncode == 0  # needs controllers

    assert cluster(folder, "kill", "apiserver").returncode == 0
    until(lambda: statuses(folder)["apiserver"]["state"] == "stopped")
    refused = cpctl(folder, "get", "cm/before")
    assert "was refused - did you specify the right host or port?" in refused.stderr
    assert cluster(folder, "start", "apiserver").returncode == 0
    until(lambda: all_healthy(folder))

    assert cluster(folder, "pause", "apiserver").returncode == 0
    assert statuses(folder)["apiserver"]["state"] == "paused"
    assert cluster(folder, "resume", "apiserver").returncode == 0
    until(lambda: all_healthy(folder))

    table = cluster(folder, "status").stdout
    assert "COMPONENT" in table
    assert f"https://127.0.0.1:{port_of(folder)}" in table
    unknown = cluster(folder, "kill", "nobody")
    assert unknown.returncode == 1
    assert "m1, m2, m3, apiserver" in unknown.stderr
    no_member = cluster(folder, "remove-member", "apiserver")
    assert no_member.returncode == 1
    assert "the members are m1, m2, m3\n" in no_member.stderr

    pids = [process["pid"] for process in statuses(folder).values()]
    assert cluster(folder, "down").returncode == 0
    rest, _ = up.process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert "stopped" in rest
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def was_healed(folder: Path, name: str) -> bool:
    return statuses(folder)[name]["restarts"] >= 1 and all_healthy(folder)


def port_of(folder: Path) -> int:
    server = yaml.safe_load((folder / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    return int(server.rpartition(":")[2])


def test_the_store_is_found_where_its_members_are_now(up: Up) -> None:
    """Else an API server would be cut off once all founders were replaced."""
    folder = up.folder
    create(folder, "before")
    assert cluster(folder, "kill", "m2").returncode == 0
    assert cpctl(folder, "get", "cm/before").returncode == 0
    assert cluster(folder, "start", "m2").returncode == 0
    until(lambda: all_healthy(folder))
    assert cluster(folder, "add-member").returncode == 0
    until(lambda: all_healthy(folder))
    before = statuses(folder)["apiserver"]["pid"]
    assert cluster(folder, "remove-member", "m1").returncode == 0
    until(lambda: statuses(folder)["apiserver"]["pid"] not in (None, before))
    until(lambda: all_healthy(folder))
    command = Path(f"/proc/{statuses(folder)['apiserver']['pid']}/cmdline").read_text().split("\0")
    [endpoints] = [word for word in command if word.startswith("--store-endpoints=")]
    addresses = [one["client_address"] for one in statuses(folder).values() if "role" in one]
    assert endpoints == f"--store-endpoints={','.join(addresses)}"
    assert statuses(folder)["apiserver"]["restarts"] == 0  # nobody had to heal it
    assert cpctl(folder, "get", "cm/before").returncode == 0


def test_who_shows_no_certificate_of_the_right_authority_is_not_let_in(up: Up) -> None:
    certificates = up.folder / "certificates"
    member = statuses(up.folder)["m1"]["client_address"].rpartition(":")[2]
    trusted = ssl.create_default_context(cafile=str(certificates / "store-ca.crt"))
    assert not is_let_in(member, trusted)
    trusted.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
    assert not is_let_in(member, trusted)  # an administrator of the API is none of the store
    trusted.load_cert_chain(certificates / "store-admin.crt", certificates / "store-admin.key")
    assert is_let_in(member, trusted)


def is_let_in(port: str, context: ssl.SSLContext) -> bool:
    """TLS 1.3 tells a client only after the handshake that its certificate is no good."""
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), timeout=10, context=context)
    try:
        connection.request("GET", "/version")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_all_comes_back_as_it_was_also_what_a_person_wrote_into_the_kubeconfig(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    first = Up(folder, "--members=1", is_store_only=False)
    path = folder / "kubeconfig"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    create(folder, "kept")
    tree = yaml.safe_load(path.read_text())
    tree["contexts"][0]["context"]["namespace"] = "kube-system"
    path.write_text(yaml.safe_dump(tree))
    assert "stopped" in first.interrupt()
    again = Up(folder, is_store_only=False)
    assert cpctl(folder, "get", "cm/kept", "-n", "default").returncode == 0
    assert "kube-system namespace" in cpctl(folder, "get", "pods").stderr
    again.interrupt()


def test_who_does_not_come_up_is_named_with_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    key = folder / "certificates" / "service-account.key"
    key.parent.mkdir(parents=True)
    key.write_text("no key")
    up = Up(folder, "--members=1", is_store_only=False, first="waiting for")
    last = up.printed.splitlines()[-1]
    assert "apiserver" in last
    assert str(folder / "apiserver.log") in last
    until(lambda: f"{key} is no key" in (folder / "apiserver.log").read_text())
    shutil.copy(folder / "certificates" / "admin.key", key)
    up.read_until("healthy")
    assert "stopped" in up.interrupt()


def test_a_store_that_was_made_alone_gets_a_control_plane_later(tmp_path: Path) -> None:
    """Its members' addresses are http://: it stays as it was made, and that is told."""
    folder = tmp_path / "data"
    assert "stopped" in Up(folder, "--members=1").interrupt()
    assert not (folder / "certificates").exists()
    refused = cluster(folder, "up", "--tls")
    assert refused.returncode == 1
    assert "made without certificates" in refused.stderr
    second = Up(folder, is_store_only=False)
    assert "The store serves plain HTTP" in second.printed
    assert cpctl(folder, "get", "namespaces").returncode == 0
    assert "stopped" in second.interrupt()
    third = Up(folder)
    assert set(statuses(folder)) == {"m1"}
    third.interrupt()


def test_a_secret_is_no_plain_text_in_the_store_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = Up(folder, "--members=1", is_store_only=False)
    assert stat.S_IMODE((folder / "encryption.json").stat().st_mode) == 0o600
    plain = "correct horse battery staple"
    create(folder, "kept", kind="Secret, stringData: {password: " + plain + "}")
    stored = in_store(folder, "/registry/core/secrets/default/kept")
    assert stored.startswith(b"k8s:enc:aesgcm:v1:key1:")
    assert plain.encode() not in stored
    assert base64.b64encode(plain.encode()) not in stored
    assert "stopped" in first.interrupt()
    again = Up(folder, is_store_only=False)
    told = yaml.safe_load(cpctl(folder, "get", "secret/kept", "-o", "yaml").stdout)
    assert base64.b64decode(told["data"]["password"]) == plain.encode()
    events = [json.loads(line) for line in (folder / "audit.log").read_bytes().splitlines()]
    of_secret = [one for one in events if one.get("objectRef", {}).get("resource") == "secrets"]
    assert {one["verb"] for one in of_secret} >= {"create", "get"}
    assert {one["user"]["username"] for one in of_secret} == {"kubernetes-admin"}
    assert "requestObject" not in str(of_secret)
    assert not any("/readyz" in one["requestURI"] for one in events)
    again.interrupt()


def in_store(folder: Path, key: str) -> bytes:
    """What etcdctl, or our own, gets as the store's administrator."""
    certificates = folder / "certificates"
    program = ["etcdctl"] if shutil.which("etcdctl") else [sys.executable, "-m", "kvstore.ctl"]
    return subprocess.run(
        [
            *program,
            f"--endpoints={statuses(folder)['m1']['client_address']}",
            f"--cacert={certificates / 'store-ca.crt'}",
            f"--cert={certificates / 'store-admin.crt'}",
            f"--key={certificates / 'store-admin.key'}",
            *("get", "--print-value-only", key),
        ],
        capture_output=True,
        timeout=COMMAND_SECONDS_MAX,
        check=True,
        env={**os.environ, "ETCDCTL_API": "3"},
    ).stdout


def test_it_comes_up_again_after_everything_was_killed(tmp_path: Path) -> None:
    """Also what could not hear: a member that was stopped keeps neither its port nor its data."""
    folder = tmp_path / "data"
    first = Up(folder, "--members=3", is_store_only=False)
    create(folder, "kept")
    assert cluster(folder, "pause", "m2").returncode == 0
    pids = [process["pid"] for process in statuses(folder).values()]
    os.kill(statuses(folder)["m3"]["pid"], signal.SIGSTOP)
    first.process.kill()
    first.process.communicate()
    again = Up(folder, is_store_only=False)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert cpctl(folder, "get", "cm/kept").returncode == 0
    again.interrupt()


def test_down_returns_when_all_is_down_also_with_a_member_that_is_stuck(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = Up(folder, "--members=3", is_store_only=False)
    pids = [process["pid"] for process in statuses(folder).values()]
    os.kill(statuses(folder)["m2"]["pid"], signal.SIGSTOP)
    down = cluster(folder, "down")
    assert down.returncode == 0, down.stderr
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    again = Up(folder, is_store_only=False)  # at once
    assert set(statuses(folder)) == {"m1", "m2", "m3", "apiserver", *COMPONENTS}
    again.interrupt()
    first.process.communicate()


def test_who_is_told_twice_to_end_waits_for_no_process_and_ends_the_pods_all_the_same(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:  # what it starts inherits that, and so nobody ends when asked to
        up = Up(folder, "--members=1", "--nodes=1", is_store_only=False)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    path = tmp_path / "pod.json"
    endless = f"trap '' TERM; while :; do sleep 1; done # {folder}/"
    container = {"name": "c", "image": "any", "command": ["sh", "-c", endless]}
    pod = {"spec": {"containers": [container]}, "metadata": {"name": "p"}}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}))
    assert cpctl(folder, "create", "-f", str(path)).returncode == 0
    until(lambda: any(line.startswith("sh -c") for line in processes_of(folder)))
    agent = statuses(folder)["n1"]["pid"]  # the first one that is waited for
    up.process.send_signal(signal.SIGINT)
    until(lambda: is_told_to_end(agent))
    assert "stopped" in up.interrupt()
    assert up.process.returncode == 0
    assert processes_of(folder) == []


def test_who_has_lost_its_folder_leaves_the_next_clusters_pods_and_socket_alone(
    tmp_path: Path,
) -> None:
    """It was moved, or deleted: `cluster up` again, and only then Ctrl-C in the first shell."""
    folder, moved = tmp_path / "data", tmp_path / "moved"
    first = Up(folder, "--members=1", "--nodes=1", is_store_only=False)
    folder.rename(moved)
    second = Up(folder, "--members=1", "--nodes=1", is_store_only=False)
    path = tmp_path / "pod.json"
    container = {"name": "c", "image": "any", "command": ["sh", "-c", f"sleep 9999 # {folder}/"]}
    pod = {"spec": {"containers": [container]}, "metadata": {"name": "p"}}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}))
    assert cpctl(folder, "create", "-f", str(path)).returncode == 0
    until(lambda: any(line.startswith("sh -c") for line in processes_of(folder)))
    assert "stopped" in first.interrupt()
    assert any(line.startswith("sh -c") for line in processes_of(folder))
    for place in (folder, moved):  # what the first could not end where it lay
        assert cluster(place, "down").returncode == 0
    assert "stopped" in second.process.communicate(timeout=COMMAND_SECONDS_MAX)[0]
    assert processes_of(folder) == []


def is_told_to_end(pid: int) -> bool:
    [pending] = [
        line.split()[1]
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("ShdPnd:")
    ]
    return bool(int(pending, 16) >> (signal.SIGTERM - 1) & 1)
