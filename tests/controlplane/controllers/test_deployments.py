"""Deployments on real stores. Numbers are rows of kube-behaviour.md."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from controlplane.api import record
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import PodTemplateSpec
from controlplane.controller import Controller
from controlplane.controllers import deployments, replicasets, service_accounts
from controlplane.controllers.context import Context
from controlplane.controllers.revisions import template_hash
from controlplane.objects import ObjectStore, Page
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.pods import node, template

REVISION = "deployment.kubernetes.io/revision"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}


class Shop:
    """One Deployment `web` in a namespace, and what it has."""

    def __init__(self, cluster: Cluster, namespace: str, context: Context) -> None:
        self.cluster = cluster
        self.store = cluster.store
        self.namespace = namespace
        self.context = context

    async def create(self, replicas: int = 3, **spec: Any) -> Object:
        """As the API server would have it, with defaults."""
        return await self.cluster.create(
            "deployments",
            {
                "metadata": {"name": "web", "namespace": self.namespace},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": template(),
                    "strategy": ROLLING,
                    "revisionHistoryLimit": 10,
                    "progressDeadlineSeconds": 600,
                    **spec,
                },
            },
        )

    async def change(self, **spec: Any) -> None:
        await self.store.update(
            self.cluster.resource("deployments"),
            self.namespace,
            "web",
            lambda old: {**old, "spec": {**old["spec"], **spec}},
        )

    async def deployment(self) -> Object:
        return await self.store.get(self.cluster.resource("deployments"), self.namespace, "web")

    async def replica_sets(self) -> Mapping[str, Object]:
        """By their image."""
        page = await self.store.list(self.cluster.resource("replicasets"), self.namespace)
        return {
            one["spec"]["template"]["spec"]["containers"][0]["image"]: one for one in page.items
        }

    async def images(self) -> list[str]:
        """Of pods."""
        page = await self.store.list(self.cluster.resource("pods"), self.namespace)
        return sorted(one["spec"]["containers"][0]["image"] for one in page.items)

    async def condition(self, kind: str) -> tuple[str, str]:
        conditions = ((await self.deployment()).get("status") or {}).get("conditions") or ()
        return next(
            ((one["status"], one["reason"]) for one in conditions if one["type"] == kind), ("", "")
        )

    def is_rolled_out(self, image: str, replicas: int) -> Callable[[], Awaitable[bool]]:
        """Whether `kubectl rollout status` would end, and only such pods are there."""

        async def is_so() -> bool:
            found = await self.deployment()
            status = found.get("status") or {}
            counts = ("replicas", "updatedReplicas", "availableReplicas")
            return (
                status.get("observedGeneration") == found["metadata"]["generation"]
                and all(status.get(count, 0) == replicas for count in counts)
                and await self.images() == [image] * replicas
                and await self.condition("Progressing") == ("True", "NewReplicaSetAvailable")
            )

        return is_so

    async def messages(self, reason: str) -> list[str]:
        await self.context.recorder.flush()
        page = await self.store.list(self.cluster.resource("events"), self.namespace)
        return [one["message"] for one in page.items if one["reason"] == reason]


@asynccontextmanager
async def _running(
    cluster: Cluster, namespace: str, *, runs: Callable[[str], bool] = lambda image: True
) -> AsyncIterator[Shop]:
    """runs: whether pods of an image become ready."""
    await cluster.namespace(namespace)
    pods = cluster.resource("pods")

    def nodes(context: Context) -> Controller:
        return node(pods, runs)

    async with cluster.running(
        service_accounts.controller,
        replicasets.controller,
        deployments.controller,
        nodes,
    ) as context:
        yield Shop(cluster, namespace, context)


async def test_deployment_rolls_out_and_back(cluster: Cluster, namespace: str) -> None:
    """4.4, 4.5, 4.6, 4.7: a whole life."""
    async with _running(cluster, namespace) as shop:
        await shop.create()
        await until(shop.is_rolled_out("app:1", 3))
        assert (await shop.deployment())["metadata"]["annotations"] == {REVISION: "1"}
        first = (await shop.replica_sets())["app:1"]
        assert await shop.condition("Available") == ("True", "MinimumReplicasAvailable")
        name = first["metadata"]["name"]
        assert name == f"web-{first['metadata']['labels']['pod-template-hash']}"
        assert await shop.messages("ScalingReplicaSet") == [
            f"Scaled up replica set {name} from 0 to 3"
        ]

        await shop.change(template=template("app:2"))
        await until(shop.is_rolled_out("app:2", 3))
        sets = await shop.replica_sets()
        assert {image: one["spec"]["replicas"] for image, one in sets.items()} == {
            "app:1": 0,
            "app:2": 3,
        }
        assert (await shop.deployment())["metadata"]["annotations"][REVISION] == "2"

        # As `kubectl rollout undo` does: the template of the ReplicaSet, less its hash.
        await shop.change(template=template("app:1"))
        await until(shop.is_rolled_out("app:1", 3))
        sets = await shop.replica_sets()
        assert len(sets) == 2
        assert sets["app:1"]["metadata"]["uid"] == first["metadata"]["uid"]
        annotations = sets["app:1"]["metadata"]["annotations"]
        assert annotations[REVISION] == "3"
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"
        assert (await shop.deployment())["metadata"]["annotations"][REVISION] == "3"


async def test_rolling_update_keeps_its_bounds(cluster: Cluster, namespace: str) -> None:
    """4.3, 4.4: of 10 there are 8 to 13 all the time."""
    async with _running(cluster, namespace) as shop:
        await shop.create(10)
        await until(shop.is_rolled_out("app:1", 10))
        before = await cluster.store.list(cluster.resource("pods"), namespace)
        await shop.change(template=template("app:2"))
        await until(shop.is_rolled_out("app:2", 10))
    counts, available = [], []
    async for alive in _moments(cluster, namespace, before):
        staying = [one for one in alive if not one["metadata"].get("deletionTimestamp")]
        counts.append(len(staying))
        available.append(sum(map(_is_ready, staying)))
    assert max(counts) == 13
    assert min(available) >= 8


def _is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" for one in pod["status"].get("conditions") or ())


async def _moments(
    cluster: Cluster, namespace: str, before: Page
) -> AsyncIterator[Sequence[Object]]:
    """The pods that there were after each change since a list of them."""
    pods = cluster.resource("pods")
    last = pods.key(namespace, "last").encode()
    alive = {pods.key(namespace, one["metadata"]["name"]).encode(): one for one in before.items}
    await cluster.store.create(pods, {"metadata": {"name": "last", "namespace": namespace}})
    async with cluster.store.watch(pods, namespace, before.revision) as changes:
        async for batch in changes:
            for change in batch:
                if change.key == last:
                    return
                alive.pop(change.key, None)
                found = change.object(pods)
                if change.type == "PUT" and found is not None:
                    alive[change.key] = found
                yield list(alive.values())


async def test_scaling_in_the_middle_is_shared_out(cluster: Cluster, namespace: str) -> None:
    """4.4: the example of Kubernetes' documentation; new pods do not become available."""
    bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    async with _running(cluster, namespace, runs=lambda image: image == "app:1") as shop:
        await shop.create(10, strategy=bounds)
        await until(shop.is_rolled_out("app:1", 10))

        async def are(**expected: int) -> bool:
            found = (await shop.replica_sets()).items()
            sizes = {image: one["spec"]["replicas"] for image, one in found}
            return sizes == {"app:1": expected["old"], "app:2": expected["new"]}

        await shop.change(template=template("app:2"))
        await until(lambda: are(old=8, new=5))
        await shop.change(replicas=15)
        await until(lambda: are(old=11, new=7))
        found = await shop.replica_sets()
        for one in found.values():
            annotations = one["metadata"]["annotations"]
            assert annotations["deployment.kubernetes.io/desired-replicas"] == "15"
            assert annotations["deployment.kubernetes.io/max-replicas"] == "18"


async def test_recreate_waits_until_nothing_old_runs(cluster: Cluster, namespace: str) -> None:
    """4.8: old and new pods are never there together, not even while the old ones end."""
    async with _running(cluster, namespace) as shop:
        await shop.create(2, strategy={"type": "Recreate"})
        await until(shop.is_rolled_out("app:1", 2))
        before = await cluster.store.list(cluster.resource("pods"), namespace)
        await shop.change(template=template("app:2"))
        await until(shop.is_rolled_out("app:2", 2))
    seen = set()
    async for alive in _moments(cluster, namespace, before):
        images = {str(one["spec"]["containers"][0]["image"]) for one in alive}
        assert len(images) <= 1
        seen |= images
    assert seen == {"app:1", "app:2"}


async def test_paused_deployment_scales_and_does_not_roll_out(
    cluster: Cluster, namespace: str
) -> None:
    """4.8."""
    async with _running(cluster, namespace) as shop:
        await shop.create(2)
        await until(shop.is_rolled_out("app:1", 2))
        await shop.change(paused=True, template=template("app:2"))
        await shop.change(replicas=4)

        async def is_scaled() -> bool:
            is_told = await shop.condition("Progressing") == ("Unknown", "DeploymentPaused")
            return is_told and await shop.images() == ["app:1"] * 4

        await until(is_scaled)
        assert list(await shop.replica_sets()) == ["app:1"]
        await shop.change(paused=False)
        await until(shop.is_rolled_out("app:2", 4))


async def test_rollout_that_gets_no_further_is_told(cluster: Cluster, namespace: str) -> None:
    """4.7: ProgressDeadlineExceeded; nothing is rolled back, and it may still get better."""
    runs = {"app:1"}
    async with _running(cluster, namespace, runs=lambda image: image in runs) as shop:
        await shop.create(2, progressDeadlineSeconds=1)
        await until(shop.is_rolled_out("app:1", 2))
        await shop.change(template=template("app:2"))

        async def is_exceeded() -> bool:
            return await shop.condition("Progressing") == ("False", "ProgressDeadlineExceeded")

        await until(is_exceeded)
        assert await shop.images() == ["app:1", "app:1", "app:2"]
        assert await shop.condition("Available") == ("True", "MinimumReplicasAvailable")
        await shop.change(template=template("app:1"))
        await until(shop.is_rolled_out("app:1", 2))


async def test_history_is_bounded(cluster: Cluster, namespace: str) -> None:
    """4.6: revisionHistoryLimit."""
    async with _running(cluster, namespace) as shop:
        await shop.create(1, revisionHistoryLimit=1)
        for number in range(2, 5):
            await until(shop.is_rolled_out(f"app:{number - 1}", 1))
            await shop.change(template=template(f"app:{number}"))
        await until(shop.is_rolled_out("app:4", 1))

        async def are_kept() -> bool:
            return set(await shop.replica_sets()) == {"app:3", "app:4"}

        await until(are_kept)


async def test_collision_of_hashes_gets_another_name(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """4.5: collisionCount."""
    async with _running(cluster, namespace) as shop:
        wanted = record.from_object(PodTemplateSpec, template())
        name = f"web-{template_hash(wanted, None)}"
        await cluster.create(
            "replicasets",
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": "other"}},
                    "template": template("other:1", app="other"),
                },
            },
        )
        await shop.create(1)
        await until(shop.is_rolled_out("app:1", 1))
        assert (await shop.deployment())["status"]["collisionCount"] == 1
        found = (await shop.replica_sets())["app:1"]
        assert found["metadata"]["name"] == f"web-{template_hash(wanted, 1)}"


async def test_orphaned_replica_set_is_adopted(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """4.5: as after `kubectl delete --cascade=orphan`, and apply again."""
    async with _running(cluster, namespace) as shop:
        await shop.create(2)
        await until(shop.is_rolled_out("app:1", 2))
        pods = await store.list(cluster.resource("pods"), namespace)
        resource = cluster.resource("replicasets")
        before = (await shop.replica_sets())["app:1"]
        await store.delete(cluster.resource("deployments"), namespace, "web")
        await store.update(
            resource,
            namespace,
            before["metadata"]["name"],
            lambda old: {**old, "metadata": {**old["metadata"], "ownerReferences": []}},
        )
        made = await shop.create(2)
        await until(shop.is_rolled_out("app:1", 2))
        after = (await shop.replica_sets())["app:1"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        now = await store.list(cluster.resource("pods"), namespace)
        assert [one["metadata"]["uid"] for one in now.items] == [
            one["metadata"]["uid"] for one in pods.items
        ]


async def test_fields_that_nobody_knows_stay(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """Decision 6 of the architecture: what a later version wrote is there after our writes."""
    async with _running(cluster, namespace) as shop:
        await shop.create(1, fieldOfTomorrow={"a": 1})
        await until(shop.is_rolled_out("app:1", 1))
        await shop.change(replicas=2)
        await until(shop.is_rolled_out("app:1", 2))
        assert (await shop.deployment())["spec"]["fieldOfTomorrow"] == {"a": 1}


async def test_what_cannot_be_made_is_told(cluster: Cluster, namespace: str) -> None:
    """4.7: ReplicaSetCreateError, for a template that no pod can have."""
    async with _running(cluster, namespace) as shop:
        broken = template()
        broken["spec"]["containers"][0]["name"] = "No Name"
        await shop.create(1, template=broken)

        async def is_told() -> bool:
            return await shop.condition("Progressing") == ("False", "ReplicaSetCreateError")

        await until(is_told)
        assert any(
            message.startswith('Failed to create new replica set "web-')
            for message in await shop.messages("ReplicaSetCreateError")
        )
        await shop.change(template=template())
        await until(shop.is_rolled_out("app:1", 1))
