"""One RPC as a handler sees it: no transport, no task.

A front (our own HTTP/2, or the simulation's) creates calls and hands them to
handlers. Unary: the handler calls `reply` or `fail` exactly once, now or from a callback. Streams:
`send` any number of times, then `end` or `fail`; `on_request` and `on_closed` are set by the
handler. A KvError that a handler raises while it is called ends the call like `fail`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from google.protobuf.message import Message

from kvstore.errors import KvError, LearnerError, NoLeaderError

HANDLER_FAILED = "the server failed to handle the call"
"""What a client hears of a bug of ours; the log has it all."""

Kind: TypeAlias = Literal["unary", "stream"]
# Bytes that make a message when they are put together.
Pieces: TypeAlias = tuple[bytes, ...]
# Full method name → (attribute of the service, request type, kind).
Methods: TypeAlias = Mapping[str, tuple[str, type[Message], Kind]]


class Service(NamedTuple):
    """Handlers and the table of their methods, ready to be mounted by any front."""

    handlers: object
    methods: Methods


class Call(Protocol):
    """A unary call under way."""

    deadline: float | None
    metadata: dict[str, str]

    def reply(self, response: Any, header: bytes = b"") -> None:
        """Answer with a protobuf message (or its bytes); ignored when the caller has gone.

        `header`: bytes to be put before those of the message, of fields that it leaves out.
        """

    def accepts_answer(self) -> bool:
        """Tell whether somebody will read an answer; ask before much work is done for one.

        A client that does not read what it got already is refused by this.
        """

    def fail(self, error: KvError) -> None:
        """End with the status that `rpc_errors` gives the error."""


class StreamCall(Protocol):
    """A streaming call under way. All callbacks run on the event loop."""

    metadata: dict[str, str]
    on_request: Callable[[Any], None]  # a request message arrived
    on_half_closed: Callable[[], None]  # the client will send no more
    on_closed: Callable[[], None]  # the call is over, whoever ended it; nothing more is sent
    on_writable: Callable[[], None]  # is_blocked went back to False

    @property
    def is_blocked(self) -> bool:
        """True while the client does not read: what is sent now waits in bounded memory."""

    def send(self, response: Any) -> None:
        """Send one response message (or its bytes)."""

    def send_all(self, responses: Sequence[Pieces]) -> None:
        """Send several responses in one go, which costs less."""

    def end(self) -> None:
        """End with status OK."""

    def fail(self, error: KvError) -> None:
        """End with the status of the error."""


class Host(Protocol):
    """The member that is called."""

    @property
    def leader_id(self) -> int:
        """The leader that it knows of; 0 if none."""

    @property
    def is_learner(self) -> bool:
        """True while it serves what a learner does: it is one, or does not know yet that it is a
        member, or is none any more."""


def admit(call: Call | StreamCall, host: Host, *, also_by_learner: bool = False) -> None:
    """Let a call in, or raise what keeps it out, as etcd does before any handler.

    NoLeaderError if the caller asked for a member with a leader and this has none; LearnerError on
    a learner, which serves its status and serializable ranges only (`also_by_learner`).
    """
    if host.is_learner and not also_by_learner:
        raise LearnerError
    if not host.leader_id and call.metadata.get("hasleader") == "true":
        raise NoLeaderError
