"""The command line of `controlplane proxy`."""

import argparse
from pathlib import Path

import pytest

from controlplane.__main__ import main
from controlplane.network import proxy

STORE = ["--store-endpoints", "http://127.0.0.1:1"]


def test_flags_are_settings(tmp_path: Path) -> None:
    """DNS does not ask itself: the host's resolvers may name it."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.96.0.10\nnameserver 192.0.2.53\n")
    parser = argparse.ArgumentParser()
    proxy.add_flags(parser)
    flags = ["--node-name", "a", "--node-name", "b", "--cluster-dns", "127.96.0.10"]
    settings = proxy.settings_of(parser.parse_args([*STORE, *flags, "--resolv-conf", str(conf)]))
    assert settings.nodes == frozenset({"a", "b"})
    assert (settings.cluster_dns, settings.cluster_domain) == ("127.96.0.10", "cluster.local")
    assert settings.upstreams == ("192.0.2.53",)


def test_host_without_resolvers_is_no_reason_to_end(tmp_path: Path) -> None:
    assert proxy.upstreams_of(tmp_path / "none", "") == ()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--nodeport-addresses", "nonsense"], "--nodeport-addresses"),
        (["--cluster-dns", "nonsense"], "--cluster-dns"),
        (["--cluster-domain", "a..b"], "--cluster-domain"),
        (["--cluster-domain", "."], "--cluster-domain"),
    ],
)
def test_flag_that_cannot_be_used_is_named(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proxy", "--store-endpoints", "http://127.0.0.1:1", *flags]) == 2
    assert words in capsys.readouterr().err
