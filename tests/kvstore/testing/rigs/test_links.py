"""What becomes of a frame, by the dice alone."""

from random import Random

import pytest

from kvstore.errors import ConfigError
from kvstore.testing.rigs.links import GOOD, Faults


def _fates(faults: Faults, count: int = 2_000) -> list[tuple[float, ...]]:
    dice = Random(7)
    return [faults.delays(dice) for _ in range(count)]


def test_a_good_link_passes_each_frame_once_and_at_once() -> None:
    assert set(_fates(GOOD)) == {(0.0,)}


def test_a_cut_link_passes_nothing() -> None:
    assert set(_fates(Faults(cut=True, duplication=1.0, delay_seconds=1.0))) == {()}


def test_loss_is_the_share_that_is_lost() -> None:
    lost = sum(not fate for fate in _fates(Faults(loss=0.25)))
    assert 400 < lost < 600
    assert not any(_fates(Faults(loss=1.0)))


def test_duplication_is_the_share_that_leaves_twice() -> None:
    doubled = sum(len(fate) == 2 for fate in _fates(Faults(duplication=0.25)))
    assert 400 < doubled < 600
    assert all(len(fate) == 2 for fate in _fates(Faults(duplication=1.0)))


def test_jitter_comes_on_top_of_the_delay() -> None:
    delays = [seconds for (seconds,) in _fates(Faults(delay_seconds=2.0, jitter_seconds=0.5))]
    assert all(2.0 <= seconds <= 2.5 for seconds in delays)
    assert max(delays) - min(delays) > 0.4


def test_the_copies_of_a_frame_have_delays_of_their_own() -> None:
    fates = _fates(Faults(jitter_seconds=1.0, duplication=1.0))
    assert all(first != second for first, second in fates)


@pytest.mark.parametrize(
    ("faults", "word"),
    [
        (Faults(loss=1.5), "loss"),
        (Faults(loss=-0.1), "loss"),
        (Faults(duplication=float("nan")), "duplication"),
        (Faults(delay_seconds=-1), "delay"),
        (Faults(delay_seconds=float("inf")), "delay"),
        (Faults(jitter_seconds=3_600), "jitter"),
    ],
)
def test_what_no_link_can_do_is_refused(faults: Faults, word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word} is .*: give"):
        faults.check()
