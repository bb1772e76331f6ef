"""The transport promises PySyncObj what TCP does: once and in order, or the connection breaks."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from types import SimpleNamespace

from kvstore.testing.pysyncobj.transport import Member, SimulatedTransport, Wire
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.network import Network

ONE, TWO = Member(1), Member(2)
RETRY_SECONDS = 5.0
TIMEOUT_SECONDS = 3.5


class Application:
    """In PySyncObj's place: ticks its transport, and remembers what that tells it."""

    def __init__(self, wire: Wire, member: Member, other: Member) -> None:
        self.received: list[object] = []
        self.told: list[str] = []
        self.other = other
        self._ticks: list[Callable[[], None]] = []
        self.conf = SimpleNamespace(
            connectionTimeout=TIMEOUT_SECONDS, connectionRetryTime=RETRY_SECONDS
        )
        self.transport = SimulatedTransport(wire, self, self, member, {other})
        self.transport.setOnMessageReceivedCallback(
            lambda _, message: self.received.append(message)
        )
        self.transport.setOnNodeConnectedCallback(lambda _: self.told.append("connected"))
        self.transport.setOnNodeDisconnectedCallback(lambda _: self.told.append("disconnected"))

    def addOnTickCallback(self, callback: Callable[[], None]) -> None:
        self._ticks.append(callback)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def run(self, callback: Callable[[], None]) -> None:
        callback()

    later = arrived = run

    def passes(self, moment: str) -> None:
        assert moment in ("send", "sent")

    def send(self, message: object) -> bool:
        return self.transport.send(self.other, message)

    async def tick_for(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.05)):
            for tick in self._ticks:
                tick()
            await asyncio.sleep(0.05)


def joined(
    test: Callable[[Application, Application, Network], Awaitable[None]], *, loss: float = 0.0
) -> None:
    """Run a test with two that are connected."""

    async def main() -> None:
        network = Network(Random(1), loss=loss)
        wire = Wire(network)
        low, high = Application(wire, ONE, TWO), Application(wire, TWO, ONE)
        await high.tick_for(0.5)
        assert low.told == high.told == ["connected"]
        await test(low, high, network)

    loop.run(main)


def test_the_greater_number_dials_and_both_can_send() -> None:
    async def test(low: Application, high: Application, _: Network) -> None:
        assert low.send({"to": "high"})
        assert high.send({"to": "low"})
        await asyncio.sleep(1.0)
        assert (low.received, high.received) == ([{"to": "low"}], [{"to": "high"}])

    joined(test)


def test_the_lower_number_waits_to_be_dialled() -> None:
    async def main() -> None:
        wire = Wire(Network(Random(1)))
        low, high = Application(wire, ONE, TWO), Application(wire, TWO, ONE)
        await low.tick_for(2.0)
        assert low.told == high.told == []
        assert not low.send("nobody")

    loop.run(main)


def test_what_the_network_loses_is_sent_again_and_arrives_once_and_in_order() -> None:
    async def test(low: Application, high: Application, network: Network) -> None:
        for number in range(200):
            assert low.send(number)
            high.send("alive")
            await asyncio.sleep(0.02)
        await asyncio.sleep(10.0)
        assert high.received == list(range(200))
        assert network.lost > 20

    joined(test, loss=0.3)


def test_a_short_cut_delays_and_breaks_nothing() -> None:
    async def test(low: Application, high: Application, network: Network) -> None:
        network.cut((1, 2))
        assert low.send("late")
        await asyncio.sleep(1.0)
        assert high.received == []
        network.mend((1, 2))
        await asyncio.sleep(1.0)
        assert high.received == ["late"]
        assert high.told == ["connected"]

    joined(test)


def test_silence_ends_the_connection_and_it_is_dialled_again() -> None:
    async def test(low: Application, high: Application, network: Network) -> None:
        await high.tick_for(TIMEOUT_SECONDS + 0.1)
        assert not high.send("into the silence")
        assert high.told == ["connected", "disconnected"]
        await high.tick_for(RETRY_SECONDS - TIMEOUT_SECONDS)
        assert high.told == low.told == ["connected", "disconnected", "connected"]
        assert low.send("again")
        await asyncio.sleep(1.0)
        assert high.received == ["again"]
        assert low.received == []

    joined(test)


def test_a_connection_that_is_made_anew_loses_what_was_under_way() -> None:
    async def test(low: Application, high: Application, network: Network) -> None:
        assert low.send("lost")
        network.reconnect((1, 2))
        await high.tick_for(RETRY_SECONDS + 1.0)
        assert high.received == []
        assert low.told == high.told == ["connected", "disconnected", "connected"]

    joined(test)


def test_a_new_life_knows_nothing_of_the_old_connections() -> None:
    """Whoever still sends on one is told so, and dials again."""

    async def test(low: Application, high: Application, network: Network) -> None:
        low.transport.abort()
        low = Application(high.transport.wire, ONE, TWO)
        assert high.send("to the dead")
        await high.tick_for(RETRY_SECONDS + 1.0)
        assert high.told == ["connected", "disconnected", "connected"]
        assert low.told == ["connected"]
        assert low.received == []

    joined(test)


def test_the_dead_neither_send_nor_receive() -> None:
    async def test(low: Application, high: Application, network: Network) -> None:
        delivered = network.delivered
        low.transport.abort()
        assert low.send("from the dead")
        await asyncio.sleep(1.0)
        assert high.received == []
        assert network.delivered == delivered

    joined(test)
