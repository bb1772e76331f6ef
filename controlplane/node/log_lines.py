"""Lines of a container's log: from what a runtime writes to what a reader gets. PURE.

Source: Kubernetes' format of logs in CRI: `TIME STREAM TAGS TEXT`, where the tag `P` says that the
line goes on in the next entry of its stream, `F` that it ends here; kube-behaviour 10.7.
"""

from controlplane.api.podlogs import LogOptions, moment

ENTRY_BYTES_MAX = 256 * 1024
"""Of an entry; runtimes break lines after 16 KiB."""
_HEAD_BYTES = 80  # in which time, stream and tags are
_STREAMS = {"Stdout": b"stdout", "Stderr": b"stderr"}


class Lines:
    """What is wanted of the entries that come, in their order.

    since  seconds since 1970
    """

    def __init__(self, options: LogOptions, since: float) -> None:
        self._has_timestamps = options.has_timestamps
        self._left = options.limit_bytes
        self._stream = _STREAMS.get(options.stream)
        self._since = since
        self._rest = b""
        self._is_inside: set[bytes] = set()  # streams whose line is not at its end

    @property
    def is_full(self) -> bool:
        """Whether as many bytes have been given as are wanted."""
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        """Text of whole entries out of a part of a log."""
        *entries, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > ENTRY_BYTES_MAX:
            self._rest = b""  # no runtime has written that
        return self._cut(b"".join(map(self._text, entries)))

    def end_of_file(self) -> None:
        """What follows is in another file: an entry that was not whole stays so."""
        self._rest = b""

    def _text(self, entry: bytes) -> bytes:
        time, _, rest = entry.partition(b" ")
        stream, _, rest = rest.partition(b" ")
        tags, _, text = rest.partition(b" ")
        if not tags or (self._stream is not None and stream != self._stream):
            return b""  # no entry, or none that is wanted
        if self._since and not self._is_late(time):
            return b""
        is_first = stream not in self._is_inside
        if tags.split(b":")[0] == b"P":
            self._is_inside.add(stream)
        else:
            self._is_inside.discard(stream)
            text += b"\n"
        return time + b" " + text if self._has_timestamps and is_first else text

    def _is_late(self, time: bytes) -> bool:
        """From the first entry that is late enough on, all are."""
        try:
            is_late = moment(time.decode("ascii", "replace")) >= self._since
        except ValueError:
            return False
        if is_late:
            self._since = 0.0
        return is_late

    def _cut(self, text: bytes) -> bytes:
        if self._left is None:
            return text
        text = text[: self._left]
        self._left -= len(text)
        return text


class Tail:
    """Looks for where the last lines of a log begin, from its end, block by block."""

    def __init__(self, lines: int) -> None:
        self._wanted = lines
        self._begun = b""  # an entry whose beginning is in the block before
        self._is_last = True

    def feed(self, block: bytes) -> int | None:
        """Where they begin in a block (the one before that which was fed last); None: before it."""
        data = block + self._begun
        end = data.rfind(b"\n") + 1  # what follows is being written, and counts with the next line
        while end > 0:
            begin = data.rfind(b"\n", 0, end - 1) + 1
            if begin == 0:
                break  # more of it may be in the block before
            if self._is_before(data[begin : min(end, begin + _HEAD_BYTES)]):
                return end
            end = begin
        self._begun = data[: min(end, ENTRY_BYTES_MAX)]
        return None

    def begin_of_file(self) -> int | None:
        """As `feed`, when there is no block before: what is left is the file's first entry."""
        begun, self._begun = self._begun, b""
        return len(begun) if begun and self._is_before(begun[:_HEAD_BYTES]) else None

    def _is_before(self, head: bytes) -> bool:
        """Whether an entry is the end of a line before those that are wanted."""
        is_end = _ends_line(head)
        if self._is_last and not is_end:
            self._wanted -= 1  # the last line is not at its end
        self._is_last = False
        if is_end and self._wanted <= 0:
            return True
        self._wanted -= is_end
        return False


def _ends_line(head: bytes) -> bool:
    parts = head.partition(b"\n")[0].split(b" ", 3)
    return len(parts) > 2 and parts[2].split(b":")[0] != b"P"
