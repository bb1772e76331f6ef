"""Syntax of strings, wherever an object has them: labels, domains, keys, ports, addresses. PURE.

Each lists all that is wrong with a text, in Kubernetes' words; empty: nothing. What names objects
may have, which of these and how long, is in `names.py`.
Source: Kubernetes' "Object Names and IDs", "Labels and Selectors"; texts of apimachinery's
validation; kube-behaviour.md 2.12.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Syntax = Callable[[str], list[str]]
"""All that is wrong with a text, in words."""

LABEL_CHARS_MAX = 63
SUBDOMAIN_CHARS_MAX = 253

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_OF_SEARCHES = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_PORT_NAME_MAX = 15

_CONSIST = (
    "consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)


def _shape(pattern: str, told: str, *examples: str) -> str:
    # The comma before "or" and the two blanks are Kubernetes' own.
    given = " or ".join(f"'{example}', " for example in examples)
    return f"{told} (e.g. {given}regex used for validation is '{pattern}')"


def _by_pattern(
    pattern: str, told: str, examples: tuple[str, ...], characters_max: int = 0
) -> Syntax:
    """`told` says the pattern for people; characters_max 0: no matter how long."""
    matches = re.compile(pattern).fullmatch
    shape = _shape(pattern, told, *examples)
    long = f"must be no more than {characters_max} characters"

    def faults(text: str) -> list[str]:
        found = []
        if characters_max and len(text) > characters_max:
            found.append(long)
        if matches(text) is None:
            found.append(shape)
        return found

    return faults


faults_of_label: Syntax = _by_pattern(
    _LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    ("my-name", "123-abc"),
    LABEL_CHARS_MAX,
)
"""A lowercase RFC 1123 label: names of namespaces, of containers, hosts' names …"""

faults_of_subdomain: Syntax = _by_pattern(
    _SUBDOMAIN,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character",
    ("example.com",),
    SUBDOMAIN_CHARS_MAX,
)
"""A lowercase RFC 1123 subdomain: what most objects' names are. Its labels may be of any length."""

faults_of_search: Syntax = _by_pattern(
    rf"{_LABEL_OF_SEARCHES}(\.{_LABEL_OF_SEARCHES})*",
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'_', '-' or '.', and must start and end with an alphanumeric character",
    ("example.com",),
    SUBDOMAIN_CHARS_MAX,
)
"""Where a pod's resolver searches: also below `_tcp.example.com` and the like."""

faults_of_label_1035: Syntax = _by_pattern(
    _LABEL_1035,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
    "with an alphabetic character, and end with an alphanumeric character",
    ("my-name", "abc-123"),
    LABEL_CHARS_MAX,
)
"""An RFC 1035 label: names of services, which become names in DNS."""

faults_of_label_value: Syntax = _by_pattern(
    f"({_QUALIFIED})?",
    f"a valid label must be an empty string or {_CONSIST}",
    ("MyValue", "my_value", "12345"),
    LABEL_CHARS_MAX,
)
"""A label's value; it may be empty."""

_QUALIFIED_WORDS = (_QUALIFIED, f"must {_CONSIST}", ("MyName", "my.name", "123-abc"))
_faults_of_name_part: Syntax = _by_pattern(*_QUALIFIED_WORDS, LABEL_CHARS_MAX)


def faults_of_qualified_name(text: str) -> list[str]:
    """A key of labels, annotations, finalizers: a name, or a DNS subdomain, `/` and a name."""
    prefix, slash, name = text.rpartition("/")
    if slash and "/" in prefix:
        pattern, told, examples = _QUALIFIED_WORDS
        shape = _shape(pattern, told, *examples)
        whole = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a qualified name {shape} {whole}"]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in faults_of_subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    return faults + [f"name part {fault}" for fault in _faults_of_name_part(name)]


def faults_of_path_segment(text: str) -> list[str]:
    """What can stand in a URL's path: names of roles and bindings, which may have colons."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{character}'" for character in "/%" if character in text]


faults_of_wildcard_subdomain: Syntax = _by_pattern(
    rf"\*\.{_SUBDOMAIN}",
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
    "which must consist of lower case alphanumeric characters, '-' or '.' "
    "and end with an alphanumeric character",
    ("*.example.com",),
    SUBDOMAIN_CHARS_MAX,
)

faults_of_http_header: Syntax = _by_pattern(
    _HTTP_HEADER,
    "a valid HTTP header must consist of alphanumeric characters or '-'",
    ("X-Header-Name",),
)

faults_of_percent: Syntax = _by_pattern(
    "[0-9]+%",
    "a valid percent string must be a numeric string followed by an ending '%'",
    ("1%", "93%"),
)

_faults_of_config_key_shape: Syntax = _by_pattern(
    _CONFIG_KEY,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    ("key.name", "KEY_NAME", "key-name"),
    SUBDOMAIN_CHARS_MAX,
)


def faults_of_config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret; each becomes a file."""
    found = _faults_of_config_key_shape(value)
    if value in (".", ".."):
        found.append(f"must not be '{value}'")
    elif value.startswith(".."):
        found.append("must not start with '..'")
    return found


_ENV_NAME_FAULT = (
    "a valid environment variable name must consist only of printable ASCII characters "
    "other than '='"
)


def faults_of_env_name(value: str) -> list[str]:
    """The name of an environment variable: since 1.32 any printable ASCII but `=`."""
    is_valid = all(" " <= character <= "~" and character != "=" for character in value)
    return [] if is_valid else [_ENV_NAME_FAULT]


def faults_of_port_name(value: str) -> list[str]:
    """An IANA service name."""
    found = []
    if len(value) > _PORT_NAME_MAX:
        found.append(f"must be no more than {_PORT_NAME_MAX} characters")
    if re.fullmatch("[-a-z0-9]+", value) is None:
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if re.search("[a-z]", value) is None:
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def address(value: str) -> IPv4Address | IPv6Address | None:
    """An IP address; None: it is none."""
    try:
        return ip_address(value)
    except ValueError:
        return None


def faults_of_ip(value: str) -> list[str]:
    """An IP address."""
    if address(value) is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def faults_of_cidr(value: str) -> list[str]:
    """A network such as 10.9.8.0/24."""
    try:
        if "/" not in value:
            raise ValueError(value)
        ip_network(value, strict=False)
    except ValueError:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    return []


def faults_of_endpoint_ip(value: str) -> list[str]:
    """An address of an endpoint: as below, but those that pods of one machine have are well."""
    ip = address(value)
    return [] if ip is not None and ip in _LOOPBACK_OF_PODS else faults_of_special_ip(value)


def faults_of_special_ip(value: str) -> list[str]:
    """An address that others reach: neither link-local nor loopback."""
    found = faults_of_ip(value)
    ip = address(value)
    if ip is None:
        return found
    if ip.is_unspecified:
        found.append(f"may not be unspecified ({value})")
    if ip.is_loopback:
        found.append("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if ip.is_link_local:
        found.append("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if ip.is_multicast and ip in _LINK_LOCAL_MULTICAST[ip.version]:
        found.append("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    return found


# What pods and services of one machine have where nobody may make networks.
_LOOPBACK_OF_PODS = ip_network("127.64.0.0/10")
_LINK_LOCAL_MULTICAST = {4: ip_network("224.0.0.0/24"), 6: ip_network("ff02::/16")}
