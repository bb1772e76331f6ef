"""Go's run-time type information, read from an executable that keeps it (as every Go program does).

A program that encodes objects by reflection carries the struct tags of all their types; they tell
field numbers, JSON names and what may be left out, exactly as that program uses them. Layout: Go's
`internal/abi` (Type, StructType, UncommonType) of Go 1.18 to 1.24, 64 bit, little endian.
"""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

KINDS = {
    1: "bool",
    2: "int",
    3: "int",
    4: "int",
    5: "int",
    6: "int",
    7: "uint",
    8: "uint8",
    9: "uint",
    10: "uint",
    11: "uint",
    13: "float",
    14: "float",
    17: "array",
    20: "interface",
    21: "map",
    22: "pointer",
    23: "slice",
    24: "string",
    25: "struct",
}
_TYPE_BYTES = 48
_STRUCT_BYTES = _TYPE_BYTES + 32
_FIELD_BYTES = 24
_UNCOMMON, _STAR, _NAMED = 1, 2, 4  # Bits of tflag.
_KIND_MASK = 31
_HAS_TAG, _IS_EMBEDDED = 2, 8  # Bits of a name's first byte.


class Field(NamedTuple):
    """One field of a struct; `tag` is as written in the source."""

    name: str
    type: "GoType"
    tag: str
    is_embedded: bool


class Executable:
    """An ELF file, addressed as it is when it runs."""

    def __init__(self, content: bytes) -> None:
        if content[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        self._content = content
        self._sections = dict(self._read_sections())
        self.types_address = self._sections[".rodata"][0]
        """Where type data begins: offsets of names and types count from here."""

    def _read_sections(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        (table,) = struct.unpack_from("<Q", self._content, 40)
        size, count, names_index = struct.unpack_from("<HHH", self._content, 58)
        headers = [
            struct.unpack_from("<IIQQQQ", self._content, table + size * i) for i in range(count)
        ]
        names_offset = headers[names_index][4]
        for name, _, _, address, offset, length in headers:
            start = names_offset + name
            end = self._content.index(b"\0", start)
            yield self._content[start:end].decode(), (address, offset, length)

    def offset(self, address: int) -> int:
        """Where in the file an address is."""
        for start, offset, length in self._sections.values():
            if start and start <= address < start + length:
                return offset + address - start
        raise ValueError(f"no section has address {address:#x}")

    def unpack(self, form: str, address: int) -> tuple[int, ...]:
        """Numbers at an address."""
        return struct.unpack_from("<" + form, self._content, self.offset(address))

    def name(self, address: int) -> tuple[str, str, bool]:
        """A name, its tag, and whether it is embedded."""
        at = self.offset(address)
        flags = self._content[at]
        text, at = self._text(at + 1)
        tag = self._text(at)[0] if flags & _HAS_TAG else ""
        return text, tag, bool(flags & _IS_EMBEDDED)

    def _text(self, at: int) -> tuple[str, int]:
        length = shift = 0
        while True:
            byte = self._content[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return self._content[at : at + length].decode(), at + length

    def linked_types(self) -> Iterator["GoType"]:
        """All types that the linker lists: pointers, slices, maps … but no named ones."""
        address, _, length = self._sections[".typelink"]
        for offset in self.unpack(f"{length // 4}i", address):
            yield GoType(self, self.types_address + offset)


class GoType:
    """One type, at an address."""

    def __init__(self, executable: Executable, address: int) -> None:
        self._executable = executable
        self.address = address
        flags, _, _, kind = executable.unpack("BBBB", address + 20)
        self._flags = flags
        self.kind = KINDS.get(kind & _KIND_MASK, "other")

    @cached_property
    def name(self) -> str:
        """Without its package; empty for types without a name."""
        if not self._flags & _NAMED:
            return ""
        (offset,) = self._executable.unpack("i", self.address + 40)
        text = self._executable.name(self._executable.types_address + offset)[0]
        return text.lstrip("*").rpartition(".")[2]

    @cached_property
    def package(self) -> str:
        """Import path of a named type."""
        if not self._flags & _UNCOMMON:
            return ""
        size = {"struct": _STRUCT_BYTES, "slice": 56, "pointer": 56}.get(self.kind, _TYPE_BYTES)
        if self.kind not in ("struct", "slice", "pointer") and self.kind in ("map", "interface"):
            return ""  # Their size differs between releases, and nobody asks.
        (offset,) = self._executable.unpack("i", self.address + size)
        if not offset:
            return ""
        return self._executable.name(self._executable.types_address + offset)[0]

    @property
    def element(self) -> "GoType":
        """What a pointer or slice points to; a map's key."""
        (address,) = self._executable.unpack("Q", self.address + _TYPE_BYTES)
        return GoType(self._executable, address)

    @property
    def value(self) -> "GoType":
        """What a map holds."""
        (address,) = self._executable.unpack("Q", self.address + _TYPE_BYTES + 8)
        return GoType(self._executable, address)

    @property
    def fields(self) -> list[Field]:
        """Of a struct, in the order of the source."""
        first, count = self._executable.unpack("QQ", self.address + _TYPE_BYTES + 8)
        found = []
        for position in range(count):
            address = first + position * _FIELD_BYTES
            name_address, type_address = self._executable.unpack("QQ", address)
            name, tag, is_embedded = self._executable.name(name_address)
            found.append(Field(name, GoType(self._executable, type_address), tag, is_embedded))
        return found
