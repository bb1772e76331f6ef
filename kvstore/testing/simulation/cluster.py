"""Members of a simulated cluster: the production `Member` on simulated seams, with its deaths.

After every batch that any member applies the invariants hold: the core's own, one leader per
term, monotone commit, and equal states at equal applied indexes.
"""

import asyncio
from random import Random

from kvstore import client
from kvstore.raft.types import Role
from kvstore.server import config
from kvstore.server.bootstrap import bootstrap, cluster_spec
from kvstore.server.member import Member, Seams
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.disk import SimulatedCrash, SimulatedFiles
from kvstore.testing.simulation.network import Network, NetworkFaults, SimulatedTransport
from kvstore.testing.simulation.rpc import Listener, SimulatedChannel

_CLOCK_SKEW_MAX = 0.01  # clocks of real machines differ by far less
_SYNC_SECONDS = 0.001
_SEGMENT_BYTES = 32 * 1024  # small, so that a run sees many segments
_FIRST_CLIENT_PROCESS = 1


class SimulatedMember:
    """One member over all its lives: the disk stays, everything else dies with a crash."""

    def __init__(self, cluster: "SimulatedCluster", settings: config.Settings) -> None:
        random = cluster.random
        self.member_id = cluster_spec(settings).member_id
        self.files = SimulatedFiles(
            Random(random.getrandbits(64)), SimulatedClock(), sync_seconds=_SYNC_SECONDS
        )
        self.member: Member | None = None
        self.listener: Listener | None = None
        self.failure: BaseException | None = None
        self._settings = settings
        self._cluster = cluster
        self._random = Random(random.getrandbits(64))
        self._clock = SimulatedClock()
        self._transport: SimulatedTransport | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Tell whether it was started and not crashed since."""
        return self._life is not None

    def start(self) -> None:
        """Begin a life."""
        assert self._life is None, "it lives already"
        skew = (self._random.random() - 0.5) * 2 * _CLOCK_SKEW_MAX
        self._clock = SimulatedClock(rate=1 + skew, offset=self._random.random() * 1000)
        self._life = asyncio.ensure_future(self._live())

    def crash(self) -> None:
        """Power off: what was not synced may be lost, everything in memory is."""
        assert self._life is not None, "it is dead already"
        self._cluster.network.note(f"crash {self.member_id:x}")
        self._clock.stop()
        if self._transport is not None:
            self._transport.abort()
        listener, self.listener, self.member = self.listener, None, None
        self.files.crash()
        self._life.cancel()
        self._life = None
        if listener is not None:
            listener.die()

    async def _live(self) -> None:
        try:
            await self._run()
        except (SimulatedCrash, asyncio.CancelledError):
            return  # a dead process that touched its disk, or was told of its death
        except BaseExceptionGroup as failures:
            if failures.subgroup(SimulatedCrash) is None:
                self.failure = failures
        except Exception as failure:  # noqa: BLE001 (the process's top: the scenario reports it)
            self.failure = failure

    async def _run(self) -> None:
        boot = await bootstrap(self.files, self._settings)
        self._transport = SimulatedTransport(self._cluster.network, self.member_id)
        seams = Seams(
            self._clock, self.files, self._transport, Random(self._random.getrandbits(64))
        )
        async with asyncio.TaskGroup() as tasks:
            member = Member(self._settings, boot.spec, seams, tasks, segment_bytes=_SEGMENT_BYTES)
            member.node.on_applied.append(lambda: self._cluster.observe(member))
            self.member, self.listener = member, Listener(member.services)
            await member.run()


class SimulatedCluster:
    """Members on one network, and what must hold among them."""

    def __init__(self, seed: int, *, size: int = 3, snapshot_count: int = 0) -> None:
        """`snapshot_count`: entries between snapshots; 0 = the default policy."""
        self.random = Random(seed)
        self.network = Network(Random(self.random.getrandbits(64)), NetworkFaults())
        self.members = [
            SimulatedMember(self, _settings(number, size, snapshot_count))
            for number in range(1, size + 1)
        ]
        self._by_id = {member.member_id: member for member in self.members}
        self._states: dict[int, object] = {}  # applied index → state
        self._leaders: dict[int, int] = {}  # term → leader
        self._clients = _FIRST_CLIENT_PROCESS
        self.batches_observed = 0

    def connect(self) -> client.Client:
        """A client process of its own; it starts with a member of its luck."""
        process = self._clients
        self._clients += 1
        endpoints = [f"{member.member_id:x}" for member in self.members]
        self.random.shuffle(endpoints)

        def open_channel(endpoint: str) -> SimulatedChannel:
            return SimulatedChannel(self.network, process, int(endpoint, 16), self._listener_of)

        return client.connect(
            endpoints,
            open_channel=open_channel,
            clock=SimulatedClock(),
            random=Random(self.random.getrandbits(64)),
        )

    def leader(self) -> SimulatedMember | None:
        """Whoever leads in the highest term."""
        leaders = [m for m in self.members if m.member is not None and m.member.node.is_leader]
        return max(leaders, key=lambda m: m.member.node.term if m.member else 0, default=None)

    def check_alive(self) -> None:
        """Raise what a member failed with, if one did."""
        for member in self.members:
            if member.failure is not None:
                raise ViolationError(f"member {member.member_id:x} ended") from member.failure

    def observe(self, observed: Member) -> None:
        """A member has applied a batch: check everything that must hold now."""
        self.batches_observed += 1
        for member in self.members:
            if member.member is None:
                continue
            raft = member.member.node.raft
            raft.check_invariants()
            if raft.role is Role.LEADER:
                leader = self._leaders.setdefault(raft.term, member.member_id)
                if leader != member.member_id:
                    raise ViolationError(f"two leaders in term {raft.term}")
        machine = observed.node.machine
        state = (
            machine.store.revision,
            machine.store.hash_kv(0)[0],
            sorted(machine.lessor.leases()),
            sorted(machine.alarms),
        )
        known = self._states.setdefault(machine.applied_index, state)
        if known != state:
            raise ViolationError(f"states differ at index {machine.applied_index}")

    def forget_observed(self) -> None:
        """What comes is no continuation of what was: the disks have lied."""
        self._states.clear()
        self._leaders.clear()

    def _listener_of(self, member_id: int) -> Listener | None:
        return self._by_id[member_id].listener


def _settings(number: int, size: int, snapshot_count: int) -> config.Settings:
    cluster = ",".join(f"m{n}=http://m{n}.simulated:2380" for n in range(1, size + 1))
    flags = [
        f"--name=m{number}",
        f"--data-dir=m{number}",
        f"--initial-cluster={cluster}",
        f"--initial-advertise-peer-urls=http://m{number}.simulated:2380",
    ]
    if snapshot_count:
        flags.append(f"--snapshot-count={snapshot_count}")
    settings = config.load(flags, {})
    assert isinstance(settings, config.Settings)
    return settings
