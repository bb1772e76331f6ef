"""One member, assembled: storage, state machine, core, node, keepers, services.

Knows no transport of RPCs and no operating system: whoever runs it brings the seams, mounts
`services` on a front and calls `run`. The real process (`kvstore.__main__`) and the simulation
build the same member.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from kvstore.apply import StateMachine
from kvstore.commands import PublishMember
from kvstore.errors import KvError
from kvstore.mvcc.watch import WatchHub
from kvstore.raft.core import Raft
from kvstore.raft.types import NO_MEMBER, Config, Membership, Restored, SnapshotMeta
from kvstore.seams import Clock, Files, PeerTransport, Random
from kvstore.server import auth, cluster, health, introduction, kv, lease, maintenance, watch
from kvstore.server.bootstrap import ClusterSpec
from kvstore.server.call import Service
from kvstore.server.compactor import AutoCompaction, Compactor
from kvstore.server.config import Settings
from kvstore.server.introduction import Introduction
from kvstore.server.lease_keeper import LeaseKeeper
from kvstore.server.membership_keeper import MembershipKeeper
from kvstore.server.node import Node, NodeOptions
from kvstore.server.quota import Quota
from kvstore.server.snapshots import SnapshotKeeper
from kvstore.storage.log_storage import Identity, LogStorage
from kvstore.storage.wal import SEGMENT_BYTES

logger = logging.getLogger(__name__)

# etcd's time for a request: five seconds, and two elections that may come between.
_REQUEST_SECONDS = 5.0
_PUBLISH_RETRY_SECONDS = 0.5
# A member that was removed is told the last answers, then nobody talks to it any more.
_FAREWELL_SECONDS = 1.0


class Seams(msgspec.Struct, frozen=True):
    """The doors of one member to the world outside."""

    clock: Clock
    files: Files
    transport: PeerTransport
    random: Random


class Member:
    """A member that has recovered its state from the disk and is ready to run."""

    def __init__(
        self,
        settings: Settings,
        spec: ClusterSpec,
        seams: Seams,
        tasks: asyncio.TaskGroup,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Recover. Raises DataFolderError, WalCorruptError or DiskError; nothing runs then.

        `segment_bytes`: space reserved per WAL segment (simulated disks are small).
        """
        self._settings = settings
        self._spec = spec
        self._seams = seams
        self._addresses: dict[int, Sequence[str]] = {}
        self._leaving: dict[int, Sequence[str]] = {}  # members no more, not forgotten yet
        self._storage = LogStorage.open(
            seams.files,
            settings.data_dir,
            Identity(spec.cluster_id, spec.member_id),
            segment_bytes=segment_bytes,
            salt=seams.random.getrandbits(32),
        )
        try:
            self.node = _node(settings, spec, seams, self._storage)
        except BaseException:
            self._storage.close()
            raise
        self._snapshots = SnapshotKeeper(self.node, tasks, entries_max=settings.snapshot_count)
        self.services = _services(settings, self.node, self._snapshots)
        self.node.on_membership_change.append(self._on_membership_change)
        self._on_membership_change()
        if self.node.raft.membership.voters == (spec.member_id,):
            self.node.raft.campaign()  # nobody else to wait for

    async def run(self) -> None:
        """Talk to the others and serve until `stop`. Raises DiskError: the process must end."""
        transport = self._seams.transport
        node = self.node
        await transport.start(
            node.on_frame, self._snapshots.receive, node.on_unreachable, node.on_removed
        )
        try:
            self._publish()
            await node.run()
        finally:
            await transport.close()
            await self._snapshots.close()
            self._storage.close()

    async def hand_over(self) -> None:
        """Give leadership away, if this member has it and somebody can take it."""
        node = self.node
        successor = node.best_successor() if node.is_leader else NO_MEMBER
        if successor == NO_MEMBER:
            return
        done: asyncio.Future[KvError | None] = asyncio.get_running_loop().create_future()
        node.transfer_leadership(
            successor, done.set_result, timeout_seconds=2 * node.options.election_seconds
        )
        error = await done
        if error is None:
            logger.info("handed leadership over to %x", node.leader_id)
        else:
            logger.warning("nobody took leadership over: the others will elect a leader")

    def stop(self) -> None:
        """Let `run` end; requests under way fail with StoppedError."""
        self.node.stop()

    def _on_membership_change(self) -> None:
        """Talk to who is a member now, and a moment longer to who was."""
        own_id, records = self.node.member_id, self.node.machine.members.records
        before = self._addresses
        self._addresses = {
            member_id: record.peer_urls
            for member_id, record in records.items()
            if member_id != own_id and record.peer_urls
        }
        if own_id not in records:
            # We are joining, and the log has not told us yet.
            self._addresses = {**self._spec.peer_addresses, **self._addresses}
        gone = {id_: urls for id_, urls in before.items() if id_ not in self._addresses}
        self._leaving |= gone
        if gone:
            self._seams.clock.call_later(_FAREWELL_SECONDS, lambda: self._forget(gone))
        self._set_peers()

    def _forget(self, gone: dict[int, Sequence[str]]) -> None:
        for member_id in gone:
            self._leaving.pop(member_id, None)
        self._set_peers()

    def _set_peers(self) -> None:
        members = self.node.machine.members
        self._seams.transport.set_peers(
            self._leaving | self._addresses,
            removed=members.removed,
            introduction=introduction.encode(
                Introduction(
                    self.node.cluster_id,
                    self._spec.founders,
                    members.records,
                    tuple(sorted(members.removed)),
                    self.node.machine.applied_index,
                )
            ),
        )

    def _publish(self) -> None:
        """Tell the others our name and client URLs, until it is in the log."""
        node, settings = self.node, self._settings
        own = node.machine.members.records.get(node.member_id)
        wanted = (settings.name, settings.advertise_client_urls)
        if own is not None and (own.name, own.client_urls) == wanted:
            return

        def done(result: object) -> None:
            if isinstance(result, KvError):
                self._seams.clock.call_later(_PUBLISH_RETRY_SECONDS, self._publish)

        if not node.is_stopping:
            node.propose(PublishMember(node.member_id, *wanted), done)


def _node(settings: Settings, spec: ClusterSpec, seams: Seams, storage: LogStorage) -> Node:
    recovery = storage.recovery
    machine = StateMachine(spec.founders)
    if recovery.snapshot is not None:
        machine = StateMachine.restore(storage.read_snapshot())
        machine.members.complete(spec.founders)
    first = recovery.snapshot or SnapshotMeta(0, 0, Membership(voters=tuple(sorted(spec.members))))
    restored = Restored(
        hard_state=recovery.hard_state,
        first=first,
        entries=tuple(recovery.entries),
        applied=first.index,
    )
    recovery.entries.clear()
    heartbeat = settings.heartbeat_interval_seconds
    election_ticks = max(1, round(settings.election_timeout_seconds / heartbeat))
    options = NodeOptions(
        heartbeat_seconds=heartbeat,
        election_ticks=election_ticks,
        request_timeout_seconds=_REQUEST_SECONDS + 2 * settings.election_timeout_seconds,
        advances_first_election=settings.initial_election_tick_advance,
    )
    raft = Raft(
        Config(member_id=spec.member_id, election_ticks=election_ticks),
        restored,
        lambda: seams.random.randrange(election_ticks, 2 * election_ticks),
    )
    return Node(
        cluster_id=spec.cluster_id,
        member_id=spec.member_id,
        raft=raft,
        machine=machine,
        storage=storage,
        transport=seams.transport,
        clock=seams.clock,
        random=seams.random,
        options=options,
        watches=WatchHub(),
        restored=restored,
    )


def _services(settings: Settings, node: Node, snapshots: SnapshotKeeper) -> list[Service]:
    compactor = Compactor(
        node,
        AutoCompaction(settings.auto_compaction_period_seconds, settings.auto_compaction_revisions),
    )
    quota = Quota(node, settings.quota_backend_bytes)
    keeper = LeaseKeeper(node)
    limits = kv.KvLimits(
        request_bytes_max=settings.max_request_bytes,
        operations_max=settings.max_txn_operations,
    )
    members = MembershipKeeper(node, is_strict=settings.strict_reconfig_check)
    progress = settings.watch_progress_interval_seconds
    return [
        Service(kv.KvService(node, compactor, quota, limits), kv.METHODS),
        Service(watch.WatchService(node, progress_interval_seconds=progress), watch.METHODS),
        Service(lease.LeaseService(node, keeper, quota), lease.METHODS),
        Service(cluster.ClusterService(node, members), cluster.METHODS),
        Service(maintenance.MaintenanceService(node, snapshots.snapshot_now), maintenance.METHODS),
        Service(auth.AuthService(node), auth.METHODS),
        Service(health.HealthService(), health.METHODS),
    ]
