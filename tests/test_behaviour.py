"""docs/behaviour.md says which tests name which behaviour, as they do now."""

from generators import behaviour, mutations


def test_the_page_is_as_the_tests_are() -> None:
    assert behaviour.TARGET.read_text() == behaviour.document(), "run scripts/behaviour"


def test_numbers_are_rows_only_where_nothing_else_may_be_meant() -> None:
    assert behaviour.named_in("rows 2.4, 11.7; 3.6. Not 1.33, 12.4, 2.4.1, 2.99 or 2.5%") == {
        "2.4",
        "11.7",
        "3.6",
    }


def test_every_number_of_the_rows_can_be_made_wrong() -> None:
    """Whether a test notices is asked by `scripts/behaviour --mutations`, which takes minutes."""
    numbers = mutations.all_numbers()
    assert [fault for number in numbers if (fault := mutations.misplaced(number))] == []
    assert len({number.row for number in numbers}) >= 35
