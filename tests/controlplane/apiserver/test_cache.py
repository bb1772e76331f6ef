"""The cache, and watches of it, against a list of dicts (kube-behaviour 2.4, 2.5, 2.7).

Every change exactly once and in order, selectors entered and left, from any revision on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import selectors
from controlplane.apiserver import cache as cache_module
from controlplane.apiserver.cache import Change, ObjectCache, ResourceCache
from controlplane.apiserver.incoming import target_of
from controlplane.apiserver.selection import Form, Selection, index_of, selection_of
from controlplane.apiserver.watches import Watcher
from tests.controlplane.apiserver.asked import incoming
from tests.controlplane.kinds import WIDGETS

PREFIX = "/registry/example.com/widgets/"
START = 100
"""The revision of the first list."""


class Step(msgspec.Struct, frozen=True):
    """A write of an object of a namespace; None: it is deleted."""

    namespace: str
    name: str
    color: str | None
    size: int = 0

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.namespace}/{self.name}"


def widget(step: Step) -> dict[str, Any]:
    labels = {"color": step.color} if step.color else {}
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": step.name, "namespace": step.namespace, "labels": labels},
        "spec": {"size": step.size},
    }


def at(found: dict[str, Any], revision: int) -> dict[str, Any]:
    return {**found, "metadata": {**found["metadata"], "resourceVersion": str(revision)}}


def new_cache() -> ObjectCache:
    index = index_of(msgspec.structs.replace(WIDGETS, field_labels=("spec.size",)))
    made = ObjectCache(lambda group, plural: index, "/registry/")
    made.loaded(START)
    return made


def feed(made: ObjectCache, batches: Sequence[Sequence[Step]]) -> None:
    revision = made.revision
    for batch in batches:
        changes = []
        for step in batch:
            revision += 1
            value = None if step.color is None else orjson.dumps(widget(step))
            changes.append((step.key, value, revision))
        made.apply(changes, revision)


def selection(query: str = "", namespace: str = "") -> Selection:
    place = f"namespaces/{namespace}/" if namespace else ""
    asked = incoming("GET", f"/apis/example.com/v1/{place}widgets", query)
    target = target_of("GET", asked.path, asked.query)
    assert target is not None
    kind = msgspec.structs.replace(WIDGETS, field_labels=("spec.size",))
    return selection_of(kind, target, asked)


def watcher(chosen: Selection, revision: int, form: str = "json") -> Watcher:
    return Watcher(WIDGETS, chosen, Form(form), now=lambda: 0.0, revision=revision)


def events(framed: bytes) -> list[Any]:
    """Chunks of HTTP are cut as a client cuts them."""
    found, rest = [], framed
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunk, rest = rest[: int(size, 16)], rest[int(size, 16) :]
        assert rest.startswith(b"\r\n")
        rest = rest[2:]
        assert chunk.endswith(b"\n")
        found.append(orjson.loads(chunk))
    return found


# ------------------------------------------------------------------------- the model


class Model:
    """What a client must be told, from a list of all writes."""

    def __init__(self, batches: Sequence[Sequence[Step]]) -> None:
        self.writes: list[tuple[int, Step, dict[str, Any] | None]] = []
        now: dict[str, tuple[int, dict[str, Any]]] = {}
        for revision, step in enumerate((s for batch in batches for s in batch), START + 1):
            before = now.get(step.key)
            if step.color is not None:
                now[step.key] = (revision, widget(step))
            elif now.pop(step.key, None) is None:
                continue
            self.writes.append((revision, step, None if before is None else before[1]))

    def told(self, colors: str, namespace: str, after: int) -> Iterator[dict[str, Any]]:
        """Events of a watch of some colors (empty: all) and a namespace (empty: all)."""

        def is_chosen(found: dict[str, Any] | None) -> bool:
            if found is None or namespace not in ("", found["metadata"]["namespace"]):
                return False
            return not colors or found["metadata"]["labels"].get("color") in colors.split(",")

        for revision, step, before in self.writes:
            if revision <= after:
                continue
            new = None if step.color is None else widget(step)
            was, is_now = is_chosen(before), is_chosen(new)
            if was and not is_now:
                assert before is not None
                yield {"type": "DELETED", "object": at(before, revision)}
            elif is_now:
                assert new is not None
                yield {"type": "MODIFIED" if was else "ADDED", "object": at(new, revision)}


_STEPS = st.builds(
    Step,
    namespace=st.sampled_from(("a", "ab", "b")),
    name=st.sampled_from(("x", "y")),
    color=st.sampled_from((None, "red", "blue", "green")),
    size=st.integers(0, 2),
)
_BATCHES = st.lists(st.lists(_STEPS, max_size=3), max_size=8)
_COLORS = st.sampled_from(("", "red", "red,blue"))


def _query(colors: str) -> str:
    return f"labelSelector=color+in+({colors})" if colors else ""


@given(_BATCHES, _COLORS, st.sampled_from(("", "a", "b")), st.data())
def test_a_watch_gets_every_change_once_and_in_order(
    batches: list[list[Step]], colors: str, namespace: str, data: st.DataObject
) -> None:
    """2.4. Begun at any moment, from any revision; what it missed and what comes join up."""
    made = new_cache()
    begun = data.draw(st.integers(0, len(batches)), label="batches before the watch")
    feed(made, batches[:begun])
    after = data.draw(st.integers(START, made.revision), label="revision it goes on from")
    of_widgets = made.of("example.com", "widgets")
    watching = watcher(selection(_query(colors), namespace), after)
    missed = of_widgets.since(after)
    assert missed is not None
    got = [watching.step(missed, made.revision)]
    of_widgets.subscribe(lambda changes, at: got.append(watching.step(changes, at)))
    feed(made, batches[begun:])
    told = [event for framed in got for event in events(framed)]
    assert told == list(Model(batches).told(colors, namespace, after))


@given(_BATCHES, _COLORS, st.integers(0, 8))
def test_who_begins_with_what_there_is_ends_with_what_there_is(
    batches: list[list[Step]], colors: str, begun: int
) -> None:
    """2.4: synthetic ADDED first, then changes: an informer's state is the store's."""
    made = new_cache()
    feed(made, batches[:begun])
    of_widgets, chosen = made.of("example.com", "widgets"), selection(_query(colors))
    watching = watcher(chosen, made.revision)
    got = [watching.initial([one for one in of_widgets.scan(PREFIX) if chosen.matches(one)])]
    of_widgets.subscribe(lambda changes, at: got.append(watching.step(changes, at)))
    feed(made, batches[begun:])
    state: dict[tuple[str, str], Any] = {}
    for event in (event for framed in got for event in events(framed)):
        metadata = event["object"]["metadata"]
        place = (metadata["namespace"], metadata["name"])
        assert (place in state) is (event["type"] != "ADDED")
        if event["type"] == "DELETED":
            del state[place]
        else:
            state[place] = event["object"]
    there = [orjson.loads(one.raw) for one in of_widgets.scan(PREFIX) if chosen.matches(one)]
    assert sorted(state.values(), key=orjson.dumps) == sorted(there, key=orjson.dumps)


@given(_BATCHES)
def test_the_cache_has_what_was_written_last(batches: list[list[Step]]) -> None:
    made = new_cache()
    feed(made, batches)
    last: dict[str, Any] = {}
    for revision, step in enumerate((s for batch in batches for s in batch), START + 1):
        last.pop(step.key, None)
        if step.color is not None:
            last[step.key] = at(widget(step), revision)
    of_widgets = made.of("example.com", "widgets")
    found = {entry.key: orjson.loads(entry.raw) for entry in of_widgets.scan("")}
    assert found == last
    assert list(found) == sorted(last)
    assert len(of_widgets) == len(last)


@given(_BATCHES, st.integers(1, 6))
def test_forgotten_changes_are_never_taken_for_none(batches: list[list[Step]], kept: int) -> None:
    """2.7. `since` gives all or says that it cannot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "RECENT_COUNT_MAX", kept)
        made = new_cache()
        feed(made, batches)
    of_widgets = made.of("example.com", "widgets")
    writes = [revision for revision, _, _ in Model(batches).writes]
    for after in range(START - 1, made.revision + 2):
        found = of_widgets.since(after)
        if found is not None:
            assert [change.revision for change in found] == [r for r in writes if r > after]
        else:
            assert after < of_widgets.first_revision
    # What is remembered is as much as may be.
    assert len(of_widgets.since(of_widgets.first_revision) or ()) == min(kept, len(writes))


# ------------------------------------------------------------------------- examples


def test_scans_keep_to_their_prefix_and_go_on_behind_a_key() -> None:
    made = new_cache()
    names = [("a", "x"), ("a", "y"), ("ab", "x"), ("b", "x")]
    feed(made, [[Step(namespace, name, "red") for namespace, name in names]])
    of_widgets = made.of("example.com", "widgets")
    keys = [entry.key.removeprefix(PREFIX) for entry in of_widgets.scan(f"{PREFIX}a/")]
    assert keys == ["a/x", "a/y"]
    later = of_widgets.scan(PREFIX, after=f"{PREFIX}a/y")
    assert [entry.key.removeprefix(PREFIX) for entry in later] == ["ab/x", "b/x"]


def test_a_deletion_of_what_nobody_knew_is_no_change() -> None:
    made, told = new_cache(), []
    made.of("example.com", "widgets").subscribe(lambda changes, at: told.append(changes))
    feed(made, [[Step("a", "x", None)]])
    assert told == []
    assert made.revision == START + 1


def test_the_last_state_of_a_deleted_object_has_the_revision_of_the_deletion() -> None:
    """2.4; also where the object itself speaks of resourceVersions."""
    made = new_cache()
    value = widget(Step("a", "x", "red"))
    value["spec"] = {"text": '"resourceVersion":"101"', "resourceVersion": "101"}
    made.apply([(f"{PREFIX}a/x", orjson.dumps(value), 101)], 101)
    made.apply([(f"{PREFIX}a/x", None, 105)], 105)
    changes = made.of("example.com", "widgets").since(101)
    assert changes is not None
    (change,) = changes
    assert change.is_deletion
    assert orjson.loads(change.new.raw) == at(value, 105)


def test_an_ended_subscription_hears_nothing() -> None:
    made, told = new_cache(), list[Sequence[Change]]()
    end = made.of("example.com", "widgets").subscribe(lambda changes, at: told.append(changes))
    feed(made, [[Step("a", "x", "red")]])
    end()
    end()
    feed(made, [[Step("a", "x", "blue")]])
    assert len(told) == 1


def test_a_subscriber_may_end_itself_or_another_while_it_is_told() -> None:
    made, told = new_cache(), list[str]()
    of_widgets = made.of("example.com", "widgets")

    def first(changes: Sequence[Change], revision: int) -> None:
        told.append("first")
        end_first()

    end_first = of_widgets.subscribe(first)
    of_widgets.subscribe(lambda changes, at: told.append("second"))
    feed(made, [[Step("a", "x", "red")], [Step("a", "x", "blue")]])
    assert told == ["first", "second", "second"]


def test_whoever_is_told_of_a_batch_finds_all_of_it() -> None:
    made, seen = new_cache(), []
    of_widgets = made.of("example.com", "widgets")
    of_widgets.subscribe(lambda changes, at: seen.append((len(of_widgets), at, made.revision)))
    feed(made, [[Step("a", "x", "red"), Step("a", "y", "red")]])
    assert seen == [(2, START + 2, START + 2)]


def test_resources_do_not_hear_of_each_other() -> None:
    made, told = new_cache(), []
    made.of("example.com", "gadgets").subscribe(lambda changes, at: told.append(changes))
    feed(made, [[Step("a", "x", "red")]])
    assert told == []
    assert list(made.of("example.com", "gadgets").scan("")) == []
    assert made.of("example.com", "gadgets").since(START) == []


def test_the_core_group_has_a_name_in_keys() -> None:
    made = new_cache()
    made.apply([("/registry/core/pods/a/x", orjson.dumps(widget(Step("a", "x", "red"))), 101)], 101)
    assert made.of("", "pods").get("/registry/core/pods/a/x") is not None


def test_progress_without_changes_moves_the_revision_and_never_back() -> None:
    made = new_cache()
    made.apply([], 150)
    made.apply([], 120)
    assert made.revision == 150


def test_what_was_there_first_is_no_change() -> None:
    made = ObjectCache(lambda group, plural: index_of(None), "/registry/")
    made.load(f"{PREFIX}a/x", orjson.dumps(widget(Step("a", "x", "red"))), 40)
    made.loaded(START)
    of_widgets = made.of("example.com", "widgets")
    assert of_widgets.since(START) == []
    assert of_widgets.since(START - 1) is None
    (entry,) = of_widgets.scan("")
    assert orjson.loads(entry.raw)["metadata"]["resourceVersion"] == "40"
    # A resource that nobody has asked for yet begins at the same revision.
    assert made.of("example.com", "gadgets").since(START - 1) is None


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"{", b"5", b"[]", b"null", b"{}", b"\xff\xfe", b"k8s:enc:aesgcm:v1:x:garbage"),
        *(b'{"metadata":5}', b'{"metadata":{"labels":7}}', b'{"kind":"x"}', b'{"metadata": {}}'),
    ],
)
def test_what_is_no_object_is_left_out_and_told(value: bytes) -> None:
    told: list[str] = []
    made = ObjectCache(
        lambda group, plural: index_of(None), "/registry/", lambda key, why: told.append(key)
    )
    key, good = f"{PREFIX}a/x", f"{PREFIX}a/y"
    made.load(key, value, 40)
    made.loaded(START)
    seen: list[tuple[str, bool]] = []
    of_widgets = made.of("example.com", "widgets")
    of_widgets.subscribe(
        lambda changes, at: seen.extend((c.new.key, c.is_deletion) for c in changes)
    )
    whole = orjson.dumps(widget(Step("a", "x", "red")))
    made.apply([(key, value, 101), (good, whole, 102)], 102)
    made.apply([(key, whole, 103)], 103)
    made.apply([(key, value, 104)], 104)  # what was readable is gone for us
    assert seen == [(good, False), (key, False), (key, True)]
    assert told == [key, key, key]
    assert [entry.key for entry in of_widgets.scan("")] == [good]


@pytest.mark.parametrize("key", ["/registry/x", "/registry/", "/other/a/b/c", "", "/registry/a/b"])
def test_a_key_that_is_no_objects_is_passed_over(key: str) -> None:
    made = new_cache()
    made.load(key, b"x", 3)
    made.apply([(key, b"x", 101)], 101)
    assert made.revision == 101


def test_selectors_follow_a_new_index() -> None:
    """11.7: selectableFields of a definition that has changed."""
    fields: list[tuple[str, ...]] = [()]

    def index(group: str, plural: str) -> cache_module.Index:
        return index_of(msgspec.structs.replace(WIDGETS, field_labels=fields[0]))

    made = ObjectCache(index, "/registry/")
    made.loaded(START)
    feed(made, [[Step("a", "x", "red", 5)]])
    (entry,) = made.of("example.com", "widgets").scan("")
    assert "spec.size" not in entry.fields
    fields[0] = ("spec.size",)
    made.reindex("example.com", "widgets")
    assert entry.fields["spec.size"] == "5"
    made.reindex("example.com", "unknown")


def test_memory_for_changes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "RECENT_BYTES_MAX", 2_000)
    made = new_cache()
    feed(made, [[Step("a", "x", "red", size)] for size in range(100)])
    kept = made.of("example.com", "widgets").since(START + 99)
    assert kept is not None
    first = made.of("example.com", "widgets").first_revision
    remembered = made.of("example.com", "widgets").since(first) or ()
    assert 0 < sum(len(change.new.raw) for change in remembered) <= 2_000


def test_an_object_that_is_not_in_the_cache_can_be_looked_at() -> None:
    cache = ResourceCache(index_of(None), 0)
    raw = orjson.dumps(at(widget(Step("a", "x", "red")), 7))
    entry = cache.look_at(raw)
    assert (entry.revision, entry.labels) == (7, {"color": "red"})
    assert selectors.parse_labels("color=red").matches(entry.labels)
    assert selection("labelSelector=color%3Dred", "a").matches(entry)
