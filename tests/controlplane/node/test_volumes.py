"""Files and folders of volumes."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.types.core_v1 import Pod, Volume
from controlplane.node import atomic_folder, folders, volume_files
from controlplane.node.environment import ConfigError, Reference
from controlplane.node.folders import Folders
from controlplane.node.volume_files import File, Origin, TokenWish, VolumeError
from controlplane.node.volumes import Volumes
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import UID, pod

CONFIG = Reference("configmap", "c")
SECRET = Reference("secret", "s")


class Held:
    """Sources with these objects."""

    def __init__(self) -> None:
        self.objects_by: dict[Reference, Any] = {
            CONFIG: {"metadata": {"name": "c"}, "data": {"a.txt": "one", "b.txt": "two"}},
            SECRET: {
                "metadata": {"name": "s"},
                "data": {"key": base64.b64encode(b"\x00\xff").decode()},
            },
        }

    async def objects(self, namespace: str, references: list[Reference]) -> dict[Reference, Any]:
        return {one: self.objects_by[one] for one in references if one in self.objects_by}

    async def token(self, found: Pod, wish: TokenWish) -> str:
        return f"token for {wish.audience or 'the API'}"


def with_volume(source: dict[str, Any], **mount: Any) -> tuple[Pod, Volume]:
    """A pod that mounts one volume at /v."""
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    found = pod(container("a", volumeMounts=mounts), volumes=[{"name": "v", **source}])
    return found, found.spec.volumes[0]


def files(source: dict[str, Any], **tokens: Any) -> dict[str, File]:
    found, volume = with_volume(source)
    return volume_files.files(found, volume, Origin(objects=Held().objects_by, **tokens))


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(
        Folders(tmp_path, folders.at_once),
        Held(),  # type: ignore[arg-type]
        host_ip="192.0.2.1",
        allocatable=lambda: {"cpu": "4"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pods" / UID / "volumes" / folders.EMPTY_DIR / "v"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


# ---------------------------------------------------------------------------- files


def test_config_map() -> None:
    assert files({"configMap": {"name": "c", "defaultMode": 0o400}}) == {
        "a.txt": File(b"one", 0o400),
        "b.txt": File(b"two", 0o400),
    }


def test_items_say_which_keys_and_where() -> None:
    items = [{"key": "a.txt", "path": "deep/x", "mode": 0o600}]
    assert files({"configMap": {"name": "c", "items": items}}) == {"deep/x": File(b"one", 0o600)}


def test_secret_is_bytes() -> None:
    assert files({"secret": {"secretName": "s"}}) == {"key": File(b"\x00\xff", 0o644)}


def test_downward_api() -> None:
    items = [
        {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "a", "resource": "limits.cpu"}},
    ]
    found, volume = with_volume({"downwardAPI": {"items": items}})
    origin = Origin(allocatable={"cpu": "4"})
    assert volume_files.files(found, volume, origin) == {"name": File(b"p"), "cpu": File(b"4")}


def test_labels_are_told_one_a_line() -> None:
    made = pod("a")
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    _, volume = with_volume({"downwardAPI": {"items": items}})
    labelled = type(made.metadata)(labels={"b": "2", "a": '1"'})
    found = volume_files.files(Pod(metadata=labelled), volume, Origin())
    assert found["labels"].data == b'a="1\\""\nb="2"'


def test_projected_volume_joins_them_all() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "c", "items": [{"key": "a.txt", "path": "ca.crt"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    tokens = {TokenWish("", 3607): "t"}
    found = files({"projected": {"sources": sources, "defaultMode": 0o644}}, tokens=tokens)
    assert found == {
        "token": File(b"t", 0o644),
        "ca.crt": File(b"one", 0o644),
        "key": File(b"\x00\xff", 0o644),
        "n": File(b"p", 0o644),
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "x"}}, 'configmap "x" not found'),
        ({"secret": {"secretName": "x"}}, 'secret "x" not found'),
        (
            {"configMap": {"name": "c", "items": [{"key": "no", "path": "p"}]}},
            "default/c references non-existent key: no",
        ),
        (
            {"configMap": {"name": "c", "items": [{"key": "a.txt", "path": "../x"}]}},
            "'../x' is no path within a volume",
        ),
        (
            {
                "configMap": {
                    "name": "c",
                    "items": [{"key": "a.txt", "path": "d"}, {"key": "b.txt", "path": "d/x"}],
                }
            },
            "'d' cannot be a file and a folder",
        ),
    ],
)
def test_volume_that_cannot_be_made(source: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError) as told:
        files(source)
    assert str(told.value) == message


def test_what_is_optional_may_be_absent() -> None:
    assert files({"configMap": {"name": "x", "optional": True}}) == {}
    items = [{"key": "no", "path": "p"}, {"key": "a.txt", "path": "q"}]
    source = {"configMap": {"name": "c", "items": items, "optional": True}}
    assert files(source) == {"q": File(b"one")}


# ------------------------------------------------------------------- folders that change


def read(folder: Path) -> dict[str, bytes]:
    """As a program sees it."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if not one.name.startswith(".")}


def test_files_change_all_at_once(tmp_path: Path) -> None:
    place = tmp_path / "v"
    assert atomic_folder.write(place, {"a": File(b"1"), "b": File(b"1")})
    before = (place / "..data").resolve()
    held = before.parent.resolve() / before.name
    assert read(place) == {"a": b"1", "b": b"1"}
    assert permissions(place / "a") == 0o644
    assert not atomic_folder.write(place, {"a": File(b"1"), "b": File(b"1")})
    assert (place / "..data").resolve() == held
    assert atomic_folder.write(place, {"b": File(b"2"), "c/d": File(b"2", 0o600)})
    assert (place / "..data").resolve() != held
    assert not held.exists()
    assert sorted(one.name for one in place.iterdir() if one.is_symlink()) == ["..data", "b", "c"]
    assert (place / "c" / "d").read_bytes() == b"2"
    assert (permissions(place / "c"), permissions(place / "c" / "d")) == (0o755, 0o600)


def test_write_that_was_broken_off_is_finished(tmp_path: Path) -> None:
    place = tmp_path / "v"
    atomic_folder.write(place, {"a": File(b"1")})
    (place / "a").unlink()
    (place / "old").symlink_to("..data/old")
    (place / "..left").mkdir()
    assert not atomic_folder.write(place, {"a": File(b"1")})
    assert read(place) == {"a": b"1"}
    atomic_folder.write(place, {"a": File(b"2")})
    assert not (place / "..left").exists()


# --------------------------------------------------------------------------- volumes


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_volumes_are_made_and_mounted(volumes: Volumes) -> None:
    found, volume = with_volume({"configMap": {"name": "c"}})
    folder = volumes.folder(found, volume)
    await volumes.set_up(found)
    (mount,) = volumes.mounts(found, found.spec.containers[0], {})
    assert (mount.container_path, mount.host_path) == ("/v", str(folder))
    assert mount.is_read_only
    assert read(folder) == {"a.txt": b"one", "b.txt": b"two"}


async def test_empty_dir_keeps_what_is_in_it(volumes: Volumes, folder: Path) -> None:
    found, _ = with_volume({"emptyDir": {}})
    await volumes.set_up(found)
    assert permissions(folder) == 0o777
    (folder / "x").write_bytes(b"mine")
    await volumes.set_up(found)
    assert (folder / "x").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("kind", "makes"),
    [
        ("Directory", ""),
        ("DirectoryOrCreate", "directory"),
        ("File", ""),
        ("FileOrCreate", "file"),
        ("Socket", ""),
        ("BlockDevice", ""),
        ("", "directory"),
    ],
)
async def test_host_path(volumes: Volumes, tmp_path: Path, kind: str, makes: str) -> None:
    place = tmp_path / "host" / "x"
    place.parent.mkdir()
    found, _ = with_volume({"hostPath": {"path": str(place), "type": kind}})
    if makes:
        await volumes.set_up(found)
        assert place.is_dir() if makes == "directory" else place.is_file()
        (mount,) = volumes.mounts(found, found.spec.containers[0], {})
        assert mount.host_path == str(place)
        assert not mount.is_read_only
    else:
        with pytest.raises(VolumeError, match="hostPath type check failed"):
            await volumes.set_up(found)


async def test_failure_says_of_which_volume(volumes: Volumes) -> None:
    found, _ = with_volume({"secret": {"secretName": "x"}})
    with pytest.raises(VolumeError) as told:
        await volumes.set_up(found)
    assert str(told.value) == 'MountVolume.SetUp failed for volume "v" : secret "x" not found'


async def test_volume_of_an_unknown_kind(volumes: Volumes) -> None:
    found, _ = with_volume({"nfs": {"server": "s", "path": "/"}})
    with pytest.raises(VolumeError, match="not supported"):
        await volumes.set_up(found)


async def test_sub_path(volumes: Volumes, folder: Path) -> None:
    found, _ = with_volume({"emptyDir": {}}, subPathExpr="$(WHO)/x")
    await volumes.set_up(found)
    (mount,) = volumes.mounts(found, found.spec.containers[0], {"WHO": "me"})
    assert (mount.host_path, mount.sub_path) == (str(folder), "me/x")
    assert permissions(folder / "me" / "x") == 0o777


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../x", "link"])
async def test_sub_path_stays_in_its_volume(volumes: Volumes, folder: Path, path: str) -> None:
    """A pod that can write a link must not reach the host's files by it."""
    found, _ = with_volume({"emptyDir": {}}, subPath=path)
    await volumes.set_up(found)
    (folder / "link").symlink_to("/etc")
    with pytest.raises(ConfigError, match="failed to prepare subPath"):
        volumes.mounts(found, found.spec.containers[0], {})


async def test_sub_path_makes_nothing_behind_a_link(
    volumes: Volumes, folder: Path, tmp_path: Path
) -> None:
    """Neither is a folder of the host made, nor are its rights changed."""
    found, _ = with_volume({"emptyDir": {}}, subPath="link/made/x")
    await volumes.set_up(found)
    host = tmp_path / "host"
    host.mkdir(mode=0o700)
    (folder / "link").symlink_to(host)
    with pytest.raises(ConfigError, match="leads out of the volume"):
        volumes.mounts(found, found.spec.containers[0], {})
    assert list(host.iterdir()) == []
    assert permissions(host) == 0o700
    (folder / "link").unlink()
    (folder / "link").symlink_to("link")  # it leads to itself
    with pytest.raises(ConfigError, match="Too many levels of symbolic links"):
        volumes.mounts(found, found.spec.containers[0], {})
    (folder / "link").unlink()
    (folder / "link").symlink_to("inside")
    (folder / "inside").mkdir()
    volumes.mounts(found, found.spec.containers[0], {})
    assert (folder / "inside" / "made" / "x").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
async def test_files_are_those_of_the_group_of_the_pod(volumes: Volumes) -> None:
    """fsGroup: readable by it, and what is made in its folders is the group's, too."""
    sources: list[dict[str, Any]] = [
        {"emptyDir": {}},
        {"secret": {"secretName": "s", "defaultMode": 0o400}},
    ]
    for source in sources:
        made = pod(volumes=[{"name": "v", **source}], securityContext={"fsGroup": 4321})
        for _ in range(2):
            await volumes.set_up(made)
        place = volumes.folder(made, made.spec.volumes[0])
        found = place.stat()
        assert found.st_gid == 4321
        assert found.st_mode & 0o2070 == (0o2070 if "emptyDir" in source else 0o2050)
    key = (place / "key").stat()
    assert (key.st_gid, key.st_mode & 0o777) == (4321, 0o440)
    assert (place / "..data").resolve().stat().st_mode & 0o2050 == 0o2050


async def test_group_of_a_stranger_is_no_number(volumes: Volumes) -> None:
    made = pod(volumes=[{"name": "v", "emptyDir": {}}], securityContext={"fsGroup": 2**40})
    with pytest.raises(VolumeError, match="is no number of a group"):
        await volumes.set_up(made)


async def test_pod_leaves_nothing(volumes: Volumes, tmp_path: Path, folder: Path) -> None:
    found, _ = with_volume({"emptyDir": {}})
    await volumes.set_up(found)
    precious = tmp_path / "precious"
    precious.write_bytes(b"x")
    (folder / "link").symlink_to(precious)
    (folder / "shut").mkdir()
    (folder / "shut" / "x").write_bytes(b"x")
    (folder / "shut").chmod(0)
    places = Folders(tmp_path, folders.at_once)
    places.logs(found).mkdir(parents=True)
    await places.remove(UID)
    assert not places.pod(UID).exists()
    assert not places.logs(found).exists()
    assert precious.exists()


class _KilledError(BaseException):
    """No more comes to be done."""


@pytest.mark.parametrize("steps", [0, 1])
async def test_pod_whose_removal_was_broken_off_is_found_again(tmp_path: Path, steps: int) -> None:
    done: list[Any] = []

    async def run(function: Any, *arguments: Any) -> Any:
        if len(done) == steps:
            raise _KilledError
        done.append(arguments)
        return function(*arguments)

    places = Folders(tmp_path, run)
    places.pod(UID).mkdir(parents=True)
    places.logs(pod("a")).mkdir(parents=True)
    with pytest.raises(_KilledError):
        await places.remove(UID)
    assert Folders(tmp_path).uids() == [UID]
    assert places.pod(UID).exists()


def test_pod_of_which_only_logs_are_left_is_found(tmp_path: Path) -> None:
    places = Folders(tmp_path)
    assert places.uids() == []
    places.logs(pod("a")).mkdir(parents=True)
    assert places.uids() == [UID]


@pytest.mark.parametrize("uid", ["..", "", "a/b", "x" * 200])
def test_uid_of_a_stranger_is_no_path(tmp_path: Path, uid: str) -> None:
    with pytest.raises(ValueError, match="is no uid"):
        Folders(tmp_path).pod(uid)
