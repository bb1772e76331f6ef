"""How a member takes its leave that the cluster has removed."""

import pytest

from kvstore.server import farewell


@pytest.mark.parametrize(
    ("election_seconds", "seconds"), [(0.05, 1.0), (1.0, 3.0), (9.0, 27.0), (49.0, 30.0)]
)
def test_it_stays_for_some_elections_and_not_for_minutes(
    election_seconds: float, seconds: float
) -> None:
    assert farewell.seconds(election_seconds) == seconds


def test_its_last_words_say_when_its_folder_may_go() -> None:
    words = str(farewell.error(0xAB))
    assert words.startswith("member ab was removed from the cluster for good.")
    assert "Keep its data folder until the others have a leader" in words
