from pathlib import Path

from cluster import logs


def test_a_log_that_is_too_large_is_put_aside_while_its_process_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "m1.log"
    with path.open("ab", buffering=0) as process:
        process.write(b"x" * 100)
        logs.trim(path, bytes_max=100)
        assert [one.name for one in tmp_path.iterdir()] == ["m1.log"]
        process.write(b"y")
        logs.trim(path, bytes_max=100)
        process.write(b"z")
    assert path.read_bytes() == b"z"
    assert (tmp_path / "m1.log.old").read_bytes() == b"x" * 100 + b"y"


def test_where_no_room_is_for_a_copy_the_log_is_emptied(tmp_path: Path) -> None:
    """Else the disk stays as full as it is."""
    path = tmp_path / "m1.log"
    path.write_bytes(b"x" * 101)
    (tmp_path / "m1.log.old").symlink_to("/dev/full")
    logs.trim(path, bytes_max=100)
    assert path.read_bytes() == b""
    assert not (tmp_path / "m1.log.old").is_symlink()


def test_a_process_that_has_no_log_yet_is_left(tmp_path: Path) -> None:
    logs.trim(tmp_path / "m1.log")
