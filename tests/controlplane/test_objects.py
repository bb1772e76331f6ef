"""ObjectStore on real members, ours and etcd's. Numbers are rows of kube-behaviour.md."""

import asyncio
import itertools
import re
from collections.abc import Awaitable

import orjson
import pytest

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.objects import Claim, ClaimLostError, DeleteOptions, ObjectStore
from controlplane.testing import World, run
from kvstore.client import Client
from kvstore.testing import properties as kv
from tests.controlplane.kinds import PODS, WIDGETS, widget, with_metadata, with_size


async def _refused(answer: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await answer  # type: ignore[misc]
    return caught.value


# ------------------------------------------------------------------- create and get


async def test_created_object_has_what_every_object_has(store: ObjectStore, namespace: str) -> None:
    """2.12: uid, creationTimestamp, generation; 2.2: resourceVersion is the store's revision."""
    made = await store.create(WIDGETS, widget(namespace))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-.{17}", made["metadata"]["uid"])
    assert re.fullmatch(r"20..-..-..T..:..:..Z", made["metadata"]["creationTimestamp"])
    assert made["metadata"]["generation"] == 1
    assert (made["apiVersion"], made["kind"]) == ("example.com/v1", "Widget")
    assert int(made["metadata"]["resourceVersion"]) == await store.revision()
    assert await store.get(WIDGETS, namespace, "a") == made
    assert await store.get(WIDGETS, namespace, "a", linearizable=False) == made


async def test_stored_bytes_have_no_resource_version(
    store: ObjectStore, client: Client, namespace: str
) -> None:
    await store.create(WIDGETS, widget(namespace))
    kv = await client.get(f"/registry/example.com/widgets/{namespace}/a")
    assert kv is not None
    assert "resourceVersion" not in orjson.loads(kv.value)["metadata"]


async def test_second_create_of_a_name_is_refused(store: ObjectStore, namespace: str) -> None:
    """2.18: AlreadyExists and its text."""
    await store.create(WIDGETS, widget(namespace))
    error = await _refused(store.create(WIDGETS, widget(namespace)))
    assert (error.code, error.reason) == (409, "AlreadyExists")
    assert error.message == 'widgets.example.com "a" already exists'


async def test_absent_object_is_not_found(store: ObjectStore, namespace: str) -> None:
    """2.18: NotFound and its text."""
    calls = [
        store.get(PODS, namespace, "x"),
        store.update(PODS, namespace, "x", lambda pod: pod),
        store.delete(PODS, namespace, "x"),
    ]
    for call in calls:
        error = await _refused(call)
        assert (error.code, error.message) == (404, 'pods "x" not found')


@pytest.mark.parametrize("name", ["", "a/b", "/"])
async def test_name_that_would_be_another_key_is_refused(
    store: ObjectStore, namespace: str, name: str
) -> None:
    assert (await _refused(store.get(WIDGETS, namespace, name))).code == 400
    assert (await _refused(store.get(WIDGETS, f"{namespace}/{name}", "a"))).code == 400


async def test_object_that_was_read_cannot_be_created_again(
    store: ObjectStore, namespace: str
) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    error = await _refused(store.create(WIDGETS, with_metadata(made, name="b")))
    assert error.message == "resourceVersion should not be set on objects to be created"


async def test_generated_name_is_cut_and_gets_five_letters(
    store: ObjectStore, namespace: str
) -> None:
    """2.9."""
    nameless = {"metadata": {"namespace": namespace, "generateName": "b" * 70 + "-"}, "spec": {}}
    made = await store.create(WIDGETS, nameless)
    assert re.fullmatch(r"b{58}[bcdfghjklmnpqrstvwxz2456789]{5}", made["metadata"]["name"])


class _SameDice:
    """Dice that always fall alike, so that generated names collide."""

    def __init__(self) -> None:
        self.rolls = 0

    def random(self) -> float:
        return 0.0

    def randrange(self, start: int, stop: int) -> int:
        self.rolls += 1
        return start

    def getrandbits(self, k: int, /) -> int:
        return 0


async def test_generated_names_collide_eight_times_before_it_is_told(
    client: Client, namespace: str
) -> None:
    """2.9: retried up to 8 times, then AlreadyExists."""
    dice = _SameDice()
    store = ObjectStore(client, dice=dice)
    nameless = {"metadata": {"namespace": namespace, "generateName": "x-"}}
    await store.create(WIDGETS, nameless)
    dice.rolls = 0
    error = await _refused(store.create(WIDGETS, nameless))
    assert (error.code, error.reason, dice.rolls) == (409, "AlreadyExists", 8 * 5)


async def test_dry_run_writes_nothing(store: ObjectStore, namespace: str) -> None:
    """2.10: all conflicts are found, nothing is stored."""
    made = await store.create(WIDGETS, widget(namespace), dry_run=True)
    assert "resourceVersion" not in made["metadata"]
    assert (await _refused(store.get(WIDGETS, namespace, "a"))).code == 404

    kept = await store.create(WIDGETS, widget(namespace))
    error = await _refused(store.create(WIDGETS, widget(namespace), dry_run=True))
    assert error.reason == "AlreadyExists"
    changed = await store.update(
        WIDGETS, namespace, "a", lambda old: with_size(old, 7), dry_run=True
    )
    assert changed["spec"] == {"size": 7}
    assert changed["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]
    deletion = await store.delete(WIDGETS, namespace, "a", options=DeleteOptions(dry_run=True))
    assert deletion.is_gone
    assert await store.get(WIDGETS, namespace, "a") == kept


# --------------------------------------------------------------------------- update


async def test_update_writes_and_counts_changes_of_the_spec(
    store: ObjectStore, namespace: str
) -> None:
    """2.12: generation + 1 on a change of the spec, not of metadata or status."""
    made = await store.create(WIDGETS, widget(namespace))
    resized = await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
    assert resized["metadata"]["generation"] == 2
    assert int(resized["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    labelled = await store.update(
        WIDGETS, namespace, "a", lambda old: with_metadata(old, labels={"x": "y"})
    )
    seen = await store.update(WIDGETS, namespace, "a", lambda old: {**old, "status": {"n": 1}})
    assert labelled["metadata"]["generation"] == seen["metadata"]["generation"] == 2
    assert await store.get(WIDGETS, namespace, "a") == seen


async def test_equal_object_is_not_written(store: ObjectStore, namespace: str) -> None:
    """2.2: no-op updates keep the resourceVersion."""
    made = await store.create(WIDGETS, widget(namespace))

    def reorder(old: Object) -> Object:
        return {key: old[key] for key in reversed(list(old))}

    assert await store.update(WIDGETS, namespace, "a", reorder) == made
    assert await store.get(WIDGETS, namespace, "a") == made


async def test_true_is_not_one(store: ObjectStore, namespace: str) -> None:
    """Python holds them for equal; a change from one to the other must be written."""
    made = await store.create(WIDGETS, widget(namespace))
    changed = await store.update(
        WIDGETS, namespace, "a", lambda old: {**old, "spec": {"size": True}}
    )
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert (await store.get(WIDGETS, namespace, "a"))["spec"]["size"] is True


async def test_stale_version_is_a_conflict(store: ObjectStore, namespace: str) -> None:
    """2.3: named by the caller, or by the object that `change` returns."""
    made = await store.create(WIDGETS, widget(namespace))
    await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
    version = made["metadata"]["resourceVersion"]
    by_name = store.update(
        WIDGETS, namespace, "a", lambda old: with_size(old, 3), resource_version=version
    )
    by_object = store.update(WIDGETS, namespace, "a", lambda _: with_size(made, 3))
    for call in (by_name, by_object):
        error = await _refused(call)
        assert (error.code, error.reason) == (409, "Conflict")
        assert "please apply your changes to the latest version" in error.message
    assert (await store.get(WIDGETS, namespace, "a"))["spec"]["size"] == 2


async def test_object_without_a_version_overwrites(store: ObjectStore, namespace: str) -> None:
    """2.3: PUT without resourceVersion is unconditional."""
    made = await store.create(WIDGETS, widget(namespace))
    await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
    blind = with_metadata(with_size(made, 3), resourceVersion=None)
    assert (await store.update(WIDGETS, namespace, "a", lambda _: blind))["spec"]["size"] == 3


async def test_racing_updates_all_count(store: ObjectStore, namespace: str) -> None:
    """2.3: who names no version never hears of a conflict, and nobody's change is lost."""
    await store.create(WIDGETS, widget(namespace, size=0))

    def one_more(old: Object) -> Object:
        return with_size(old, old["spec"]["size"] + 1)

    writes = [store.update(WIDGETS, namespace, "a", one_more) for _ in range(32)]
    written = await asyncio.gather(*writes)
    assert sorted(one["spec"]["size"] for one in written) == list(range(1, 33))
    assert (await store.get(WIDGETS, namespace, "a"))["spec"]["size"] == 32


async def test_of_racing_updates_that_name_a_version_one_is_made(
    store: ObjectStore, namespace: str
) -> None:
    """2.3: the others are told of a conflict, once and for all."""
    made = await store.create(WIDGETS, widget(namespace, size=0))
    version = made["metadata"]["resourceVersion"]

    def write(size: int) -> Awaitable[Object]:
        def change(old: Object) -> Object:
            return with_size(old, size)

        return store.update(WIDGETS, namespace, "a", change, resource_version=version)

    writes = [write(size) for size in range(1, 9)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    (won,) = (one for one in outcomes if isinstance(one, dict))
    lost = [one for one in outcomes if isinstance(one, ApiError)]
    assert [(one.code, one.reason) for one in lost] == [(409, "Conflict")] * 7
    assert await store.get(WIDGETS, namespace, "a") == won


def test_compare_that_is_always_lost_is_tried_ever_later_and_given_up_after_a_minute() -> None:
    """2.3, 2.23: no conflict for who names no version; a request has 60 s."""
    tried: list[float] = []

    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as process:
            made = await user.create(WIDGETS, widget("n"))
            rivals = itertools.count(2)

            class _Rival(Client):
                """Somebody who always writes between our read and our write."""

                async def commit(self, txn, *, timeout_seconds=None):  # type: ignore[no-untyped-def]
                    await user.update(WIDGETS, "n", "a", lambda old: with_size(old, next(rivals)))
                    return await super().commit(txn, timeout_seconds=timeout_seconds)

            raced = ObjectStore(_Rival(process.client._connection), dice=world.random)

            def change(old: Object) -> Object:
                tried.append(world.clock.now())
                return with_size(old, -1)

            error = await _refused(raced.update(WIDGETS, "n", "a", change))
            assert error.code == 503
            assert 'others write widgets.example.com "a" all the time' in error.message
            kept = await user.get(WIDGETS, "n", "a")
            assert kept["spec"]["size"] == next(rivals) - 1
            assert kept["metadata"]["uid"] == made["metadata"]["uid"]

    run(application)
    assert 60 <= tried[-1] - tried[0] < 61
    assert tried[5] - tried[0] < 1, "at first it is tried soon"
    late = [later - earlier for earlier, later in itertools.pairwise(tried) if earlier > tried[20]]
    assert max(late) < 0.75, "and never very late"
    assert 100 < len(tried) < 1_000


async def test_identity_cannot_be_changed(store: ObjectStore, namespace: str) -> None:
    """2.12: name, namespace, uid, creationTimestamp are immutable."""
    made = await store.create(WIDGETS, widget(namespace))
    forged = {"creationTimestamp": "1999-01-01T00:00:00Z", "deletionTimestamp": "x"}
    kept = await store.update(WIDGETS, namespace, "a", lambda old: with_metadata(old, **forged))
    assert kept == made
    renamed = store.update(WIDGETS, namespace, "a", lambda old: with_metadata(old, name="b"))
    assert (await _refused(renamed)).code == 400
    other = store.update(WIDGETS, namespace, "a", lambda old: with_metadata(old, uid="other"))
    assert (await _refused(other)).code == 409


async def test_uid_precondition(store: ObjectStore, namespace: str) -> None:
    """2.3: a precondition that does not hold is a Conflict."""
    made = await store.create(WIDGETS, widget(namespace))
    uid = made["metadata"]["uid"]
    await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2), uid=uid)
    other = store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 3), uid="u")
    error = await _refused(other)
    assert error.code == 409
    assert f"UID in precondition: u, UID in object meta: {uid}" in error.message


async def test_guess_that_is_true_spares_the_read_and_a_false_one_harms_nobody(
    store: ObjectStore, namespace: str
) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    seen = []

    def one_more(old: Object) -> Object:
        seen.append(old["spec"]["size"])
        return with_size(old, old["spec"]["size"] + 1)

    await store.update(WIDGETS, namespace, "a", one_more, known=made)
    third = await store.update(WIDGETS, namespace, "a", one_more, known=made)
    assert (seen, third["spec"]["size"]) == ([1, 1, 2], 3)
    same = await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 1), known=made)
    assert await store.get(WIDGETS, namespace, "a") == same
    assert same["spec"]["size"] == 1, "equal to the guess is not equal to what is stored"


async def test_each_write_tells_its_revision(store: ObjectStore, namespace: str) -> None:
    told: list[int] = []
    noting = store.noting(lambda resource, revision: told.append(revision))
    made = await noting.create(WIDGETS, widget(namespace))
    changed = await noting.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
    await noting.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
    await noting.update(WIDGETS, namespace, "a", lambda old: with_size(old, 3), dry_run=True)
    gone = await noting.delete(WIDGETS, namespace, "a")
    versions = [obj["metadata"]["resourceVersion"] for obj in (made, changed, gone.object)]
    assert told == [int(version) for version in versions]


# --------------------------------------------------------------------------- claims


async def test_claims_are_written_with_the_object_or_not_at_all(
    store: ObjectStore, client: Client, namespace: str
) -> None:
    """5.2: an address is taken in the Txn that writes its owner."""
    address = f"/ranges/ip/{namespace}".encode()
    await store.create(WIDGETS, widget(namespace), also=[Claim(address, b"a")])
    with pytest.raises(ClaimLostError) as caught:
        await store.create(WIDGETS, widget(namespace, "b"), also=[Claim(address, b"b")])
    assert caught.value.keys == (address,)
    assert (await _refused(store.get(WIDGETS, namespace, "b"))).code == 404
    kv = await client.get(address)
    assert kv is not None
    assert kv.value == b"a"

    lost = store.update(
        WIDGETS, namespace, "a", lambda old: with_size(old, 2), also=[Claim(address, b"c", 1)]
    )
    assert isinstance(await _refused(lost), ClaimLostError)
    won = Claim(address, b"c", kv.mod_revision)
    await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2), also=[won])
    assert (await client.get(address)).value == b"c"  # type: ignore[union-attr]


async def test_claims_are_released_with_the_object(client: Client, namespace: str) -> None:
    """5.2: an address is released on delete."""
    address = f"/ranges/ip/{namespace}".encode()
    store = ObjectStore(client, releases=lambda resource, obj: [address])
    await store.create(WIDGETS, widget(namespace), also=[Claim(address, b"a")])
    await store.delete(WIDGETS, namespace, "a")
    assert await client.get(address) is None


@pytest.mark.parametrize("seed", range(3))
def test_who_does_not_know_whether_it_was_made_makes_it_once(seed: int) -> None:
    """Requests arrive and answers do not: the same object is tried until that is known."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            await store.create(WIDGETS, widget("default", "first"))  # it is connected
            network = world.cluster.simulated.network
            process = world.cluster.simulated.newest_client
            links = [(one.member_id, process) for one in world.cluster.simulated.members]
            for link in links:
                network.cut(link)
            made = widget("default")
            made = {**made, "metadata": {"generateName": "w-", "namespace": "default"}}
            making = asyncio.ensure_future(store.create(WIDGETS, made, is_sure=True))
            await world.clock.sleep(20.0)
            assert not making.done()
            for link in links:
                network.mend(link)
            found = await making
            names = [str(one["metadata"]["name"]) for one in (await store.list(WIDGETS)).items]
            assert sorted(names) == sorted(["first", str(found["metadata"]["name"])])
            assert await store.get(WIDGETS, "default", found["metadata"]["name"]) == found

    run(application, topology=kv.Topology(seed=seed))
