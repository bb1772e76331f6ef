"""2.12: metadata.generation counts what is wanted, by one rule for all who write."""

import msgspec

from controlplane.api import generation
from controlplane.api.resource import Object
from tests.controlplane.kinds import WIDGETS

PLAIN = msgspec.structs.replace(WIDGETS, has_generation=False)
CUSTOM = msgspec.structs.replace(
    WIDGETS, has_generation=False, is_custom=True, subresources=("status",)
)


def an_object(generation: int | None = 4, **fields: object) -> Object:
    metadata = {"name": "a"} | ({} if generation is None else {"generation": generation})
    return {"metadata": metadata, **fields}


def test_a_new_object_is_its_first_generation_where_its_kind_counts() -> None:
    """2.12."""
    assert generation.of_new(WIDGETS) == generation.of_new(CUSTOM) == 1
    assert generation.of_new(PLAIN) is None


def test_only_another_spec_counts_whatever_the_writer_says() -> None:
    """2.12."""
    old = an_object(spec={"a": 1})
    assert generation.of_changed(WIDGETS, an_object(9, spec={"a": 1}, status={}), old) == 4
    assert generation.of_changed(WIDGETS, an_object(9, spec={"a": 2}), old) == 5
    assert generation.of_changed(PLAIN, an_object(9, spec={"a": 2}), old) == 4


def test_who_was_never_counted_begins_at_none() -> None:
    """2.12."""
    old = an_object(None, spec={})
    assert generation.of_changed(WIDGETS, an_object(spec={}), old) == 0
    assert generation.of_changed(WIDGETS, an_object(spec={"a": 1}), old) == 1
    assert generation.of_changed(PLAIN, an_object(spec={"a": 1}), old) is None


def test_null_is_not_the_same_as_nothing_in_a_custom_resource() -> None:
    """2.12. Kubernetes compares them as they are; only its own types cannot tell the two apart."""
    assert generation.of_changed(CUSTOM, an_object(data=None), an_object()) == 5
    assert generation.of_changed(CUSTOM, an_object(status={"a": 1}), an_object()) == 4


def test_to_be_deleted_is_a_change_of_what_is_wanted() -> None:
    """2.12."""
    assert generation.of_doomed({"generation": 4}) == 5
    assert generation.of_doomed({}) is None
