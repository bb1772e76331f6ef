"""Header blocks of one connection: those that come in pieces, and what they stand for. Pure."""

from kvstore.http2 import grpc, limits
from kvstore.http2.grpc import Head
from kvstore.http2.hpack import Decoder, Field
from kvstore.http2.protocol import ConnectionFaultError, ErrorCode


class Heads:
    """The decoder of a connection, and the heads that it need not decode again."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._known: dict[bytes, Head] = {}
        self._generation = 0

    def fields(self, block: bytes) -> list[Field]:
        """The fields of a block: each has to be decoded, or the tables would be out of step."""
        fields = self._decoder.decode(block)
        if self._decoder.generation != self._generation:
            self._generation = self._decoder.generation
            self._known.clear()
        return fields

    def head(self, block: bytes) -> Head:
        """What a block stands for; the same bytes mean the same as long as the table stands."""
        head = self._known.get(block)
        if head is not None:
            return head
        generation = self._generation
        head = grpc.head_of(self.fields(block))
        if generation == self._generation and head.size <= limits.SMALL_HEAD_BYTES:
            if len(self._known) >= limits.REMEMBERED_BLOCKS_MAX:
                self._known.clear()
            self._known[block] = head
        return head


class Block:
    """A header block that comes in several frames."""

    __slots__ = ("data", "end_stream", "frames", "stream_id")

    def __init__(self, stream_id: int, data: bytes, end_stream: int) -> None:
        self.stream_id = stream_id
        self.data = bytearray(data)
        self.end_stream = end_stream  # the flag of its first frame
        self.frames = 0

    def add(self, payload: bytes) -> None:
        """One CONTINUATION; without an end they are a flood (CVE-2024-27316)."""
        self.frames += 1
        self.data += payload
        if self.frames > limits.CONTINUATIONS_MAX or len(self.data) > limits.HEADER_BLOCK_BYTES_MAX:
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
