"""Header compression against PyPI's `hpack`, and RFC 7541's rules by section."""

import contextlib

import hpack as oracle
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.http2 import hpack, huffman
from kvstore.http2.heads import Heads
from kvstore.http2.limits import HEADER_LIST_BYTES_MAX
from kvstore.http2.protocol import ConnectionFaultError, ErrorCode

_ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
names = st.sampled_from([b":path", b":status", b"te", b"x-one", b"grpc-timeout", b"a" * 300])
fields = st.tuples(names, st.binary(max_size=60))


def fault_of(block: bytes, decoder: hpack.Decoder | None = None) -> str:
    with pytest.raises(ConnectionFaultError) as caught:
        (decoder or hpack.Decoder()).decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    return caught.value.reason


# ---------------------------------------------------------------------- Huffman


def test_the_codes_are_those_of_appendix_b() -> None:
    expected = zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)
    assert huffman.codes() == dict(enumerate(expected))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_huffman_strings_are_decoded(text: bytes) -> None:
    assert huffman.decode(_ENCODER.encode(text)) == text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xff\xff\xff", "end-of-string symbol within"),
        (b"\x00\x3f\xff\xff\xff", "end-of-string symbol within"),
        (b"\x07\xff\xff\xff\xf8", "end-of-string symbol within"),
        (b"\x1f\xff", "padding"),  # eight bits of it
        (b"\x18", "padding"),  # of other bits than ones
    ],
)
def test_5_2_padding_and_the_end_of_string(data: bytes, why: str) -> None:
    with pytest.raises(huffman.HuffmanError, match=why):
        huffman.decode(data)
    assert why in fault_of(bytes((0x00, 0x80 | len(data))) + data + b"\x00")


# ---------------------------------------------------------------------- blocks


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.lists(fields, max_size=6), st.sampled_from([None, 0, 90, 4096]))))
def test_blocks_in_a_row_mean_what_the_oracle_meant(
    blocks: list[tuple[list[hpack.Field], int | None]],
) -> None:
    encoder, decoder = oracle.Encoder(), hpack.Decoder()
    for block, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(block)) == block


@settings(deadline=None)
@given(st.lists(fields, max_size=6))
def test_our_blocks_are_read_by_the_oracle(block: list[hpack.Field]) -> None:
    decoder = oracle.Decoder()
    assert [tuple(field) for field in decoder.decode(hpack.encode(block), raw=True)] == block
    assert len(decoder.header_table.dynamic_entries) == 0


def test_long_strings_of_ours_have_lengths_in_several_bytes() -> None:
    block = [(b"a" * 126, b"b" * 127), (b"c" * 255, b"d" * 20_000)]
    decoded = oracle.Decoder().decode(hpack.encode(block), raw=True)
    assert [tuple(field) for field in decoded] == block


def test_the_static_table_is_that_of_appendix_a() -> None:
    decoder = hpack.Decoder()
    table = oracle.table.HeaderTable.STATIC_TABLE
    assert decoder.decode(bytes(0x80 | index for index in range(1, 62))) == list(table)


def test_the_generation_counts_the_changes_of_the_table() -> None:
    decoder = hpack.Decoder()
    decoder.decode(b"\x82\x00\x01a\x01b\x10\x01a\x01b")
    assert decoder.generation == 0
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.generation == 1
    decoder.decode(b"\x20")
    assert decoder.generation == 2


def test_2_3_3_an_index_beyond_the_tables() -> None:
    assert "no entry has index 62" in fault_of(b"\xbe")
    assert "no entry has index 0" in fault_of(b"\x80")
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == [(b"a", b"b")]
    assert "no entry has index 63" in fault_of(b"\xbf", decoder)


def test_4_2_a_size_update_comes_first_and_within_bounds() -> None:
    assert "after the beginning" in fault_of(b"\x82\x20")
    assert "more than the 4096 allowed" in fault_of(b"\x3f\xe2\x1f")
    assert hpack.Decoder().decode(b"\x20\x3f\xe1\x1f\x83") == [(b":method", b"POST")]


def test_4_4_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    large = b"\x40\x01c" + b"\x7f\x81\x1f" + b"d" * 4096
    assert decoder.decode(large) == [(b"c", b"d" * 4096)]
    assert "no entry" in fault_of(b"\xbe", decoder)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\xff", "within an integer"),
        (b"\xff\x80", "within an integer"),
        (b"\xff\xff\xff\xff\xff\x7f", "beyond all bounds"),
        (b"\xff\x80\x80\x80\x80\x80\x00", "beyond all bounds"),
        (b"\x00", "before a string"),
        (b"\x00\x05abc", "within a string"),
        (b"\x00\x01a", "before a string"),
    ],
)
def test_5_1_and_5_2_blocks_that_end_too_early(block: bytes, why: str) -> None:
    assert why in fault_of(block)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80))
def test_any_bytes_are_fields_or_a_fault(block: bytes) -> None:
    with contextlib.suppress(ConnectionFaultError):
        for name, value in hpack.Decoder().decode(block):
            assert len(name) + len(value) <= 8 * len(block) + 64


def test_a_bomb_is_stopped() -> None:
    """RFC 7541, 7.3: a byte of a block may stand for 4 KiB of fields."""
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x7f\x81\x1e" + b"b" * 3968)
    with pytest.raises(ConnectionFaultError, match="ENHANCE_YOUR_CALM"):
        decoder.decode(b"\xbe" * (HEADER_LIST_BYTES_MAX // 4000 + 1))


# ---------------------------------------------------------------------- what is remembered


def test_a_remembered_head_is_forgotten_when_trailers_change_the_table() -> None:
    """The same index means another field then (RFC 7541, 2.3.3)."""
    heads, encoder = Heads(), oracle.Encoder()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":path", "/")]
    heads.head(encoder.encode([*pseudo, ("x-one", "1")]))
    block = encoder.encode([*pseudo, ("x-one", "1")])
    assert [heads.head(block).metadata["x-one"] for _ in range(2)] == ["1", "1"]
    heads.fields(encoder.encode([("x-one", "2")]))
    assert block == encoder.encode([*pseudo, ("x-one", "2")])
    assert heads.head(block).metadata["x-one"] == "2"
