"""The indexer against a dict."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.indexer import Indexer, Key

KEYS = st.builds(Key, st.sampled_from(["", "n", "m"]), st.sampled_from("abc"))
OBJECTS = st.lists(st.sampled_from("xyz"), max_size=3)


def _values(obj: list[str]) -> list[str]:
    return obj


@given(st.lists(st.tuples(KEYS, st.none() | OBJECTS)), st.integers(0, 5))
def test_indexes_find_what_a_search_finds(
    steps: list[tuple[Key, list[str] | None]], late: int
) -> None:
    indexer: Indexer[list[str]] = Indexer({"letters": _values})
    model: dict[Key, list[str]] = {}
    for count, (key, obj) in enumerate(steps):
        if count == late:
            indexer.add_index("late", _values)
        if obj is None:
            assert indexer.remove(key) == model.pop(key, None)
        else:
            assert indexer.put(key, obj) == model.get(key)
            model[key] = obj
        assert indexer.get(key) == model.get(key)
    assert indexer.sorted_keys() == sorted(model)
    assert len(indexer) == len(model)
    assert indexer.list() == [model[key] for key in sorted(model)]
    assert indexer.list("n") == [model[key] for key in sorted(model) if key.namespace == "n"]
    for letter in "xyz":
        found = [model[key] for key in sorted(model) if letter in model[key]]
        assert indexer.by_index("letters", letter) == found
        if len(steps) > late:
            assert indexer.by_index("late", letter) == found
