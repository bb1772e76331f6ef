"""4.3: shares of pods in a rolling update."""

import pytest

from controlplane.api import rollout


@pytest.mark.parametrize("value", [None, 0, "0%", "00%"])
def test_nothing_is_zero(value: object) -> None:
    assert rollout.is_zero(value)


@pytest.mark.parametrize("value", [1, "1%", "some"])
def test_something_is_not(value: object) -> None:
    assert not rollout.is_zero(value)


@pytest.mark.parametrize("value", [None, 7, 700, "100%", "0099%", "some"])
def test_a_share_is_at_most_all_and_a_count_is_no_share(value: object) -> None:
    assert list(rollout.at_most_all("f", value)) == []


@pytest.mark.parametrize("value", ["101%", "0101%", "9" * 5000 + "%"])
def test_more_than_all_is_refused_however_many_digits_it_has(value: str) -> None:
    """Python reads 4,300 digits of a number and no more."""
    [cause] = rollout.at_most_all("f", value)
    assert cause.message.endswith("must not be greater than 100%")
