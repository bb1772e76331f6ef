"""Rule-based state machines over a simulated cluster: faults, time and calls in any order.

    class QueueMachine(ClusterMachine):           # faults and time are rules of it already
        @rule(item=st.integers())
        def push(self, item):
            self.run(lambda: push(self.client, item))

    TestQueue = QueueMachine.TestCase

Nothing happens between rules: the cluster lives only while `run` drives it. A rule that a subclass
does not want is taken out by `crash = None`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvstore.client import Client
from kvstore.testing.properties.calls import (
    Call,
    CompareAndSet,
    Delete,
    Get,
    History,
    Put,
    PutLeased,
    check_linearizable,
)
from kvstore.testing.properties.cluster import Cluster
from kvstore.testing.properties.schedule import Crash, CutOff, Fault, Target, Topology
from kvstore.testing.properties.strategies import faults, keys, targets, topologies, values
from kvstore.testing.properties.trial import SECONDS_MAX, Trial

T = TypeVar("T")

_CLIENTS = 3
_CLIENT = st.integers(0, _CLIENTS - 1)
_MILLISECONDS = st.integers(1, 50).map(lambda count: count / 1000)  # while messages travel
_TENTHS = st.integers(1, 50).map(lambda count: count / 10)  # while leaders come and go


class ClusterMachine(RuleBasedStateMachine):
    """Faults come and go, time passes. At the end all faults do, and the members must agree."""

    def __init__(self) -> None:
        super().__init__()
        self._trial: Trial | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster, once it serves."""
        assert self._trial is not None, "rules that initialize run before: use `started`"
        return self._trial.cluster

    def run(self, main: Callable[[], Awaitable[T]], *, seconds_max: float = SECONDS_MAX) -> T:
        """Let time go on until a coroutine ends, and return or raise what it does.

        Raises StuckError when it does not end within `seconds_max` simulated seconds.
        """
        assert self._trial is not None, "rules that initialize run before: use `started`"
        return self._trial.run(main, seconds_max=seconds_max)

    def begin(self, fault: Fault) -> None:
        """Let something go wrong from now on, until `heal`."""
        self.run(lambda: _now(lambda: self.cluster.begin(fault)))

    async def started(self) -> None:
        """For subclasses: the cluster serves, and no rule has run yet."""

    async def healed(self) -> None:
        """For subclasses: all rules have run, all faults have ended, and the members agree."""

    # ------------------------------------------------------------------ rules

    @initialize(topology=topologies())
    def start(self, topology: Topology) -> None:
        """Start the cluster."""
        self._trial = Trial(topology)
        self.run(lambda: _start(self))

    @rule(member=targets())
    def crash(self, member: Target) -> None:
        """A member loses power."""
        self.begin(Crash(member=member))

    @rule(member=targets())
    def restart(self, member: Target) -> None:
        """A member that is down starts."""
        self.run(lambda: _now(lambda: self.cluster.restart(member)))

    @rule(member=targets())
    def cut(self, member: Target) -> None:
        """A member and the others lose each other."""
        self.begin(CutOff(member=member))

    @rule(fault=faults())
    def disturb(self, fault: Fault) -> None:
        """Anything else goes wrong, too."""
        self.begin(fault)

    @rule()
    def heal(self) -> None:
        """All faults end."""
        self.run(lambda: _now(self.cluster.end_all))

    @rule(seconds=_MILLISECONDS | _TENTHS)
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.run(lambda: asyncio.sleep(seconds))

    @invariant()
    def keeps_its_promises(self) -> None:
        """Nothing that must always hold was seen broken."""
        self.cluster.check()

    def teardown(self) -> None:
        """All faults end, the members must agree; then `healed` looks at the rest."""
        if self._trial is None:
            return
        try:
            if sys.exception() is None:  # or what a rule has found would be hidden
                self.run(lambda: _end(self))
        finally:
            self._trial.close()


class StoreMachine(ClusterMachine):
    """… and clients call, each one thing at a time. In the end their history must be linearizable.

    A call that is not awaited goes on while other rules run; the next one of its client waits for
    it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.clients: list[Client] = []
        """Those that the rules call by their number."""
        self._calls: dict[int, asyncio.Task[None]] = {}

    @rule(client=_CLIENT, is_awaited=st.booleans(), key=keys(), value=values())
    def put(self, client: int, key: bytes, value: bytes, *, is_awaited: bool) -> None:
        """A client writes a key."""
        self._call(client, Put(key=key, value=value), is_awaited=is_awaited)

    @rule(client=_CLIENT, is_awaited=st.booleans(), key=keys())
    def get(self, client: int, key: bytes, *, is_awaited: bool) -> None:
        """A client reads a key."""
        self._call(client, Get(key=key), is_awaited=is_awaited)

    @rule(
        client=_CLIENT,
        is_awaited=st.booleans(),
        key=keys(),
        expected_value=st.none() | values(),
        value=values(),
    )
    def compare_and_set(
        self,
        client: int,
        key: bytes,
        expected_value: bytes | None,
        value: bytes,
        *,
        is_awaited: bool,
    ) -> None:
        """A client writes a key if it holds a value."""
        call = CompareAndSet(key=key, expected_value=expected_value, value=value)
        self._call(client, call, is_awaited=is_awaited)

    @rule(client=_CLIENT, is_awaited=st.booleans(), key=keys())
    def delete(self, client: int, key: bytes, *, is_awaited: bool) -> None:
        """A client deletes a key."""
        self._call(client, Delete(key=key), is_awaited=is_awaited)

    @rule(
        client=_CLIENT,
        is_awaited=st.booleans(),
        key=keys(),
        value=values(),
        ttl_seconds=st.integers(1, 3),
    )
    def put_leased(
        self, client: int, key: bytes, value: bytes, ttl_seconds: int, *, is_awaited: bool
    ) -> None:
        """A client writes a key that goes with its lease."""
        self._call(
            client, PutLeased(key=key, value=value, ttl_seconds=ttl_seconds), is_awaited=is_awaited
        )

    async def started(self) -> None:
        """See `ClusterMachine.started`."""
        self.clients = [self.cluster.connect() for _ in range(_CLIENTS)]

    async def healed(self) -> None:
        """All calls end, everything is read once more; then the history is judged."""
        for client in range(_CLIENTS):
            await self._ended(client)
        for key in sorted({operation.key for operation in self.history.operations}):
            await self.history.perform(Get(key=key), self.clients[0], process=0)
        check_linearizable(self.history.operations)

    async def _ended(self, client: int) -> None:
        call = self._calls.pop(client, None)
        if call is not None:
            await call

    def _call(self, client: int, call: Call, *, is_awaited: bool) -> None:
        self.run(lambda: self._begin_call(client, call))
        if is_awaited:
            self.run(lambda: self._ended(client))

    async def _begin_call(self, client: int, call: Call) -> None:
        await self._ended(client)
        calling = self.history.perform(call, self.clients[client], process=client)
        self._calls[client] = asyncio.ensure_future(calling)


# Functions, because names of methods belong to whoever subclasses.


async def _start(machine: ClusterMachine) -> None:
    await machine.cluster.start()
    await machine.started()


async def _end(machine: ClusterMachine) -> None:
    await machine.cluster.heal()
    await machine.healed()


async def _now(act: Callable[[], None]) -> None:
    """Faults begin and end inside the loop."""
    act()
