"""Protobuf messages and pieces of them as bytes. Pure.

A message is its fields put together, in any order and in pieces: so what many responses share is
encoded once, and a response is a join.
"""

from google.protobuf.message import EncodeError, Message

from kvstore.errors import ResponseTooLargeError

HEADER_TAG = b"\x0a"  # field 1, length-delimited: the header of every response
REVISION_TAG = b"\x18"  # field 3 of a header, a varint


_BYTES = [bytes((value,)) for value in range(0x80)]


def varint(value: int) -> bytes:
    """An unsigned integer."""
    if value < 0x80:
        return _BYTES[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def with_length(data: bytes) -> bytes:
    """What follows the tag of a length-delimited field."""
    return varint(len(data)) + data


def serialize(message: Message) -> bytes:
    """The bytes of a message. Raises ResponseTooLargeError where protobuf refuses to make them."""
    try:
        return message.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise ResponseTooLargeError(str(error)) from None
