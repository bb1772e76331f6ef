"""2.9, 2.12: which names a kind's objects may have, and what the server makes up."""

from controlplane.api import names
from tests.controlplane.api.test_syntaxes import LABEL, SUBDOMAIN


def test_each_kind_has_one_of_several_rules() -> None:
    assert names.faults_of_name("a" * 253) == []
    assert names.faults_of_name("My Name") == [SUBDOMAIN]
    assert names.faults_of_name("A", "label") == [LABEL]
    assert names.faults_of_name("a" * 64, "label") == ["must be no more than 63 characters"]
    assert names.faults_of_name("a" * 254) == ["must be no more than 253 characters"]


def test_service_names_begin_with_a_letter() -> None:
    assert names.faults_of_name("a1", "label-1035") == []
    (fault,) = names.faults_of_name("1a", "label-1035")
    assert fault.startswith("a DNS-1035 label must consist of")


def test_names_of_roles_need_only_fit_into_a_path() -> None:
    assert names.faults_of_name("system:Node_x", "path-segment") == []
    assert names.faults_of_name(".", "path-segment") == ["may not be '.'"]
    assert names.faults_of_name("..", "path-segment", is_prefix=True) == []
    assert names.faults_of_name("a/b%", "path-segment") == [
        "may not contain '/'",
        "may not contain '%'",
    ]


def test_prefix_may_end_in_a_dash() -> None:
    assert names.faults_of_name("web-", is_prefix=True) == []
    assert names.faults_of_name("web-") == [SUBDOMAIN]
    assert names.faults_of_name("-", is_prefix=True) == [SUBDOMAIN]


def test_generated_name_is_58_characters_of_base_and_5_random_ones() -> None:
    """2.9."""
    assert names.generate_name("web-", "bcdfg") == "web-bcdfg"
    assert names.generate_name("a" * 80, "bcdfg") == "a" * 58 + "bcdfg"
    assert names.SUFFIX_CHARS == "bcdfghjklmnpqrstvwxz2456789"
    assert names.SUFFIX_LENGTH == 5
