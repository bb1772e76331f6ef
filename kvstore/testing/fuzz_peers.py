"""Fuzzing of the peer port's pure half: what strangers and broken members may send, from one seed.

Streams are cut to frames as the port does it, before and after the handshake; payloads go to every
decoder of the port and of Raft's messages. Inputs are sound records and what damage makes of them
(`_Damage`), or nothing but dice. Whatever comes is decoded, or refused with the one error of its
layer, at once and in bounded memory.
"""

import argparse
import faulthandler
import random
import resource
import struct
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from kvstore import commands
from kvstore.commands import Proposal, Put
from kvstore.errors import MalformedRequestError
from kvstore.raft import codec
from kvstore.raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Message,
    Propose,
    ReadIndexReply,
    ReadIndexRequest,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    VoteReply,
)
from kvstore.server import peer_frames, peer_messages
from kvstore.server.peer_frames import (
    FRAME_BYTES_MAX,
    FrameError,
    FrameReader,
    Hello,
    Purpose,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotReply,
    Welcome,
)

HANG_SECONDS = 60.0
"""So many inputs as pass between two looks never take so long: a hang ends with its traceback."""

_INPUTS_PER_LOOK = 10_000
_FRAMES_PER_STREAM_MAX = 8
_PIECE_BYTES_MAX = 4_096
_SOUND_SHARE = 0.05  # of the payloads; the rest is damaged
_STREAM_SHARE = 0.02
# A reader holds what has arrived, in buffers that double; and one read of a socket to begin with.
_HELD_BYTES_MIN = 1024 * 1024
_HELD_FACTOR = 4
_GROWTH_BYTES_MAX = 64 * 1024 * 1024
_RECEIVER, _SENDER = 1, 2  # of the sound messages
_RSS_UNIT_BYTES = 1024  # Linux counts in KiB
_STDERR = 2  # the descriptor: a hang is told also where `sys.stderr` is something else

Say = Callable[[str], None]


class FuzzFailure(AssertionError):  # noqa: N818 - a finding, not a fault
    """What must never happen has."""


class Report(msgspec.Struct):
    """What a run came to: of payloads and of streams, in this order; then what memory it took."""

    inputs: int = 0
    decoded: int = 0
    refused: int = 0
    frames: int = 0
    broken_streams: int = 0
    growth_bytes: int = 0


class _Target(msgspec.Struct, frozen=True):
    """A decoder, the one error that it may raise, and sound inputs."""

    decode: Callable[[bytes], object]
    refusal: type[Exception]
    samples: Sequence[bytes]


def _messages() -> list[Message]:
    """One of each kind, with all in it that there can be; proposals that can be applied."""
    to, by, term = _RECEIVER, _SENDER, 7
    proposal = commands.encode(Proposal(_SENDER, 1, Put(b"key", b"value", lease=5)))
    entries = tuple(Entry(index, 7, b"x" * index) for index in range(4, 9))
    membership = Membership(voters=(1, 2, 3), outgoing=(1, 2), learners=(4,), removed=(5, 6))
    meta = SnapshotMeta(9, 6, membership)
    return [
        RequestVote(to=to, sender=by, term=term, last_index=9, last_term=6, pre_vote=True),
        VoteReply(to=to, sender=by, term=term, granted=True),
        AppendEntries(
            to=to,
            sender=by,
            term=term,
            previous_index=3,
            previous_term=6,
            commit=2**40,
            entries=entries,
        ),
        AppendReply(to=to, sender=by, term=term, match_index=8, is_rejected=True, hint_term=6),
        Heartbeat(to=to, sender=by, term=term, commit=5, read_context=2**60),
        HeartbeatReply(to=to, sender=by, term=term, read_context=2**60),
        ReadIndexRequest(to=to, sender=by, term=term, context=300),
        ReadIndexReply(to=to, sender=by, term=term, context=300, index=5),
        Propose(to=to, sender=by, term=term, data=(proposal, proposal)),
        InstallSnapshot(to=to, sender=by, term=term, meta=meta),
        TimeoutNow(to=to, sender=by, term=term),
    ]


def _targets() -> list[_Target]:
    messages = [codec.encode(message) for message in _messages()]
    hello = Hello(peer_frames.MAGIC, 2, 0xC1, 1, 2, Purpose.MESSAGES)
    welcome = Welcome(peer_frames.MAGIC, 2, 0xC1, 2, "no", is_removed=True)
    encode = msgspec.msgpack.encode
    parts = [encode(SnapshotHeader(b"header")), encode(SnapshotEnd(2**40, 7)), b"\xc1chunk"]
    return [
        _Target(peer_frames.read_hello, FrameError, [encode(hello)]),
        _Target(peer_frames.read_welcome, FrameError, [encode(welcome)]),
        _Target(peer_frames.read_reply, FrameError, [encode(SnapshotReply("no"))]),
        _Target(peer_frames.read_snapshot_part, FrameError, parts),
        _Target(_round_trip, MalformedRequestError, messages),
        _Target(_read_as_leader, MalformedRequestError, messages),
    ]


def _round_trip(data: bytes) -> Message:
    """What is taken for a message means the same when it is sent on."""
    message = codec.decode(data)
    if codec.decode(codec.encode(message)) != message:
        raise FuzzFailure(f"{message} is another one after the wire")
    return message


def _read_as_leader(data: bytes) -> Message:
    return peer_messages.read(data, sender=_SENDER, receiver=_RECEIVER, is_leader=True)


class _Damage:
    """Ways to make something else of sound bytes."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._ways = (
            *(self._flip, self._flip, self._cut, self._insert, self._double, self._promise),
            *(self._break_text, self._nest, self._append, self._dice_only),
        )

    def of(self, data: bytes) -> bytes:
        """A damaged copy."""
        return self._dice.choice(self._ways)(data)

    def _flip(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(self._dice.randint(1, 4)):
            damaged[self._dice.randrange(len(damaged))] ^= 1 << self._dice.randrange(8)
        return bytes(damaged)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._dice.randrange(len(data))]

    def _insert(self, data: bytes) -> bytes:
        return self._at(data, self._dice.randbytes(self._dice.randint(1, 8)))

    def _double(self, data: bytes) -> bytes:
        start = self._dice.randrange(len(data))
        return self._at(data, data[start : start + self._dice.randint(1, 16)])

    def _promise(self, data: bytes) -> bytes:
        """A length of anything that is far more than there is."""
        kind = self._dice.choice(b"\xc6\xc9\xdb\xdd\xdf")  # bin, ext, str, array, map of 32 bits
        size = self._dice.choice((2**32 - 1, 2**31, 2**24, self._dice.getrandbits(32)))
        return self._at(data, struct.pack(">BI", kind, size), skip=1)

    def _break_text(self, data: bytes) -> bytes:
        return self._at(data, b"\xa2\xc3\x28", skip=1)

    def _nest(self, data: bytes) -> bytes:
        return self._at(data, self._deep(), skip=1)

    def _append(self, data: bytes) -> bytes:
        """One element more than we know, as a later version may send; of any depth."""
        more = self._dice.choice((b"\xc0", b"\x05", b"\xa1x", self._deep()))
        return bytes([(data[0] + 1) % 256]) + data[1:] + more

    def _deep(self) -> bytes:
        depth = self._dice.choice((2, 50, 900, 1_100, 3_500))
        return self._dice.choice((b"\x91", b"\x81\x01")) * depth + b"\xc0"

    def _dice_only(self, data: bytes) -> bytes:
        return self._dice.randbytes(self._dice.randrange(2 * len(data)))

    def _at(self, data: bytes, more: bytes, *, skip: int = 0) -> bytes:
        place = self._dice.randrange(len(data))
        return data[:place] + more + data[place + skip :]


class Fuzzer:
    """One run, all of it from one seed."""

    def __init__(self, seed: int) -> None:
        self.report = Report()
        self._dice = random.Random(seed)
        self._damage = _Damage(self._dice)
        self._targets = _targets()
        self._payloads = [sample for target in self._targets for sample in target.samples]

    def run(self, inputs: int, look: Callable[[], None] = lambda: None) -> Report:
        """Feed so many inputs, and `look` every ten thousand.

        Raises FuzzFailure, or whatever escaped.
        """
        before, next_look = _peak_bytes(), 0
        while self.report.inputs < inputs:
            if self._dice.random() < _STREAM_SHARE:
                self._stream()
            else:
                self._payload()
            if self.report.inputs >= next_look:
                next_look += _INPUTS_PER_LOOK
                look()
        self.report.growth_bytes = _peak_bytes() - before
        if self.report.growth_bytes > _GROWTH_BYTES_MAX:
            raise FuzzFailure(f"memory grew by {self.report.growth_bytes} bytes")
        return self.report

    def _payload(self) -> None:
        """One payload, to a decoder that it may have been meant for."""
        self.report.inputs += 1
        target = self._dice.choice(self._targets)
        samples = target.samples if self._dice.random() < 0.9 else self._payloads
        data = self._dice.choice(samples)
        if self._dice.random() > _SOUND_SHARE:
            data = self._damage.of(data)
        try:
            target.decode(data)
        except target.refusal:
            self.report.refused += 1
        else:
            self.report.decoded += 1

    def _stream(self) -> None:
        """Frames of one connection, in pieces as a network makes them. Each piece is an input."""
        reader, stream = FrameReader(), self._frames()
        fed = got = 0
        while fed < len(stream):
            piece = stream[fed : fed + self._dice.randint(1, _PIECE_BYTES_MAX)]
            self.report.inputs += 1
            fed += len(piece)
            try:
                got += self._feed(reader, piece)
            except FrameError:
                self.report.broken_streams += 1
                return
            self._check_held(reader, fed, got)

    def _feed(self, reader: FrameReader, piece: bytes) -> int:
        """Bytes of the frames that a piece makes whole."""
        got = 0
        while piece:
            room = reader.buffer()
            if not room:
                raise FuzzFailure("a reader without room for the next byte")
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
            piece = piece[count:]
            reader.received(count)
            while (frame := reader.next_frame()) is not None:
                self.report.frames += 1
                got += len(frame)
                reader.frame_bytes_max = FRAME_BYTES_MAX  # the handshake is over
        return got

    def _check_held(self, reader: FrameReader, fed: int, got: int) -> None:
        if got > fed:
            raise FuzzFailure(f"{got} bytes of frames in {fed} bytes")
        held = len(reader._buffer) + len(reader._large or b"")
        if held > _HELD_BYTES_MIN + _HELD_FACTOR * fed:
            raise FuzzFailure(f"{held} bytes are held for {fed} bytes that came")

    def _frames(self) -> bytes:
        frames = [self._frame() for _ in range(self._dice.randint(1, _FRAMES_PER_STREAM_MAX))]
        stream = b"".join(frames)
        return self._damage.of(stream) if self._dice.random() < 0.3 else stream

    def _frame(self) -> bytes:
        match self._dice.randrange(8):
            case 0:
                return peer_frames.SIGN_OF_LIFE
            case 1:  # a length, and hardly anything behind it
                size = self._dice.choice((2**32 - 1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1, 5_000))
                return struct.pack(">I", size) + self._dice.randbytes(self._dice.randrange(200))
            case 2:  # larger than a reader's buffer, and whole
                return peer_frames.frame(bytes(self._dice.randrange(300_000)))
            case _:
                return peer_frames.frame(self._dice.choice(self._payloads))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `fuzz-peers`."""
    parser = commands.add_parser("fuzz-peers", help="garbage against the peer port's pure half")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=1_000_000)


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: nothing escaped. What does is raised, after how to repeat it."""
    started = time.monotonic()

    def look() -> None:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=_STDERR)

    try:
        report = Fuzzer(options.seed).run(options.inputs, look)
    except Exception:
        again = f"fuzz-peers --seed {options.seed} --inputs {options.inputs}"
        print(f"repeat: python -m kvstore.testing {again}", file=sys.stderr)  # noqa: T201
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
    say(f"{report} ({time.monotonic() - started:.0f} s)")
    return 0
