"""Pieces of protobuf messages as bytes. Pure.

A message is its fields put together, in any order and in pieces: so what many responses share is
encoded once, and a response is a join.
"""

from kvstore.pb import rpc_pb2

HEADER_TAG = b"\x0a"  # field 1, length-delimited: the header of every response


def varint(value: int) -> bytes:
    """An unsigned integer."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def with_length(data: bytes) -> bytes:
    """What follows the tag of a length-delimited field."""
    return varint(len(data)) + data


def header_field(header: rpc_pb2.ResponseHeader) -> bytes:
    """The header as a field of its response."""
    return HEADER_TAG + with_length(header.SerializeToString())
