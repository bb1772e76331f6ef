"""The switch between the namespaces of `Networks`, a process: `python -m … FIRST_PORT LAST_PORT`.

It runs in a namespace of its own that holds the far end `pN` of every name's interface. The last
byte of a MAC address is the number of the port, so there is nothing to learn. Frames travel with
what the kernel knows of them (PACKET_VNET_HDR): a sender may leave checksums and the cutting of
large segments to the receiver's side, as on one machine it always does. That keeps a switch in
Python quick enough: it sees some 64 KiB at a time.

Each line on stdin is a `Change`, answered on stdout by an `Answer` once it is in effect. It ends at
the end of stdin, and so with whoever started it.
"""

import contextlib
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

import msgspec

from kvstore.testing.rigs.links import Answer, Change, Counts, Faults

# From <linux/if_packet.h>; the module `socket` has none of them.
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_PROMISC = 1
_PACKET_VNET_HDR = 15
_PACKET_QDISC_BYPASS = 20
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33

_VNET_HEADER_BYTES = 10
_TARGET = _VNET_HEADER_BYTES + 5  # the last byte of a frame's destination
_GROUP = _VNET_HEADER_BYTES  # its lowest bit: a frame for many, of which there is no need
_FRAME_BYTES_MAX = _VNET_HEADER_BYTES + 14 + 65_536
_RECEIVE_BYTES = 16 * 1024 * 1024  # what may wait at a port while the switch is at another
_BURST_FRAMES = 64  # of one port, before the others have their turn
_BURSTS_PER_CHANGE_MAX = 256  # what came before a change has the faults of before
_DELAYED_BYTES_MAX = 256 * 1024 * 1024  # beyond, frames are lost, as in any router
_STDIN = 0


class Switch:
    """Ports, the faults between them, and frames that are on their way."""

    def __init__(self, ports: range) -> None:
        self._sockets = {number: _open(number) for number in ports}
        self._ports = {port.fileno(): number for number, port in self._sockets.items()}
        self._faults: dict[int, dict[int, Faults]] = {}
        self._counts: dict[int, dict[int, Counts]] = {}
        self._delayed: list[tuple[float, int, int, bytes]] = []
        self._delayed_bytes = 0
        self._sequence = 0  # of two frames with one time, the earlier is first
        self._dice = random.Random()
        self._buffer = bytearray(_FRAME_BYTES_MAX)
        self._view = memoryview(self._buffer)
        self._told = b""

    def run(self) -> None:
        """Carry frames until stdin ends."""
        poll = select.epoll()
        for fd in self._ports:
            poll.register(fd, select.EPOLLIN)
        poll.register(_STDIN, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll(self._wait_seconds()):
                if fd != _STDIN:
                    self._forward(self._ports[fd])
                elif not self._listen():
                    return
            if self._delayed:
                self._send_due()

    def _wait_seconds(self) -> float | None:
        return max(0.0, self._delayed[0][0] - time.monotonic()) if self._delayed else None

    def _listen(self) -> bool:
        data = os.read(_STDIN, 65_536)
        *lines, self._told = (self._told + data).split(b"\n")
        for line in lines:
            for source in self._sockets:
                self._drain(source)
            self._faults = msgspec.json.decode(line, type=Change).faults
            self.answer()
        return bool(data)

    def answer(self) -> None:
        """Tell what became of frames so far."""
        os.write(1, msgspec.json.encode(Answer(self._counts)) + b"\n")

    def _drain(self, source: int) -> None:
        for _ in range(_BURSTS_PER_CHANGE_MAX):
            if not self._forward(source):
                return

    def _forward(self, source: int) -> bool:
        """Carry some of a port's frames; False when no more wait there."""
        receive, buffer = self._sockets[source].recv_into, self._buffer
        faults = self._faults.get(source)
        for _ in range(_BURST_FRAMES):
            try:
                count = receive(buffer)
            except BlockingIOError:
                return False
            target = buffer[_TARGET]
            if buffer[_GROUP] & 1 or target not in self._sockets:
                continue
            if faults is None or target not in faults:
                self._send(target, self._view[:count])
            else:
                self._pass((source, target), bytes(self._view[:count]), faults[target])
        return True

    def _pass(self, link: tuple[int, int], frame: bytes, faults: Faults) -> None:
        source, target = link
        delays = faults.delays(self._dice)
        self._counts.setdefault(source, {}).setdefault(target, Counts()).add(delays)
        for seconds in delays:
            if not seconds:
                self._send(target, frame)
            elif self._delayed_bytes < _DELAYED_BYTES_MAX:
                self._sequence += 1
                due = time.monotonic() + seconds
                heapq.heappush(self._delayed, (due, self._sequence, target, frame))
                self._delayed_bytes += len(frame)

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            _, _, target, frame = heapq.heappop(self._delayed)
            self._delayed_bytes -= len(frame)
            self._send(target, frame)

    def _send(self, target: int, frame: bytes | memoryview) -> None:
        with contextlib.suppress(OSError):  # a full or a vanished port loses frames
            self._sockets[target].send(frame)


def _open(number: int) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    name = f"p{number}"
    port.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    port.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
    port.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    index = socket.if_nametoindex(name)
    membership = struct.pack("iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
    port.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    port.setblocking(False)
    port.bind((name, _ETH_P_ALL))
    return port


def main() -> None:
    """Serve the ports from the first to the last that is named."""
    first, last = map(int, sys.argv[1:])
    switch = Switch(range(first, last + 1))
    switch.answer()
    switch.run()


if __name__ == "__main__":
    main()
