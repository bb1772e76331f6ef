"""What a container writes: from its pipes to its log, and to whoever is attached."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from controlplane.node.runtime.shim.log_file import LogFile
from controlplane.node.runtime.shim.log_lines import LineWriter, Stream

# At once from one container, before the others have their turn.
_READ_BYTES = 64 * 1024
# What an attached client may be behind by; the slower ones are left.
_BEHIND_BYTES_MAX = 4 * 1024 * 1024
# Of a container that has ended, what its pipes still hold (their own bound is 1 MiB).
_DRAIN_READS_MAX = 64


class Attachment:
    """One attached client: a pipe a stream, which it reads as fast as it can.

    leave  called once, when it has gone or is too slow
    """

    def __init__(self, pipes: dict[Stream, int], leave: Callable[[], None]) -> None:
        self._pipes = pipes
        self._behind: dict[Stream, bytearray] = {stream: bytearray() for stream in pipes}
        self._leave = leave
        self._is_ending = False
        for descriptor in pipes.values():
            os.set_blocking(descriptor, False)

    def pending(self) -> list[int]:
        """Descriptors to wait for until they can be written."""
        return [self._pipes[stream] for stream, behind in self._behind.items() if behind]

    def write(self, stream: Stream, data: bytes) -> None:
        """As much as goes now; the rest later."""
        if stream not in self._pipes:
            return
        self._behind[stream] += data
        self._flush(stream)
        if len(self._behind.get(stream, b"")) > _BEHIND_BYTES_MAX:
            self.close()
            self._leave()

    def flush(self) -> None:
        """Some descriptor can be written again."""
        for stream in list(self._pipes):
            if stream in self._pipes:  # one that fails takes the others along
                self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        behind = self._behind[stream]
        try:
            while behind:
                del behind[: os.write(self._pipes[stream], behind)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            self._leave()
            return
        if self._is_ending:
            self._close(stream)

    def end(self) -> bool:
        """Nothing more comes; whether the client has been given all."""
        self._is_ending = True
        self.flush()
        return not self._pipes

    def close(self) -> None:
        """Whatever it was not given, it does not get."""
        for stream in list(self._pipes):
            self._close(stream)

    def _close(self, stream: Stream) -> None:
        with suppress(OSError):
            os.close(self._pipes.pop(stream))
        del self._behind[stream]


class Output:
    """Of one container: its own ends of its pipes, its log, and who is attached."""

    def __init__(self, sources: dict[int, Stream], log: LogFile) -> None:
        self.log = log
        self._writers = {descriptor: LineWriter(stream) for descriptor, stream in sources.items()}
        self._sources = dict(sources)
        self.attachments: dict[int, Attachment] = {}
        for descriptor in sources:
            os.set_blocking(descriptor, False)

    def sources(self, now: float) -> list[int]:
        """Descriptors to read from as soon as there is something; none while the log is full."""
        return [] if self.log.makes_wait(now) else list(self._sources)

    @property
    def is_waiting(self) -> bool:
        """Whether something may be there that is not read now."""
        return bool(self._sources) and self.log.makes_wait(time.monotonic())

    def pump(self, descriptor: int) -> bool:
        """Take what one pipe holds, up to a bound; whether there may be more."""
        stream = self._sources.get(descriptor)
        if stream is None:
            return False
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal whose last user has gone
        writer = self._writers[descriptor]
        now = time.time_ns()
        if not data:
            self.log.write(writer.close(now))
            self._drop(descriptor)
            return False
        self.log.write(writer.feed(data, now))
        for attachment in list(self.attachments.values()):
            attachment.write(stream, data)
        return True

    def _drop(self, descriptor: int) -> None:
        del self._sources[descriptor], self._writers[descriptor]
        os.close(descriptor)

    def close(self) -> list[Attachment]:
        """The container has ended: take what is left, but wait for nobody who holds a pipe.

        Attachments that have not been given all yet.
        """
        for descriptor in list(self._sources):
            for _ in range(_DRAIN_READS_MAX):
                if not self.pump(descriptor):
                    break
            if descriptor in self._sources:
                self.log.write(self._writers[descriptor].close(time.time_ns()))
                self._drop(descriptor)
        self.log.close()
        attached = list(self.attachments.values())
        self.attachments.clear()
        return [attachment for attachment in attached if not attachment.end()]
