"""Flags, and the files that they name."""

import argparse
import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import certificates
from controlplane.apiserver.audit_policy import EVERYTHING
from controlplane.apiserver.settings import Settings, add_flags, settings_of
from controlplane.apiserver.users import User
from controlplane.flags import SettingsError
from tests.controlplane.apiserver.test_audit_policy import policy
from tests.controlplane.test_tokens import pair, private_pem, public_pem


def settings(folder: Path, *flags: str, key: bytes = b"") -> Settings:
    signing = folder / "sa.key"
    signing.touch(mode=0o600)
    signing.write_bytes(key or private_pem(pair("p256")))
    parser = argparse.ArgumentParser()
    add_flags(parser)
    always = ["--store-endpoints=http://127.0.0.1:2379"]
    always += [f"--service-account-signing-key-file={signing}"]
    return settings_of(parser.parse_args([*always, *flags]))


def file(folder: Path, content: bytes | str) -> str:
    path = folder / "file"
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def fault(folder: Path, *flags: str, key: bytes = b"") -> str:
    with pytest.raises(SettingsError) as caught:
        settings(folder, *flags, key=key)
    return str(caught.value)


def test_what_is_not_said(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.store.endpoints == ("127.0.0.1:2379",)
    assert (found.host, found.port, found.advertise_address) == ("127.0.0.1", 6443, "127.0.0.1")
    assert (found.service_range, found.node_ports) == ("10.96.0.0/12", (30000, 32767))
    assert found.audiences == (found.issuer,)
    assert found.allows_anonymous
    assert found.store.tls is None


def test_help_says_of_each_flag_what_it_is_for() -> None:
    parser = argparse.ArgumentParser(prog="controlplane apiserver")
    add_flags(parser)
    flags = {action.option_strings[0]: action for action in parser._actions}
    assert [name for name, action in flags.items() if not action.help] == []
    assert "default 6443" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m0s", 300.0), ("0", 0.0), ("0s", 0.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("20ms", 0.02)],
)
def test_a_duration_is_spelled_as_in_kubernetes(tmp_path: Path, text: str, seconds: float) -> None:
    found = settings(tmp_path, f"--etcd-compaction-interval={text}")
    assert found.compaction_seconds == pytest.approx(seconds)


def test_the_store_is_compacted_every_five_minutes_as_kube_apiserver_does(tmp_path: Path) -> None:
    assert settings(tmp_path).compaction_seconds == 300.0


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--service-cluster-ip-range=x", "--service-cluster-ip-range"),
        ("--service-cluster-ip-range=10.96.0.1/12", "host bits"),
        ("--service-cluster-ip-range=10.96.0.0/30", "8 addresses"),
        ("--service-node-port-range=x", "30000-32767"),
        ("--service-node-port-range=32767-30000", "30000-32767"),
        ("--service-node-port-range=30000-70000", "30000-32767"),
        ("--service-node-port-range=³-⁴", "30000-32767"),
        ("--etcd-compaction-interval=5", "5m, 90s or 1h30m"),
        ("--etcd-compaction-interval=", "5m, 90s or 1h30m"),
        ("--etcd-compaction-interval=-5m", "5m, 90s or 1h30m"),
        ("--etcd-compaction-interval=5m!", "5m, 90s or 1h30m"),
        ("--audit-log-maxsize=-1", "--audit-log-maxsize: -1 is less than 0"),
        ("--audit-log-maxbackup=-1", "--audit-log-maxbackup: -1"),
        ("--audit-policy-file=/nowhere", "cannot read /nowhere"),
        ("--bind-address=x", "--bind-address: 'x' is no IP address"),
        ("--bind-address=300.0.0.1", "no IP address"),
        ("--bind-address=0.0.0.0", "--advertise-address: 0.0.0.0 is no place that pods can reach"),
        ("--advertise-address=pods.local", "--advertise-address: 'pods.local' is no IP address"),
        ("--secure-port=-1", "--secure-port: -1 is no port"),
        ("--secure-port=65536", "1 to 65535, or 0 for any"),
        ("--service-account-issuer=", "is no URL like https://kubernetes.default.svc"),
        ("--service-account-issuer=https:x", "is no URL like"),
        ("--service-cluster-ip-range=10.0.0.0/11", "10.0.0.0/11 is too large: /12 at most"),
        ("--service-cluster-ip-range=fd00::/107", "/108 at most"),
        ("--client-ca-file=/nowhere", "cannot read /nowhere"),
        ("--store-endpoints=", "--store-endpoints: none is named"),
        ("--store-endpoints=http://,", "'http://' is no member's address"),
        ("--store-endpoints=127.0.0.1", "like https://127.0.0.1:2379"),
        ("--store-endpoints=127.0.0.1:x", "like https://127.0.0.1:2379"),
        ("--store-endpoints=127.0.0.1:99999", "like https://127.0.0.1:2379"),
        ("--store-endpoints=http://a:1/b:2", "like https://127.0.0.1:2379"),
        ("--store-cafile=x", "go together"),
        ("--tls-cert-file=x", "go together"),
        ("--token-auth-file=/nowhere/at/all", "cannot read /nowhere/at/all"),
        ("--service-account-key-file=/nowhere", "cannot read"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, flag: str, word: str) -> None:
    assert word in fault(tmp_path, flag)


def test_who_listens_on_all_addresses_says_which_one_others_use(tmp_path: Path) -> None:
    found = settings(tmp_path, "--bind-address=0.0.0.0", "--advertise-address=192.0.2.1")
    assert (found.host, found.advertise_address) == ("0.0.0.0", "192.0.2.1")


def test_several_members_are_named_in_any_spelling(tmp_path: Path) -> None:
    found = settings(tmp_path, "--store-endpoints=http://a:1, https://[::1]:2/,c:3,")
    assert found.store.endpoints == ("a:1", "[::1]:2", "c:3")


def test_certificates_are_looked_at_before_anything_is_served(tmp_path: Path) -> None:
    made, other = (certificates.ensure(tmp_path / name) for name in ("a", "b"))
    good, key = made.apiserver, other.apiserver.key
    serving = ("--tls-cert-file={}", "--tls-private-key-file={}")
    to_store = ("--store-certfile={}", "--store-keyfile={}", f"--store-cafile={good.authority}")
    for flags in (serving, to_store):
        for paths, word in (
            ((good.certificate, key), "the key is another certificate's"),
            ((good.authority, key), "the key is another certificate's"),
            ((key, key), "not PEM files of a certificate and a key"),
            ((good.certificate, good.certificate), "not PEM files of a certificate and a key"),
            ((good.certificate, "/nowhere"), "cannot read /nowhere"),
            (("/nowhere", key), "cannot read /nowhere"),
        ):
            given = zip(flags[:2], paths, strict=True)
            filled = [flag.format(path) for flag, path in given]
            assert word in fault(tmp_path, *filled, *flags[2:])
    sealed = file(tmp_path, private_pem(pair("p256"), password=b"secret"))
    filled = [serving[0].format(good.certificate), serving[1].format(sealed)]
    assert "without a password" in fault(tmp_path, *filled)
    assert "has no certificate in PEM" in fault(tmp_path, f"--client-ca-file={key}")
    whole = [serving[0].format(good.certificate), serving[1].format(good.key)]
    found = settings(tmp_path, *whole, f"--client-ca-file={good.authority}")
    assert found.certificate == good.certificate


def test_what_is_secret_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path)
    files = {
        "--encryption-provider-config": file(tmp_path, configuration(key())),
        "--token-auth-file": file(tmp_path, "t1,bob,7"),
        "--service-account-key-file": made.service_account_key,
        f"--tls-cert-file={made.apiserver.certificate} --tls-private-key-file": made.apiserver.key,
    }
    for flag, path in files.items():
        Path(path).chmod(0o644)
        assert f"everybody on this machine: chmod 600 {path}" in fault(
            tmp_path, *f"{flag}={path}".split()
        )
        Path(path).chmod(0o640)  # a group is somebody's choice
    shown = Path(made.apiserver.authority)
    shown.chmod(0o644)
    settings(tmp_path, f"--client-ca-file={shown}")


def test_an_audit_policy_is_read_and_logs_are_put_aside_at_100_megabytes(tmp_path: Path) -> None:
    """Row 11.10."""
    found = settings(tmp_path)
    assert found.audit_policy == EVERYTHING
    assert (found.audit_megabytes_max, found.audit_backups_max) == (100, 0)
    path = file(tmp_path, policy({"level": "Request"}))
    flags = ("--audit-log-maxsize=5", "--audit-log-maxbackup=3", f"--audit-policy-file={path}")
    found = settings(tmp_path, *flags)
    assert [rule.level for rule in found.audit_policy.rules] == ["Request"]
    assert (found.audit_megabytes_max, found.audit_backups_max) == (5, 3)
    bad = file(tmp_path, policy({"level": "Everything"}))
    told = fault(tmp_path, f"--audit-policy-file={bad}")
    assert f"--audit-policy-file {bad} is no audit policy: rules[0].level" in told


# ---------------------------------------------------------------------------- keys


def test_keys_that_cannot_sign_are_told(tmp_path: Path) -> None:
    assert "a private one signs" in fault(tmp_path, key=public_pem(pair("p256")))
    assert "is no key" in fault(tmp_path, key=b"x")
    assert "encrypted" in fault(tmp_path, key=private_pem(pair("p256"), password=b"secret"))


def test_older_keys_may_be_public(tmp_path: Path) -> None:
    older = file(tmp_path, public_pem(pair("rsa")))
    assert len(settings(tmp_path, f"--service-account-key-file={older}").token_keys) == 2


# --------------------------------------------------------------------------- tokens


def test_a_token_file_names_users(tmp_path: Path) -> None:
    path = file(tmp_path, 't1,bob,7,"devs, ops"\n\n t2 , carol ,\n')
    assert settings(tmp_path, f"--token-auth-file={path}").static_tokens == {
        "t1": User(name="bob", uid="7", groups=("devs", "ops")),
        "t2": User(name="carol"),
    }


@pytest.mark.parametrize(
    "text", ["t1,bob", "t1", ",bob,7", " ,bob,7", "t1,,7", "t1,bob,7\nt1,eve,8", b"\xff\xfe"]
)
def test_a_token_file_that_cannot_be_used_is_told(tmp_path: Path, text: str) -> None:
    path = file(tmp_path, text)
    assert path in fault(tmp_path, f"--token-auth-file={path}")


# ----------------------------------------------------------------------- encryption


def configuration(*keys: dict[str, Any], resources: Any = ("secrets",)) -> str:
    providers = [{"aesgcm": {"keys": list(keys)}}, {"identity": {}}]
    return yaml.safe_dump(
        {
            "kind": "EncryptionConfiguration",
            "apiVersion": "apiserver.config.k8s.io/v1",
            "resources": [{"resources": list(resources), "providers": providers}],
        }
    )


def key(name: str = "k1", size: int = 32) -> dict[str, str]:
    return {"name": name, "secret": base64.b64encode(b"x" * size).decode()}


def test_keys_of_an_encryption_configuration(tmp_path: Path) -> None:
    path = file(tmp_path, configuration(key(), key("k2", 16)))
    found = settings(tmp_path, f"--encryption-provider-config={path}").encryption_keys
    assert found == (("k1", b"x" * 32), ("k2", b"x" * 16))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "EncryptionConfiguration"),
        ("[]", "EncryptionConfiguration"),
        ("resources: 5", "EncryptionConfiguration"),
        ("a: [", "EncryptionConfiguration"),
        (configuration(), "no aesgcm key"),
        (configuration(key(size=31)), "31 bytes"),
        (configuration({"name": "x", "secret": "%"}), "EncryptionConfiguration"),
        # Whoever lists more believes that more is encrypted.
        (configuration(key(), resources=["secrets", "configmaps"]), "only secrets are encrypted"),
        (configuration(key(), resources=["*.*"]), "only secrets are encrypted"),
    ],
)
def test_an_encryption_configuration_that_cannot_be_used_is_told(
    tmp_path: Path, text: str, word: str
) -> None:
    assert word in fault(tmp_path, f"--encryption-provider-config={file(tmp_path, text)}")


def test_how_agents_are_asked(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.agent_certificate, found.agent_key, found.agent_authority) == ("", "", "")
    made = certificates.ensure(tmp_path / "certificates").admin
    flags = (
        f"--kubelet-client-certificate={made.certificate}",
        f"--kubelet-client-key={made.key}",
        f"--kubelet-certificate-authority={made.authority}",
    )
    found = settings(tmp_path, *flags)
    assert found.agent_certificate == made.certificate
    assert (found.agent_key, found.agent_authority) == (made.key, made.authority)
    assert "go together" in fault(tmp_path, flags[0])
    assert "go together" in fault(tmp_path, flags[1])
    assert "no certificate in PEM" in fault(tmp_path, f"--kubelet-certificate-authority={made.key}")
