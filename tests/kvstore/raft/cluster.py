"""A cluster in memory: members, and a network whose every message waits for the test's word."""

from collections.abc import Callable, Iterable

from kvstore.raft.types import Config, Entry, HardState, Membership, Message, Role

from .checkers import SafetyChecker
from .member import Disk, Member, SnapshotStream, new_disk

Frame = Message | SnapshotStream
Link = tuple[int, int]

# Far more than any scenario needs: whoever gets here goes round in circles.
ROUNDS_MAX = 10_000

ELECTION_TICKS = 10


def fixed_draw(member_id: int) -> Callable[[], int]:
    """Member 1 times out first, then 2, and so on."""
    return lambda: ELECTION_TICKS + 3 * (member_id - 1)


class Cluster:
    """Members 1 to n. Nothing happens but by `collect`, `deliver` and the members' own calls."""

    def __init__(
        self,
        voters: int = 3,
        *,
        learners: int = 0,
        spares: int = 0,
        draw: Callable[[int], Callable[[], int]] = fixed_draw,
        append_bytes_max: int = 1024 * 1024,
        inflight_appends_max: int = 256,
        uncommitted_bytes_max: int = 64 * 1024 * 1024,
    ) -> None:
        self.membership = Membership(
            voters=tuple(range(1, voters + 1)),
            learners=tuple(range(voters + 1, voters + learners + 1)),
        )
        self.network: list[Frame] = []
        self.cuts: set[Link] = set()
        self.checker = SafetyChecker()
        self.members: dict[int, Member] = {}
        # Spares run, and belong to the cluster once somebody adds them.
        for member_id in range(1, voters + learners + spares + 1):
            config = Config(
                member_id=member_id,
                election_ticks=ELECTION_TICKS,
                append_bytes_max=append_bytes_max,
                inflight_appends_max=inflight_appends_max,
                uncommitted_bytes_max=uncommitted_bytes_max,
            )
            self.members[member_id] = Member(config, new_disk(self.membership), draw(member_id))

    def __getitem__(self, member_id: int) -> Member:
        return self.members[member_id]

    def running(self) -> Iterable[Member]:
        return [member for member in self.members.values() if member.is_up]

    def check(self) -> None:
        self.checker.check(self.members.values())

    def give_log(
        self, member_id: int, terms: Iterable[int], *, term: int | None = None, commit: int = 0
    ) -> None:
        """Restart a member with one entry of each of these terms on its disk."""
        member = self.members[member_id]
        entries = [
            Entry(index, entry_term, f"{entry_term}.{index}".encode())
            for index, entry_term in enumerate(terms, 1)
        ]
        last_term = entries[-1].term if entries else 0
        disk = new_disk(self.membership)
        disk.entries = entries
        disk.hard_state = HardState(last_term if term is None else term, 0, commit)
        member.disk = disk
        member.restart()

    def wipe(self, member_id: int) -> None:
        """Restart a member with an empty disk."""
        self.members[member_id].disk = Disk(new_disk(self.membership).first)
        self.members[member_id].restart()

    # The drivers' side: Readies become frames in the network.

    def begin(self, member: Member) -> None:
        """Take a Ready and send what need not wait for the disk."""
        streams = [member.stream_to(to) for to in self._take(member)]
        self.network += streams

    def _take(self, member: Member) -> tuple[int, ...]:
        self.network += member.begin()
        assert member.ready is not None
        return member.ready.snapshots_wanted

    def end(self, member: Member) -> None:
        """Sync, then send what had to wait."""
        self.network += member.end()

    def collect(self) -> None:
        """Run every member's driver until it has nothing to do (or its disk is slow)."""
        for member in self.running():
            for _ in range(ROUNDS_MAX):
                if member.ready is not None or not member.raft.has_ready():
                    break
                self.begin(member)
                if not member.is_disk_slow:
                    self.end(member)
            else:
                raise AssertionError("a member is never done")

    # The network's side.

    def is_cut(self, frame: Frame) -> bool:
        return (frame.sender, frame.to) in self.cuts or not self.members[frame.to].is_up

    def deliver(self, frame: Frame) -> None:
        """Let one frame arrive; it must not be in `network` any more (or be a duplicate)."""
        receiver = self.members[frame.to]
        if isinstance(frame, SnapshotStream):
            receiver.receive(frame)
            self._report(frame, ok=True)
        else:
            receiver.raft.step(frame)

    def lose(self, frame: Frame) -> None:
        """One frame never arrives; the sender of a snapshot notices."""
        if isinstance(frame, SnapshotStream):
            self._report(frame, ok=False)

    def _report(self, stream: SnapshotStream, *, ok: bool) -> None:
        sender = self.members[stream.sender]
        if sender.is_up:
            sender.raft.report_snapshot(stream.to, stream.meta.index, ok)

    def stabilize(self) -> None:
        """Deliver everything, in order, until nothing is under way."""
        for _ in range(ROUNDS_MAX):
            self.collect()
            self.check()
            if not self.network:
                return
            frames, self.network = self.network, []
            for frame in frames:
                if self.is_cut(frame):
                    self.lose(frame)
                else:
                    self.deliver(frame)
        raise AssertionError("the cluster is never quiet")

    def tick(self, ticks: int = 1, member_ids: Iterable[int] | None = None) -> None:
        """Let time pass for some members, without delivering anything."""
        chosen = self.members if member_ids is None else member_ids
        for _ in range(ticks):
            for member_id in chosen:
                if self.members[member_id].is_up:
                    self.members[member_id].raft.tick()
        self.collect()
        self.check()

    def run(self, ticks: int) -> None:
        """Let time pass and everything arrive."""
        for _ in range(ticks):
            self.tick()
            self.stabilize()

    def cut(self, *links: Link) -> None:
        self.cuts.update(links)

    def isolate(self, member_id: int) -> None:
        """Cut a member off in both directions."""
        for other in self.members:
            if other != member_id:
                self.cuts |= {(member_id, other), (other, member_id)}

    def heal(self) -> None:
        self.cuts.clear()

    # Shorthand for scenarios.

    def elect(self, member_id: int) -> None:
        """Make a member the leader, by an ordinary campaign."""
        self.members[member_id].raft.campaign()
        self.stabilize()
        assert self.members[member_id].raft.role is Role.LEADER

    def propose(self, member_id: int, *data: bytes) -> bool:
        return self.members[member_id].raft.propose(data)

    def read(self, member_id: int, context: int) -> bool:
        """Ask for a linearizable read; the checker then watches its answer."""
        self.checker.read_begins(member_id, context)
        return self.members[member_id].raft.read_index(context)

    def leader(self) -> Member:
        """The leader of the highest term."""
        leaders = [m for m in self.running() if m.raft.role is Role.LEADER]
        return max(leaders, key=lambda member: member.raft.term)

    def data(self, member_id: int) -> list[bytes]:
        """What a member has applied, without the leaders' empty entries."""
        return [data for _, _, data in self.members[member_id].machine if data]
