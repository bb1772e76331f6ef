import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.ctl import kubeconfig
from controlplane.ctl.errors import CtlError


def a_config(tmp_path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    path = tmp_path / "config"
    tree = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "mine"}},
            {"name": "bare", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def test_a_token_may_lie_in_a_file_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    access = kubeconfig.load(a_config(tmp_path, {"tokenFile": "token"}), None)
    assert (access.server, access.namespace, access.token) == ("http://127.0.0.1:1", "mine", "abc")
    assert access.tls is None


def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    access = kubeconfig.load(a_config(tmp_path, {"token": "abc"}), "bare")
    assert (access.namespace, access.token) == ("default", "")


@pytest.mark.parametrize(
    ("user", "cluster", "told"),
    [
        ({"exec": {"command": "x"}}, {}, "needs a plugin"),
        ({"client-certificate-data": "!"}, {"server": "https://x"}, "client-certificate-data"),
        ({"client-certificate": "none.crt"}, {"server": "https://x"}, "No such file"),
        ({}, {"server": "https://x", "certificate-authority-data": "YQ=="}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], told: str
) -> None:
    with pytest.raises(CtlError, match=told):
        kubeconfig.load(a_config(tmp_path, user, **cluster), None)


@pytest.mark.parametrize("text", ["[", "3", "{}", "{contexts: 3, current-context: a}"])
def test_what_is_no_kubeconfig_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(CtlError, match="error: "):
        kubeconfig.load(path, None)


def test_the_flag_counts_before_the_environment(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    assert stat.S_ISREG(there.stat().st_mode)
    environment = {"KUBECONFIG": os.pathsep.join(["/nowhere", str(there)])}
    assert kubeconfig.path_of("flag", environment) == Path("flag")
    assert kubeconfig.path_of(None, environment) == there
    assert kubeconfig.path_of(None, {"KUBECONFIG": "/nowhere"}) == Path("/nowhere")
    assert kubeconfig.path_of(None, {}).name == "config"
