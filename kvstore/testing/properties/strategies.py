"""Hypothesis strategies for clusters, for what goes wrong in them, and for calls on keys.

All yield frozen data. They shrink to three members and no faults; else to few faults that begin
early, end soon and are about the first member.
"""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvstore.server.points import POINTS, is_frequent
from kvstore.testing.properties import calls, schedule
from kvstore.testing.properties.calls import Step
from kvstore.testing.properties.schedule import Episode, Fault, Schedule, Target, Topology

_SIZES = (3, 5)
_SEED_MAX = 2**16 - 1
_SNAPSHOT_COUNT_MAX = 40  # entries; few, so that followers that lag need snapshots
_TARGETS: tuple[Target, ...] = (0, 1, 2, 3, "leader")  # of three, the member 3 is the first again
_OTHERS_MAX = 4
_SHARE_MAX = 0.3
_DELAY_SECONDS_MAX = 0.5  # half a shortest election timeout
_SYNC_SECONDS_MAX = 1.0
_SYNCS_UNTIL_ERROR_MAX = 6
_PASSES_MAX = 12
_WAIT_SECONDS_MAX = 2.0
_TTL_SECONDS_MAX = 5
_VALUES = tuple(b"%d" % number for number in range(5))  # few, so that a compare often holds


def topologies(
    *, members: Sequence[int] = _SIZES, loss_max: float = 0.0
) -> SearchStrategy[Topology]:
    """Clusters of one of these sizes; `loss_max`: the largest share of frames that vanishes."""
    lossy = {"loss": _hundredths(loss_max)} if loss_max else {}
    return st.builds(
        Topology,
        members=st.sampled_from(members),
        seed=st.integers(0, _SEED_MAX),
        snapshot_count=st.integers(0, _SNAPSHOT_COUNT_MAX),
        **lossy,
    )


def targets() -> SearchStrategy[Target]:
    """A member: by its position, or whoever leads."""
    return st.sampled_from(_TARGETS)


def faults(*kinds: type[Fault]) -> SearchStrategy[Fault]:
    """A fault of one of these kinds, or of any. Raises ValueError for what is no kind of fault."""
    unknown = [kind for kind in kinds if kind not in _FAULTS]
    if unknown:
        raise ValueError(f"no kinds of faults: {unknown}; there are {list(_FAULTS)}")
    return st.one_of([_FAULTS[kind] for kind in kinds or _FAULTS])


def fault_schedules(
    fault: SearchStrategy[Fault] | None = None,
    *,
    faults_max: int = 5,
    within_seconds: float = 5.0,
    for_seconds_max: float = 5.0,
) -> SearchStrategy[Schedule]:
    """Faults with their times, counted from when the application begins.

    fault            what can go wrong (default: `faults()`)
    faults_max       how many at most
    within_seconds   when they begin, at the latest
    for_seconds_max  how long each lasts, at the longest
    """
    episode = st.builds(
        Episode,
        # Often early: what an application does first is what every run reaches.
        at_seconds=_seconds(within_seconds / 10) | _seconds(within_seconds),
        for_seconds=_seconds(for_seconds_max),
        fault=faults() if fault is None else fault,
    )
    return st.lists(episode, max_size=faults_max).map(tuple)


def keys(names: Sequence[bytes] = (b"a", b"b")) -> SearchStrategy[bytes]:
    """One of few keys, so that calls meet."""
    return st.sampled_from(names)


def values() -> SearchStrategy[bytes]:
    """One of few values, so that compares hold."""
    return st.sampled_from(_VALUES)


def operations(
    key: SearchStrategy[bytes] | None = None, value: SearchStrategy[bytes] | None = None
) -> SearchStrategy[Step]:
    """What a client does next: a call on a key, or nothing for a while.

    A script is a list of them, for `Cluster.record`: `st.lists(operations())`.
    """
    key = keys() if key is None else key
    value = values() if value is None else value
    ttl = st.integers(1, _TTL_SECONDS_MAX)
    return st.one_of(
        st.builds(calls.Get, key=key),
        st.builds(calls.Put, key=key, value=value),
        st.builds(calls.CompareAndSet, key=key, expected_value=st.none() | value, value=value),
        st.builds(calls.Delete, key=key),
        st.builds(calls.PutLeased, key=key, value=value, ttl_seconds=ttl),
        st.builds(calls.Wait, seconds=_seconds(_WAIT_SECONDS_MAX)),
    )


def _seconds(seconds_max: float) -> SearchStrategy[float]:
    """Whole milliseconds: they shrink well, and are short to read."""
    return st.integers(0, round(seconds_max * 1000)).map(lambda count: count / 1000)


def _hundredths(share_max: float, share_min: float = 0.0) -> SearchStrategy[float]:
    counts = st.integers(round(share_min * 100), round(share_max * 100))
    return counts.map(lambda count: count / 100)


_SEEDS = st.integers(0, _SEED_MAX)
_RARE_POINTS = tuple(point for point in POINTS if not is_frequent(point))
_FREQUENT_POINTS = tuple(point for point in POINTS if is_frequent(point))

_CRASHES_AT_POINTS = st.one_of(
    st.builds(
        schedule.CrashAtPoint,
        member=targets(),
        point=st.sampled_from(_FREQUENT_POINTS),
        passes=st.integers(1, _PASSES_MAX),
        others=st.integers(0, _OTHERS_MAX),
    ),
    st.builds(schedule.CrashAtPoint, member=targets(), point=st.sampled_from(_RARE_POINTS)),
)

# In the order in which they are simple: hypothesis shrinks to what comes first.
_FAULTS: dict[type[Fault], SearchStrategy[Fault]] = {
    schedule.Crash: st.builds(schedule.Crash, member=targets()),
    schedule.Pause: st.builds(schedule.Pause, member=targets()),
    schedule.CutOff: st.builds(schedule.CutOff, member=targets()),
    schedule.Loss: st.builds(schedule.Loss, share=_hundredths(_SHARE_MAX, share_min=0.01)),
    schedule.Delay: st.builds(schedule.Delay, seconds_max=_seconds(_DELAY_SECONDS_MAX)),
    schedule.PowerCut: st.builds(schedule.PowerCut),
    schedule.CrashAtPoint: _CRASHES_AT_POINTS,
    schedule.CutOneWay: st.builds(
        schedule.CutOneWay, member=targets(), way=st.sampled_from(("out", "in"))
    ),
    schedule.CutBetween: st.builds(schedule.CutBetween, member=targets(), is_one_way=st.booleans()),
    schedule.Split: st.builds(schedule.Split, member=targets()),
    schedule.Stall: st.builds(schedule.Stall, member=targets(), way=st.sampled_from(("out", "in"))),
    schedule.ContestedElection: st.builds(schedule.ContestedElection, seed=_SEEDS),
    schedule.LastCopy: st.builds(schedule.LastCopy, seed=_SEEDS),
    schedule.LateAck: st.builds(schedule.LateAck, seed=_SEEDS),
    schedule.Reconnections: st.builds(schedule.Reconnections, member=targets()),
    schedule.SlowDisk: st.builds(
        schedule.SlowDisk, member=targets(), sync_seconds=_seconds(_SYNC_SECONDS_MAX)
    ),
    schedule.BrokenDisk: st.builds(
        schedule.BrokenDisk,
        member=targets(),
        syncs_until_error=st.integers(1, _SYNCS_UNTIL_ERROR_MAX),
    ),
    schedule.MembershipChanges: st.builds(schedule.MembershipChanges),
}
