"""Whose an object is. Numbers are rows of kube-behaviour.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controlplane.api import record
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.api.selectors import LabelSelector, from_object
from controlplane.api.types.apps_v1 import ReplicaSet
from controlplane.api.types.core_v1 import Pod
from controlplane.controller import Lister
from controlplane.controllers import adoption, replicasets
from controlplane.indexer import Key
from controlplane.objects import ObjectStore
from controlplane.testing import World, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.pods import ready, template
from tests.controlplane.controllers.simulated import context_of, resource

PODS, REPLICA_SETS = resource("", "pods"), resource("apps", "replicasets")

_names, _values = st.sampled_from("abc"), st.sampled_from("xy")
_labels = st.dictionaries(_names, _values, max_size=3)
_terms = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        _names,
        st.sampled_from(["In", "NotIn"]),
        st.lists(_values, min_size=1, max_size=2, unique=True),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        _names,
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
_selectors = st.builds(
    lambda labels, terms: from_object({"matchLabels": labels, "matchExpressions": terms}),
    _labels,
    st.lists(_terms, max_size=2),
)


@given(labels=_labels, selector=_selectors)
def test_what_is_selected_is_found_at_each_of_its_places(
    labels: dict[str, str], selector: LabelSelector
) -> None:
    """4.1: whatever the selector, no orphan that it selects is missed."""
    orphan = {"metadata": {"name": "p", "namespace": "shop", "labels": labels}}
    if labels and not selector.is_everything and selector.matches(labels):
        places = adoption.places_of("shop", selector)
        assert places
        assert set(places) <= set(adoption.orphan_places(orphan))


def test_a_label_is_a_narrower_place_than_the_namespace() -> None:
    """4.1: of many orphans only those are looked at that have the label."""
    selector = from_object({"matchLabels": {"app": "web"}})
    other = {"metadata": {"name": "p", "namespace": "shop", "labels": {"app": "db"}}}
    assert not set(adoption.places_of("shop", selector)) & set(adoption.orphan_places(other))
    assert adoption.places_of("shop", from_object({})) == []
    assert adoption.places_of("shop", from_object(None)) == []


def test_what_becomes_of_an_orphan_besides_is_no_reason_to_look() -> None:
    """4.1: pods that nobody controls change often; who might adopt them does not by that."""
    looked_at: list[Key] = []

    async def application(world: World) -> None:
        async with world.connect() as store:
            await store.create(REPLICA_SETS, _replica_set())
            await store.create(PODS, _bare("one"))
            controller = replicasets.controller(context_of(store))

            async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
                looked_at.append(key)
                return await controller.reconcile(key, lister, store)

            async with world.running(replace(controller, reconcile=reconcile)):
                await world.clock.sleep(5)
                assert Key("shop", "") in looked_at
                looked_at.clear()
                await store.update(PODS, "shop", "one", lambda pod: ready(pod, world.now()))
                await world.clock.sleep(5)
                assert Key("shop", "") not in looked_at
                await store.update(PODS, "shop", "one", _as_web)
                await world.clock.sleep(5)
                assert Key("shop", "") in looked_at
                found = await store.get(PODS, "shop", "one")
                assert [owner["name"] for owner in found["metadata"]["ownerReferences"]] == ["web"]

    run(application, topology=kv.Topology(members=1))


def _as_web(pod: Object) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "labels": {"app": "web"}}}


def _bare(name: str) -> Object:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": "none"}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}


def _replica_set() -> Object:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template()}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


@pytest.mark.parametrize("is_taken", [True, False])
def test_what_cannot_be_adopted_any_more_is_not_counted(*, is_taken: bool) -> None:
    """4.1: another was faster, or it is gone, and our cache has not heard of it."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            owner = await store.create(REPLICA_SETS, _replica_set())
            orphan = await store.create(PODS, _as_web(_bare("one")))
            selector = from_object(owner["spec"]["selector"])
            found = [record.from_object(Pod, orphan)]
            claims = adoption.claims(
                record.from_object(ReplicaSet, owner).metadata, selector, found
            )
            assert list(claims.adopted) == found
            if is_taken:
                other = {**owner, "metadata": {**owner["metadata"], "uid": "other"}}
                await store.update(
                    PODS, "shop", "one", lambda old: adoption.adopted(old, other, selector)
                )
            else:
                await store.delete(PODS, "shop", "one")
            settling = adoption.settle(store, REPLICA_SETS, owner, PODS, selector, claims)
            with pytest.raises(ApiError, match="Pod one is not to be had any more") as refused:
                await settling
            assert refused.value.code == 409

    run(application)
