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


def test_index_that_fails_for_an_object_does_not_find_it_and_harms_no_other() -> None:
    failed: list[tuple[str, Key, str]] = []
    indexer: Indexer[dict[str, object]] = Indexer(
        {"owner": lambda obj: [obj["owner"]], "name": lambda obj: ["any"]},  # type: ignore[list-item]
        lambda index, key, error: failed.append((index, key, type(error).__name__)),
    )
    good: dict[str, object] = {"owner": "x"}
    absent: dict[str, object] = {"size": 1}
    unhashable: dict[str, object] = {"owner": ["x"]}
    for name, obj in zip("abc", (good, absent, unhashable), strict=True):
        indexer.put(Key("n", name), obj)
    assert failed == [("owner", Key("n", "b"), "KeyError"), ("owner", Key("n", "c"), "TypeError")]
    assert indexer.by_index("owner", "x") == [good]
    assert indexer.by_index("name", "any") == indexer.list() == [good, absent, unhashable]
    indexer.put(Key("n", "b"), {"owner": "x", "size": 2})
    assert indexer.by_index("owner", "x") == [good, {"owner": "x", "size": 2}]
    for name in "abc":
        indexer.remove(Key("n", name))
    assert indexer.by_index("owner", "x") == indexer.by_index("name", "any") == indexer.list() == []
