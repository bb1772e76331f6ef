"""HPACK (RFC 7541): header blocks to fields, and our own few fields to blocks.

Our encoder keeps no table: answers are made of the same few literals, encoded once. The decoder
counts the changes of its table in `generation`, so that what a block means may be remembered as
long as the table stays as it is.
"""

from typing import Final, TypeAlias

from kvstore.http2.huffman import HuffmanError, decode
from kvstore.http2.limits import HEADER_FIELDS_MAX, HEADER_LIST_BYTES_MAX
from kvstore.http2.protocol import ConnectionFaultError, ErrorCode

Field: TypeAlias = tuple[bytes, bytes]

TABLE_BYTES: Final = 4_096  # what an encoder may use unless we said otherwise (section 4.2)
ENTRY_OVERHEAD_BYTES: Final = 32  # section 4.1
TABLE_EMPTIED: Final = b"\x20"  # a size update to zero (section 6.3)

_INTEGER_MAX: Final = 2**28  # no length or index of ours comes near; more is an attack (5.1)

_STATIC: Final[tuple[Field, ...]] = (  # appendix A
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *(
        (name, b"")
        for name in (
            b"accept-language",
            b"accept-ranges",
            b"accept",
            b"access-control-allow-origin",
            b"age",
            b"allow",
            b"authorization",
            b"cache-control",
            b"content-disposition",
            b"content-encoding",
            b"content-language",
            b"content-length",
            b"content-location",
            b"content-range",
            b"content-type",
            b"cookie",
            b"date",
            b"etag",
            b"expect",
            b"expires",
            b"from",
            b"host",
            b"if-match",
            b"if-modified-since",
            b"if-none-match",
            b"if-range",
            b"if-unmodified-since",
            b"last-modified",
            b"link",
            b"location",
            b"max-forwards",
            b"proxy-authenticate",
            b"proxy-authorization",
            b"range",
            b"referer",
            b"refresh",
            b"retry-after",
            b"server",
            b"set-cookie",
            b"strict-transport-security",
            b"transfer-encoding",
            b"user-agent",
            b"vary",
            b"via",
            b"www-authenticate",
        )
    ),
)


def _fault(reason: str) -> ConnectionFaultError:
    """Both sides' tables are out of step from now on: nothing on the connection can be read."""
    return ConnectionFaultError(ErrorCode.COMPRESSION_ERROR, reason)


class Decoder:
    """The table of one connection's incoming header blocks."""

    def __init__(self) -> None:
        self.generation = 0
        self._newest_last: list[Field] = []
        self._bytes = 0
        self._bytes_max = TABLE_BYTES

    def decode(self, block: bytes) -> list[Field]:
        """The fields of one whole block. ConnectionFaultError when it is none."""
        fields: list[Field] = []
        at, size, room = 0, len(block), HEADER_LIST_BYTES_MAX
        while at < size:
            first = block[at]
            if first & 0x80:  # an indexed field, section 6.1
                index, at = _integer(block, at, 7)
                field = self._entry(index)
            elif first & 0x40:  # a literal to remember, section 6.2.1
                field, at = self._literal(block, at, 6)
                self._remember(field)
            elif first & 0x20:  # a new size of the table, section 6.3
                if fields:
                    raise _fault("a size update after the beginning of a block")
                at = self._resize(block, at)
                continue
            else:  # a literal without or never to remember, sections 6.2.2 and 6.2.3
                field, at = self._literal(block, at, 4)
            fields.append(field)
            room -= field_bytes(field)
            if room < 0 or len(fields) > HEADER_FIELDS_MAX:
                raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "too long a header list")
        return fields

    def _entry(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        place = len(self._newest_last) - (index - len(_STATIC))
        if index == 0 or place < 0:
            raise _fault(f"no entry has index {index}")
        return self._newest_last[place]

    def _literal(self, block: bytes, at: int, prefix_bits: int) -> tuple[Field, int]:
        index, at = _integer(block, at, prefix_bits)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _resize(self, block: bytes, at: int) -> int:
        size, at = _integer(block, at, 5)
        if size > TABLE_BYTES:
            raise _fault(f"a table of {size} bytes, more than the {TABLE_BYTES} allowed")
        self.generation += 1
        self._bytes_max = size
        self._evict()
        return at

    def _remember(self, field: Field) -> None:
        """Section 4.4: an entry that is larger than the table empties it."""
        self.generation += 1
        self._newest_last.append(field)
        self._bytes += field_bytes(field)
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._bytes_max:
            self._bytes -= field_bytes(self._newest_last.pop(0))


def field_bytes(field: Field) -> int:
    """The size of a field as tables and header lists count it (section 4.1)."""
    return len(field[0]) + len(field[1]) + ENTRY_OVERHEAD_BYTES


def encode(fields: list[Field]) -> bytes:
    """A block of literals that are not remembered, without Huffman codes."""
    return b"".join(b"".join((b"\0", _encoded(name), _encoded(value))) for name, value in fields)


def _encoded(string: bytes) -> bytes:
    length = len(string)
    if length < 127:
        return bytes((length,)) + string
    rest = length - 127
    encoded = bytearray((127,))
    while rest >= 128:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded) + string


def _integer(block: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    """Section 5.1; the integer and what follows it."""
    mask = (1 << prefix_bits) - 1
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        if at >= len(block):
            raise _fault("a block that ends within an integer")
        byte = block[at]
        at += 1
        value += (byte & 127) << shift
        shift += 7
        if value > _INTEGER_MAX or shift > 35:
            raise _fault("an integer beyond all bounds")
        if byte < 128:
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Section 5.2; the string and what follows it."""
    if at >= len(block):
        raise _fault("a block that ends before a string")
    is_huffman = block[at] & 0x80
    length, at = _integer(block, at, 7)
    end = at + length
    if end > len(block):
        raise _fault("a block that ends within a string")
    if not is_huffman:
        return block[at:end], end
    try:
        return decode(block[at:end]), end
    except HuffmanError as error:
        raise _fault(str(error)) from None
