"""Heads of calls and their answers (gRPC's PROTOCOL-HTTP2; sections of RFC 9113)."""

from urllib.parse import unquote

import hpack as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.http2 import grpc
from kvstore.http2.protocol import ErrorCode, StreamFaultError

START = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m")]
TYPE = (b"content-type", b"application/grpc")


def decoded(block: bytes | None) -> dict[str, str]:
    assert block is not None
    return {str(name): str(value) for name, value in oracle.Decoder().decode(block)}


def test_a_head_says_path_metadata_and_time() -> None:
    fields = [
        *START,
        TYPE,
        (b"grpc-timeout", b"250m"),
        (b"te", b"trailers"),
        (b"hasleader", b"true"),
    ]
    head = grpc.head_of(fields)
    assert (head.path, head.timeout_seconds, head.encoding) == ("/s/m", 0.25, "identity")
    assert head.metadata["hasleader"] == "true"
    assert head.refusal is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"2H", 7200), (b"3M", 180), (b"10S", 10), (b"5m", 0.005), (b"7u", 7e-6), (b"9n", 9e-9)],
)
def test_units_of_timeouts(text: bytes, seconds: float) -> None:
    assert grpc.head_of([*START, TYPE, (b"grpc-timeout", text)]).timeout_seconds == pytest.approx(
        seconds
    )


@pytest.mark.parametrize("text", [b"", b"1", b"S", b"123456789S", b"-1S", b"1.5S", b"1s"])
def test_a_malformed_timeout_is_refused(text: bytes) -> None:
    head = grpc.head_of([*START, TYPE, (b"grpc-timeout", text)])
    assert decoded(head.refusal)["grpc-status"] == "13"
    assert "malformed grpc-timeout" in decoded(head.refusal)["grpc-message"]


@pytest.mark.parametrize(
    "kind", [b"application/grpc", b"application/grpc+proto", b"Application/gRPC; x=1"]
)
def test_types_of_grpc(kind: bytes) -> None:
    assert grpc.head_of([*START, (b"content-type", kind)]).refusal is None


def test_what_is_not_grpc_is_refused_in_http() -> None:
    assert decoded(grpc.head_of([*START, (b"content-type", b"text/plain")]).refusal) == {
        ":status": "415"
    }
    assert decoded(grpc.head_of(START).refusal) == {":status": "415"}
    get = [(b":method", b"GET"), *START[1:], TYPE, (b"grpc-timeout", b"bad")]
    assert decoded(grpc.head_of(get).refusal) == {":status": "405", "allow": "POST"}


@pytest.mark.parametrize(
    "fields",
    [
        START[1:],  # 8.3.1: all three are needed
        START[:2],
        [START[0], START[2]],
        [*START[:2], (b":path", b"")],
        [*START, (b":path", b"/again")],  # 8.3: once
        [*START, (b":status", b"200")],  # no request's
        [*START, (b":other", b"x")],
        [*START, TYPE, (b":authority", b"late")],
        [*START, (b"Upper", b"x")],  # 8.2.1
        [*START, (b"", b"x")],
        [*START, (b"a b", b"x")],
        [*START, (b"a", b"line\nbreak")],
        [*START, (b"a", b"nul\0")],
        [*START, (b"a", b" blank first")],
        [*START, (b"a", b"blank last\t")],
        [*START, (b"connection", b"close")],  # 8.2.2
        [*START, (b"transfer-encoding", b"chunked")],
        [*START, (b"te", b"gzip")],
    ],
)
def test_malformed_requests(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(StreamFaultError) as caught:
        grpc.head_of(fields)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


def test_8_1_trailers_have_no_pseudo_header_fields() -> None:
    grpc.check_trailers([(b"x-checksum", b"1")])
    with pytest.raises(StreamFaultError, match="trailers"):
        grpc.check_trailers([(b":path", b"/")])


@pytest.mark.parametrize("code", grpc.CODES)
def test_a_status_has_its_number(code: str) -> None:
    number = str(grpc.CODES.index(code))
    assert decoded(grpc.trailers(code, "")) == {"grpc-status": number}
    alone = decoded(grpc.trailers_only(code, "why"))
    assert alone == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": number,
        "grpc-message": "why",
    }


def test_the_blocks_of_an_answer() -> None:
    assert decoded(grpc.RESPONSE_HEADERS) == {":status": "200", "content-type": "application/grpc"}
    assert decoded(grpc.TRAILERS_OK) == {"grpc-status": "0"}


@given(st.text())
def test_any_text_survives_as_a_status_message(text: str) -> None:
    encoded = grpc.percent_encoded(text)
    assert unquote(encoded.decode("ascii")) == text
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert encoded == encoded.strip()


def test_plain_text_stays_as_it_is() -> None:
    assert grpc.percent_encoded("etcdserver: no leader") == b"etcdserver: no leader"
    assert grpc.percent_encoded("a ") == b"a%20"
    assert grpc.percent_encoded("100 %") == b"100%20%25"
