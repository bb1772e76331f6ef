"""Networks: one network namespace per name, joined by a switch whose every link can be bad.

What runs in a namespace sees one interface with one address, and nobody but the other names: no
host, no internet. A link has two directions, each with faults of its own. Frames are delayed,
dropped and doubled one by one, so what TCP makes of that is what it makes of a bad network.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

PROGRAMS = ("ip", "nsenter")
"""What must be installed."""


class Networks:
    """The namespaces of one run and the switch between them; a context manager.

    Names in the kernel carry the process id, so runs side by side never meet.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: members and clients, at most 200, each a namespace of its own."""

    def __enter__(self) -> Self:
        """Build them. Raises RigError when the machine refuses; nothing is left behind then."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove them all. What still runs in them goes on without a network."""

    def address_of(self, name: str) -> str:
        """The IPv4 address of a name, valid in every namespace."""
        raise NotImplementedError

    def command_prefix(self, name: str) -> list[str]:
        """What to put before a command line so that it runs there; the process id stays its own
        (the prefix ends in an exec)."""
        raise NotImplementedError

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        """Within it, sockets that this thread makes (and threads it starts) are in the namespace.

        Sockets made before stay where they were made.
        """
        raise NotImplementedError
        yield

    def set(
        self,
        source: str,
        target: str,
        *,
        cut: bool = False,
        loss: float = 0.0,
        delay_seconds: float = 0.0,
        jitter_seconds: float = 0.0,
        duplication: float = 0.0,
    ) -> None:
        """Replace the faults of one direction of one link; in effect on return.

        `cut`: nothing passes. `loss`, `duplication`: shares of the frames, in [0, 1]. Each frame
        takes `delay_seconds` and up to `jitter_seconds` more, so jitter reorders.
        """

    def heal(self) -> None:
        """Make every link good; what is delayed already still arrives late. In effect on return."""
