"""The members of a simulated cluster on one network, and what must hold among them.

After every batch that any member applies, and whenever one sees another leader, the invariants
are checked: the core's own and those of `invariants`.
"""

import asyncio
from collections import Counter
from random import Random
from typing import Any, Protocol

from kvstore import client
from kvstore.raft.types import Role
from kvstore.server import config
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.invariants import (
    EqualHistories,
    EqualStates,
    Look,
    Safety,
    check_acknowledged,
    check_members,
)
from kvstore.testing.simulation.member import Host, SimulatedMember
from kvstore.testing.simulation.network import Network, Witness
from kvstore.testing.simulation.process import Process, SimulatedCrash
from kvstore.testing.simulation.rpc import Listener, SimulatedChannel
from kvstore.testing.simulation.transport import Wire

_FIRST_CLIENT_PROCESS = 1


class Observer(Witness, Protocol):
    """Sees what happens, for a story; must not change anything."""

    def looked(self, members: list[SimulatedMember]) -> None:
        """Roles and terms may have changed."""

    def died(self, member: SimulatedMember, cause: str) -> None:
        """A life has ended."""

    def joined(self, member: SimulatedMember) -> None:
        """One more member."""

    def violated(self, text: str) -> None:
        """A promise is broken."""


class SimulatedCluster(Host):
    """All members, dead or alive."""

    def __init__(
        self,
        seed: int,
        *,
        size: int = 3,
        loss: float = 0.0,
        snapshot_count: int = 0,
        observer: Observer | None = None,
    ) -> None:
        """`loss`: share of frames that always vanish; `snapshot_count`: entries between snapshots,
        0 = the default policy."""
        self.random = Random(seed)
        network = Network(Random(self.random.getrandbits(64)), loss=loss, witness=observer)
        super().__init__(Wire(network))
        self.network = network
        self.members = [
            SimulatedMember(
                self, _settings(number, size, snapshot_count), Random(self.random.getrandbits(64))
            )
            for number in range(1, size + 1)
        ]
        self.former: list[SimulatedMember] = []
        """Those that were removed."""
        self._numbers = size
        self._snapshot_count = snapshot_count
        self.crashes: Counter[str] = Counter()
        """How often members died, by cause."""
        self.leader_changes: list[float] = []
        """When a new leader was first seen, in simulated seconds."""
        self.applied_at: dict[int, float] = {}
        """When a revision was first seen applied, in simulated seconds."""
        self.batches_observed = 0
        self.safety = Safety()
        self._states = EqualStates()
        self._histories = EqualHistories()
        self._by_id = {member.member_id: member for member in self.members}
        self._failures: list[tuple[str, BaseException]] = []
        self._clients = _FIRST_CLIENT_PROCESS
        self._observer = observer

    def connect(self, life: Process | None = None) -> client.Client:
        """A client process of its own; it starts with a member of its luck.

        life  its own, where it can stand still or die
        """
        process = self._clients
        if life is not None:
            self.network.processes[process] = life
        self._clients += 1
        endpoints = [f"{member.member_id:x}" for member in self.members]
        self.random.shuffle(endpoints)

        def open_channel(endpoint: str) -> SimulatedChannel:
            return SimulatedChannel(self.network, process, int(endpoint, 16), self._listener_of)

        return client.connect(
            endpoints,
            open_channel=open_channel,
            clock=SimulatedClock(process=life),
            random=Random(self.random.getrandbits(64)),
        )

    @property
    def newest_client(self) -> int:
        """The process of the client that was connected last, for faults on its links."""
        return self._clients - 1

    def next_peer_url(self) -> str:
        """A peer URL that nobody ever had."""
        self._numbers += 1
        return f"http://m{self._numbers}.simulated:2380"

    def take_in(self, member_id: int, peer_url: str) -> SimulatedMember:
        """A member that was added, not started yet."""
        name = peer_url.removeprefix("http://").partition(".")[0]
        settings = _joining_settings(name, peer_url, self._snapshot_count)
        member = SimulatedMember(self, settings, Random(self.random.getrandbits(64)), member_id)
        self.members.append(member)
        self._by_id[member_id] = member
        if self._observer is not None:
            self._observer.joined(member)
        return member

    def let_go(self, member: SimulatedMember) -> None:
        """A member that was removed."""
        member.let_go()
        if member in self.members:
            self.members.remove(member)
            self.former.append(member)

    def leader(self) -> SimulatedMember | None:
        """Whoever leads in the highest term."""
        leaders = [m for m in self.members if m.member is not None and m.member.node.is_leader]
        return max(leaders, key=lambda m: m.member.node.term if m.member else 0, default=None)

    def check_alive(self) -> None:
        """Raise what a member failed with, if one did. Raises ViolationError."""
        for text, failure in self._failures:
            raise ViolationError(text) from failure

    def forget_observed(self) -> None:
        """What comes is no continuation of what was: the disks have lied."""
        self.safety = Safety()
        self._states = EqualStates()
        self._histories = EqualHistories()

    # ------------------------------------------------------------------ what members tell

    def died(self, member: SimulatedMember, cause: str) -> None:
        """See `Host.died`."""
        self.crashes[cause] += 1
        if self._observer is not None:
            self._observer.died(member, cause)

    def failed(self, member: SimulatedMember, failure: BaseException) -> None:
        """See `Host.failed`."""
        self._fail(f"member {member.member_id:x} ended", failure)

    def stray(self, failure: BaseException) -> None:
        """An error in a callback. As in production, where a broken invariant ends the process."""
        if not isinstance(failure, SimulatedCrash):
            self._fail("a callback failed", failure)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For `loop.set_exception_handler`: what nobody else catches."""
        error = context.get("exception")
        if error is not None:
            self.stray(error)
        else:
            loop.default_exception_handler(context)

    def _fail(self, what: str, failure: BaseException) -> None:
        text = f"{what}: {_violation_in(failure) or repr(failure)}"
        self._failures.append((text, failure))
        if self._observer is not None:
            self._observer.violated(text)

    def ticked(self, member: SimulatedMember) -> None:
        """See `Host.ticked`."""
        if self._observer is not None:
            self._observer.looked(self.members)

    def observe(self, member: SimulatedMember) -> None:
        """See `Host.observe`: check everything that must hold now."""
        self.batches_observed += 1
        if self._observer is not None:
            self._observer.looked(self.members)
        looks = [self._check_core(other) for other in self.members if other.member is not None]
        for leader in looks:
            if leader.is_leader:
                check_acknowledged(leader, self._matches_of(leader.member_id), looks)
        assert member.member is not None
        machine = member.member.node.machine
        self._states.check(machine)
        seen = self._histories.revision_max
        self._histories.check(member.member_id, machine)
        now = asyncio.get_running_loop().time()
        for revision in range(seen + 1, self._histories.revision_max + 1):
            self.applied_at.setdefault(revision, now)

    def _matches_of(self, leader_id: int) -> dict[int, int]:
        leader = self._by_id[leader_id].member
        assert leader is not None
        progress = leader.node.raft.state.progress
        return {id_: each.match for id_, each in progress.items() if id_ != leader_id}

    def _check_core(self, member: SimulatedMember) -> Look:
        assert member.member is not None
        raft = member.member.node.raft
        is_leader = raft.role is Role.LEADER
        look = Look(member.member_id, member.files.life, raft.term, is_leader, raft.state.log)
        led = len(self.safety.leaders)
        if self.safety.check(look):
            raft.check_invariants()
        if not raft.is_installing:
            check_members(member.member_id, raft.membership, member.member.node.machine)
        if len(self.safety.leaders) > led:
            self.leader_changes.append(asyncio.get_running_loop().time())
        return look

    def _listener_of(self, member_id: int) -> Listener | None:
        return self._by_id[member_id].listener


def _violation_in(failure: BaseException) -> BaseException | None:
    """The first failure that says which promise is broken."""
    if isinstance(failure, BaseExceptionGroup):
        found = (_violation_in(inner) for inner in failure.exceptions)
        return next((violation for violation in found if violation is not None), None)
    return failure if isinstance(failure, AssertionError) else None


def _settings(number: int, size: int, snapshot_count: int) -> config.Settings:
    cluster = ",".join(f"m{n}=http://m{n}.simulated:2380" for n in range(1, size + 1))
    return _load(f"m{number}", f"http://m{number}.simulated:2380", snapshot_count, cluster, "new")


def _joining_settings(name: str, peer_url: str, snapshot_count: int) -> config.Settings:
    return _load(name, peer_url, snapshot_count, f"{name}={peer_url}", "existing")


def _load(
    name: str, peer_url: str, snapshot_count: int, cluster: str, state: str
) -> config.Settings:
    flags = [
        f"--name={name}",
        f"--data-dir={name}",
        f"--initial-cluster={cluster}",
        f"--initial-cluster-state={state}",
        f"--initial-advertise-peer-urls={peer_url}",
    ]
    if snapshot_count:
        flags.append(f"--snapshot-count={snapshot_count}")
    settings = config.load(flags, {})
    assert isinstance(settings, config.Settings)
    return settings
