"""Replays traces: commands to a cluster, and what the cluster did about them.

A trace is blocks of command lines, `----`, and the recorded lines. `pytest --rewrite-traces`
records anew; the difference is for a human to judge. The commands are methods of `Trace`.
"""

from pathlib import Path

import pytest

from kvstore.raft.types import Role

from .cluster import Cluster, Frame
from .describe import describe_frame, describe_member

FOLDER = Path(__file__).parent / "traces"
DIVIDER = "----"


class Trace:
    """One cluster and the story of it so far."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.story: list[str] = []
        self._seen: dict[int, str] = {}

    def run(self, command: str) -> list[str]:
        """Run one command; what happened, to the network first, then to the members."""
        self.story = []
        name, *arguments = command.split()
        getattr(self, f"do_{name.replace('-', '_')}")(*arguments)
        self.cluster.collect()
        self.cluster.check()
        self._tell_members()
        return self.story

    def _tell_members(self) -> None:
        for member in self.cluster.members.values():
            now = describe_member(member)
            if self._seen.get(member.member_id) != now:
                self._seen[member.member_id] = now
                self.story.append(f"  {now}")

    def _tell(self, what: str, frame: Frame) -> None:
        self.story.append(f"{what}{describe_frame(frame)}")

    # The scene.

    def do_cluster(self, *settings: str) -> None:
        """`cluster 3 learners=1`: start anew."""
        voters, *options = settings
        values = {name: int(value) for name, value in (option.split("=") for option in options)}
        self.cluster = Cluster(int(voters), **values)  # type: ignore[arg-type]
        self._seen = {}

    def do_log(self, member_id: str, terms: str, *options: str) -> None:
        """`log 1 1,1,2 term=3`: restart a member with such a log."""
        values = {name: int(value) for name, value in (option.split("=") for option in options)}
        self.cluster.give_log(
            int(member_id),
            [int(term) for term in terms.split(",") if term != "-"],
            term=values.get("term"),
            commit=values.get("commit", 0),
        )

    # What members do.

    def do_campaign(self, member_id: str) -> None:
        self.cluster[int(member_id)].raft.campaign()

    def do_propose(self, member_id: str, *data: str) -> None:
        accepted = self.cluster.propose(int(member_id), *(item.encode() for item in data))
        if not accepted:
            self.story.append("dropped")

    def do_read(self, member_id: str, context: str) -> None:
        if not self.cluster.read(int(member_id), int(context)):
            self.story.append("no leader")

    def do_transfer(self, member_id: str, to: str) -> None:
        if not self.cluster[int(member_id)].raft.transfer_leadership(int(to)):
            self.story.append("refused")

    def do_compact(self, member_id: str) -> None:
        self.cluster[int(member_id)].snapshot()

    def do_unreachable(self, member_id: str, other: str) -> None:
        self.cluster[int(member_id)].raft.report_unreachable(int(other))

    def do_crash(self, member_id: str) -> None:
        self.cluster[int(member_id)].crash()

    def do_restart(self, member_id: str) -> None:
        self.cluster[int(member_id)].restart()

    def do_wipe(self, member_id: str) -> None:
        self.cluster.wipe(int(member_id))

    def do_slow_disk(self, member_id: str) -> None:
        self.cluster[int(member_id)].is_disk_slow = True

    def do_sync(self, member_id: str) -> None:
        """The slow disk is done with one write, and fast from now on."""
        member = self.cluster[int(member_id)]
        member.is_disk_slow = False
        self.cluster.end(member)

    # Time and network.

    def do_tick(self, ticks: str, *member_ids: str) -> None:
        self.cluster.tick(int(ticks), [int(i) for i in member_ids] if member_ids else None)

    def do_deliver(self, link: str = "") -> None:
        """`deliver`: everything that is under way now; `deliver 1->2`: of one link."""
        for frame in self._take(link):
            if self.cluster.is_cut(frame):
                self._tell("lost ", frame)
                self.cluster.lose(frame)
            else:
                self._tell("", frame)
                self.cluster.deliver(frame)

    def do_drop(self, link: str = "") -> None:
        for frame in self._take(link):
            self._tell("lost ", frame)
            self.cluster.lose(frame)

    def do_repeat(self, link: str = "") -> None:
        """Everything that is under way will arrive twice."""
        frames = self._take(link)
        self.cluster.network += frames + frames

    def do_reverse(self, link: str = "") -> None:
        """What is under way will arrive the other way round."""
        self.cluster.network += self._take(link)[::-1]

    def do_cut(self, *links: str) -> None:
        for link in links:
            sender, to = link.split("->")
            self.cluster.cut((int(sender), int(to)))

    def do_isolate(self, member_id: str) -> None:
        self.cluster.isolate(int(member_id))

    def do_heal(self) -> None:
        self.cluster.heal()

    def do_stabilize(self, verbosity: str = "") -> None:
        """Deliver until nothing is under way; `stabilize quiet` tells of the members only."""
        for _ in range(1000):
            self.cluster.collect()
            if not self.cluster.network:
                break
            self.do_deliver()
            if verbosity != "quiet":
                self.cluster.collect()
                self._tell_members()
        if verbosity == "quiet":
            self.story = []

    def do_run(self, ticks: str) -> None:
        """Time passes, everything arrives; tells of the members only."""
        self.cluster.run(int(ticks))

    def do_leader_is(self, member_id: str) -> None:
        """Nothing but an assertion: who leads the newest term."""
        leader = self.cluster.leader()
        assert leader.member_id == int(member_id), leader.member_id
        assert leader.raft.role is Role.LEADER

    def _take(self, link: str) -> list[Frame]:
        network = self.cluster.network
        chosen = [f for f in network if link in ("", f"{f.sender}->{f.to}")]
        self.cluster.network = [f for f in network if link not in ("", f"{f.sender}->{f.to}")]
        return chosen


def replay(text: str) -> str:
    """The trace with what happens now."""
    trace = Trace()
    blocks = []
    for block in text.strip().split("\n\n"):
        head = block.split(f"\n{DIVIDER}")[0].splitlines()
        commands = [line for line in head if not line.startswith("#")]
        if not commands:
            blocks.append("\n".join(head))
            continue
        told = [line for command in commands for line in trace.run(command)]
        blocks.append("\n".join([*head, DIVIDER, *(told or ["ok"])]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_trace(path: Path, request: pytest.FixtureRequest) -> None:
    recorded = path.read_text()
    replayed = replay(recorded)
    if request.config.getoption("--rewrite-traces", default=False):
        path.write_text(replayed)
        return
    assert replayed == recorded


def test_there_are_traces() -> None:
    assert len(list(FOLDER.glob("*.txt"))) > 20
