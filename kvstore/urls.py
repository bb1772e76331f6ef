"""Peer and client URLs: `http://HOST:PORT` or `https://HOST:PORT`, nothing more (etcd's rules).

Pure text; names are never resolved here.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from kvstore.errors import ConfigError

URLS_MAX = 16
"""URLs of one kind that a member has at most: each member's are in every list and snapshot."""

URL_BYTES_MAX = 1024
"""Longest URL: a host name has at most 255."""

_LOOPBACKS = frozenset(("127.0.0.1", "::1"))


class Url(msgspec.Struct, frozen=True):
    """A URL taken apart. `text` is as given: member ids are computed from it."""

    text: str
    host: str
    port: int
    is_tls: bool


def parse_url(text: str) -> Url:
    """Take a URL apart; ConfigError says what is wrong with it."""
    url = parse_known_url(text)
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = text.rpartition(":")[2]
    # `urlsplit` is lenient: it drops line breaks and what follows an address in brackets.
    is_whole = text.lower() == f"{'https' if url.is_tls else 'http'}://{host}:{port}".lower()
    is_plain = text.isprintable() and " " not in text and port.isascii() and port.isdecimal()
    if not (is_whole and is_plain):
        raise ConfigError(f"URL {text!r} must be a host and a port, like http://127.0.0.1:2380")
    return url


def parse_known_url(text: str) -> Url:
    """The same for a URL of the log or the data folder, by the laxer rules of earlier versions."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"URL {text!r} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"URL {text!r} must begin with http:// or https://")
    if not parts.hostname or port is None:
        raise ConfigError(f"URL {text!r} must name a host and a port, like http://127.0.0.1:2380")
    # A trailing slash counts as a path, as in etcd: the text goes into the member's id.
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"URL {text!r} must end after the port")
    return Url(text, parts.hostname, port, parts.scheme == "https")


def parse_reachable_url(text: str) -> Url:
    """The same for a URL that others are told: ConfigError also if its port is any free one (0)."""
    url = parse_url(text)
    if url.port == 0:
        raise ConfigError(f"URL {text!r} must name the port: nobody could know which one 0 is")
    return url


def parse_urls(text: str) -> tuple[str, ...]:
    """A comma-separated list of valid URLs, sorted as etcd keeps them."""
    urls = tuple(sorted(part.strip() for part in text.split(",")))
    if not are_bounded(urls):
        raise ConfigError(
            f"{urls[0][:40]} …: these are more than {URLS_MAX} URLs, or one is longer than"
            f" {URL_BYTES_MAX} bytes"
        )
    for url in urls:
        parse_reachable_url(url)
    return urls


def are_bounded(urls: Sequence[str]) -> bool:
    """Tell whether URLs are neither too many for one member nor too long."""
    return len(urls) <= URLS_MAX and all(
        len(url.encode(errors="replace")) <= URL_BYTES_MAX for url in urls
    )


def require_bindable(text: str) -> None:
    """A listener binds to an address, not to a name (etcd's rule; `localhost` is allowed)."""
    host = parse_url(text).host
    if host == "localhost":
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(
            f"cannot listen on {text}: give an IP address (0.0.0.0 for all) instead of a name"
        ) from None


def are_same_places(urls: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether two lists name the same places, in any order."""
    return len(urls) == len(others) and all(
        any(is_same_place(url, other) for other in there)
        for here, there in ((urls, others), (others, urls))
        for url in here
    )


def is_same_place(one: str, other: str) -> bool:
    """Tell whether two URLs name one place, however they are spelled.

    etcd compares resolved URLs; here nothing is resolved but `localhost`, which is 127.0.0.1 as
    well as ::1. Those are two sockets: who is at one place with a third is not always at one.
    """
    return _port(one) == _port(other) and not _hosts(one).isdisjoint(_hosts(other))


def _port(text: str) -> tuple[bool, int]:
    try:
        url = parse_known_url(text)
    except ConfigError:
        return False, 0  # in a log that took it; nobody can be reached there
    return url.is_tls, url.port


def _hosts(text: str) -> frozenset[str]:
    try:
        host = parse_known_url(text).host.lower().removesuffix(".")
        address = ipaddress.ip_address(host)
    except ConfigError:
        return frozenset((text,))
    except ValueError:
        return _LOOPBACKS if host == "localhost" else frozenset((host,))
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return frozenset((str(address),))
