"""Namespaces, ConfigMaps, Secrets and service accounts."""

import base64
from typing import Any

import pytest

from tests.controlplane.api.kinds.built_in import (
    defaulted,
    faults,
    faults_of_name,
    faults_of_update,
    printed,
    resource,
)

NAMESPACES = resource("", "namespaces")
CONFIG_MAPS = resource("", "configmaps")
SECRETS = resource("", "secrets")
ACCOUNTS = resource("", "serviceaccounts")
CREATED = "2023-11-14T22:03:20Z"  # 10 minutes ago
FROZEN = "Forbidden: field is immutable when `immutable` is set"
MIB = 1 << 20


def test_a_new_namespace_is_active_and_has_its_finalizer() -> None:  # 3.1
    prepare = NAMESPACES.strategy.prepare_create
    assert prepare is not None
    made = prepare({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}})
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}
    assert prepare(made)["spec"] == made["spec"]


def test_the_label_of_a_namespace_says_its_name() -> None:  # 3.1
    labels = {"kubernetes.io/metadata.name": "other", "a": "b"}
    found = defaulted(NAMESPACES, {"metadata": {"name": "n", "labels": labels}})
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n", "a": "b"}


def test_an_update_keeps_the_finalizers_of_a_namespace() -> None:  # 3.1: only /finalize takes them
    prepare = NAMESPACES.strategy.prepare_update
    assert prepare is not None
    old = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    new = {"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"finalizers": []}}
    assert prepare(new, old) == {**new, "spec": old["spec"]}


def test_the_name_of_a_namespace_is_a_label() -> None:  # 2.12
    assert faults_of_name(NAMESPACES, "a" * 63) == []
    assert faults_of_name(NAMESPACES, "a" * 64) == ["must be no more than 63 characters"]
    (fault,) = faults_of_name(NAMESPACES, "a.b")
    assert fault.startswith("a lowercase RFC 1123 label must")


def test_finalizers_of_a_namespace_are_kubernetes_own_or_qualified() -> None:  # 2.19
    spec = {"finalizers": ["kubernetes", "example.com/x", "mine"]}
    assert faults(NAMESPACES, {"metadata": {"name": "n"}, "spec": spec}) == [
        (
            'spec.finalizers: Invalid value: "mine": '
            "name is neither a standard finalizer name nor is it fully qualified"
        )
    ]


@pytest.mark.parametrize(
    ("phase", "deleted", "faulty"),
    [
        ("Active", None, ""),
        ("Terminating", CREATED, ""),
        ("Terminating", None, "may only be 'Active' if `deletionTimestamp` is empty"),
        ("Active", CREATED, "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    ],
)
def test_the_phase_of_a_namespace_tells_whether_it_is_being_deleted(  # 3.1
    phase: str, deleted: str | None, faulty: str
) -> None:
    new = {"metadata": {"name": "n", "deletionTimestamp": deleted}, "status": {"phase": phase}}
    expected = [f'status.Phase: Invalid value: "{phase}": {faulty}'] if faulty else []
    assert faults_of_update(NAMESPACES, new, new) == expected


def test_how_namespaces_are_printed() -> None:  # 1.2
    obj = {"metadata": {"name": "n", "creationTimestamp": CREATED}, "status": {"phase": "Active"}}
    assert printed(NAMESPACES, obj) == {"Name": "n", "Status": "Active", "Age": "10m"}
    assert NAMESPACES.short_names == ("ns",)
    assert "deletecollection" not in NAMESPACES.verbs


def test_keys_of_a_config_map_are_names_of_files() -> None:  # 2.19
    obj = {"data": {"ok.txt": "", "a/b": "", "..": ""}, "binaryData": {"é": ""}}
    shape = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
        "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
        "regex used for validation is '[-._a-zA-Z0-9]+')"
    )
    assert faults(CONFIG_MAPS, obj) == [
        "data[..]: Invalid value: \"..\": must not be '..'",
        f'data[a/b]: Invalid value: "a/b": {shape}',
        f'binaryData[é]: Invalid value: "é": {shape}',
    ]


def test_a_key_is_text_or_binary_but_not_both() -> None:  # 2.19
    obj = {"data": {"a": "x"}, "binaryData": {"a": "eA=="}}
    assert faults(CONFIG_MAPS, obj) == [
        'data[a]: Invalid value: "a": duplicate of key present in binaryData'
    ]


@pytest.mark.parametrize(
    ("text", "binary", "is_too_long"), [(MIB - 3, 3, False), (MIB - 3, 4, True)]
)
def test_a_config_map_holds_one_mebibyte(text: int, binary: int, is_too_long: bool) -> None:  # 2.12
    encoded = base64.b64encode(bytes(binary)).decode()
    obj = {"data": {"t": "x" * text}, "binaryData": {"b": encoded}}
    told = ["[]: Too long: may not be more than 1048576 bytes"]
    assert faults(CONFIG_MAPS, obj) == (told if is_too_long else [])


def test_letters_that_are_several_bytes_count_as_such() -> None:  # 2.12
    assert faults(CONFIG_MAPS, {"data": {"t": "é" * (MIB // 2)}}) == []
    assert len(faults(CONFIG_MAPS, {"data": {"t": "é" * (MIB // 2) + "x"}})) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"metadata": {"labels": {"a": "b"}}}, []),
        ({"data": {"a": "2"}}, [f"data: {FROZEN}"]),
        ({"binaryData": {"b": "eA=="}}, [f"binaryData: {FROZEN}"]),
        ({"immutable": False}, [f"immutable: {FROZEN}"]),
        ({"immutable": None, "data": {}}, [f"immutable: {FROZEN}", f"data: {FROZEN}"]),
    ],
)
def test_an_immutable_config_map_stays_as_it_is(change: Any, expected: list[str]) -> None:  # 2.19
    old = {"metadata": {"name": "c"}, "immutable": True, "data": {"a": "1"}}
    assert faults_of_update(CONFIG_MAPS, {**old, **change}, old) == expected
    assert faults_of_update(CONFIG_MAPS, {**old, **change}, {**old, "immutable": False}) == []


def test_how_config_maps_are_printed() -> None:  # 1.2
    obj = {
        "metadata": {"name": "c", "creationTimestamp": CREATED},
        "data": {"a": "", "b": ""},
        "binaryData": {"c": ""},
    }
    assert printed(CONFIG_MAPS, obj) == {"Name": "c", "Data": 3, "Age": "10m"}


def test_string_data_goes_into_data_and_wins() -> None:  # 9: Secret
    obj = {"data": {"a": "eA==", "b": "eA=="}, "stringData": {"a": "é"}}
    assert defaulted(SECRETS, obj) == {"data": {"a": "w6k=", "b": "eA=="}}
    assert defaulted(SECRETS, {"data": {"a": "eA=="}}) == {"data": {"a": "eA=="}}


def test_a_secret_is_opaque_unless_it_says_otherwise() -> None:  # 9: Secret
    assert SECRETS.defaults == {"type": "Opaque"}


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("Opaque", {}, []),
        ("example.com/t", {}, []),
        ("kubernetes.io/tls", {"tls.crt": ""}, ["data[tls.key]: Required value"]),
        ("kubernetes.io/tls", {"tls.crt": "", "tls.key": ""}, []),
        ("kubernetes.io/basic-auth", {"password": ""}, []),
        (
            "kubernetes.io/basic-auth",
            {},
            ["data[username]: Required value", "data[password]: Required value"],
        ),
        (
            "kubernetes.io/ssh-auth",
            {"ssh-privatekey": ""},
            ["data[ssh-privatekey]: Required value"],
        ),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": "eA=="}, []),
        ("kubernetes.io/dockercfg", {}, ["data[.dockercfg]: Required value"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="}, []),
        ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]: Required value"]),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ],
)
def test_each_type_of_secret_has_its_keys(  # 9: Secret
    kind: str, data: Any, expected: list[str]
) -> None:
    assert faults(SECRETS, {"type": kind, "data": data}) == expected


@pytest.mark.parametrize("content", ["bm8=", "W10=", "%%%"])
def test_a_docker_configuration_is_json_and_never_shown(content: str) -> None:  # 9: Secret
    obj = {"type": "kubernetes.io/dockercfg", "data": {".dockercfg": content}}
    (fault,) = faults(SECRETS, obj)
    assert fault.startswith('data[.dockercfg]: Invalid value: "<secret contents redacted>": ')


def test_a_secret_holds_one_mebibyte() -> None:  # 2.12
    def holding(size: int) -> list[str]:
        encoded = base64.b64encode(bytes(size)).decode()
        return faults(SECRETS, {"type": "Opaque", "data": {"a": encoded}})

    assert holding(MIB) == []
    assert holding(MIB + 1) == ["data: Too long: may not be more than 1048576 bytes"]


def test_the_type_of_a_secret_and_an_immutable_one_stay() -> None:  # 2.19
    assert "type" in SECRETS.immutable
    old = {"immutable": True, "data": {"a": "eA=="}}
    assert faults_of_update(SECRETS, {**old, "data": {}}, old) == [f"data: {FROZEN}"]


def test_how_secrets_and_service_accounts_are_printed() -> None:  # 1.2
    meta = {"name": "s", "creationTimestamp": CREATED}
    secret = {"metadata": meta, "type": "Opaque", "data": {"a": ""}}
    assert printed(SECRETS, secret) == {"Name": "s", "Type": "Opaque", "Data": 1, "Age": "10m"}
    assert printed(ACCOUNTS, {"metadata": meta}) == {"Name": "s", "Secrets": 0, "Age": "10m"}
    assert ACCOUNTS.subresources == ("token",)
