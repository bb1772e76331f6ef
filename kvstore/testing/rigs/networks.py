"""Networks: one network namespace per name, joined by a switch whose every link can be bad.

What runs in a namespace sees one interface with one address, and nobody but the other names: no
host, no internet. A link has two directions, each with faults of its own. Frames are delayed,
dropped and doubled one by one, so what TCP makes of that is what it makes of a bad network.
"""

import contextlib
import ctypes
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from kvstore.testing.rigs import commands
from kvstore.testing.rigs.claims import NAMESPACES, Claim, Kind
from kvstore.testing.rigs.links import GOOD, Answer, Change, Counts, Faults
from kvstore.testing.rigs.requirements import RigError

PROGRAMS = ("ip", "nsenter")
"""What must be installed."""

_NAMES_MAX = 200  # the number of a name is a byte of its address
_PREFIX = "keelson"
_NETWORK = "10.99.0"  # nobody outside ever sees it
_CLONE_NEWNET = 0x40000000
_ANSWER_BYTES = 65_536
_ANSWER_SECONDS_MAX = 30.0  # the switch answers in a millisecond; the machine may be busy


class Networks:
    """The namespaces of one run and the switch between them; a context manager.

    Names in the kernel carry the process id, so runs side by side never meet.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: members and clients, at most 200, each a namespace of its own."""
        assert len(set(names)) == len(names) <= _NAMES_MAX, "each name once, and not too many"
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self._pid = os.getpid()  # not a child's that inherits this object
        self._faults: dict[tuple[str, str], Faults] = {}
        self._counts: dict[int, dict[int, Counts]] = {}  # as of the switch's last answer
        self._switch: subprocess.Popen[bytes] | None = None
        self._claim: Claim | None = None

    def __enter__(self) -> Self:
        """Build them. Raises RigError when the machine refuses; nothing is left behind then."""
        self._claim = Claim()
        try:
            self._build()
            self._start_switch()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove them all. What still runs in them goes on without a network."""
        self._remove()

    def address_of(self, name: str) -> str:
        """The IPv4 address of a name, valid in every namespace."""
        return f"{_NETWORK}.{self._numbers[name]}"

    def command_prefix(self, name: str) -> list[str]:
        """What to put before a command line so that it runs there; the process id stays its own
        (the prefix ends in an exec)."""
        return self._prefix(self._numbers[name])

    @contextlib.contextmanager
    def entered(self, name: str) -> Iterator[None]:
        """Within it, sockets that this thread makes (and threads it starts) are in the namespace.

        Sockets made before stay where they were made.
        """
        with Path("/proc/thread-self/ns/net").open() as home:
            with (NAMESPACES / self._kernel_name(self._numbers[name])).open() as there:
                _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

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
        takes `delay_seconds` and up to `jitter_seconds` more, so jitter reorders. A bulk transfer's
        frames are up to 64 KiB large. Raises ConfigError for what no link can do.
        """
        assert source in self._numbers, f"no namespace is called {source}"
        assert target in self._numbers, f"no namespace is called {target}"
        faults = Faults(
            cut=cut,
            loss=loss,
            delay_seconds=delay_seconds,
            jitter_seconds=jitter_seconds,
            duplication=duplication,
        )
        faults.check()
        self._faults[source, target] = faults
        self._tell()

    def heal(self) -> None:
        """Make every link good; what is delayed already still arrives late. In effect on return."""
        self._faults.clear()
        self._tell()

    def counts(self, links: Iterable[tuple[str, str]]) -> Counts:
        """What became of the frames of these directions up to now, all together."""
        self._tell()
        found = Counts()
        for source, target in links:
            of_source = self._counts.get(self._numbers[source], {})
            found = found.plus(of_source.get(self._numbers[target], Counts()))
        return found

    def _build(self) -> None:
        switch, names = self._kernel_name(0), [self._kernel_name(n) for n in self._numbers.values()]
        assert self._claim is not None
        for name in (switch, *names):
            self._claim.note(Kind.NAMESPACE, name)
        _ip(["-batch", "-"], "".join(f"netns add {name}\n" for name in (switch, *names)))
        ports = "link set lo up\n"
        for number, name in enumerate(names, 1):
            ports += (
                f"link add p{number} type veth peer name eth0 address {_mac(number)} netns {name}\n"
                f"link set p{number} up\n"
            )
        _ip(["-n", switch, "-batch", "-"], ports)
        for number, name in enumerate(names, 1):
            _ip(["-n", name, "-batch", "-"], self._interface(number))

    def _interface(self, own: int) -> str:
        """Neighbours are written down: to ask for them, a good link both ways would be needed."""
        neighbours = "".join(
            f"neigh add {_NETWORK}.{number} lladdr {_mac(number)} nud permanent dev eth0\n"
            for number in self._numbers.values()
            if number != own
        )
        address = f"addr add {_NETWORK}.{own}/24 dev eth0\n"
        return f"link set lo up\n{address}link set eth0 up\n{neighbours}"

    def _start_switch(self) -> None:
        program = [sys.executable, "-m", "kvstore.testing.rigs.switch"]
        self._switch = subprocess.Popen(
            [*self._prefix(0), *program, "1", str(len(self._numbers))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._await_answer()

    def _tell(self) -> None:
        change: dict[int, dict[int, Faults]] = {}
        for (source, target), faults in self._faults.items():
            if faults != GOOD:
                change.setdefault(self._numbers[source], {})[self._numbers[target]] = faults
        assert self._switch is not None, "the networks are not built"
        assert self._switch.stdin is not None
        try:
            self._switch.stdin.write(msgspec.json.encode(Change(change)) + b"\n")
            self._switch.stdin.flush()
        except BrokenPipeError:
            raise RigError("the switch has ended; its error is on stderr") from None
        self._await_answer()

    def _await_answer(self) -> None:
        assert self._switch is not None
        assert self._switch.stdout is not None
        fd, answer = self._switch.stdout.fileno(), b""
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([fd], [], [], _ANSWER_SECONDS_MAX)
            part = os.read(fd, _ANSWER_BYTES) if ready else b""
            if not part:
                raise RigError("the switch does not answer; its error is on stderr")
            answer += part
        self._counts = msgspec.json.decode(answer, type=Answer).counts

    def _prefix(self, number: int) -> list[str]:
        """`ip netns exec` would also give the process mounts of its own, blind to later ones."""
        return ["nsenter", f"--net={NAMESPACES / self._kernel_name(number)}", "--"]

    def _kernel_name(self, number: int) -> str:
        """Of a namespace; 0 is the switch's."""
        return f"{_PREFIX}-{self._pid}-{number}"

    def _remove(self) -> None:
        if self._switch is not None:
            self._switch.kill()
            self._switch.wait()
            for pipe in (self._switch.stdin, self._switch.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._switch = None
        with contextlib.ExitStack() as steps:  # each is tried, whatever becomes of the others
            for number in (0, *self._numbers.values()):
                if (NAMESPACES / self._kernel_name(number)).exists():
                    steps.callback(_ip, ["netns", "del", self._kernel_name(number)])
        if self._claim is not None:
            self._claim.release()
            self._claim = None


def _mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def _ip(arguments: Sequence[str], batch: str = "") -> None:
    commands.run(["ip", *arguments], batch)


def _set_namespace(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET):
        raise RigError(f"setns: {os.strerror(ctypes.get_errno())}")
