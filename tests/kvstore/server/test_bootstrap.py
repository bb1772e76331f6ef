"""Ids are etcd's, and a data folder serves only the member that it was made for."""

import re
import selectors
import shutil
import socket
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from kvstore.errors import ConfigError, DataFolderError
from kvstore.server.bootstrap import (
    IDENTITY_NAME,
    Bootstrap,
    bootstrap,
    cluster_id_of,
    cluster_spec,
    member_id_of,
)
from kvstore.server.config import Settings, load
from kvstore.storage.files import LocalFiles

CLUSTER = "m1=http://127.0.0.1:2380,m2=http://127.0.0.1:2382,m3=http://127.0.0.1:2384"


def settings(name: str, *arguments: str, cluster: str = CLUSTER) -> Settings:
    urls = [pair.partition("=")[2] for pair in cluster.split(",") if pair.startswith(f"{name}=")]
    loaded = load(
        [
            f"--name={name}",
            f"--initial-advertise-peer-urls={','.join(urls)}",
            f"--initial-cluster={cluster}",
            *arguments,
        ],
        {},
    )
    assert isinstance(loaded, Settings)
    return loaded


def alone(*arguments: str) -> Settings:
    loaded = load(arguments, {})
    assert isinstance(loaded, Settings)
    return loaded


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def line_of(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of a process's log that matches, within ten seconds."""
    assert process.stderr is not None
    seen = ""
    deadline = time.monotonic() + 10
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < deadline and selector.select(deadline - time.monotonic()):
            line = process.stderr.readline()
            if not line:
                break
            seen += line
            if found := re.search(pattern, line):
                return found
    raise AssertionError(f"no line {pattern!r} in:\n{seen}")


@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
@pytest.mark.parametrize("token", ["etcd-cluster", "another token"])
def test_ids_equal_those_of_a_real_etcd(tmp_path: Path, token: str) -> None:
    own, other = free_port(), free_port()
    cluster = f"m1=http://127.0.0.1:{own},m2=http://127.0.0.1:{other},m2=http://127.0.0.1:1"
    flags = [
        "--name=m1",
        f"--listen-peer-urls=http://127.0.0.1:{own}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{own}",
        f"--initial-cluster={cluster}",
        f"--initial-cluster-token={token}",
        f"--listen-client-urls=http://127.0.0.1:{free_port()}",
        "--advertise-client-urls=http://127.0.0.1:1",
        f"--data-dir={tmp_path}/etcd",
    ]
    with subprocess.Popen(["etcd", *flags], stderr=subprocess.PIPE, text=True) as etcd:
        try:
            found = line_of(etcd, r"starting member ([0-9a-f]+) in cluster ([0-9a-f]+)")
        finally:
            etcd.kill()
    spec = cluster_spec(alone(*flags))
    assert (f"{spec.member_id:x}", f"{spec.cluster_id:x}") == found.groups()


def test_ids_are_those_of_etcds_default_member() -> None:
    # What every stand-alone etcd with default flags calls itself.
    member_id = member_id_of(("http://localhost:2380",), "etcd-cluster")
    assert f"{member_id:x}" == "8e9e05c52164694d"
    assert f"{cluster_id_of([member_id]):x}" == "cdf818194e3a8c32"


def test_all_members_compute_the_same_cluster() -> None:
    specs = [cluster_spec(settings(name)) for name in ("m1", "m2", "m3")]
    assert len({spec.cluster_id for spec in specs}) == 1
    assert specs[0].members == specs[1].members == specs[2].members
    assert [spec.members[spec.member_id].name for spec in specs] == ["m1", "m2", "m3"]


def test_order_of_members_and_addresses_does_not_matter() -> None:
    swapped = ",".join(reversed(CLUSTER.split(",")))
    assert cluster_spec(settings("m1", cluster=swapped)) == cluster_spec(settings("m1"))
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert member_id_of(urls, "t") == member_id_of(urls[::-1], "t")


def test_token_separates_clusters_of_equal_addresses() -> None:
    one = cluster_spec(settings("m1"))
    two = cluster_spec(settings("m1", "--initial-cluster-token=two"))
    assert one.cluster_id != two.cluster_id
    assert not one.members.keys() & two.members.keys()


def test_peer_addresses_leave_the_member_itself_out() -> None:
    spec = cluster_spec(settings("m2"))
    assert sorted(spec.peer_addresses.values()) == [
        ("http://127.0.0.1:2380",),
        ("http://127.0.0.1:2384",),
    ]


async def test_empty_folder_is_a_fresh_start_and_then_a_restart(tmp_path: Path) -> None:
    given = settings("m1", f"--data-dir={tmp_path}/new/m1")
    first = await bootstrap(LocalFiles(), given)
    again = await bootstrap(LocalFiles(), given)
    assert (first.is_restart, again.is_restart) == (False, True)
    assert first.spec == again.spec == cluster_spec(given)


async def test_restart_without_initial_cluster_keeps_the_identity(tmp_path: Path) -> None:
    first = await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))
    again = await bootstrap(LocalFiles(), alone("--name=m1", f"--data-dir={tmp_path}"))
    assert again.is_restart
    assert again.spec == first.spec


async def test_folder_of_another_cluster_is_refused(tmp_path: Path) -> None:
    await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))
    other = settings("m1", f"--data-dir={tmp_path}", "--initial-cluster-token=two")
    with pytest.raises(DataFolderError, match=r"belongs to another cluster.*choose an empty"):
        await bootstrap(LocalFiles(), other)


async def test_folder_of_another_member_is_refused(tmp_path: Path) -> None:
    await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))
    for other in (
        settings("m2", f"--data-dir={tmp_path}"),
        alone("--name=m2", f"--data-dir={tmp_path}"),
    ):
        with pytest.raises(DataFolderError, match=r"belongs to another member: 'm1'.*'m2'"):
            await bootstrap(LocalFiles(), other)


async def test_refused_folder_is_left_as_it_was(tmp_path: Path) -> None:
    await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))
    files = LocalFiles()
    before = files.read(f"{tmp_path}/{IDENTITY_NAME}")
    with pytest.raises(DataFolderError):
        await bootstrap(LocalFiles(), settings("m2", f"--data-dir={tmp_path}"))
    assert files.list(str(tmp_path)) == [IDENTITY_NAME]
    assert files.read(f"{tmp_path}/{IDENTITY_NAME}") == before


async def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    with pytest.raises(DataFolderError, match=r"holds member but no identity\.json"):
        await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))


async def test_crash_while_the_identity_was_written_is_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / f"{IDENTITY_NAME}.new").write_bytes(b'{"cluster')
    (tmp_path / "lost+found").mkdir()
    started = await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))
    assert not started.is_restart
    assert not (tmp_path / f"{IDENTITY_NAME}.new").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"cluster_id": "1", "member_id": "2", "members": {}}',
        b'{"cluster_id": "x", "member_id": "2", "members": {}}',
        b'{"cluster_id": "1", "member_id": "2"}',
    ],
)
async def test_damaged_identity_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / IDENTITY_NAME).write_bytes(content)
    with pytest.raises(DataFolderError, match="is damaged"):
        await bootstrap(LocalFiles(), settings("m1", f"--data-dir={tmp_path}"))


def test_members_with_equal_addresses_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than once"):
        settings("m1", cluster="m1=http://127.0.0.1:1,m2=http://127.0.0.1:1")


def by_two_names(one: str, other: str, *arguments: str) -> Settings:
    return settings("m1", *arguments, cluster=f"m1=http://{one}:1,m2=http://{other}:1")


async def test_members_at_one_place_by_two_names_are_refused_before_they_have_run(
    tmp_path: Path,
) -> None:
    folder = f"--data-dir={tmp_path}"
    given = by_two_names("localhost", "127.0.0.1", folder)
    with pytest.raises(ConfigError, match=r"http://127.0.0.1:1 and http://localhost:1: give each"):
        await bootstrap(LocalFiles(), given)
    assert LocalFiles().list(str(tmp_path)) == []


async def test_a_folder_of_members_at_one_place_by_two_names_stays_in_use(tmp_path: Path) -> None:
    """Versions before took them for two."""
    given = by_two_names("localhost", "127.0.0.1", f"--data-dir={tmp_path}")
    spec = cluster_spec(given)
    identity = {
        "cluster_id": f"{spec.cluster_id:x}",
        "member_id": f"{spec.member_id:x}",
        "members": {f"{id_:x}": member for id_, member in spec.members.items()},
    }
    (tmp_path / IDENTITY_NAME).write_bytes(msgspec.json.encode(identity))
    assert await bootstrap(LocalFiles(), given) == Bootstrap(spec, is_restart=True)


async def test_members_may_share_a_port_of_the_two_loopback_addresses(tmp_path: Path) -> None:
    given = by_two_names("127.0.0.1", "[::1]", f"--data-dir={tmp_path}")
    assert len((await bootstrap(LocalFiles(), given)).spec.members) == 2
