import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.http_client import AnswerReader, BadAnswerError, HttpConnection, MarkCounter, Site


def _wire(body: bytes, code: int = 200) -> bytes:
    return b"HTTP/1.1 %d Said\r\ncontent-LENGTH: %d\r\n\r\n%b" % (code, len(body), body)


@given(st.binary(max_size=400), st.sampled_from([200, 201, 404, 500]), st.integers(1, 50))
def test_an_answer_is_the_same_wherever_it_is_cut(body: bytes, code: int, size: int) -> None:
    reader, wire = AnswerReader(), _wire(body, code)
    for _ in range(2):  # a connection is kept alive
        parts = [wire[at : at + size] for at in range(0, len(wire), size)]
        answers = [reader.receive(part) for part in parts]
        assert answers[:-1] == [None] * (len(parts) - 1)
        assert answers[-1] == (code, body)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.integers(1, 50))
def test_chunks_make_one_body_wherever_they_are_cut(chunks: list[bytes], size: int) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"
    reader = AnswerReader()
    for _ in range(2):
        parts = [wire[at : at + size] for at in range(0, len(wire), size)]
        answers = [reader.receive(part) for part in parts]
        assert answers[:-1] == [None] * (len(parts) - 1)
        assert answers[-1] == (200, b"".join(chunks))


def test_only_2xx_is_a_success() -> None:
    codes = (200, 201, 299, 199, 304, 409)
    answers = [AnswerReader().receive(_wire(b"x", code)) for code in codes]
    assert [answer is not None and answer.is_success for answer in answers] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"x" * 70_000,
    ],
)
def test_what_it_cannot_read_is_told(wire: bytes) -> None:
    with pytest.raises(BadAnswerError):
        AnswerReader().receive(wire)


@given(st.lists(st.sampled_from([b"MARK", b"MA", b"RK", b"x"])), st.integers(1, 9))
def test_marks_are_counted_wherever_the_stream_is_cut(words: list[bytes], size: int) -> None:
    stream = b"".join(words)
    counter = MarkCounter(b"MARK")
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert sum(map(counter.receive, parts)) == stream.count(b"MARK")


async def test_a_connection_that_is_lost_fails_the_request_under_way() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(HttpConnection, "127.0.0.1", port)
        request = Site("h", 1, ssl.create_default_context()).request("GET", "/")
        with pytest.raises(ConnectionError):
            await connection.ask(request)
        with pytest.raises(ConnectionError):
            await connection.ask(request)


def test_a_request_says_how_long_its_body_is() -> None:
    site = Site("127.0.0.1", 6443, ssl.create_default_context())
    head, _, body = site.request("POST", "/api", b"{}").partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /api HTTP/1.1",
        b"Host: 127.0.0.1:6443",
        b"Accept: application/json",
        b"Content-Type: application/json",
        b"Content-Length: 2",
    ]
    assert body == b"{}"
