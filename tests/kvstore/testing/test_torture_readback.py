"""What is made of etcdctl's answer, and where etcdctl is looked for."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture.readback import Found, read_with_etcdctl


def test_etcdctl_is_run_from_wherever_the_path_leads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A key without a value has no such field in its answer."""
    answer = {
        "header": {"revision": 9},
        "kvs": [
            {
                "key": b64encode(b"t/a").decode(),
                "value": b64encode(b"1").decode(),
                "mod_revision": 4,
            },
            {"key": b64encode(b"t/b").decode(), "mod_revision": 5},
        ],
    }
    program = tmp_path / "etcdctl"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_with_etcdctl(["127.0.0.1:1"], b"t/") == (
        9,
        {b"t/a": Found(b"1", 4), b"t/b": Found(b"", 5)},
    )


def test_an_etcdctl_that_fails_is_told_with_its_words_and_breaks_no_promise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "etcdctl"
    program.write_text("#!/bin/sh\necho 'context deadline exceeded' >&2\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RigError, match="ended with status 4: context deadline exceeded"):
        read_with_etcdctl(["127.0.0.1:1"], b"t/")
