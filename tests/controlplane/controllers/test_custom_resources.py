"""Names and ends of custom resources. Numbers are rows of kube-behaviour.md."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.resource import Object
from controlplane.controllers import custom_resource_cleanup, custom_resource_names
from controlplane.controllers.conditions import is_true
from controlplane.controllers.context import custom_resource
from controlplane.controllers.custom_resource_names import plan
from controlplane.objects import ObjectStore
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW, definition


def _at(made: Object, created: str) -> Object:
    return {**made, "metadata": {**made["metadata"], "creationTimestamp": created}}


def _settled(*definitions: Object) -> list[Object]:
    """The definitions once nothing changes any more."""
    found = {one["metadata"]["name"]: one for one in definitions}
    for _ in range(3):
        for one, status in plan(list(found.values()), (), NOW):
            name = one["metadata"]["name"]
            found[name] = {**one, "status": {**one["status"], **status}}
    assert plan(list(found.values()), (), NOW) == [], "it settles"
    return list(found.values())


def _said(made: Object) -> dict[str, tuple[str, str, str]]:
    return {
        one["type"]: (one["status"], one["reason"], one["message"])
        for one in made["status"]["conditions"]
    }


# ------------------------------------------------------------------------ the plan


def test_free_names_are_accepted_and_established() -> None:
    """11.7."""
    (made,) = _settled(definition("gears", "Gear", shortNames=["gr"], categories=["all"]))
    assert made["status"]["acceptedNames"] == made["spec"]["names"]
    assert made["status"]["storedVersions"] == ["v1"]
    assert _said(made) == {
        "NamesAccepted": ("True", "NoConflicts", "no conflicts found"),
        "Established": (
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    }


def test_second_kind_of_a_name_is_not_served() -> None:
    """11.7: NamesAccepted; who came first keeps the name."""
    first = _at(definition("zebras", "Horse"), "2023-01-01T00:00:00Z")
    second = _at(definition("horses", "Horse"), "2023-01-02T00:00:00Z")
    one, other = _settled(second, first)[::-1]
    assert is_true(one, "Established")
    assert not is_true(other, "Established")
    assert _said(other) == {
        "NamesAccepted": ("False", "ListKindConflict", '"HorseList" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    }
    assert other["status"]["acceptedNames"]["plural"] == "horses"


def test_short_name_that_is_taken_is_told() -> None:
    """11.7."""
    first = _at(definition("gears", "Gear", shortNames=["g"]), "2023-01-01T00:00:00Z")
    second = _at(definition("goats", "Goat", shortNames=["x", "g"]), "2023-01-02T00:00:00Z")
    _, other = _settled(first, second)
    assert _said(other)["NamesAccepted"] == (
        "False",
        "ShortNamesConflict",
        '"g" is already in use',
    )
    assert "shortNames" not in other["status"]["acceptedNames"]


def test_established_definition_stays_so_when_it_wants_a_taken_name() -> None:
    """11.7: what is served is not taken away."""
    first, second = _settled(definition("gears", "Gear"), definition("goats", "Goat"))
    names = {**second["spec"]["names"], "shortNames": ["gears"]}
    wanting = {**second, "spec": {**second["spec"], "names": names}}
    _, other = _settled(first, wanting)
    assert is_true(other, "Established")
    assert not is_true(other, "NamesAccepted")


_WORDS = st.sampled_from(["one", "two", "three"])


@given(
    st.lists(
        st.tuples(_WORDS, st.lists(_WORDS, max_size=2, unique=True)),
        max_size=4,
        unique_by=lambda told: told[0],
    )
)
def test_no_two_established_definitions_share_a_name(told: list[tuple[str, list[str]]]) -> None:
    """11.7."""
    made = [
        definition(f"{word}s", word.title(), shortNames=[short + "s" for short in shorts])
        for word, shorts in told
    ]
    taken = [_words(one["status"]["acceptedNames"]) for one in _settled(*made)]
    for position, words in enumerate(taken):
        for others in taken[:position]:
            assert not words & others


def _words(names: Mapping[str, Any]) -> set[str]:
    return {names["plural"], names.get("singular", ""), *names.get("shortNames", ())} - {""}


def test_definition_goes_when_its_objects_are_gone() -> None:
    """11.7."""
    metadata = {"name": "x", "deletionTimestamp": "t"}
    finalizers = ["customresourcecleanup.apiextensions.k8s.io", "example.com/other"]
    doomed: Object = {"metadata": {**metadata, "finalizers": finalizers}, "status": {}}
    assert custom_resource_cleanup.plan(doomed, 3, NOW)["metadata"] == doomed["metadata"]
    done = custom_resource_cleanup.plan(doomed, 0, NOW)
    assert done["metadata"]["finalizers"] == ["example.com/other"]
    assert _said(done)["Terminating"][:2] == ("False", "InstanceDeletionCompleted")


# ------------------------------------------------------------------ on real stores


async def test_definition_is_established_and_a_waiting_one_once_the_name_is_free(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.7: served within a second of its creation."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")

    async def is_established(plural: str) -> bool:
        return is_true(await store.get(definitions, "", f"{plural}.{group}"), "Established")

    async with cluster.running(
        custom_resource_names.controller, custom_resource_cleanup.controller
    ):
        await store.create(definitions, definition("gears", "Gear", group))
        await until(lambda: is_established("gears"))
        await store.create(definitions, definition("gearboxes", "Gear", group))

        async def is_refused() -> bool:
            found = await store.get(definitions, "", f"gearboxes.{group}")
            return bool(found["status"].get("conditions")) and not is_true(found, "NamesAccepted")

        await until(is_refused)
        assert not await is_established("gearboxes")
        await store.delete(definitions, "", f"gears.{group}")
        await until(lambda: is_established("gearboxes"))


async def test_deleted_definition_takes_its_objects_with_it(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.7: delete removes CRs (finalizer customresourcecleanup)."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")
    made = await store.create(definitions, definition("gears", "Gear", group))
    gears = custom_resource(made)
    assert gears is not None
    for number in range(20):
        metadata = {"name": f"g{number}", "namespace": f"{namespace}-{number % 3}"}
        await store.create(gears, {"metadata": metadata})
    held = {"name": "held", "namespace": namespace, "finalizers": ["example.com/hold"]}
    await store.create(gears, {"metadata": held})
    deletion = await store.delete(definitions, "", f"gears.{group}")
    assert not deletion.is_gone
    assert deletion.object["metadata"]["finalizers"] == [
        "customresourcecleanup.apiextensions.k8s.io"
    ]
    assert is_true(deletion.object, "Terminating")
    async with cluster.running(custom_resource_cleanup.controller):

        async def is_one_left() -> bool:
            return len((await store.list(gears)).raw) == 1

        await until(is_one_left)
        assert await cluster.find("customresourcedefinitions", "", f"gears.{group}") is not None
        await store.update(
            gears,
            namespace,
            "held",
            lambda old: {**old, "metadata": {**old["metadata"], "finalizers": []}},
        )

        async def is_gone() -> bool:
            return await cluster.find("customresourcedefinitions", "", f"gears.{group}") is None

        await until(is_gone)
    assert not (await store.list(gears)).raw


async def test_objects_go_with_a_definition_that_serves_nothing_any_more(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.7: they are stored all the same, and a definition of that name would serve them again."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")
    made = definition("gears", "Gear", group)
    gears = custom_resource(await store.create(definitions, made))
    assert gears is not None
    await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})

    def unserved(old: Object) -> Object:
        versions = [{**one, "served": False} for one in old["spec"]["versions"]]
        return {**old, "spec": {**old["spec"], "versions": versions}}

    await store.update(definitions, "", f"gears.{group}", unserved)
    await store.delete(definitions, "", f"gears.{group}")
    async with cluster.running(custom_resource_cleanup.controller):

        async def is_gone() -> bool:
            return await cluster.find("customresourcedefinitions", "", f"gears.{group}") is None

        await until(is_gone)
    assert not (await store.list(gears)).raw


async def test_definition_of_nobody_knows_which_objects_stays_and_says_so(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.7: Terminating; a stranger took the version in which they are stored away."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")
    made = definition("gears", "Gear", group)
    gears = custom_resource(made)
    assert gears is not None
    await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})
    await store.create(definitions, {**made, "spec": {**made["spec"], "versions": []}})
    await store.delete(definitions, "", f"gears.{group}")

    async def said() -> str:
        found = await store.get(definitions, "", f"gears.{group}")
        return _said(found)["Terminating"][1]

    async def is_told() -> bool:
        return await said() == "InstanceDeletionFailed"

    async with cluster.running(custom_resource_cleanup.controller):
        await until(is_told)
        await store.update(
            definitions, "", f"gears.{group}", lambda old: {**old, "spec": made["spec"]}
        )

        async def is_gone() -> bool:
            return await cluster.find("customresourcedefinitions", "", f"gears.{group}") is None

        await until(is_gone)
    assert not (await store.list(gears)).raw
