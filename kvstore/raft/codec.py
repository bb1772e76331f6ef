"""Messages as bytes: MessagePack arrays, the first element names the type.

The one place that knows the wire form. What arrives is checked here, so that the core may assert.
"""

import msgspec

from kvstore.errors import MalformedRequestError
from kvstore.raft.types import AppendEntries, Message

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: bad UTF-8 and absurd nesting it
lets through as what they are. For whoever decodes what comes from outside."""


def encode(message: Message) -> bytes:
    """The message as one frame's payload."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """The message in a frame. Raises MalformedRequestError."""
    try:
        message: Message = _decoder.decode(data)
    except DECODE_ERRORS as error:
        raise MalformedRequestError(f"a peer's bytes are no message: {error}") from error
    if isinstance(message, AppendEntries):
        _check_entries(message)
    return message


def _check_entries(message: AppendEntries) -> None:
    """Entries must follow one another, their terms never fall."""
    index, term = message.previous_index, message.previous_term
    for entry in message.entries:
        index += 1
        if entry.index != index or not term <= entry.term <= message.term:
            raise MalformedRequestError(f"a peer's append is out of order at index {index}")
        term = entry.term
