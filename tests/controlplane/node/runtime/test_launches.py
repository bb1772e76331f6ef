"""From pods to launches: the pure half of the process runtime."""

from pathlib import Path, PurePosixPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.node.runtime.interface import (
    ContainerConfig,
    Image,
    Mount,
    RefusedError,
    SandboxConfig,
)
from controlplane.node.runtime.process.images import Images
from controlplane.node.runtime.process.launches import Node, launch
from controlplane.node.runtime.shim import cgroups, records
from controlplane.node.runtime.shim.identity import capabilities
from controlplane.node.runtime.shim.records import Launch, Pod, State
from controlplane.node.runtime.shim.rootfs import Mount as Placed
from controlplane.node.runtime.shim.rootfs import in_order
from controlplane.node.runtime.shim.spawning import niceness

IMAGES = Images(Path("/no/such/table"))
CONTAINER = ContainerConfig(name="c", attempt=0, image="any", command=("run",), log_path="c/0.log")
SANDBOX = SandboxConfig(
    name="p", namespace="d", uid="u", address="127.65.0.7", log_folder="/logs/p"
)
POD = Pod(
    id="pod-id",
    hostname="host",
    is_host_network=False,
    shares_processes=False,
    sysctls={},
    isolation="namespaces+rootfs",
    has_user_namespace=False,
    cgroups={},
)
NODE = Node(user=0, group=0, binds=("/python",))
IMAGE = Image(id="i", name="any", entrypoint=("entry",), command=("default",))


def made(image: Image = IMAGE, pod: Pod = POD, node: Node = NODE, **fields: object) -> Launch:
    return launch(msgspec.structs.replace(CONTAINER, **fields), SANDBOX, pod, image, node, ())


@pytest.mark.parametrize(
    ("command", "arguments", "run"),
    [
        ((), (), ["entry", "default"]),
        ((), ("a",), ["entry", "a"]),
        (("c",), (), ["c"]),
        (("c",), ("a",), ["c", "a"]),
    ],
)
def test_command_and_arguments_replace_the_images(
    command: tuple[str, ...], arguments: tuple[str, ...], run: list[str]
) -> None:
    """As the table of Kubernetes' "Define a Command and Arguments for a Container"."""
    assert made(command=command, arguments=arguments).command == run


def test_the_pods_variables_are_laid_over_the_images() -> None:
    image = msgspec.structs.replace(IMAGE, environment={"A": "image", "B": "image"})
    environment = made(image, environment={"B": "pod", "PATH": "/mine"}).environment
    assert environment["A"] == "image"
    assert environment["B"] == "pod"
    assert environment["PATH"] == "/mine"
    assert environment["HOSTNAME"] == "host"
    assert environment["POD_IP"] == "127.65.0.7"
    assert made(environment={"POD_IP": "own"}).environment["POD_IP"] == "own"
    # It is how a pod's processes are found: nobody can take it away.
    assert made(environment={records.MARKER: "other"}).environment[records.MARKER] == "pod-id"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ("a\0",)}, "NUL"),
        ({"environment": {"A=B": "c"}}, "no name of a variable"),
        ({"environment": {"": "c"}}, "no name of a variable"),
        ({"environment": {"A": "\0"}}, "NUL"),
        ({"stop_signal": "SIGNOPE"}, "no signal"),
        ({"stop_signal": "99"}, "no signal"),
        ({"log_path": "/etc/passwd"}, "no path of a log"),
        ({"log_path": "a/../../x"}, "no path of a log"),
        ({"log_path": ""}, "no path of a log"),
        ({"user": -1}, "no number of a user"),
        ({"user": 2**32}, "no number of a user"),
        ({"supplemental_groups": (-5,)}, "no number of a user"),
        ({"adds_capabilities": ("NOPE",)}, "unknown capability"),
    ],
)
def test_bad_input_is_refused_with_words(fields: dict[str, object], words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        made(IMAGE, POD, NODE, **fields)
    assert caught.value.reason == "CreateContainerError"


def test_an_image_that_is_only_a_name_needs_a_command() -> None:
    with pytest.raises(RefusedError, match="give the container a command"):
        made(Image(id="i", name="nginx"), command=(), arguments=())


def test_without_namespaces_only_what_is_there_already_is_mounted() -> None:
    bare = msgspec.convert(msgspec.to_builtins(POD) | {"isolation": "process"}, Pod)
    same = Mount(container_path="/data", host_path="/data")
    assert made(pod=bare, mounts=(same,)).mounts == [("/data", "/data", False, "")]
    for mount in (
        Mount(container_path="/elsewhere", host_path="/data"),
        Mount(container_path="/data", host_path="/data", is_read_only=True),
    ):
        with pytest.raises(RefusedError, match="isolation `process`"):
            made(pod=bare, mounts=(mount,))


def test_an_ordinary_user_runs_nobody_else_without_user_namespaces() -> None:
    ordinary = Node(user=1000, group=1000, binds=())
    assert made(node=ordinary, user=1000).user == 1000
    with pytest.raises(RefusedError, match="user 1000, none as 5"):
        made(node=ordinary, user=5)
    mapped = msgspec.convert(msgspec.to_builtins(POD) | {"has_user_namespace": True}, Pod)
    assert made(pod=mapped, node=ordinary, user=5).user == 5


@pytest.mark.parametrize(
    "name",
    ["", "UP", "a b", "a/", "/a", "-a", "a:b:c", "a@sha256:short", "x" * 300, "a\n", "../a"],
)
def test_what_is_no_reference_is_no_image(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        IMAGES.find(name)
    assert caught.value.reason == "InvalidImageName"


@pytest.mark.parametrize(
    "name",
    ["busybox", "busybox:1.36", "docker.io/library/busybox@sha256:" + "0" * 64, "library/busybox"],
)
def test_an_image_has_one_line_whatever_its_tag(name: str) -> None:
    found = IMAGES.find(name)
    assert (found.command, found.name) == (("/bin/sh",), name)
    assert len(found.id) == len("sha256:") + 64


def test_other_names_are_labels_but_local_ones_must_be_known() -> None:
    found = IMAGES.find("registry.example:5000/team/app:v1")
    assert (found.entrypoint, found.command) == ((), ())
    with pytest.raises(RefusedError, match=r"local/http, local/pause, local/shell") as caught:
        IMAGES.find("local/other")
    assert caught.value.reason == "ErrImagePull"


def test_a_node_has_a_table_of_its_own(tmp_path: Path) -> None:
    table = tmp_path / "images.toml"
    table.write_text('[nginx]\nentrypoint = ["/usr/sbin/nginx"]\nuser = "33:33"\n')
    image = Images(table).find("nginx:latest")
    assert made(image, command=(), arguments=()).command == ["/usr/sbin/nginx"]
    assert (made(image).user, made(image).group) == (33, 33)
    table.write_text("[nginx]\nentrypiont = []\n")
    with pytest.raises(ValueError, match="no table of images"):
        Images(table)


def test_capabilities_are_added_and_dropped() -> None:
    assert capabilities((), ("ALL",)) == []
    assert capabilities(("CAP_NET_ADMIN",), ("ALL",)) == [12]
    assert capabilities(("ALL",), ()) == list(range(41))
    assert 21 not in capabilities((), ())  # SYS_ADMIN
    assert set(capabilities((), ())) - set(capabilities((), ("CHOWN",))) == {0}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), max_size=8))
def test_outer_mounts_come_first(paths: list[list[str]]) -> None:
    mounts = [Placed("/" + "/".join(path), "/", is_read_only=False) for path in paths]
    ordered = [PurePosixPath(mount.target) for mount in in_order(mounts)]
    for position, path in enumerate(ordered):
        assert not any(later in path.parents for later in ordered[position:])


@pytest.mark.parametrize(("shares", "nice"), [(1024, 0), (4096, 0), (820, 1), (512, 4), (2, 19)])
def test_shares_are_niceness_where_there_are_no_groups(shares: int, nice: int) -> None:
    assert niceness(shares) == nice


def test_bounds_of_both_versions_of_control_groups() -> None:
    bounds = cgroups.Bounds(cpu_shares=512, cpu_nanocores=250_000_000, memory_bytes=1000, pids=7)
    first = {file: text for _, file, text in cgroups.settings(bounds, is_unified=False)}
    assert first == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "25000",
        "memory.limit_in_bytes": "1000",
        "pids.max": "7",
    }
    second = {file: text for _, file, text in cgroups.settings(bounds, is_unified=True)}
    assert second == {
        "cpu.weight": "20",
        "cpu.max": "25000 100000",
        "memory.oom.group": "1",
        "memory.max": "1000",
        "pids.max": "7",
    }
    assert cgroups.settings(cgroups.Bounds(), is_unified=True) == []


def test_where_the_control_groups_are() -> None:
    mounts = (
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    )
    own = "5:memory:/a/b\n3:cpu,cpuacct:/\n0::/session\n"
    assert cgroups.hierarchies(mounts, own) == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory/a/b",
        "unified": "/sys/fs/cgroup/unified",
    }


def test_a_group_of_version_2_keeps_and_tells_its_bounds(tmp_path: Path) -> None:
    """Its files as they are on a machine that has them; ours may have version 1 only."""
    folder = tmp_path / "c"
    folder.mkdir()
    for name in ("memory.max", "memory.oom.group", "pids.max", "cpu.weight", "cpu.max"):
        (folder / name).touch()
    texts = {
        "memory.current": "5000\n",
        "memory.stat": "anon 100\ninactive_file 1500\n",
        "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "pids.current": "3\n",
        "memory.events": "low 0\noom 1\noom_kill 2\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    group = cgroups.Group({cgroups.UNIFIED: str(tmp_path)}, "c")
    kept = group.create(cgroups.Bounds(cpu_shares=1024, memory_bytes=4096, pids=9))
    assert kept == {"cpu", "memory", "pids"}
    assert (folder / "memory.max").read_text() == "4096"
    assert (folder / "pids.max").read_text() == "9"
    assert group.spent() == (2.5, 3500, 3)
    assert group.out_of_memory_kills() == 2


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"started_at": 5.0, "colour": "red"}')
    assert records.read(State, path) == State(started_at=5.0)
    for broken in ("", "[]", "{", "null"):
        path.write_text(broken)
        assert records.read(State, path) is None
    assert records.read(State, tmp_path / "none") is None


def test_a_record_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    records.write(path, b"one")
    (tmp_path / "state.json.new").mkdir()  # the draft cannot be written
    with pytest.raises(IsADirectoryError):
        records.write(path, b"two")
    assert path.read_bytes() == b"one"
