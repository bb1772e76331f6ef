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
from controlplane.api.errors import UnreadableError
from controlplane.apiserver import cache as cache_module
from controlplane.apiserver import recent
from controlplane.apiserver.cache import ObjectCache, ResourceCache
from controlplane.apiserver.incoming import target_of
from controlplane.apiserver.recent import Change
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
    got = list(watching.initial(of_widgets.snapshot(PREFIX)))
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
        patch.setattr(recent, "RECENT_COUNT_MAX", kept)
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
def test_what_is_no_object_is_noted_and_told_to_nobody(value: bytes) -> None:
    told: list[str] = []
    made = ObjectCache(
        lambda group, plural: index_of(None), "/registry/", lambda error: told.append(error.key)
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
    assert of_widgets.broken(key) is not None
    assert [found for found, _ in of_widgets.unreadable(PREFIX)] == [key]
    assert list(of_widgets.unreadable(f"{PREFIX}b/")) == []
    made.apply([(key, whole, 103)], 103)
    assert of_widgets.broken(key) is None
    made.apply([(key, value, 104)], 104)
    assert seen == [(good, False), (key, False)], "what cannot be read is no event"
    assert told == [key, key, key]
    assert [entry.key for entry in of_widgets.scan("")] == [good]


def test_who_watches_keeps_the_last_that_was_readable_until_it_is_again_or_is_gone() -> None:
    """2.4. It is not deleted because nobody can read it."""
    made = new_cache()
    watching, got = watcher(selection(), START), list[bytes]()
    made.of("example.com", "widgets").subscribe(
        lambda changes, at: got.append(watching.step(changes, at))
    )
    keys = [f"{PREFIX}a/{name}" for name in ("x", "y", "z")]
    for revision, key in enumerate(keys[:2], START + 1):
        value = orjson.dumps(widget(Step("a", key[-1], "red", revision)))
        made.apply([(key, value, revision)], revision)
    for revision, key in enumerate(keys, START + 3):
        broken = UnreadableError("no key", key)
        made.apply([(key, broken, revision)], revision)
    made.apply([(keys[0], orjson.dumps(widget(Step("a", "x", "red", 9))), START + 6)], START + 6)
    for revision, key in enumerate(keys[1:], START + 7):  # nobody ever knew z
        made.apply([(key, None, revision)], revision)
    found = events(b"".join(got))
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in found] == [
        ("ADDED", "x"),
        ("ADDED", "y"),
        ("MODIFIED", "x"),
        ("DELETED", "y"),
    ]
    assert found[3]["object"]["spec"] == {"size": START + 2}, "its last known state"
    assert made.of("example.com", "widgets").unreadable_count == 0


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


@pytest.mark.parametrize("size", [10, 5_000])
def test_memory_for_changes_is_bounded_by_all_that_they_hold(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Old states, and what was encoded in each form for those who watch, count as well."""
    monkeypatch.setattr(recent, "RECENT_BYTES_MAX", 100_000)
    made = new_cache()
    of_widgets = made.of("example.com", "widgets")
    watching = [watcher(selection(), START, form) for form in ("json", "metadata", "table")]

    def hear(changes: Sequence[Change], revision: int) -> None:
        for one in watching:
            one.step(changes, revision)

    of_widgets.subscribe(hear)
    found = widget(Step("a", "x", "red"))
    for number in range(300):
        found["spec"] = {"text": "x" * size, "size": number}
        made.apply([(f"{PREFIX}a/x", orjson.dumps(found), START + 1 + number)], START + 1 + number)
    kept = of_widgets.since(of_widgets.first_revision)
    assert kept
    held = {
        id(raw): len(raw) for one in kept for raw in (one.new.raw, (one.old and one.old.raw) or b"")
    }
    held |= {id(line): len(line) for one in kept for line in one._encoded.values()}
    encoded_last = sum(map(len, kept[-1]._encoded.values()))
    assert len(kept[-1]._encoded) >= 2
    assert sum(held.values()) <= of_widgets.recent_bytes <= 100_000 + encoded_last
    # Each is counted once as it comes and once as it goes.
    for change in kept:
        change.forgotten()
    assert of_widgets.recent_bytes == 0


@given(_BATCHES, st.integers(1, 4))
def test_changes_can_be_had_some_at_a_time_but_all_of_a_revision(
    batches: list[list[Step]], count_max: int
) -> None:
    made = new_cache()
    revision = START
    for batch in batches:  # a batch is one Txn: all of it has one revision
        revision += 1
        values = {s.key: None if s.color is None else orjson.dumps(widget(s)) for s in batch}
        made.apply([(key, value, revision) for key, value in values.items()], revision)
    of_widgets = made.of("example.com", "widgets")
    whole, at_once = of_widgets.since(START), list[Change]()
    position = START
    while some := of_widgets.since(position, count_max):
        assert {one.revision for one in at_once}.isdisjoint(one.revision for one in some)
        at_once += some
        position = some[-1].revision
    assert at_once == whole


def test_an_object_that_is_not_in_the_cache_can_be_looked_at() -> None:
    cache = ResourceCache(index_of(None), 0)
    raw = orjson.dumps(at(widget(Step("a", "x", "red")), 7))
    entry = cache.look_at(raw)
    assert (entry.revision, entry.labels) == (7, {"color": "red"})
    assert selectors.parse_labels("color=red").matches(entry.labels)
    assert selection("labelSelector=color%3Dred", "a").matches(entry)
