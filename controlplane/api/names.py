"""Names of objects, labels and the like: what they may be, and Kubernetes' words for why not. PURE.

Source: Kubernetes' "Object Names and IDs", "Labels and Selectors"; texts of apimachinery's
validation; kube-behaviour.md 2.9, 2.12.
"""

import re
from collections.abc import Callable

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"

LABEL_CHARS_MAX = 63
SUBDOMAIN_CHARS_MAX = 253

SUFFIX_CHARS = "bcdfghjklmnpqrstvwxz2456789"
"""What generated names end in: no vowels, so no words, and nothing that looks like another."""

SUFFIX_LENGTH = 5
_BASE_CHARS_MAX = LABEL_CHARS_MAX - SUFFIX_LENGTH

Rule = Callable[[str], list[str]]
"""All that is wrong with a text, in Kubernetes' words."""


def faults_of_label(text: str) -> list[str]:
    """A lowercase RFC 1123 label: names of namespaces and services, port names of hosts …"""
    return [
        *_too_long(text, LABEL_CHARS_MAX),
        *_no_match(
            text,
            _IS_LABEL,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character",
            _LABEL,
            "my-name",
            "123-abc",
        ),
    ]


def faults_of_subdomain(text: str) -> list[str]:
    """A lowercase RFC 1123 subdomain: what most objects' names are."""
    return [
        *_too_long(text, SUBDOMAIN_CHARS_MAX),
        *_no_match(
            text,
            _IS_SUBDOMAIN,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character",
            _SUBDOMAIN,
            "example.com",
        ),
    ]


def faults_of_label_1035(text: str) -> list[str]:
    """An RFC 1035 label: names of services, which become names in DNS."""
    return [
        *_too_long(text, LABEL_CHARS_MAX),
        *_no_match(
            text,
            _IS_LABEL_1035,
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
            "with an alphabetic character, and end with an alphanumeric character",
            _LABEL_1035,
            "my-name",
            "abc-123",
        ),
    ]


def faults_of_path_segment(text: str) -> list[str]:
    """What can stand in a URL's path: names of roles and bindings, which may have colons."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{character}'" for character in "/%" if character in text]


def faults_of_qualified_name(text: str) -> list[str]:
    """A key of labels, annotations, finalizers: a name, or a DNS subdomain, `/` and a name."""
    prefix, slash, name = text.rpartition("/")
    if slash and "/" in prefix:
        return [
            "a qualified name "
            + _regex_fault(_QUALIFIED_TEXT, _QUALIFIED, *_QUALIFIED_EXAMPLES)
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in faults_of_subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    faults += [f"name part {fault}" for fault in _too_long(name, LABEL_CHARS_MAX)]
    of_name = _no_match(name, _IS_QUALIFIED, _QUALIFIED_TEXT, _QUALIFIED, *_QUALIFIED_EXAMPLES)
    return faults + [f"name part {fault}" for fault in of_name]


def faults_of_label_value(text: str) -> list[str]:
    """A label's value; it may be empty."""
    return [
        *_too_long(text, LABEL_CHARS_MAX),
        *_no_match(
            text,
            _IS_VALUE,
            f"a valid label must be an empty string or {_CONSIST.removeprefix('must ')}",
            _VALUE,
            "MyValue",
            "my_value",
            "12345",
        ),
    ]


RULES: dict[str, Rule] = {
    "subdomain": faults_of_subdomain,
    "label": faults_of_label,
    "label-1035": faults_of_label_1035,
    "path-segment": faults_of_path_segment,
}
"""The rules that objects' names follow, one of them per kind."""


def faults_of_name(name: str, rule: str = "subdomain", *, is_prefix: bool = False) -> list[str]:
    """All that is wrong with an object's name.

    rule       a key of RULES
    is_prefix  it is a `generateName`: it may end in a dash, for something follows
    """
    if is_prefix and rule == "path-segment":
        # "." and ".." are no names, but names may begin so.
        return [fault for fault in RULES[rule](name) if not fault.startswith("may not be")]
    if is_prefix and len(name) > 1 and name.endswith("-"):
        name = f"{name[:-1]}a"
    return RULES[rule](name)


def is_dns1123_label(text: str) -> bool:
    """At most 63 of a-z, 0-9 and `-`, which neither starts nor ends it."""
    return len(text) <= LABEL_CHARS_MAX and _IS_LABEL(text) is not None


def is_dns1123_subdomain(text: str) -> bool:
    """Labels (of any length) with dots between them; at most 253 characters."""
    return len(text) <= SUBDOMAIN_CHARS_MAX and _IS_SUBDOMAIN(text) is not None


def is_qualified_name(text: str) -> bool:
    """A key of a label or annotation."""
    return not faults_of_qualified_name(text)


def is_label_value(text: str) -> bool:
    """A value of a label."""
    return len(text) <= LABEL_CHARS_MAX and _IS_VALUE(text) is not None


def generate_name(base: str, random_suffix: str) -> str:
    """`base`, cut to 58 characters, and the suffix, which is SUFFIX_LENGTH of SUFFIX_CHARS."""
    assert len(random_suffix) == SUFFIX_LENGTH
    return f"{base[:_BASE_CHARS_MAX]}{random_suffix}"


_CONSIST = (
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_QUALIFIED_TEXT = _CONSIST
_QUALIFIED_EXAMPLES = ("MyName", "my.name", "123-abc")

_IS_LABEL = re.compile(_LABEL).fullmatch
_IS_SUBDOMAIN = re.compile(_SUBDOMAIN).fullmatch
_IS_LABEL_1035 = re.compile(_LABEL_1035).fullmatch
_IS_QUALIFIED = re.compile(_QUALIFIED).fullmatch
_IS_VALUE = re.compile(_VALUE).fullmatch


def _too_long(text: str, count_max: int) -> list[str]:
    return [f"must be no more than {count_max} characters"] if len(text) > count_max else []


def _no_match(
    text: str, matches: Callable[[str], object], what: str, regex: str, *examples: str
) -> list[str]:
    return [] if matches(text) else [_regex_fault(what, regex, *examples)]


def _regex_fault(what: str, regex: str, *examples: str) -> str:
    # The comma before "or" and the two blanks are Kubernetes' own.
    told = " or ".join(f"'{example}', " for example in examples)
    return f"{what} (e.g. {told}regex used for validation is '{regex}')"
