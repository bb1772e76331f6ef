"""What is drawn fits any cluster, prints as code, reaches every kind of fault, and shrinks."""

from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from kvstore.server.points import POINTS
from kvstore.testing import properties as kv
from kvstore.testing.properties import injection, schedule
from kvstore.testing.simulation import faults
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.late_ack import LATE_ACK_KIND, LATE_ACK_MEMBERS_MIN

KINDS = get_args(schedule.Fault)
THOROUGH = settings(database=None, derandomize=True, max_examples=2000, deadline=None)


@given(topology=kv.topologies(loss_max=0.2), faults=kv.fault_schedules())
def test_what_is_drawn_prints_as_code_that_repeats_it(
    topology: kv.Topology, faults: kv.Schedule
) -> None:
    assert eval(repr((topology, faults)), vars(kv)) == (topology, faults)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn(kind: type[kv.Fault]) -> None:
    assert isinstance(find(kv.faults(), lambda fault: type(fault) is kind, settings=THOROUGH), kind)


def test_every_point_at_which_a_member_can_die_is_drawn() -> None:
    seen: set[str] = set()

    @settings(THOROUGH, max_examples=400)
    @given(kv.faults(kv.CrashAtPoint))
    def collect(fault: kv.Fault) -> None:
        assert isinstance(fault, kv.CrashAtPoint)
        seen.add(fault.point)

    collect()
    assert seen == set(POINTS)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_every_kind_of_the_simulation_has_its_data(size: int) -> None:
    """A kind that is added there and not here would never be drawn."""
    cluster = SimulatedCluster(1, size=size)
    random = Random(1)
    wanted = {faults.draw(random, cluster).kind for _ in range(700)}
    drawn = {injection.prepare(fault, cluster).kind for fault in _one_of_each()}
    not_drawn = {faults.MEMBERSHIP_KIND}  # the roster's
    if size < LATE_ACK_MEMBERS_MIN:
        not_drawn.add(LATE_ACK_KIND)
    assert drawn - wanted == not_drawn
    assert wanted <= drawn


def _one_of_each() -> list[kv.Fault]:
    """Of each kind, and of what `simulation.faults` counts as several."""
    some: list[kv.Fault] = [
        find(kv.faults(kind), lambda _: True, settings=THOROUGH) for kind in KINDS
    ]
    return [*some, kv.CrashAtPoint(member=0, point="wal sync", others=1)]


def test_a_schedule_shrinks_to_one_early_short_fault_of_the_first_member() -> None:
    crashes = kv.fault_schedules(kv.faults(kv.CrashAtPoint, kv.Crash))
    shrunk = find(crashes, bool, settings=THOROUGH)
    assert shrunk == (kv.Episode(at_seconds=0.0, for_seconds=0.0, fault=kv.Crash(member=0)),)
    assert find(kv.fault_schedules(), lambda _: True, settings=THOROUGH) == ()
    assert find(kv.topologies(), lambda _: True, settings=THOROUGH) == kv.Topology()


def test_a_schedule_keeps_its_bounds() -> None:
    drawn = kv.fault_schedules(
        kv.faults(kv.Pause), faults_max=2, within_seconds=1.0, for_seconds_max=0.5
    )

    @settings(database=None, derandomize=True)
    @given(drawn)
    def holds(episodes: kv.Schedule) -> None:
        assert len(episodes) <= 2
        for episode in episodes:
            assert isinstance(episode.fault, kv.Pause)
            assert 0 <= episode.at_seconds <= 1.0
            assert 0 <= episode.for_seconds <= 0.5

    holds()


@given(kv.topologies(members=(4,)))
def test_a_topology_has_a_size_that_was_asked_for(topology: kv.Topology) -> None:
    assert topology.members == 4
    assert topology.loss == 0


def test_what_is_no_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no kinds of faults"):
        kv.faults(kv.Topology)  # type: ignore[arg-type]


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (kv.Topology, {"members": 0}, "`members` must be 1 to 7"),
    (kv.Topology, {"seed": -1}, "`seed`"),
    (kv.Topology, {"loss": 0.9}, "`loss`"),
    (kv.Topology, {"snapshot_count": -1}, "`snapshot_count`"),
    (kv.Crash, {"member": -1}, '`member` must be a position .* or "leader", not -1'),
    (kv.Pause, {"member": "follower"}, "not 'follower'"),
    (kv.CrashAtPoint, {"member": 0, "point": "wal flush"}, "must be one of .*wal sync"),
    (kv.CrashAtPoint, {"member": 0, "point": "wal sync", "passes": 0}, "`passes`"),
    (kv.CrashAtPoint, {"member": 0, "point": "wal sync", "others": 7}, "`others`"),
    (kv.CutOneWay, {"member": 0, "way": "both"}, '"out" or "in"'),
    (kv.Loss, {"share": 1.1}, "`share`"),
    (kv.Delay, {"seconds_max": float("inf")}, "`seconds_max` must be a time"),
    (kv.SlowDisk, {"member": 0, "sync_seconds": -1.0}, "`sync_seconds`"),
    (kv.BrokenDisk, {"member": 0, "syncs_until_error": 0}, "`syncs_until_error`"),
    (kv.Episode, {"at_seconds": -1.0, "for_seconds": 0.0, "fault": kv.PowerCut()}, "`at_seconds`"),
    (
        kv.Episode,
        {"at_seconds": 0.0, "for_seconds": float("nan"), "fault": kv.PowerCut()},
        "`for_seconds`",
    ),
    (kv.Episode, {"at_seconds": 0.0, "for_seconds": 0.0, "fault": "crash"}, "`fault` must be one"),
]


@pytest.mark.parametrize(("kind", "fields", "text"), REFUSED)
def test_what_cannot_be_is_refused(
    kind: type[msgspec.Struct], fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        kind(**fields)


# ---------------------------------------------------------------------- in a cluster


def links_of(fault: kv.Fault, size: int) -> set[tuple[int, int]]:
    """Which ways a cut of members takes, by their positions."""
    cluster = SimulatedCluster(1, size=size)
    fault_there = injection.prepare(fault, cluster)
    fault_there.begin()
    positions = range(size)
    ids = [member.member_id for member in cluster.members]
    cut = {(a, b) for a in positions for b in positions if cluster.network.is_cut((ids[a], ids[b]))}
    fault_there.end()
    assert not any(cluster.network.is_cut((a, b)) for a in ids for b in ids)
    return cut


def test_cuts_take_the_ways_they_are_named_after() -> None:
    assert links_of(kv.CutOff(member=1), 3) == {(1, 0), (0, 1), (1, 2), (2, 1)}
    assert links_of(kv.CutOneWay(member=1, way="out"), 3) == {(1, 0), (1, 2)}
    assert links_of(kv.CutOneWay(member=1, way="in"), 3) == {(0, 1), (2, 1)}
    assert links_of(kv.CutBetween(member=2), 3) == {(2, 0), (0, 2)}
    assert links_of(kv.CutBetween(member=2, is_one_way=True), 3) == {(2, 0)}
    here, there = (4, 0), (1, 2, 3)
    both = {(a, b) for a in here for b in there}
    assert links_of(kv.Split(member=4), 5) == both | {(b, a) for a, b in both}


@given(st.integers(0, 20), st.sampled_from([1, 3, 5]))
def test_positions_are_counted_round(position: int, size: int) -> None:
    cluster = SimulatedCluster(1, size=size)
    members = injection.members_from(cluster, position)
    assert members[0] is cluster.members[position % size]
    assert {id(member) for member in members} == {id(member) for member in cluster.members}


def test_without_a_leader_the_first_member_is_meant() -> None:
    cluster = SimulatedCluster(1)
    assert injection.members_from(cluster, "leader")[0] is cluster.members[0]
