"""Ports of this machine that are free, and stay ours until our processes listen on them."""

import socket
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class Ports:
    """What one launcher has taken. A context manager: its end gives all back.

    Between the look at a port and the process that listens on it another launcher may look, too.
    So a port that is taken is also a name in the kernel's list of unix sockets, which only one can
    have; it goes when the launcher goes, however that happens.
    """

    def __init__(self) -> None:
        self._claims: dict[int, socket.socket] = {}
        self._block: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for claim in self._claims.values():
            claim.close()
        self._claims.clear()
        if self._block is not None:
            self._block.close()
            self._block = None

    def take_block(self, block: int) -> bool:
        """Take a block of addresses (`network.py`), or tell that another launcher has it."""
        assert self._block is None
        self._block = _claim(f"keelson-network-{block}")
        return self._block is not None

    def take(self, *ports: int) -> bool:
        """Take all of them, or tell that one is in use (here, too) and take none."""
        taken: list[int] = []
        for port in ports:
            if port in self._claims or not self._take(port):
                for earlier in taken:
                    self._claims.pop(earlier).close()
                return False
            taken.append(port)
        return True

    def _take(self, port: int) -> bool:
        claim = _claim(f"keelson-port-{port}")
        if claim is None:
            return False
        if not _is_free(port):
            claim.close()
            return False
        self._claims[port] = claim
        return True


def _claim(name: str) -> socket.socket | None:
    """A name in the kernel's list of unix sockets; None: somebody has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0{name}")
    except OSError:
        claim.close()
        return None
    return claim


def _is_free(port: int) -> bool:
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
