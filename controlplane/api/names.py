"""Names of objects: which syntax a kind asks for, and how the server makes one up. PURE.

Source: Kubernetes' "Object Names and IDs"; kube-behaviour.md 2.9, 2.12.
"""

from controlplane.api.syntaxes import (
    LABEL_CHARS_MAX,
    Syntax,
    faults_of_label,
    faults_of_label_1035,
    faults_of_path_segment,
    faults_of_subdomain,
)

SUFFIX_CHARS = "bcdfghjklmnpqrstvwxz2456789"
"""What generated names end in: no vowels, so no words, and nothing that looks like another."""

SUFFIX_LENGTH = 5
_BASE_CHARS_MAX = LABEL_CHARS_MAX - SUFFIX_LENGTH

RULES: dict[str, Syntax] = {
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


def generate_name(base: str, random_suffix: str) -> str:
    """`base`, cut to 58 characters, and the suffix, which is SUFFIX_LENGTH of SUFFIX_CHARS."""
    assert len(random_suffix) == SUFFIX_LENGTH
    return f"{base[:_BASE_CHARS_MAX]}{random_suffix}"
