"""Sets of completion indexes. Numbers are rows of kube-behaviour.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.controllers.indexes import Indexes, parse

sets = st.frozensets(st.integers(0, 40))


@pytest.mark.parametrize(
    ("indexes", "text"),
    [((), ""), ((0, 1, 2, 5), "0-2,5"), ((3, 4), "3,4"), ((1, 3, 4, 5, 7), "1,3-5,7")],
)
def test_three_in_a_row_are_written_as_first_and_last(indexes: tuple[int, ...], text: str) -> None:
    """4.12."""
    found = Indexes().adding(indexes)
    assert found.text == text
    assert parse(text, 100) == found


@given(sets, sets, st.integers(0, 45))
def test_they_are_sets(mine: frozenset[int], theirs: frozenset[int], end: int) -> None:
    found, other = Indexes().adding(mine), Indexes().adding(theirs)
    assert len(found) == len(mine)
    assert {index for index in range(45) if index in found} == mine
    assert found.adding(theirs) == found.joined(other) == Indexes().adding(mine | theirs)
    assert found.count_of(other) == len(mine & theirs)
    assert parse(found.text, end) == Indexes().adding(index for index in mine if index < end)
    assert list(found.missing(end, theirs)) == sorted(set(range(end)) - mine - theirs)


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "-1", "1,,2", "1-2-3"])
def test_what_is_no_set_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no span"):
        parse(text, 10)
