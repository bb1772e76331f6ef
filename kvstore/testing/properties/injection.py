"""From drawn data to the faults of the simulation, in the cluster as it is at that moment."""

from random import Random
from typing import assert_never

from kvstore.testing.properties import schedule
from kvstore.testing.properties.schedule import Target
from kvstore.testing.simulation import faults
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.contest import ContestedElection
from kvstore.testing.simulation.last_copy import LastCopy
from kvstore.testing.simulation.late_ack import LateAck
from kvstore.testing.simulation.member import SimulatedMember
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Trap

Cutting = schedule.CutOff | schedule.CutOneWay | schedule.CutBetween | schedule.Split


def members_from(cluster: SimulatedCluster, target: Target) -> list[SimulatedMember]:
    """All members, the target first, then those at the next positions."""
    members = cluster.members
    if target == "leader":
        leader = cluster.leader()
        start = members.index(leader) if leader is not None else 0
    else:
        start = target % len(members)
    return members[start:] + members[:start]


def prepare(fault: schedule.Fault, cluster: SimulatedCluster) -> faults.Fault:
    """What `fault` is in this cluster; it has not begun yet. Changes of the membership are all
    the same thing: `Cluster.begin` makes them."""
    match fault:
        case schedule.PowerCut():
            return faults.Crash(list(cluster.members))
        case schedule.Loss():
            return faults.Loss(cluster.network, fault.share)
        case schedule.Delay():
            return faults.Delay(cluster.network, fault.seconds_max)
        case schedule.MembershipChanges():
            return faults.MembershipChange()
        case schedule.ContestedElection():
            return ContestedElection(Random(fault.seed), cluster, members_from(cluster, "leader"))
        case schedule.LastCopy():
            return LastCopy(Random(fault.seed), cluster, members_from(cluster, "leader"))
        case schedule.LateAck():
            return LateAck(Random(fault.seed), cluster, members_from(cluster, "leader"))
        case schedule.CutOff() | schedule.CutOneWay() | schedule.CutBetween() | schedule.Split():
            return _cut(fault, cluster)
        case _:
            return _of_member(fault, cluster)


OfMember = (
    schedule.Crash
    | schedule.CrashAtPoint
    | schedule.Pause
    | schedule.Stall
    | schedule.Reconnections
    | schedule.SlowDisk
    | schedule.BrokenDisk
)


def _of_member(fault: OfMember, cluster: SimulatedCluster) -> faults.Fault:
    member, *others = members_from(cluster, fault.member)
    match fault:
        case schedule.Crash():
            return faults.Crash([member])
        case schedule.CrashAtPoint():
            trap = Trap(fault.point, fault.passes, tuple(others[: fault.others]))
            return faults.CrashAtPoint(member, trap)
        case schedule.Pause():
            return faults.Pause(member)
        case schedule.Stall():
            out = _links([member], others)
            links = out if fault.way == "out" else _links(others, [member])
            return faults.Stall(cluster.network, (member,), links)
        case schedule.Reconnections():
            return faults.Reconnections(cluster.network, member, others)
        case schedule.SlowDisk():
            return faults.SlowDisk(member, fault.sync_seconds)
        case schedule.BrokenDisk():
            return faults.BrokenDisk(member, fault.syncs_until_error)
        case _:
            assert_never(fault)


def _cut(fault: Cutting, cluster: SimulatedCluster) -> faults.Fault:
    members = members_from(cluster, fault.member)
    here, there = members[:1], members[1:]
    match fault:
        case schedule.CutOff():
            kind, links = "cut off", _both_ways(here, there)
        case schedule.CutOneWay():
            out = fault.way == "out"
            kind, links = "cut one way", _links(here, there) if out else _links(there, here)
        case schedule.CutBetween():
            there = there[:1]  # all others go on seeing both
            pair = _links(here, there) if fault.is_one_way else _both_ways(here, there)
            kind, links, here = "cut between two", pair, here + there
        case schedule.Split():
            half = len(members) // 2
            here, there = members[:half], members[half:]
            kind, links = "split", _both_ways(here, there)
        case _:
            assert_never(fault)
    return faults.Cut(kind, cluster.network, here, links)


def _links(source: list[SimulatedMember], target: list[SimulatedMember]) -> list[Link]:
    return [(a.member_id, b.member_id) for a in source for b in target]


def _both_ways(here: list[SimulatedMember], there: list[SimulatedMember]) -> list[Link]:
    return _links(here, there) + _links(there, here)
