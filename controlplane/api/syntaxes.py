"""Syntax of the strings in specs: ports' and variables' names, addresses, paths. PURE.

Each check lists all that is wrong, in Kubernetes' words; empty: nothing. Names of objects, labels
and annotations are in `names.py`.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from controlplane.api import names
from controlplane.api.faults import Check

faults_of_label: Check = names.faults_of_label
faults_of_label_1035: Check = names.faults_of_label_1035
faults_of_subdomain: Check = names.faults_of_subdomain
faults_of_qualified_name: Check = names.faults_of_qualified_name
faults_of_label_value: Check = names.faults_of_label_value
"""Those of names, so that a spec's validator needs one module."""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_SUBDOMAIN_MAX = 253
_PORT_NAME_MAX = 15


def _rule(pattern: str, told: str, examples: tuple[str, ...], characters_max: int = 0) -> Check:
    """A check by a pattern; `told` says the pattern for people."""
    compiled = re.compile(pattern)
    given = " or ".join(f"'{example}', " for example in examples)[:-2]
    shape = f"{told} (e.g. {given}, regex used for validation is '{pattern}')"
    long = f"must be no more than {characters_max} characters"

    def faults(value: str) -> list[str]:
        found = []
        if characters_max and len(value) > characters_max:
            found.append(long)
        if compiled.fullmatch(value) is None:
            found.append(shape)
        return found

    return faults


faults_of_wildcard_subdomain: Check = _rule(
    rf"\*\.{_SUBDOMAIN}",
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
    "which must consist of lower case alphanumeric characters, '-' or '.' "
    "and end with an alphanumeric character",
    ("*.example.com",),
    _SUBDOMAIN_MAX,
)

faults_of_http_header: Check = _rule(
    _HTTP_HEADER,
    "a valid HTTP header must consist of alphanumeric characters or '-'",
    ("X-Header-Name",),
)

_faults_of_config_key_shape: Check = _rule(
    _CONFIG_KEY,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    ("key.name", "KEY_NAME", "key-name"),
    _SUBDOMAIN_MAX,
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


def faults_of_special_ip(value: str) -> list[str]:
    """An address of an endpoint: neither loopback nor link-local."""
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


_LINK_LOCAL_MULTICAST = {4: ip_network("224.0.0.0/24"), 6: ip_network("ff02::/16")}
