"""How objects end. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.objects import DeleteOptions, ObjectStore
from tests.controlplane.kinds import PODS, WIDGETS, widget, with_metadata

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.fixture
def store(store: ObjectStore) -> ObjectStore:
    """A store whose time stands still."""
    return ObjectStore(store.client, clock=lambda: NOW)


def _pod(namespace: str, **status: object) -> Object:
    spec = {"nodeName": "n1", "terminationGracePeriodSeconds": 30}
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec, "status": status}


async def _is_there(store: ObjectStore, namespace: str) -> bool:
    return bool((await store.list(WIDGETS, namespace)).raw)


async def test_object_without_finalizers_goes_at_once(store: ObjectStore, namespace: str) -> None:
    """2.16."""
    made = await store.create(WIDGETS, widget(namespace))
    deletion = await store.delete(WIDGETS, namespace, "a")
    assert deletion.is_gone
    assert deletion.object["metadata"]["uid"] == made["metadata"]["uid"]
    assert not await _is_there(store, namespace)


async def test_finalizers_hold_a_deleted_object(store: ObjectStore, namespace: str) -> None:
    """2.16: DELETE sets deletionTimestamp, the object goes with its last finalizer."""
    await store.create(WIDGETS, widget(namespace, finalizers=["x/one", "x/two"]))
    marked = await store.delete(WIDGETS, namespace, "a")
    assert not marked.is_gone
    metadata = marked.object["metadata"]
    assert metadata["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    assert metadata["deletionGracePeriodSeconds"] == 0
    assert metadata["generation"] == 2  # 2.12

    again = await store.delete(WIDGETS, namespace, "a")
    assert again.object == marked.object, "a repeated delete writes nothing"

    await store.update(
        WIDGETS, namespace, "a", lambda old: with_metadata(old, finalizers=["x/two"])
    )
    assert await _is_there(store, namespace)
    last = await store.update(
        WIDGETS, namespace, "a", lambda old: with_metadata(old, finalizers=[])
    )
    assert last["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    assert not await _is_there(store, namespace)


async def test_no_finalizer_is_added_to_what_is_deleted(store: ObjectStore, namespace: str) -> None:
    """2.16: 422 Forbidden."""
    await store.create(WIDGETS, widget(namespace, finalizers=["x/one"]))
    await store.delete(WIDGETS, namespace, "a")
    with pytest.raises(ApiError) as caught:
        await store.update(
            WIDGETS, namespace, "a", lambda old: with_metadata(old, finalizers=["x/one", "x/new"])
        )
    assert caught.value.code == 422
    cause = caught.value.causes[0]
    assert (cause.reason, cause.field) == ("FieldValueForbidden", "metadata.finalizers")
    assert "no new finalizers can be added if the object is being deleted" in cause.message


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [
        ("Foreground", ["x/own", "foregroundDeletion"]),
        ("Orphan", ["x/own", "orphan"]),
        ("Background", ["x/own"]),
        ("", ["x/own"]),
    ],
)
async def test_policy_is_a_finalizer_for_the_collector(
    store: ObjectStore, namespace: str, policy: str, finalizers: list[str]
) -> None:
    """2.17."""
    await store.create(WIDGETS, widget(namespace, finalizers=["x/own"]))
    options = DeleteOptions(propagation_policy=policy)
    deletion = await store.delete(WIDGETS, namespace, "a", options=options)
    assert deletion.object["metadata"]["finalizers"] == finalizers


async def test_background_takes_back_what_another_policy_asked(
    store: ObjectStore, namespace: str
) -> None:
    """2.17."""
    await store.create(WIDGETS, widget(namespace))
    foreground = DeleteOptions(propagation_policy="Foreground")
    assert not (await store.delete(WIDGETS, namespace, "a", options=foreground)).is_gone
    background = DeleteOptions(propagation_policy="Background")
    assert (await store.delete(WIDGETS, namespace, "a", options=background)).is_gone
    assert not await _is_there(store, namespace)


async def test_unknown_policy_is_invalid(store: ObjectStore, namespace: str) -> None:
    """2.19: NotSupported."""
    await store.create(WIDGETS, widget(namespace))
    with pytest.raises(ApiError) as caught:
        await store.delete(
            WIDGETS, namespace, "a", options=DeleteOptions(propagation_policy="Sideways")
        )
    assert caught.value.code == 422
    assert caught.value.causes[0].reason == "FieldValueNotSupported"


async def test_grace_gives_who_runs_it_time(store: ObjectStore, namespace: str) -> None:
    """2.16: grace > 0 sets deletionTimestamp in the future; repeated deletes only shorten it."""

    async def deleted(grace: int | None) -> tuple[object, object, bool]:
        options = DeleteOptions(grace_period_seconds=grace)
        deletion = await store.delete(PODS, namespace, "p", options=options)
        metadata = deletion.object["metadata"]
        return (
            metadata.get("deletionTimestamp"),
            metadata.get("deletionGracePeriodSeconds"),
            deletion.is_gone,
        )

    await store.create(PODS, _pod(namespace))
    assert await deleted(None) == ("2023-11-14T22:13:50Z", 30, False)
    assert await deleted(60) == ("2023-11-14T22:13:50Z", 30, False)
    assert await deleted(10) == ("2023-11-14T22:13:30Z", 10, False)
    assert await deleted(-5) == ("2023-11-14T22:13:21Z", 1, False)
    still = await store.update(PODS, namespace, "p", lambda old: with_metadata(old, labels={}))
    assert still["metadata"]["deletionGracePeriodSeconds"] == 1
    assert (await deleted(0))[2], "gracePeriodSeconds=0 removes at once"
    with pytest.raises(ApiError, match="not found"):
        await store.get(PODS, namespace, "p")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_pod_that_has_ended_goes_at_once(
    store: ObjectStore, namespace: str, phase: str
) -> None:
    """2.16, 10.6: nobody needs time."""
    await store.create(PODS, _pod(namespace, phase=phase))
    assert (await store.delete(PODS, namespace, "p")).is_gone


async def test_pod_that_nobody_runs_goes_at_once(store: ObjectStore, namespace: str) -> None:
    """10.6."""
    unscheduled = {**_pod(namespace), "spec": {"terminationGracePeriodSeconds": 30}}
    await store.create(PODS, unscheduled)
    assert (await store.delete(PODS, namespace, "p")).is_gone


async def test_delete_of_another_version_is_a_conflict(store: ObjectStore, namespace: str) -> None:
    """2.3: preconditions uid/resourceVersion on delete → 409."""
    made = await store.create(WIDGETS, widget(namespace))
    await store.update(WIDGETS, namespace, "a", lambda old: with_metadata(old, labels={"x": "y"}))
    options = DeleteOptions(resource_version=made["metadata"]["resourceVersion"])
    with pytest.raises(ApiError) as caught:
        await store.delete(WIDGETS, namespace, "a", options=options)
    assert caught.value.code == 409
    assert "The object might have been modified" in caught.value.message
    with pytest.raises(ApiError) as caught:
        await store.delete(WIDGETS, namespace, "a", options=DeleteOptions(uid="u"))
    assert caught.value.code == 409
    assert "The object might have been deleted and then recreated" in caught.value.message
    assert await _is_there(store, namespace)


async def test_a_guess_decides_no_deletion_that_the_store_would_not(
    store: ObjectStore, namespace: str
) -> None:
    """2.16, 2.17: what the caller believes may be old."""
    old = await store.create(WIDGETS, widget(namespace))
    await store.update(
        WIDGETS, namespace, "a", lambda now: with_metadata(now, finalizers=["x/one"])
    )
    marked = await store.delete(WIDGETS, namespace, "a", known=old)
    assert not marked.is_gone, "the guess has no finalizer"
    again = await store.delete(WIDGETS, namespace, "a", known=marked.object)
    assert again.object == marked.object, "a repeated delete writes nothing"
    await store.update(WIDGETS, namespace, "a", lambda now: with_metadata(now, finalizers=[]))
    with pytest.raises(ApiError) as caught:
        await store.delete(WIDGETS, namespace, "a", known=marked.object)
    assert caught.value.code == 404


async def test_a_precondition_is_held_against_the_store_and_not_the_guess(
    store: ObjectStore, namespace: str
) -> None:
    """2.17."""
    old = await store.create(WIDGETS, widget(namespace))
    new = await store.update(
        WIDGETS, namespace, "a", lambda now: with_metadata(now, labels={"a": "b"})
    )
    version = str(new["metadata"]["resourceVersion"])
    options = DeleteOptions(resource_version=version)
    assert (await store.delete(WIDGETS, namespace, "a", options=options, known=old)).is_gone


async def test_a_true_guess_spares_the_read(store: ObjectStore, namespace: str) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    renamed = {**made, "spec": {"size": 99}}  # told apart from what would be read
    deletion = await store.delete(WIDGETS, namespace, "a", known=renamed)
    assert deletion.is_gone
    assert deletion.object["spec"] == {"size": 99}
