"""2.12: labels, domains and keys; texts of apimachinery's validation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import syntaxes

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
    assert syntaxes.faults_of_label(text) == []


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a\n", "a" * 64])
def test_what_is_no_label(text: str) -> None:
    assert syntaxes.faults_of_label(text)


def test_subdomains_are_longer_and_have_dots() -> None:
    """2.12: 253 characters at most."""
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == 253
    for text in ("a", "a.b", "1.2-3", longest, "a" * 253):
        assert syntaxes.faults_of_subdomain(text) == []
    for text in ("", ".a", "a.", "a..b", "a.-b", "A.b", f"{longest}a"):
        assert syntaxes.faults_of_subdomain(text)


def test_faults_are_told_in_kubernetes_words() -> None:
    """2.12."""
    assert syntaxes.faults_of_subdomain("My Name") == [SUBDOMAIN]
    assert syntaxes.faults_of_label("A") == [LABEL]
    assert syntaxes.faults_of_label_value("-") == [VALUE]
    assert syntaxes.faults_of_qualified_name("a b") == [NAME_PART]
    assert syntaxes.faults_of_qualified_name("/a") == ["prefix part must be non-empty"]
    assert syntaxes.faults_of_qualified_name("A/a") == [f"prefix part {SUBDOMAIN}"]
    assert syntaxes.faults_of_qualified_name("") == ["name part must be non-empty", NAME_PART]
    (fault,) = syntaxes.faults_of_qualified_name("a/b/c")
    assert fault.startswith("a qualified name must consist of")
    assert fault.endswith(
        "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    )


@pytest.mark.parametrize("text", ["a", "A_b.c", "example.com/Name", "a" * 63, f"{'a' * 253}/b"])
def test_qualified_names(text: str) -> None:
    assert syntaxes.faults_of_qualified_name(text) == []


@pytest.mark.parametrize("text", ["", "a/", "_a", "a" * 64, "A.b/c", f"{'a' * 254}/b", "a\n"])
def test_what_is_no_qualified_name(text: str) -> None:
    assert syntaxes.faults_of_qualified_name(text)


def test_label_values() -> None:
    """2.12: at most 63."""
    assert not any(map(syntaxes.faults_of_label_value, ("", "a", "A_b-c.d", "a" * 63)))
    assert all(map(syntaxes.faults_of_label_value, ("a" * 64, "-a", "a b", "a\n", "é")))


@given(st.text("ab-.A_/0 \n", max_size=12))
def test_a_subdomain_is_labels_with_dots_between(text: str) -> None:
    labels = [re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", part) for part in text.split(".")]
    assert bool(syntaxes.faults_of_subdomain(text)) is not all(labels)


def test_percents_are_digits() -> None:
    assert syntaxes.faults_of_percent("25%") == syntaxes.faults_of_percent("0%") == []
    for text in ("25", "%", "-1%", "1.5%", "1%\n", "\u0661%"):
        assert syntaxes.faults_of_percent(text) == [
            (
                "a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            )
        ]
