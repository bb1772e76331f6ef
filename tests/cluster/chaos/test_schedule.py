"""Who is killed when: bounded chance, the same for a seed."""

import random
from collections import Counter
from itertools import pairwise

from cluster.chaos.schedule import QUORUM_SECONDS, Kill, schedule

MEMBERS = ("m1", "m2", "m3")
VICTIMS = [*MEMBERS, *(f"c{number}" for number in range(10))]
TEN_MINUTES = 600.0


def kills(seed: int, victims: list[str] = VICTIMS, seconds: float = TEN_MINUTES) -> list[Kill]:
    return list(schedule(victims, frozenset(MEMBERS), seconds, random.Random(seed)))


def test_ten_minutes_are_two_hundred_kills_and_ten_of_each() -> None:
    """Issue 6, "Must show" 4."""
    for seed in range(50):
        counts = Counter(kill.victim for kill in kills(seed))
        assert counts.total() >= 200
        assert set(counts) == set(VICTIMS)
        assert min(counts.values()) >= 10
        assert max(counts.values()) - min(counts.values()) <= 2


def test_a_seed_gives_the_same_again_and_another_does_not() -> None:
    assert kills(1) == kills(1)
    assert kills(1) != kills(2)


def test_they_come_in_order_and_end_in_time() -> None:
    times = [kill.at for kill in kills(3, seconds=20)]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] <= 20


def test_members_fall_close_to_each_other_seldom_but_they_do() -> None:
    close, far = 0, 0
    for seed in range(50):
        at = [kill.at for kill in kills(seed) if kill.victim in MEMBERS]
        gaps = [later - sooner for sooner, later in pairwise(at)]
        close += sum(gap < QUORUM_SECONDS for gap in gaps)
        far += sum(gap >= QUORUM_SECONDS for gap in gaps)
    assert 0 < close < far / 5


def test_members_alone_are_a_schedule_too() -> None:
    """There may be nobody else whose turn it is."""
    assert {kill.victim for kill in kills(1, list(MEMBERS), 60)} == set(MEMBERS)
