"""Raft's messages as they come from other members: which of them this one may step. Pure.

`codec` says what is a message at all. Here is what would be one, and would do harm: what only our
own driver may say, and proposals that nobody could apply. In the log they would end all members,
and again after each start.
"""

from typing import get_args

from kvstore import commands
from kvstore.commands import MembershipCommand
from kvstore.errors import MalformedRequestError
from kvstore.raft import codec
from kvstore.raft.types import InstallSnapshot, Message, Propose

_MEMBERSHIP_COMMANDS = get_args(MembershipCommand)


def read(payload: bytes, *, sender: int, receiver: int, is_leader: bool) -> Message:
    """The message in a frame of `sender`. Raises MalformedRequestError.

    `is_leader`: we are; others do not take proposals.
    """
    message = codec.decode(payload)
    if message.sender != sender or message.to != receiver:
        raise MalformedRequestError(f"it is from {message.sender:x} to {message.to:x}")
    if isinstance(message, InstallSnapshot):
        raise MalformedRequestError("that a snapshot is here only this member itself can say")
    if isinstance(message, Propose) and is_leader:
        for data in message.data:
            _check_proposal(data)
    return message


def _check_proposal(data: bytes) -> None:
    try:
        proposal = commands.decode(data)
    except codec.DECODE_ERRORS as error:
        raise MalformedRequestError(f"what it proposes is no command: {error}") from error
    if isinstance(proposal.command, _MEMBERSHIP_COMMANDS):
        # They go another way: the leader judges them before it proposes them.
        raise MalformedRequestError("changes of the membership are not to be forwarded like this")
