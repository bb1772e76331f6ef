"""What all listeners share: the seams of the process, addresses, and why one cannot be had."""

import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from controlplane.network.descriptors import Descriptors
from controlplane.network.plan import Endpoint, Place
from kvstore.seams import Clock

RETRY_SECONDS, RETRY_SECONDS_MAX = 0.5, 60.0
_PRIVILEGED = 1024


class Seams(msgspec.Struct, frozen=True):
    """What listeners need of the process.

    spawn   runs work that does not fail
    places  that we listen on ourselves: an endpoint there would be a connection without an end
    """

    clock: Clock
    descriptors: Descriptors
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    places: set[Place] = msgspec.field(default_factory=set)

    def is_own(self, endpoint: Endpoint, protocol: str) -> bool:
        """Whether who connects to an endpoint comes to us."""
        return Place(endpoint.address, endpoint.port, protocol) in self.places


def family_of(address: str) -> socket.AddressFamily:
    """Of an address. Pure."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bound(place: Place, kind: socket.SocketKind) -> socket.socket:
    """A socket that has the address. Raises OSError."""
    family = family_of(place.address)
    opened = socket.socket(family, kind)
    try:
        opened.setblocking(False)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:  # of UDP it would let two have the same place
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((place.address, place.port))
    except OverflowError:  # a stranger may write it past validation: the fault of its place alone
        opened.close()
        raise OSError(errno.EINVAL, f"{place.port} is no port") from None
    except BaseException:
        opened.close()
        raise
    return opened


def retry_seconds(tries: int) -> float:
    """After so many failures: ever longer. Pure."""
    return min(RETRY_SECONDS * 2.0 ** min(tries, 16), RETRY_SECONDS_MAX)


def why(place: Place, error: OSError) -> str:
    """Why a place cannot be opened, and what would help. Pure."""
    match error.errno:
        case errno.EACCES | errno.EPERM if place.port < _PRIVILEGED:
            return (
                "ports below 1024 need a privilege: CAP_NET_BIND_SERVICE, "
                "or sysctl net.ipv4.ip_unprivileged_port_start"
            )
        case errno.EADDRINUSE:
            return "another process listens there"
        case errno.EADDRNOTAVAIL:
            return (
                "the address is none of this machine's: `ip route add local` makes a network "
                "of services its own"
            )
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open: raise the limit of the process (ulimit -n)"
    return error.strerror or str(error)
