"""2.12: names, labels and generated names; texts of apimachinery's validation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import names

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize("text", ["a", "0", "a-b", "a" * 63])
def test_labels(text: str) -> None:
    assert names.is_dns1123_label(text)
    assert names.faults_of_label(text) == []


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a\n", "a" * 64])
def test_what_is_no_label(text: str) -> None:
    assert not names.is_dns1123_label(text)
    assert names.faults_of_label(text)


def test_subdomains_are_longer_and_have_dots() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == 253
    for text in ("a", "a.b", "1.2-3", longest, "a" * 253):
        assert names.is_dns1123_subdomain(text)
        assert names.faults_of_name(text) == []
    for text in ("", ".a", "a.", "a..b", "a.-b", "A.b", f"{longest}a"):
        assert not names.is_dns1123_subdomain(text)
        assert names.faults_of_name(text)


def test_faults_are_told_in_kubernetes_words() -> None:
    assert names.faults_of_name("My Name") == [SUBDOMAIN]
    assert names.faults_of_name("A", "label") == [LABEL]
    assert names.faults_of_name("a" * 64, "label") == ["must be no more than 63 characters"]
    assert names.faults_of_name("a" * 254) == ["must be no more than 253 characters"]
    assert names.faults_of_label_value("-") == [VALUE]
    assert names.faults_of_qualified_name("a b") == [NAME_PART]
    assert names.faults_of_qualified_name("/a") == ["prefix part must be non-empty"]
    assert names.faults_of_qualified_name("A/a") == [f"prefix part {SUBDOMAIN}"]
    assert names.faults_of_qualified_name("") == ["name part must be non-empty", NAME_PART]
    (fault,) = names.faults_of_qualified_name("a/b/c")
    assert fault.startswith("a qualified name must consist of")
    assert fault.endswith(
        "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    )


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


@pytest.mark.parametrize("text", ["a", "A_b.c", "example.com/Name", "a" * 63, f"{'a' * 253}/b"])
def test_qualified_names(text: str) -> None:
    assert names.is_qualified_name(text)


@pytest.mark.parametrize("text", ["", "a/", "_a", "a" * 64, "A.b/c", f"{'a' * 254}/b", "a\n"])
def test_what_is_no_qualified_name(text: str) -> None:
    assert not names.is_qualified_name(text)


def test_label_values() -> None:
    """2.12: at most 63."""
    assert all(map(names.is_label_value, ("", "a", "A_b-c.d", "a" * 63)))
    assert not any(map(names.is_label_value, ("a" * 64, "-a", "a b", "a\n", "é")))


def test_generated_name_is_58_characters_of_base_and_5_random_ones() -> None:
    """2.9."""
    assert names.generate_name("web-", "bcdfg") == "web-bcdfg"
    assert names.generate_name("a" * 80, "bcdfg") == "a" * 58 + "bcdfg"
    assert names.SUFFIX_CHARS == "bcdfghjklmnpqrstvwxz2456789"
    assert names.SUFFIX_LENGTH == 5


@given(st.text("ab-.A_/0 \n", max_size=12))
def test_predicates_and_faults_agree(text: str) -> None:
    assert names.is_dns1123_label(text) is not bool(names.faults_of_label(text))
    assert names.is_dns1123_subdomain(text) is not bool(names.faults_of_subdomain(text))
    assert names.is_label_value(text) is not bool(names.faults_of_label_value(text))
    labels = [re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", part) for part in text.split(".")]
    assert names.is_dns1123_subdomain(text) is all(labels)
