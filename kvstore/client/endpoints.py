"""Where a channel leads, and for how long it tries: what channels of all kinds have in common."""

from kvstore.client.tls import Tls

CONNECT_SECONDS_MAX = 2.0  # TCP, TLS and HTTP/2 settings; a paused member answers none of them
PING_SECONDS = 6  # etcd cuts off clients that ping more often than every 5 s
PING_TIMEOUT_SECONDS = 6  # silence on a ping: the connection is dead, or the machine beyond hope
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 1.0  # a restarted member is found again within this time

UNIX_SCHEMES = ("unix://", "unixs://")
"""Of a socket's path: etcd's clients take them, and of our channels gRPC's does."""


def parse(endpoint: str, tls: Tls | None) -> tuple[str, Tls | None]:
    """The `host:port` of an endpoint, and what TLS is spoken with there; None: it is plain.

    A scheme, `http://` or `https://`, decides that; without one `tls` does. Raises ValueError.
    """
    scheme, separator, address = endpoint.rpartition("://")
    if scheme not in ("", "http", "https"):
        raise ValueError(f"endpoint {endpoint!r}: unknown scheme {scheme!r}")
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"endpoint {endpoint!r}: host:port is wanted, like 127.0.0.1:2379")
    if scheme == "https" or (not separator and tls is not None):
        return address, tls or Tls()
    return address, None


def require_endpoint(endpoint: str) -> None:
    """Raises ValueError where no channel of ours would know where to go."""
    if not endpoint.startswith(UNIX_SCHEMES):
        parse(endpoint, None)
