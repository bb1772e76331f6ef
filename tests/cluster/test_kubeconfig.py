from pathlib import Path

import pytest
import yaml

from cluster import kubeconfig
from cluster.topology import TlsFiles

SERVER = "https://127.0.0.1:6443"


@pytest.fixture
def text(tmp_path: Path) -> str:
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(name)
    return kubeconfig.text(
        SERVER, TlsFiles(*(str(tmp_path / name) for name in ("ca", "crt", "key")))
    )


def test_it_stands_for_itself(text: str) -> None:
    """Nothing in it names a file: it can be copied."""
    tree = yaml.safe_load(text)
    assert tree["clusters"][0]["cluster"] == {
        "server": SERVER,
        "certificate-authority-data": "Y2E=",
    }
    assert tree["users"][0]["user"] == {
        "client-certificate-data": "Y3J0",
        "client-key-data": "a2V5",
    }
    [context] = tree["contexts"]
    assert context["name"] == tree["current-context"]
    assert context["context"] == {
        "cluster": tree["clusters"][0]["name"],
        "user": tree["users"][0]["name"],
    }


def test_what_a_person_added_does_not_make_it_old(text: str) -> None:
    tree = yaml.safe_load(text)
    tree["contexts"][0]["context"]["namespace"] = "mine"
    tree["users"].append({"name": "bob", "user": {"token": "x"}})
    assert kubeconfig.is_current(yaml.safe_dump(tree), text)


@pytest.mark.parametrize("old", ["", "[", "clusters: []", "clusters: 3", "3"])
def test_what_is_no_kubeconfig_of_this_cluster_is_old(text: str, old: str) -> None:
    assert not kubeconfig.is_current(old, text)


def test_another_port_or_certificate_makes_it_old(text: str) -> None:
    assert not kubeconfig.is_current(text.replace("6443", "16443"), text)
    assert not kubeconfig.is_current(text.replace("a2V5", "b2V5"), text)
