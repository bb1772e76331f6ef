"""Whether a string has the format that its schema asks for. PURE.

Source: the list of formats in the documentation of CustomResourceDefinition's `format`; formats
that are not in `FORMATS` are ignored, as documented there.
"""

import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache

from controlplane.api import quantity

_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
# Each digit has one place where it can stand: `\d+\.?\d*` would try all ways to part the digits.
_DURATION = re.compile(r"[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_HOSTNAME = re.compile(
    r"(?=.{1,255}\Z)[0-9A-Za-z]([-0-9A-Za-z]{0,61}[0-9A-Za-z])?"
    r"(\.[0-9A-Za-z]([-0-9A-Za-z]{0,61}[0-9A-Za-z])?)*\.?",
    re.ASCII,
)
_MAC = re.compile(
    r"[0-9A-Fa-f]{2}(([:-][0-9A-Fa-f]{2}){5}|([:-][0-9A-Fa-f]{2}){7})"
    r"|[0-9A-Fa-f]{4}((\.[0-9A-Fa-f]{4}){2}|(\.[0-9A-Fa-f]{4}){3})"
)
_URI = re.compile(r"([A-Za-z][-+.0-9A-Za-z]*:|/)[^\s\x00-\x20]*")
_HEX_COLOUR = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")


def _is_uuid(version: str, variant: str) -> Callable[[str], bool]:
    pattern = re.compile(
        rf"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}",
        re.IGNORECASE,
    )
    return lambda text: pattern.fullmatch(text) is not None


def is_date_time(text: str) -> bool:
    """RFC 3339, with seconds and an offset."""
    return _is_short_date_time(text) if len(text) <= _SHORT_CHARS_MAX else _is_date_time(text)


def is_time(text: str) -> bool:
    """A date and time as Kubernetes' own types have it: Go reads no `t` and no `z`."""
    return is_date_time(text) and text.isupper()


_SHORT_CHARS_MAX = 64
"""What is remembered of clients' texts; a longer one would be kept until 4,096 others came."""


@lru_cache(maxsize=4096)
def _is_short_date_time(text: str) -> bool:
    return _is_date_time(text)


def _is_date_time(text: str) -> bool:
    if not _DATE_TIME.fullmatch(text):
        return False
    return _parses(datetime.fromisoformat, text.upper())


def is_base64(text: str) -> bool:
    """With padding; line breaks may stand anywhere."""
    plain = text.replace("\n", "").replace("\r", "")
    return _parses(lambda it: binascii.a2b_base64(it, strict_mode=True), plain)


def is_quantity(text: str) -> bool:
    """500m, 1.5, 128Mi, 2e3 …"""
    return _parses(quantity.parse, text)


def _is_date(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None and _parses(date.fromisoformat, text)


def _is_ipv4(text: str) -> bool:
    return _parses(ipaddress.IPv4Address, text)


def _is_ipv6(text: str) -> bool:
    return _parses(ipaddress.IPv6Address, text)


def _is_cidr(text: str) -> bool:
    # A mask as a number only; host bits may be set.
    return re.fullmatch(r"[^/]+/\d{1,3}", text) is not None and _parses(
        ipaddress.ip_interface, text
    )


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


FORMATS: dict[str, Callable[[str], bool]] = {
    "byte": is_base64,
    "cidr": _is_cidr,
    "date": _is_date,
    "date-time": is_date_time,
    "datetime": is_date_time,
    "duration": _matches(_DURATION),
    "email": _matches(_EMAIL),
    "hexcolor": _matches(_HEX_COLOUR),
    "hostname": _matches(_HOSTNAME),
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "mac": _matches(_MAC),
    "uri": _matches(_URI),
    "uuid": _is_uuid("[0-9a-f]", "[0-9a-f]"),
    "uuid3": _is_uuid("3", "[0-9a-f]"),
    "uuid4": _is_uuid("4", "[89ab]"),
    "uuid5": _is_uuid("5", "[89ab]"),
}
"""Format -> whether a string has it."""
