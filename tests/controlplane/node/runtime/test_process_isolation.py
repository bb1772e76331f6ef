"""What containers see of the node and of each other, where there are namespaces."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from controlplane.node.runtime.interface import Mount
from controlplane.node.runtime.process.zygotes import Zygote
from controlplane.node.runtime.shim.isolation import Isolation
from tests.controlplane.node.runtime.conftest import Machine, refusal

SLEEP = ("sleep", "1000")


@pytest.fixture(scope="module", params=["namespaces", "namespaces+rootfs"])
def root(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Isolation]]:
    with tempfile.TemporaryDirectory(prefix="runtime-") as folder:
        yield Path(folder), request.param
        asyncio.run(Zygote(Path(folder, "run"), request.param).quit())


@pytest.fixture
def private(machine: Machine) -> Machine:
    if machine.isolation != "namespaces+rootfs":
        pytest.skip("containers have a root of their own only at the level above")
    return machine


async def sh(machine: Machine, script: str, **fields: object) -> str:
    """What a script says in a pod of its own."""
    sandbox = await machine.sandbox()
    _, said = await machine.run(sandbox, "sh", "-c", f"exec 2>&1; {script}", **fields)
    return said


def on_host(path: str) -> bool:
    return Path(path).exists()


def mount(path: str, host: Path, *, is_read_only: bool = False) -> Mount:
    return Mount(container_path=path, host_path=str(host), is_read_only=is_read_only)


@pytest.fixture
def volume(machine: Machine) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=machine.root) as folder:
        Path(folder, "file").write_text("content\n")
        yield Path(folder)


async def test_a_container_sees_its_own_processes_and_hostname(machine: Machine) -> None:
    said = await sh(
        machine, "hostname; echo $HOSTNAME; cat /proc/1/comm; ls /proc | grep -c ^[0-9]"
    )
    assert said.splitlines()[:3] == ["pod-0", "pod-0", "sh"]
    assert int(said.splitlines()[3]) < 6


async def test_a_pod_has_its_own_hosts_and_names(machine: Machine) -> None:
    sandbox = await machine.sandbox(hosts="10.1.2.3 friend\n", resolv_conf="nameserver 10.9.9.9\n")
    _, said = await machine.run(sandbox, "sh", "-c", "cat /etc/hosts /etc/resolv.conf")
    assert said == "10.1.2.3 friend\nnameserver 10.9.9.9\n"


async def test_containers_of_a_pod_share_memory_and_nobody_else_does(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    await machine.run(sandbox, "sh", "-c", "echo shared > /dev/shm/word")
    _, said = await machine.run(sandbox, "cat", "/dev/shm/word")
    assert said == "shared\n"
    assert "No such file" in await sh(machine, "cat /dev/shm/word")
    assert not on_host("/dev/shm/word")


async def test_a_pod_that_shares_processes_sees_all_of_them(machine: Machine) -> None:
    sandbox = await machine.sandbox(shares_processes=True)
    await machine.start(sandbox, "sleep", "4321")
    script = "cat /proc/*/cmdline | tr '\\0' ' '; cat /proc/self/stat"
    _, said = await machine.run(sandbox, "sh", "-c", script)
    assert "sleep 4321" in said
    assert said.splitlines()[-1].split()[0] != "1"


async def test_volumes_are_written_or_only_read(machine: Machine, volume: Path) -> None:
    said = await sh(
        machine,
        "cd /mnt; cat rw/file one; echo new > rw/new; echo no > ro/no; echo $?; cat ro/new",
        mounts=(
            mount("/mnt/rw", volume),
            mount("/mnt/ro", volume, is_read_only=True),
            mount("/mnt/one", volume / "file", is_read_only=True),
        ),
    )
    assert said.startswith("content\ncontent\n")
    assert "Read-only file system" in said
    assert said.endswith("\nnew\n")
    assert (volume / "new").read_text() == "new\n"
    assert not (volume / "no").exists()


async def test_volumes_are_mounted_where_the_host_has_nothing(
    machine: Machine, volume: Path
) -> None:
    """Below folders of the host that must not change: their other files stay in sight."""
    token = "/var/run/secrets/kubernetes.io/serviceaccount"  # by a link to /run
    paths = ("/usr/share/not-there/deep", "/etc/not-there", "/usr/share/neither", token)
    if machine.isolation == "namespaces":
        sandbox = await machine.sandbox()
        ended, _ = await machine.run(sandbox, "true", mounts=(mount("/not-there", volume),))
        assert ended.message == "/not-there: this node has no place to mount it"
    script = "cat /usr/share/not-there/deep/file; test -d /usr/share/doc && echo whole; "
    script += "echo w > /usr/share/not-there/deep/w; cat /usr/share/neither/w "
    script += f"{token}/w"
    mounts = tuple(mount(path, volume) for path in paths)
    assert await sh(machine, script, mounts=mounts) == "content\nwhole\nw\nw\n"
    assert not any(map(on_host, paths))


async def test_a_volume_inside_a_volume_is_not_covered(machine: Machine, volume: Path) -> None:
    (volume / "inner").mkdir()
    mounts = (mount("/mnt/data/inner", volume), mount("/mnt/data", volume))
    said = await sh(machine, "cd /mnt/data; cat inner/file; ls inner/inner", mounts=mounts)
    assert said == "content\n"


async def test_a_link_in_a_volume_does_not_lead_a_mount_out(private: Machine, volume: Path) -> None:
    """The trap of CVE-2017-1002101: the next container's mount point is a link to the host."""
    trap = volume / "trap"
    trap.mkdir()
    (trap / "link").symlink_to("/srv")
    (trap / "dangling").symlink_to(volume / "not-there")
    inside = f"/srv/{volume.name}"
    mounts = (mount("/data", trap), mount(f"/data/link/{volume.name}", volume))
    assert await sh(private, f"cat {inside}/file", mounts=mounts) == "content\n"
    assert not on_host(inside)
    sandbox = await private.sandbox()
    mounts = (mount("/data", trap), mount("/data/dangling/deep", volume))
    ended, _ = await private.run(sandbox, "true", mounts=mounts)
    assert ended.reason == "StartError"
    assert not (volume / "not-there").exists()


async def test_the_root_is_its_own_and_the_programs_are_the_hosts(private: Machine) -> None:
    said = await sh(
        private, "touch /mine && echo made; touch /usr/no; ls /home; test -e /boot || echo no"
    )
    assert said.splitlines()[0] == "made"
    assert "Read-only file system" in said
    assert said.endswith("no\n")
    assert not on_host("/mine")
    assert await sh(private, "ls /mine") != "/mine\n"  # another container has another root


async def test_a_read_only_root_still_has_its_volumes(private: Machine, volume: Path) -> None:
    said = await sh(
        private,
        "touch /no; echo yes > /rw/yes; echo x > /dev/null && cat /rw/yes",
        mounts=(mount("/rw", volume),),
        is_root_read_only=True,
    )
    assert "Read-only file system" in said
    assert said.endswith("yes\n")


async def test_what_could_harm_the_host_cannot_be_written(private: Machine) -> None:
    said = await sh(
        private,
        "echo b > /proc/sysrq-trigger; echo x > /proc/sys/kernel/hostname; mount -t tmpfs x /mnt; "
        "umount /usr; touch /sys/x; mknod /dev/disk b 254 0; cat /etc/shadow; echo end",
    )
    assert said.count("Read-only file system") >= 2  # /proc/sys, /sys
    assert said.count("No such file") >= 1  # /etc/shadow
    assert said.endswith("end\n")
    assert "root:" not in said


async def test_capabilities_are_those_that_are_asked_for(machine: Machine) -> None:
    show = "grep CapBnd /proc/self/status | cut -f2"
    assert int(await sh(machine, show, drops_capabilities=("ALL",)), 16) == 0
    only = {"drops_capabilities": ("ALL",), "adds_capabilities": ("NET_ADMIN",)}
    assert int(await sh(machine, show, **only), 16) == 1 << 12
    usual = int(await sh(machine, show), 16)
    assert usual & 1  # CHOWN
    assert not usual & (1 << 21)  # SYS_ADMIN
    sandbox = await machine.sandbox()
    refused = await refusal(machine.create(sandbox, "sh", adds_capabilities=("MAGIC",)))
    assert "MAGIC" in refused.message


async def test_the_working_folder_is_made(private: Machine) -> None:
    assert await sh(private, "pwd", working_folder="/made/here") == "/made/here\n"


async def test_a_working_folder_that_cannot_be_is_a_start_error(machine: Machine) -> None:
    sandbox = await machine.sandbox()
    ended, _ = await machine.run(sandbox, "true", working_folder="/proc/none")
    assert (ended.exit_code, ended.reason) == (128, "StartError")
    assert "/proc/none" in ended.message


async def test_the_kernels_folders_are_no_mount_points(machine: Machine, volume: Path) -> None:
    sandbox = await machine.sandbox()
    for path in ("/", "/proc", "/proc/self", "/sys/x", "relative", "/a/../../b"):
        refused = await refusal(machine.create(sandbox, "sh", mounts=(mount(path, volume),)))
        assert refused.reason == "CreateContainerError"


async def test_a_volume_that_cannot_be_read_is_told(machine: Machine, volume: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    closed = volume / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    sandbox = await machine.sandbox()
    mounts = (mount("/data", closed / "inner"),)
    refused = await refusal(machine.create(sandbox, "sh", mounts=mounts))
    assert "Permission denied" in refused.message
    closed.chmod(0o700)


async def test_ipc_sysctls_are_the_pods_own(machine: Machine) -> None:
    sandbox = await machine.sandbox(sysctls={"kernel.msgmax": "4321"})
    _, said = await machine.run(sandbox, "cat", "/proc/sys/kernel/msgmax")
    assert said == "4321\n"
    assert await sh(machine, "cat /proc/sys/kernel/msgmax") != said


async def test_a_sub_path_is_held_to_its_volume_when_it_is_mounted(
    machine: Machine, volume: Path
) -> None:
    """A container changes the link after the agent has looked, and before it is mounted."""
    (volume / "inside").mkdir()
    (volume / "inside" / "file").write_text("mine\n")
    (volume / "link").symlink_to("inside")
    shown = msgspec.structs.replace(mount("/mnt", volume), sub_path="link")
    sandbox = await machine.sandbox()
    _, said = await machine.run(sandbox, "cat", "/mnt/file", mounts=(shown,))
    assert said == "mine\n"
    container = await machine.create(sandbox, "cat", "/mnt/passwd", mounts=(shown,))
    (volume / "link").unlink()
    (volume / "link").symlink_to("/etc")
    await machine.runtime.start_container(container)
    ended = await machine.ended(container)
    assert (ended.exit_code, ended.reason) == (128, "StartError")
    assert "Invalid cross-device link" in ended.message
