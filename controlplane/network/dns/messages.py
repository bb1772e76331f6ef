"""DNS messages: from bytes to a query, from an answer to bytes. PURE.

Sources: RFC 1035 (section 4, messages), RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6891 (EDNS), RFC 2308
(denials). Bytes of strangers are read within bounds: a name has 255 octets at most, and a pointer
leads backwards only.
"""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import msgspec

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, AXFR, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 252, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

UDP_BYTES = 512
"""Of a datagram, for who does not say that it takes more."""
UDP_BYTES_MAX = 1232
"""Whatever who asks takes: more may be cut into fragments, which are lost together."""
MESSAGE_BYTES_MAX = 65_535

_HEADER = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_WANTED, _RECURSION = (
    0x8000,
    0x0400,
    0x0200,
    0x0100,
    0x0080,
)
_OPCODE, _RCODE = 0x7800, 0x000F
_LABEL_MAX, _NAME_MAX = 63, 255
_POINTER = 0xC0
_POINTER_PLACE_MAX = 0x3FFF
_RECORDS_MAX = 512  # of one message: no honest one has more

Name = tuple[bytes, ...]
"""Labels, as they were written; the root has none."""


class BadMessageError(Exception):
    """Bytes that are no DNS message."""


class Srv(NamedTuple):
    """Where a service is. A target is written as it is: RFC 2782 forbids to compress it."""

    priority: int
    weight: int
    port: int
    target: Name


class Soa(NamedTuple):
    """Whose zone it is, and for how many seconds a denial may be believed (`minimum`)."""

    primary: Name
    contact: Name
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


Data = bytes | Name | Srv | Soa
"""Bytes as they are (addresses, texts), a name (CNAME, PTR, NS), or one of the structs."""


class Record(NamedTuple):
    """One answer. `ttl`: seconds."""

    name: Name
    type: int
    ttl: int
    data: Data


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks.

    name         as it was written: the answer repeats it so
    udp_bytes    of a datagram that is taken
    version      of EDNS; None: it does not speak it
    """

    id: int
    opcode: int = 0
    is_recursion_wanted: bool = False
    name: Name = ()
    type: int = A
    klass: int = IN
    udp_bytes: int = UDP_BYTES
    version: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a query is answered."""

    rcode: int = NOERROR
    answers: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    is_authoritative: bool = True


def name_of(text: str) -> Name:
    """`web.default.svc` as labels. Raises BadMessageError where it is no name."""
    labels = tuple(label.encode() for label in text.rstrip(".").split(".") if text.rstrip("."))
    is_long = sum(len(label) + 1 for label in labels) + 1 > _NAME_MAX
    if is_long or any(not 0 < len(label) <= _LABEL_MAX for label in labels):
        raise BadMessageError(f"{text!r} is no name")
    return labels


def lowered(name: Name) -> Name:
    """Names differ by more than case only (RFC 4343)."""
    return tuple(label.lower() for label in name)


def text_of(name: Name) -> str:
    """For people."""
    return ".".join(label.decode("ascii", "backslashreplace") for label in name) + "."


def address_data(address: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """Type and data of an address's record."""
    return (A if address.version == 4 else AAAA), address.packed


# ------------------------------------------------------------------------------ reading


def id_of(data: bytes) -> int | None:
    """The id of what asks something; None: it is an answer, or too short to be answered."""
    if len(data) < _HEADER.size:
        return None
    found, flags, *_ = _HEADER.unpack_from(data)
    return None if flags & _RESPONSE else int(found)


def read_query(data: bytes) -> Query:
    """Raises BadMessageError."""
    number, flags, questions, answers, authority, additional = _header(data)
    opcode = (flags & _OPCODE) >> 11
    if opcode != 0:
        return Query(id=number, opcode=opcode)
    if questions != 1:
        raise BadMessageError(f"{questions} questions")
    name, place = _read_name(data, _HEADER.size)
    kind, klass = _unpack(_QUESTION, data, place)
    query = Query(
        id=number,
        is_recursion_wanted=bool(flags & _RECURSION_WANTED),
        name=name,
        type=kind,
        klass=klass,
    )
    place += _QUESTION.size
    for _ in range(_bounded(answers + authority + additional)):
        _, kind, klass, ttl, _, place = _read_record(data, place)
        if kind == OPT:
            size = max(UDP_BYTES, min(klass, UDP_BYTES_MAX))
            query = msgspec.structs.replace(query, udp_bytes=size, version=ttl >> 16 & 0xFF)
    return query


def read_answers(data: bytes, kinds: frozenset[int]) -> tuple[int, list[Record]]:
    """The rcode of an answer, and its records of these kinds: A, AAAA, CNAME, PTR can be asked for.

    Raises BadMessageError.
    """
    _, flags, questions, answers, *_ = _header(data)
    place = _HEADER.size
    for _ in range(_bounded(questions)):
        _, place = _read_name(data, place)
        _unpack(_QUESTION, data, place)
        place += _QUESTION.size
    found = []
    for _ in range(_bounded(answers)):
        name, kind, klass, ttl, start, place = _read_record(data, place)
        if klass == IN and kind in kinds:
            is_name = kind in (CNAME, PTR)
            value: Data = _read_name(data, start)[0] if is_name else data[start:place]
            found.append(Record(name, kind, ttl, value))
    return flags & _RCODE, found


def is_truncated(data: bytes) -> bool:
    """Whether an answer has more than what is told: it is to be asked for by TCP.

    Raises BadMessageError.
    """
    return bool(_header(data)[1] & _TRUNCATED)


def _header(data: bytes) -> tuple[int, ...]:
    return _unpack(_HEADER, data, 0)


def _unpack(form: struct.Struct, data: bytes, place: int) -> tuple[int, ...]:
    if place + form.size > len(data):
        raise BadMessageError("it ends too early")
    return form.unpack_from(data, place)


def _bounded(count: int) -> int:
    if count > _RECORDS_MAX:
        raise BadMessageError(f"{count} records")
    return count


def _read_record(data: bytes, place: int) -> tuple[Name, int, int, int, int, int]:
    """Name, type, class, ttl, and where its data begin and end."""
    name, place = _read_name(data, place)
    kind, klass, ttl, size = _unpack(_RECORD, data, place)
    start = place + _RECORD.size
    if start + size > len(data):
        raise BadMessageError("it ends too early")
    return name, kind, klass, ttl, start, start + size


def _read_name(data: bytes, place: int) -> tuple[Name, int]:
    """A name, and where what follows it begins."""
    labels: list[bytes] = []
    size, after, earliest = 1, -1, place
    while True:
        if place >= len(data):
            raise BadMessageError("it ends within a name")
        count = data[place]
        if count >= _POINTER:
            (pointer,) = _unpack(_POINTER_FORM, data, place)
            after = place + 2 if after < 0 else after
            place = pointer & _POINTER_PLACE_MAX
            # Backwards only, so every name has an end; and never into the header.
            if not _HEADER.size <= place < earliest:
                raise BadMessageError("a pointer that does not lead back")
            earliest = place
            continue
        if count > _LABEL_MAX:
            raise BadMessageError("a label of a kind that is not known")
        place += 1
        if count == 0:
            return tuple(labels), place if after < 0 else after
        size += count + 1
        if size > _NAME_MAX or place + count > len(data):
            raise BadMessageError("a name that is too long")
        labels.append(data[place : place + count])
        place += count


_POINTER_FORM = struct.Struct(">H")


# ------------------------------------------------------------------------------ writing


def write_answer(query: Query, answer: Answer, bytes_max: int) -> bytes:
    """What does not fit is left out, and the answer says so (TC): who asked comes again by TCP.

    bytes_max  MESSAGE_BYTES_MAX by TCP, `query.udp_bytes` by UDP
    """
    writer = _Writer(bytes_max - (_OPT_BYTES if query.version is not None else 0))
    writer.question(query)
    counts = [0, 0, 0]
    is_whole = True
    for section, records in enumerate((answer.answers, answer.authority, answer.additional)):
        for record in records:
            if not writer.record(record):
                # What is additional may be missing without a word (RFC 2181, section 9).
                is_whole = is_whole and section == 2
                break
            counts[section] += 1
    if query.version is not None:
        writer.option(answer.rcode)
        counts[2] += 1
    flags = _RESPONSE | query.opcode << 11 | _RECURSION | answer.rcode & _RCODE
    flags |= _AUTHORITATIVE if answer.is_authoritative else 0
    flags |= 0 if is_whole else _TRUNCATED
    flags |= _RECURSION_WANTED if query.is_recursion_wanted else 0
    return writer.message(query.id, flags, counts)


def write_query(query: Query) -> bytes:
    """A question of our own, with EDNS."""
    writer = _Writer(MESSAGE_BYTES_MAX)
    writer.question(query)
    writer.option(NOERROR)
    return writer.message(query.id, _RECURSION_WANTED, [0, 0, 1])


def write_error(number: int, rcode: int) -> bytes:
    """The answer to what cannot be read."""
    return _HEADER.pack(number, _RESPONSE | rcode, 0, 0, 0, 0)


_OPT_BYTES = 11


class _Writer:
    """A message under way, and where in it names begin that others may point to."""

    def __init__(self, bytes_max: int) -> None:
        self._out = bytearray(_HEADER.size)
        self._bytes_max = bytes_max
        self._places: dict[Name, int] = {}
        self._questions = 0

    def message(self, number: int, flags: int, counts: Sequence[int]) -> bytes:
        _HEADER.pack_into(self._out, 0, number, flags, self._questions, *counts)
        return bytes(self._out)

    def question(self, query: Query) -> None:
        """None where the query was not read so far."""
        if query.opcode == 0:
            self._name(query.name)
            self._out += _QUESTION.pack(query.type, query.klass)
            self._questions = 1

    def record(self, record: Record) -> bool:
        """False, and nothing is written, where it does not fit."""
        start = len(self._out)
        self._name(record.name)
        self._out += _RECORD.pack(record.type, IN, record.ttl, 0)
        begin = len(self._out)
        self._data(record.data)
        if len(self._out) > self._bytes_max:
            del self._out[start:]
            self._places = {name: at for name, at in self._places.items() if at < start}
            return False
        self._out[begin - 2 : begin] = (len(self._out) - begin).to_bytes(2, "big")
        return True

    def option(self, rcode: int) -> None:
        """EDNS: what we take, and the upper bits of the rcode."""
        self._out += b"\0" + _RECORD.pack(OPT, UDP_BYTES_MAX, (rcode >> 4) << 24, 0)

    def _data(self, data: Data) -> None:
        match data:
            case bytes():
                self._out += data
            case Srv(priority, weight, port, target):
                self._out += struct.pack(">HHH", priority, weight, port)
                self._name(target, is_compressed=False)
            case Soa():
                self._name(data.primary)
                self._name(data.contact)
                self._out += struct.pack(">IIIII", *data[2:])
            case _:
                self._name(data)

    def _name(self, name: Name, *, is_compressed: bool = True) -> None:
        for position, label in enumerate(name):
            rest = name[position:]
            place = self._places.get(rest) if is_compressed else None
            if place is not None:
                self._out += (place | _POINTER << 8).to_bytes(2, "big")
                return
            if len(self._out) <= _POINTER_PLACE_MAX:
                self._places.setdefault(rest, len(self._out))
            self._out.append(len(label))
            self._out += label
        self._out.append(0)
