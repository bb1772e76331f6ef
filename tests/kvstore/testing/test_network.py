"""The simulated network keeps what `PeerTransport` promises, and nothing more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from random import Random

import pytest

from kvstore.seams import SnapshotStream
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.network import Network
from kvstore.testing.simulation.process import Process
from kvstore.testing.simulation.transport import SimulatedTransport, Wire
from kvstore.testing.simulation.worst import Worst

LINK = (1, 2)


class Sent:
    """Sends numbers over one link."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.arrived: list[int] = []
        self.lost: list[int] = []

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self.network.deliver(
                LINK,
                b"%d" % number,
                partial(self.arrived.append, number),
                partial(self.lost.append, number),
            )


def network(loss: float = 0.0) -> Network:
    return Network(Random(1), loss=loss)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop.run(test)


def test_what_arrives_arrives_once_and_in_order() -> None:
    async def main() -> None:
        sent = Sent(network(loss=0.2))
        sent.network.delay_seconds_max.begin(0.5)
        for number in range(200):
            sent.send(number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert sent.arrived == sorted(set(sent.arrived))
        assert sorted(sent.arrived + sent.lost) == list(range(200))
        assert 10 < len(sent.lost) < 90

    run(main)


def test_a_cut_stops_one_direction_also_what_is_under_way() -> None:
    async def main() -> None:
        sent = Sent(network())
        sent.send(1)
        sent.network.cut((2, 1))
        await asyncio.sleep(1)
        sent.send(2)
        sent.network.cut(LINK)
        sent.send(3)
        await asyncio.sleep(1)
        assert (sent.arrived, sorted(sent.lost)) == ([1], [2, 3])

    run(main)


def test_cuts_add_up() -> None:
    net = network()
    net.cut(LINK)
    net.cut(LINK)
    net.mend(LINK)
    assert net.is_cut(LINK)
    net.mend(LINK)
    assert not net.is_cut(LINK)


def test_frames_of_a_replaced_connection_are_lost_and_never_late() -> None:
    async def main() -> None:
        sent = Sent(network())
        sent.network.delay_seconds_max.begin(1.0)
        sent.send(1, 2, 3)
        sent.network.reconnect(LINK)
        sent.send(4)
        await asyncio.sleep(5)
        assert (sent.arrived, sorted(sent.lost)) == ([4], [1, 2, 3])

    run(main)


def test_a_receiver_that_stands_still_gets_it_later() -> None:
    async def main() -> None:
        sent = Sent(network())
        process = sent.network.processes[2] = Process()
        process.pause()
        sent.send(1, 2)
        await asyncio.sleep(5)
        assert sent.arrived == []
        process.resume()
        await asyncio.sleep(1)
        assert sent.arrived == [1, 2]

    run(main)


def test_the_worst_of_the_faults_in_effect_counts() -> None:
    worst = Worst(0.1)
    worst.begin(0.3)
    worst.begin(0.2)
    assert worst.now == 0.3
    worst.end(0.3)
    assert worst.now == 0.2
    worst.end(0.2)
    assert worst.now == 0.1


async def _pair(
    net: Network, take: Callable[[SnapshotStream], Awaitable[None]]
) -> list[SimulatedTransport]:
    wire = Wire(net)
    pair = [SimulatedTransport(wire, number, Process(), lambda _: None) for number in LINK]
    for transport in pair:
        await transport.start(lambda *_: None, take, lambda _: None, lambda: None)
    return pair


async def _chunks() -> AsyncIterator[bytes]:
    for number in range(20):
        yield b"%d" % number


def test_a_snapshot_arrives_whole() -> None:
    async def main() -> None:
        taken: list[bytes] = []

        async def take(stream: SnapshotStream) -> None:
            taken.append(stream.header)
            taken.extend([chunk async for chunk in stream.chunks])

        sender, _ = await _pair(network(), take)
        await sender.send_snapshot(2, b"header", _chunks())
        assert taken == [b"header", *(b"%d" % number for number in range(20))]

    run(main)


@pytest.mark.parametrize("dying", [0, 1])
def test_a_death_on_either_side_breaks_a_snapshot_off(dying: int) -> None:
    async def main() -> None:
        broken: list[str] = []

        async def take(stream: SnapshotStream) -> None:
            try:
                async for _ in stream.chunks:
                    pass
            except ConnectionError as error:
                broken.append(str(error))
                raise

        pair = await _pair(network(), take)
        asyncio.get_running_loop().call_later(0.002, pair[dying].abort)
        with pytest.raises(ConnectionError):
            await pair[0].send_snapshot(2, b"header", _chunks())
        await asyncio.sleep(1)
        assert broken == ["the sender is gone"]

    run(main)


def test_what_the_receiver_refuses_is_no_death_of_the_sender() -> None:
    async def main() -> None:
        async def take(_: SnapshotStream) -> None:
            raise ConnectionRefusedError("not newer")

        sender, _ = await _pair(network(), take)
        with pytest.raises(ConnectionError):
            await sender.send_snapshot(2, b"header", _chunks())

    run(main)
