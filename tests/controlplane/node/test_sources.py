"""What pods are made of besides themselves."""

import pytest

from controlplane.node.sources import Issued

HOUR = 3_600.0
ISSUED = Issued("token", at=100_000.0, since=500.0)


@pytest.mark.parametrize(
    ("wall", "now", "is_good"),
    [
        (0.0, 0.0, True),
        (0.8 * HOUR - 1, 0.8 * HOUR - 1, True),
        (0.8 * HOUR, 0.8 * HOUR, False),
        (5 * HOUR, 1.0, False),  # set forward: by the clock of whoever is shown it, it has expired
        (-5 * HOUR, 1.0, False),  # set back: it was made in the future
        (0.1 * HOUR, 0.9 * HOUR, False),  # set back by less than it is old
    ],
)
def test_token_is_made_anew_when_a_clock_says_so(wall: float, now: float, is_good: bool) -> None:
    """11.2: at 80 % of its time."""
    assert ISSUED.is_good(100_000.0 + wall, 500.0 + now, 0.8 * HOUR) is is_good
