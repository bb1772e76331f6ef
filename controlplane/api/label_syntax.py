"""What a label's key and value may look like. PURE.

Source: Kubernetes' "Labels and Selectors" (syntax and character set); texts as its API server's.
"""

import re

LABEL_CHARACTERS_MAX = 63
SUBDOMAIN_CHARACTERS_MAX = 253

_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_IS_NAME = re.compile(_NAME)
_IS_SUBDOMAIN = re.compile(_SUBDOMAIN)

_NAME_FAULT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character"
)
_KEY_EXAMPLES = (
    f" (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_TOO_MANY_PARTS = (
    f"a qualified name {_NAME_FAULT}{_KEY_EXAMPLES}"
    " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_FAULT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    f" '12345', regex used for validation is '({_NAME})?')"
)
_SUBDOMAIN_FAULT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    f" validation is '{_SUBDOMAIN}')"
)
_NO_TEXT = "must be a string"


def faults_of_label_key(key: object) -> list[str]:
    """Of `name` or `prefix/name`; no fault is an empty list."""
    if not isinstance(key, str):
        return [_NO_TEXT]
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_TOO_MANY_PARTS]
    faults: list[str] = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in _faults_of_subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > LABEL_CHARACTERS_MAX:
        faults.append(f"name part {_too_long(LABEL_CHARACTERS_MAX)}")
    if not _IS_NAME.fullmatch(name):
        faults.append(f"name part {_NAME_FAULT}{_KEY_EXAMPLES}")
    return faults


def faults_of_label_value(value: object) -> list[str]:
    """No fault is an empty list."""
    if not isinstance(value, str):
        return [_NO_TEXT]
    if not value:
        return []
    faults = [_too_long(LABEL_CHARACTERS_MAX)] if len(value) > LABEL_CHARACTERS_MAX else []
    return faults if _IS_NAME.fullmatch(value) else [*faults, _VALUE_FAULT]


def _faults_of_subdomain(text: str) -> list[str]:
    faults = [_too_long(SUBDOMAIN_CHARACTERS_MAX)] if len(text) > SUBDOMAIN_CHARACTERS_MAX else []
    return faults if _IS_SUBDOMAIN.fullmatch(text) else [*faults, _SUBDOMAIN_FAULT]


def _too_long(characters_max: int) -> str:
    return f"must be no more than {characters_max} characters"
