"""A data folder that is not as one wishes."""

import contextlib
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cluster import data_folder
from cluster.data_folder import Loaded
from cluster.errors import LaunchError
from cluster.ports import LOOPBACK, Ports


def load(folder: Path, *, count: int | None = None, is_store_only: bool = False) -> Loaded:
    folder.mkdir(exist_ok=True)
    with Ports() as ports:
        return data_folder.load_or_create(
            folder, count, ports, is_store_only=is_store_only, is_tls=False
        )


def fault(folder: Path) -> str:
    with pytest.raises(LaunchError) as caught:
        load(folder)
    return str(caught.value)


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((LOOPBACK, port))
        taken.listen()
        yield taken


def test_what_is_loaded_again_is_what_was_made(tmp_path: Path) -> None:
    assert load(tmp_path / "data") == load(tmp_path / "data")


def test_to_come_up_again_nothing_is_written(tmp_path: Path) -> None:
    """A disk may have no room left."""
    load(tmp_path)
    before = files_of(tmp_path)
    load(tmp_path)
    assert files_of(tmp_path) == before


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file that was replaced is another inode."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


def test_a_folder_that_was_moved_has_its_members_with_it(tmp_path: Path) -> None:
    """Where it lay, they would begin anew, as if nothing had ever been written."""
    made = load(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    found = load(tmp_path / "elsewhere")
    assert found.cluster.token == made.cluster.token
    for member in found.cluster.members:
        assert Path(member.folder) == tmp_path / "elsewhere" / member.name
    assert found.certificates is not None
    assert str(tmp_path / "elsewhere") in found.certificates.admin.key


def test_a_port_that_somebody_else_has_taken_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "_PORT_SECONDS_MAX", 0.0)
    cluster = load(tmp_path).cluster
    for name, port in (("m2", cluster.members[1].peer_port), ("the API server", cluster.api_port)):
        with listening(port):
            told = fault(tmp_path)
        assert f"port {port} of {name} is in use by another program: stop it" in told
    assert load(tmp_path).cluster == cluster


def test_a_member_that_is_still_ending_is_waited_for(tmp_path: Path) -> None:
    """Its launcher was killed a moment ago."""
    cluster = load(tmp_path).cluster
    with listening(cluster.members[0].client_port) as taken:
        ending = threading.Timer(0.3, taken.close)
        ending.start()
        assert load(tmp_path).cluster == cluster
        ending.join()


def test_a_store_that_was_alone_is_encrypted_from_its_first_control_plane_on(
    tmp_path: Path,
) -> None:
    alone = load(tmp_path, is_store_only=True)
    assert alone.policies is None
    assert not alone.cluster.is_encrypted
    assert not (tmp_path / "encryption.json").exists()
    later = load(tmp_path)
    assert later.cluster.is_encrypted
    assert later.policies is not None
    assert Path(later.policies.encryption).exists()
    assert load(tmp_path, is_store_only=True).cluster.is_encrypted


def test_a_lost_key_of_secrets_is_told(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "encryption.json").unlink()
    assert "put it back from a backup" in fault(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"token": 5}', '{"members": []}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.json").write_text(text)
    assert "cluster.json is damaged" in fault(tmp_path)


def test_a_damaged_certificate_is_told(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "certificates" / "admin.crt").write_bytes(b"")
    assert "admin.crt is no certificate: delete it" in fault(tmp_path)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = load(tmp_path)
    (tmp_path / "cluster.json.partial").write_text("half of it")
    changed = msgspec.structs.replace(made.cluster, token="another")
    data_folder.save(tmp_path, changed)
    assert load(tmp_path).cluster == changed
    assert not (tmp_path / "cluster.json.partial").exists()


# ------------------------------------------------------------------- as a person has it


def up(folder: str, *, bytes_max: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))

    return subprocess.run(
        [sys.executable, "-m", "cluster", "up", f"--data={folder}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.parametrize("place", ["/proc/keelson", "{file}/data", "{file}"])
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    folder = place.format(file=file)
    answer = up(folder)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"cluster: cannot write in {folder}: ")
    assert "another --data" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_disk_without_room_is_told_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A limit to the size of files stands for the disk."""
    folder = tmp_path / "data"
    answer = up(str(folder), bytes_max=0)
    assert answer.returncode == 1
    assert "File too large: make room" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (folder / "cluster.json").exists()
    assert load(folder).cluster.api_port
    shutil.rmtree(folder)


def test_what_is_asked_of_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    for command in ("status", "down"):
        answer = subprocess.run(
            [sys.executable, "-m", "cluster", command, f"--data={tmp_path / 'nothing'}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert answer.returncode == 1
        assert "no cluster runs in" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_an_older_file_says_nothing_of_encryption(tmp_path: Path) -> None:
    made = load(tmp_path)
    path = tmp_path / "cluster.json"
    tree = msgspec.json.decode(path.read_bytes())
    del tree["is_encrypted"]
    path.write_bytes(msgspec.json.encode(tree))
    (tmp_path / "encryption.json").unlink()
    assert load(tmp_path).cluster == made.cluster
