"""DNS messages against bytes that were made by hand from the RFCs, and against anything."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controlplane.network.dns import messages
from controlplane.network.dns.messages import (
    AAAA,
    CNAME,
    IN,
    MESSAGE_BYTES_MAX,
    NXDOMAIN,
    PTR,
    SOA,
    SRV,
    A,
    Answer,
    BadMessageError,
    Query,
    Record,
    Soa,
    Srv,
    name_of,
    read_answers,
    read_query,
    write_answer,
    write_query,
)

WEB = name_of("web.default.svc.cluster.local")

ASKED = bytes.fromhex(
    "1234"  # id
    "0100"  # a query, recursion desired
    "0001 0000 0000 0000"  # one question
    "03776562 0764656661756c74 03737663 07636c7573746572 056c6f63616c 00"
    "0001 0001"  # A, IN
)
EDNS = bytes.fromhex("00 0029 1000 00000000 0000")  # root, OPT, 4096 bytes are taken


def test_question_is_read() -> None:
    """RFC 1035, the sections about messages."""
    assert read_query(ASKED) == Query(
        id=0x1234, is_recursion_wanted=True, name=WEB, type=A, klass=IN
    )


def test_edns_says_how_much_is_taken_within_our_bounds() -> None:
    """RFC 6891; less than 512 is taken as 512."""
    with_edns = ASKED[:10] + b"\0\1" + ASKED[12:] + EDNS
    query = read_query(with_edns)
    assert (query.udp_bytes, query.version) == (messages.UDP_BYTES_MAX, 0)
    small = with_edns.replace(b"\x10\0\0\0\0\0", b"\0\x64\0\0\0\0")
    assert read_query(small).udp_bytes == 512


def test_answer_is_written_with_compressed_names() -> None:
    """RFC 1035: a name that was written before is a pointer to it (c00c: at byte 12)."""
    answer = Answer(answers=[Record(WEB, A, 30, bytes((10, 96, 0, 10)))])
    assert (
        write_answer(read_query(ASKED), answer, 512)
        == bytes.fromhex(
            "1234 8580 0001 0001 0000 0000"  # authoritative, recursion desired and available
        )
        + ASKED[12:]
        + bytes.fromhex("c00c 0001 0001 0000001e 0004 0a60000a")
    )


def test_target_of_srv_is_not_compressed() -> None:
    """RFC 2782."""
    owner = name_of("_http._tcp.web.default.svc.cluster.local")
    query = Query(id=1, name=owner, type=SRV)
    data = write_answer(query, Answer(answers=[Record(owner, SRV, 5, Srv(0, 100, 80, WEB))]), 512)
    assert data.endswith(struct.pack(">HHH", 0, 100, 80) + ASKED[12:-4])


def test_soa_of_a_denial_has_its_numbers() -> None:
    zone = name_of("cluster.local")
    numbers = Soa((b"ns", *zone), (b"hostmaster", *zone), 1, 7200, 1800, 86400, 5)
    answer = Answer(rcode=NXDOMAIN, authority=[Record(zone, SOA, 5, numbers)])
    data = write_answer(read_query(ASKED), answer, 512)
    assert data[2:12] == bytes.fromhex("8583 0001 0000 0001 0000")
    assert data.endswith(struct.pack(">IIIII", 1, 7200, 1800, 86400, 5))


def test_what_does_not_fit_is_left_out_and_told() -> None:
    """RFC 2181, 9: TC where an answer is missing, not where something additional is."""
    records = [Record(WEB, A, 5, bytes((10, 0, 0, number))) for number in range(100)]
    query = read_query(ASKED)
    cut = write_answer(query, Answer(answers=records), 512)
    assert len(cut) <= 512
    assert cut[2] & 0x02
    count = struct.unpack(">H", cut[6:8])[0]
    assert count == (512 - len(ASKED)) // 16  # as many as fit
    assert read_answers(cut, frozenset((A,)))[1] == records[:count]
    whole = write_answer(query, Answer(answers=records), MESSAGE_BYTES_MAX)
    assert not whole[2] & 0x02
    assert len(read_answers(whole, frozenset((A,)))[1]) == 100
    additional = write_answer(query, Answer(answers=records[:1], additional=records), 512)
    assert len(additional) <= 512
    assert not additional[2] & 0x02


def test_answer_to_edns_fits_with_its_own_option() -> None:
    query = Query(id=1, name=WEB, type=A, udp_bytes=512, version=0)
    records = [Record(WEB, A, 5, bytes((10, 0, 0, number))) for number in range(100)]
    data = write_answer(query, Answer(answers=records), 512)
    assert len(data) <= 512
    assert data.endswith(bytes.fromhex("00 0029 04d0 00000000 0000"))


@pytest.mark.parametrize(
    "data",
    [
        ASKED[:11],
        ASKED[:-1],
        ASKED[:4] + b"\0\2" + ASKED[6:],  # two questions
        ASKED[:4] + b"\0\0" + ASKED[6:],  # none
        ASKED[:12] + b"\xc0\x0c" + ASKED[-4:],  # a pointer to itself
        ASKED[:12] + b"\xc0\x00" + ASKED[-4:],  # into the header
        ASKED[:12] + b"\xc0\xff" + ASKED[-4:],  # forwards
        ASKED[:12] + b"\x40" + ASKED[13:],  # a kind of label that is not known
        ASKED[:12] + b"\x3f" + b"x" * 63 + ASKED[13:],
        ASKED[:12] + (b"\x3f" + b"x" * 63) * 4 + b"\0" + ASKED[-4:],  # 257 octets
        ASKED[:10] + b"\0\1" + ASKED[12:],  # a record that is missing
        ASKED[:10] + b"\xff\xff" + ASKED[12:] + EDNS,
    ],
)
def test_what_is_no_query_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessageError):
        read_query(data)


@example(ASKED)
@example(ASKED[:12] + b"\xc0\x0c\xc0\x0c")
@given(st.binary(max_size=600))
def test_no_bytes_do_harm(data: bytes) -> None:
    for read in (read_query, lambda told: read_answers(told, frozenset((A, CNAME, PTR)))):
        for told in (data, ASKED[:12] + data, b"\0\1\x81\x80\0\0\0\x20\0\0\0\0" + data):
            try:
                read(told)
            except BadMessageError:
                continue


_LABEL = st.binary(min_size=1, max_size=20)
_NAME = st.lists(_LABEL, max_size=6).map(tuple)
_RECORD = st.one_of(
    st.builds(Record, _NAME, st.just(A), st.integers(0, 2**31), st.binary(min_size=4, max_size=4)),
    st.builds(Record, _NAME, st.just(AAAA), st.just(5), st.binary(min_size=16, max_size=16)),
    st.builds(Record, _NAME, st.sampled_from([CNAME, PTR]), st.just(5), _NAME),
)


@given(_NAME, st.lists(_RECORD, max_size=20))
def test_what_is_written_is_read_the_same(name: tuple[bytes, ...], records: list[Record]) -> None:
    query = Query(id=7, is_recursion_wanted=True, name=name, type=A, udp_bytes=1232, version=0)
    assert read_query(write_query(query)) == query
    data = write_answer(query, Answer(rcode=NXDOMAIN, answers=records), MESSAGE_BYTES_MAX)
    kinds = frozenset((A, AAAA, CNAME, PTR))
    assert read_answers(data, kinds) == (NXDOMAIN, records)


@pytest.mark.parametrize("text", ["a..b", "x" * 64, ".".join(["x" * 63] * 4) + ".x"])
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadMessageError):
        name_of(text)
