"""Lines of logs: what of a runtime's entries a reader gets. kube-behaviour 10.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.podlogs import LogOptions, log_options, moment
from controlplane.node.log_lines import ENTRY_BYTES_MAX, Lines, Tail

ALL = LogOptions()
TEXTS = st.lists(st.binary(max_size=50).map(lambda text: text.replace(b"\n", b"")), max_size=20)


def entry(text: bytes, *, second: int = 0, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"2026-11-29T20:00:{second:02}.123456789Z {stream} {tag} ".encode() + text + b"\n"


def read(log: bytes, options: LogOptions = ALL, since: float = 0.0, size: int = 1 << 30) -> bytes:
    lines = Lines(options, since)
    return b"".join(lines.feed(log[at : at + size]) for at in range(0, len(log), size))


@given(TEXTS, st.integers(1, 100))
def test_lines_come_whole_however_they_are_read(texts: list[bytes], size: int) -> None:
    log = b"".join(map(entry, texts))
    assert read(log, size=size) == b"".join(text + b"\n" for text in texts)


def test_partial_lines_are_joined_each_in_its_stream() -> None:
    log = (
        entry(b"one ", tag="P")
        + entry(b"error", stream="stderr")
        + entry(b"two ", tag="P")
        + entry(b"three", tag="F:x")
    )
    assert read(log, LogOptions(stream="Stdout")) == b"one two three\n"
    assert read(log, LogOptions(stream="Stderr")) == b"error\n"
    told = b"2026-11-29T20:00:00.123456789Z "
    stamped = LogOptions(stream="Stdout", has_timestamps=True)
    assert read(log, stamped) == told + b"one two three\n", "a line has one time"


def test_earlier_lines_are_left_out() -> None:
    log = b"".join(entry(b"%d" % second, second=second) for second in range(5))
    since = LogOptions(since_time="2026-11-29T20:00:02.2Z").since(now=0.0)
    assert read(log, since=since) == b"3\n4\n"
    now = moment("2026-11-29T20:00:05Z")
    assert read(log, since=LogOptions(since_seconds=2).since(now)) == b"3\n4\n"


@given(TEXTS, st.integers(1, 100), st.integers(1, 60))
def test_bytes_are_cut_where_they_are_enough(texts: list[bytes], limit: int, size: int) -> None:
    log, lines = b"".join(map(entry, texts)), Lines(LogOptions(limit_bytes=limit), 0.0)
    found = b"".join(lines.feed(log[at : at + size]) for at in range(0, len(log), size))
    whole = b"".join(text + b"\n" for text in texts)
    assert found == whole[:limit]
    assert lines.is_full is (len(whole) >= limit)


def test_what_no_runtime_writes_is_left_out_and_not_kept() -> None:
    lines = Lines(ALL, 0.0)
    assert lines.feed(b"nonsense\n\n2026 stdout\n") == b""
    assert lines.feed(b"x" * (ENTRY_BYTES_MAX + 1)) == b""
    assert lines.feed(b"\n" + entry(b"good")) == b"good\n"


# -------------------------------------------------------------------------- the last ones


def tail(log: bytes, count: int, size: int) -> bytes:
    """Where the last lines begin, by the bound that a file of blocks of `size` has."""
    found, at = None, len(log)
    looking = Tail(count)
    while at > 0 and found is None:
        length = min(size, at)
        at -= length
        found = looking.feed(log[at : at + length])
        if found is None and at == 0:
            found = looking.begin_of_file()
    return log[at + (found or 0) :]


@given(TEXTS, st.integers(0, 8), st.integers(1, 200))
def test_the_last_lines(texts: list[bytes], count: int, size: int) -> None:
    log = b"".join(map(entry, texts))
    wanted = texts[len(texts) - count :] if count < len(texts) else texts
    assert tail(log, count, size) == b"".join(map(entry, wanted))


@given(st.integers(1, 100))
def test_a_line_in_parts_is_one_of_the_last_lines(size: int) -> None:
    parts = entry(b"two ", tag="P") + entry(b"two")
    assert tail(entry(b"one") + parts, 1, size) == parts
    is_unfinished = entry(b"three ", tag="P")
    assert tail(entry(b"one") + parts + is_unfinished, 1, size) == is_unfinished
    assert tail(entry(b"one") + parts + is_unfinished, 2, size) == parts + is_unfinished


# ------------------------------------------------------------------------------ options


def options(**given_: str) -> LogOptions:
    return log_options(lambda name: given_.get(name, ""), lambda name: name in given_)


def test_options_and_back() -> None:
    given_ = {
        "follow": "true",
        "previous": "1",
        "timestamps": "",
        "tailLines": "0",
        "limitBytes": "7",
        "sinceSeconds": "9",
    }
    found = options(**given_)
    assert found == LogOptions(
        follows=True,
        is_previous=True,
        has_timestamps=True,
        tail_lines=0,
        limit_bytes=7,
        since_seconds=9,
    )
    assert options(**dict(found.query)) == found
    other = LogOptions(since_time="2026-01-01T00:00:00Z", stream="Stderr")
    assert options(**dict(other.query)) == other


@pytest.mark.parametrize(
    ("given_", "code", "told"),
    [
        ({"tailLines": "-1"}, 422, "tailLines: Invalid value: -1: must be greater than or equal"),
        ({"limitBytes": "0"}, 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": "0"}, 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            {"sinceSeconds": "1", "sinceTime": "2026-01-01T00:00:00Z"},
            422,
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ({"sinceTime": "yesterday"}, 422, "sinceTime: Invalid value"),
        ({"sinceTime": "2026-01-01T00:00:00"}, 422, "sinceTime: Invalid value"),
        ({"stream": "stdin"}, 422, 'supported values: "All", "Stderr", "Stdout"'),
        ({"stream": "Stdout", "tailLines": "1"}, 422, "mutually exclusive"),
        ({"tailLines": "many"}, 400, 'invalid value "many" of tailLines'),
        ({"follow": "maybe"}, 400, 'invalid value "maybe" of follow'),
    ],
)
def test_options_that_make_no_sense(given_: dict[str, str], code: int, told: str) -> None:
    with pytest.raises(ApiError) as raised:
        options(**given_)
    assert raised.value.code == code
    assert told in raised.value.message
