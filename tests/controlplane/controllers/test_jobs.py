"""Jobs on real stores. Numbers are rows of kube-behaviour.md."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from controlplane.api.errors import ApiError
from controlplane.api.kinds.job import STRATEGY
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.controller import Controller, Lister
from controlplane.controllers import (
    finished_jobs,
    garbage_collector,
    jobs,
    namespaces,
    resource_quota,
)
from controlplane.controllers.conditions import is_true
from controlplane.controllers.context import Context
from controlplane.controllers.creation import looked_up
from controlplane.controllers.job_plan import NewPod
from controlplane.controllers.job_pods import TRACKING
from controlplane.controllers.jobs import pod_of
from controlplane.indexer import Key
from controlplane.objects import ClaimLostError, DeleteOptions, ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.job_objects import job_object

INDEX = "batch.kubernetes.io/job-completion-index"


def made_by_the_server(namespace: str, **spec: Any) -> dict[str, Any]:
    """A job as the API server writes it."""
    body = job_object(namespace=namespace, **spec)
    body["metadata"]["uid"] = f"uid-of-{namespace}-{body['metadata']['name']}"
    assert STRATEGY.default is not None
    assert STRATEGY.prepare_create is not None
    return dict(STRATEGY.prepare_create(STRATEGY.default(body)))


class Jobs:
    """A namespace with jobs, whose pods the test runs."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.pods_ = cluster.resource("pods")
        self.jobs = cluster.resource("jobs")

    async def start(self, **spec: Any) -> Object:
        return await self.cluster.create("jobs", made_by_the_server(self.namespace, **spec))

    async def job(self, name: str = "sum") -> Object:
        return await self.cluster.store.get(self.jobs, self.namespace, name)

    async def pods(self) -> list[Object]:
        return list((await self.cluster.store.list(self.pods_, self.namespace)).items)

    async def end(self, pod: Object, phase: str) -> None:
        await self.cluster.store.update(
            self.pods_,
            self.namespace,
            pod["metadata"]["name"],
            lambda old: {**old, "status": {**old["status"], "phase": phase}},
        )

    async def has(self, *phases: str) -> bool:
        return sorted(one["status"]["phase"] for one in await self.pods()) == sorted(phases)

    async def is_said(self, kind: str, name: str = "sum") -> bool:
        return is_true(await self.job(name), kind)

    async def events(self) -> set[tuple[str, str]]:
        events = self.cluster.resource("events")
        found = (await self.cluster.store.list(events, self.namespace)).items
        return {(one["reason"], one["message"]) for one in found}

    async def has_told(self, context: Context, told: tuple[str, str]) -> bool:
        """What a write tells of is there before the controller has heard, and tells, of it."""
        await context.recorder.flush()
        return told in await self.events()


@pytest.fixture
async def space(cluster: Cluster, namespace: str) -> Jobs:
    await cluster.namespace(namespace)
    account = {"metadata": {"name": "default", "namespace": namespace}}
    await cluster.create("serviceaccounts", account)
    return Jobs(cluster, namespace)


async def test_a_job_runs_to_its_end(space: Jobs, namespace: str) -> None:
    """4.11: labels, finalizer, counts, conditions, events."""
    async with space.cluster.running(jobs.controller) as context:
        made = await space.start(completions=2, parallelism=2)
        await until(lambda: space.has("Pending", "Pending"))
        for pod in await space.pods():
            metadata = pod["metadata"]
            assert metadata["finalizers"] == [TRACKING]
            assert metadata["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
            assert metadata["labels"]["batch.kubernetes.io/job-name"] == "sum"
            assert (
                metadata["labels"]["batch.kubernetes.io/controller-uid"]
                == (made["metadata"]["uid"])
            )
            await space.end(pod, "Succeeded")
        await until(lambda: space.is_said("Complete"))
        await until(lambda: space.has_told(context, ("Completed", "Job completed")))
    job, pods = await space.job(), await space.pods()
    status = job["status"]
    assert (status["succeeded"], status.get("failed"), status.get("active")) == (2, None, None)
    assert status["startTime"] <= status["completionTime"]
    assert [one["type"] for one in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert not any(pod["metadata"].get("finalizers") for pod in pods)
    assert await space.events() == {
        ("Completed", "Job completed"),
        *(("SuccessfulCreate", f"Created pod: {pod['metadata']['name']}") for pod in pods),
    }


async def test_a_job_that_fails_takes_its_pods_along(space: Jobs) -> None:
    """4.11: BackoffLimitExceeded."""
    async with space.cluster.running(jobs.controller) as context:
        await space.start(completions=2, parallelism=2, backoffLimit=0)
        await until(lambda: space.has("Pending", "Pending"))
        await space.end((await space.pods())[0], "Failed")
        told = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        await until(lambda: space.has_told(context, told))
    status = (await space.job())["status"]
    assert status["failed"] == 2
    assert [one["reason"] for one in status["conditions"]] == ["BackoffLimitExceeded"] * 2
    assert await space.has("Failed")


async def test_a_suspended_job_has_no_pods(space: Jobs) -> None:
    """4.13."""
    async with space.cluster.running(jobs.controller):
        await space.start(completions=2, parallelism=2)
        await until(lambda: space.has("Pending", "Pending"))
        await space.cluster.store.update(
            space.jobs,
            space.namespace,
            "sum",
            lambda old: {**old, "spec": {**old["spec"], "suspend": True}},
        )
        await until(space.has)
        await until(lambda: space.is_said("Suspended"))

        async def is_counted() -> bool:
            return "active" not in (await space.job())["status"]

        await until(is_counted)
        status = (await space.job())["status"]
        assert "startTime" not in status
        assert "failed" not in status, "who is told to go has not failed"


async def test_what_the_controller_does_not_know_of_a_job_stays(space: Jobs) -> None:
    body = made_by_the_server(space.namespace, completions=1)
    body["spec"]["template"]["spec"]["novelty"] = {"deep": 1}
    body["status"] = {"novelty": 2, "conditions": [{"type": "Odd", "status": "True", "novel": 3}]}
    async with space.cluster.running(jobs.controller):
        await space.cluster.create("jobs", body)
        await until(lambda: space.has("Pending"))
        (pod,) = await space.pods()
        await space.end(pod, "Succeeded")
        await until(lambda: space.is_said("Complete"))
    found = await space.job()
    assert found["spec"] == body["spec"]
    assert found["status"]["novelty"] == 2
    assert found["status"]["conditions"][0]["novel"] == 3


async def test_pods_of_a_job_that_is_gone_are_let_go(space: Jobs) -> None:
    """4.11: nobody will count them; those of its successor are kept."""
    async with space.cluster.running(jobs.controller):
        await space.start(completions=1)
        await until(lambda: space.has("Pending"))
        (old,) = await space.pods()
        options = DeleteOptions(propagation_policy="Background")
        await space.cluster.store.delete(space.jobs, space.namespace, "sum", options=options)
        body = made_by_the_server(space.namespace, completions=1)
        body["metadata"]["uid"] += "-2"
        await space.cluster.create("jobs", body)

        async def is_let_go() -> bool:
            pods = {pod["metadata"]["name"]: pod["metadata"] for pod in await space.pods()}
            gone = pods.pop(old["metadata"]["name"])
            return not gone.get("finalizers") and [one["finalizers"] for one in pods.values()] == [
                [TRACKING]
            ]

        await until(is_let_go)


@pytest.mark.parametrize("label", [{"batch.kubernetes.io/job-name": "sum"}, {}])
async def test_pods_that_a_job_leaves_behind_are_let_go(space: Jobs, label: Any) -> None:
    """4.11, 2.17: with the policy Orphan they live on, and nothing holds them."""
    metadata = {"name": "p", "namespace": space.namespace, "labels": label}
    body = {"spec": {}, "status": {"phase": "Running"}}
    async with space.cluster.running(jobs.controller):
        await space.cluster.create(
            "pods", {**body, "metadata": {**metadata, "finalizers": [TRACKING]}}
        )

        async def is_let_go() -> bool:
            return [one["metadata"].get("finalizers") for one in await space.pods()] == [[]]

        await until(is_let_go)
    assert "deletionTimestamp" not in (await space.pods())[0]["metadata"]


async def test_nothing_is_made_in_a_namespace_that_goes(space: Jobs) -> None:
    """3.1."""
    namespaces = space.cluster.resource("namespaces")
    await space.cluster.store.delete(namespaces, "", space.namespace)
    async with space.cluster.running(jobs.controller):
        await space.start(completions=1)

        async def is_started() -> bool:
            return "startTime" in ((await space.job()).get("status") or {})

        await until(is_started)
    assert await space.pods() == []


async def test_quotas_hold_for_the_pods_of_jobs(space: Jobs) -> None:
    """8.2: the others are tried again, ever later."""
    quota = {"metadata": {"name": "q", "namespace": space.namespace}}
    await space.cluster.create("resourcequotas", {**quota, "spec": {"hard": {"pods": "1"}}})
    controllers = (jobs.controller, resource_quota.controller)
    async with space.cluster.running(*controllers) as context:
        await space.start(completions=3, parallelism=3)

        async def is_told() -> bool:
            await context.recorder.flush()
            return any(
                reason == "FailedCreate" and "exceeded quota: q" in message
                for reason, message in await space.events()
            )

        await until(is_told)
        assert await space.has("Pending")
        (pod,) = await space.pods()
        await space.end(pod, "Succeeded")
        await until(lambda: space.has("Pending", "Succeeded"))


async def test_a_namespace_goes_with_the_jobs_that_run_in_it(space: Jobs) -> None:
    """3.1: what holds pods for being counted holds nobody up."""
    spaces = space.cluster.resource("namespaces")
    async with space.cluster.running(jobs.controller, namespaces.controller):
        await space.start(completions=3, parallelism=2)
        await until(lambda: space.has("Pending", "Pending"))
        await space.end((await space.pods())[0], "Succeeded")
        await space.cluster.store.delete(spaces, "", space.namespace)

        async def is_gone() -> bool:
            return await space.cluster.find("namespaces", "", space.namespace) is None

        await until(is_gone)
    assert await space.pods() == []


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
async def test_a_job_that_is_deleted_takes_its_pods_along(space: Jobs, policy: str) -> None:
    """2.17, 3.2: running or not."""
    async with space.cluster.running(jobs.controller, garbage_collector.controller):
        await space.start(completions=3, parallelism=2)
        await until(lambda: space.has("Pending", "Pending"))
        await space.end((await space.pods())[0], "Succeeded")
        options = DeleteOptions(propagation_policy=policy)
        await space.cluster.store.delete(space.jobs, space.namespace, "sum", options=options)

        async def is_gone() -> bool:
            found = await space.cluster.find("jobs", space.namespace, "sum")
            return found is None and await space.pods() == []

        await until(is_gone)


async def test_a_job_that_has_ended_goes_with_its_pods(space: Jobs) -> None:
    """4.13: ttlSecondsAfterFinished."""
    controllers = (jobs, garbage_collector, finished_jobs)
    async with space.cluster.running(*(one.controller for one in controllers)):
        await space.start(completions=1, ttlSecondsAfterFinished=1)
        await until(lambda: space.has("Pending"))
        await space.end((await space.pods())[0], "Succeeded")

        async def is_gone() -> bool:
            found = await space.cluster.find("jobs", space.namespace, "sum")
            return found is None and await space.pods() == []

        await until(is_gone)


async def test_jobs_of_another_controller_are_left_alone(space: Jobs) -> None:
    """4.13: managedBy."""
    async with space.cluster.running(jobs.controller):
        await space.start(name="theirs", completions=1, managedBy="example.com/queue")
        await space.start(name="ours", completions=1, managedBy="kubernetes.io/job-controller")
        await until(lambda: space.has("Pending"))
    assert not (await space.job("theirs")).get("status")


async def test_jobs_run_beside_what_is_none(space: Jobs, client: Client) -> None:
    """4.11: neither a job nor a pod that a stranger wrote keeps others from being run."""
    metadata = {"namespace": space.namespace, "uid": "u"}
    for name, body in (
        ("a", {"spec": 3}),
        ("b", {"spec": {"completionMode": "Indexed"}, "status": {"completedIndexes": "x"}}),
    ):
        value = {**body, "metadata": {**metadata, "name": name}}
        await client.put(space.jobs.key(space.namespace, name), orjson.dumps(value))
    uid = made_by_the_server(space.namespace)["metadata"]["uid"]
    owner = {"kind": "Job", "apiVersion": "batch/v1", "name": "sum", "uid": uid, "controller": True}
    value = {"metadata": {**metadata, "name": "p", "ownerReferences": [owner]}, "spec": 7}
    await client.put(space.pods_.key(space.namespace, "p"), orjson.dumps(value))
    try:
        async with space.cluster.running(jobs.controller):
            await space.start(completions=1)

            async def is_run() -> bool:
                return len(await space.pods()) == 2

            await until(is_run)
    finally:
        for name in ("a", "b"):
            await client.delete(space.jobs.key(space.namespace, name))
        await client.delete(space.pods_.key(space.namespace, "p"))


# ---------------------------------------------------------------------- each of its writes


class Hands:
    """What the controller does to pods of a job, with an old cache, and what it tells."""

    def __init__(self, space: Jobs, job: Object, context: Context, lister: Lister) -> None:
        guard = jobs._guard(space.jobs, job)
        store = space.cluster.store
        self.does = jobs._Hands(space.pods_, context, lister, store, job, [guard])

    async def create(self, *names: str) -> None:
        await self.does.create([NewPod(name=name) for name in names])


@pytest.fixture
async def seen(space: Jobs) -> AsyncIterator[tuple[Context, Lister]]:
    """What a controller of jobs is given, without one."""
    given: list[Lister] = []

    def make(context: Context) -> Controller:
        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
            given.append(lister)

        return Controller("looks", space.jobs, reconcile, reads=[space.pods_, *looked_up(context)])

    await space.start(name="any", suspend=True)
    async with space.cluster.running(make) as context:

        async def is_given() -> bool:
            return bool(given)

        await until(is_given)
        yield context, given[0]


async def test_who_ended_while_it_was_told_to_go_is_counted(
    space: Jobs, seen: tuple[Context, Lister]
) -> None:
    """4.11: a cache may be behind."""
    hands = Hands(space, await space.start(completions=2), *seen)
    await hands.create("ends", "runs")
    ends, runs = await space.pods()
    await space.end(ends, "Succeeded")
    for pod in (ends, runs):
        await hands.does.dismiss(from_object(Pod, pod))
    (left,) = await space.pods()
    assert left["metadata"]["name"] == "ends"
    assert left["metadata"]["finalizers"] == [TRACKING]
    assert "deletionTimestamp" not in left["metadata"]


async def test_who_is_let_go_uncounted_is_deleted_in_the_same_write(
    space: Jobs, seen: tuple[Context, Lister], client: Client
) -> None:
    """4.13: there is no moment at which a controller that is killed leaves it to end by itself."""
    hands = Hands(space, await space.start(completions=1), *seen)
    await hands.create("runs")
    (pod,) = await space.pods()
    place = space.pods_, space.namespace, "runs"
    await space.cluster.store.update(
        *place, lambda old: {**old, "spec": {**old["spec"], "nodeName": "n1"}}
    )
    key = space.pods_.key(space.namespace, "runs")
    before = await client.get(key)
    await hands.does.dismiss(from_object(Pod, pod))
    after = await client.get(key)
    assert before is not None
    assert after is not None
    assert after.version == before.version + 1
    left = await space.cluster.store.get(*place)
    assert left["metadata"]["finalizers"] == []
    assert left["metadata"]["deletionTimestamp"]


async def test_who_lost_an_answer_makes_no_second_pod(
    space: Jobs, seen: tuple[Context, Lister]
) -> None:
    """4.11: a name that the job has already is no error; that of a stranger is one, and told."""
    hands = Hands(space, await space.start(completions=2), *seen)
    await hands.create("a")
    await hands.create("a", "b")
    assert await space.has("Pending", "Pending")
    await space.cluster.create("pods", {"metadata": {"name": "c", "namespace": space.namespace}})
    with pytest.raises(ApiError, match="already exists"):
        await hands.create("c", "d", "e")
    assert len(await space.pods()) == 3, "the others are not tried for"
    await seen[0].recorder.flush()
    told = ("FailedCreate", 'Error creating: pods "c" already exists')
    assert told in await space.events()


async def test_nothing_is_done_for_a_job_that_has_changed(
    space: Jobs, seen: tuple[Context, Lister]
) -> None:
    """4.11: its plan was for another state."""
    job = await space.start(completions=2)
    hands = Hands(space, job, *seen)
    await hands.create("a")
    (pod,) = await space.pods()
    await space.cluster.store.update(
        space.jobs, space.namespace, "sum", lambda old: {**old, "status": {"succeeded": 1}}
    )
    with pytest.raises(ClaimLostError):
        await hands.create("b")
    with pytest.raises(ClaimLostError):
        await hands.does.dismiss(from_object(Pod, pod))
    assert await space.pods() == [pod]
    await hands.does.release(from_object(Pod, pod))  # it is counted, whatever else is so
    assert (await space.pods())[0]["metadata"]["finalizers"] == []


# ------------------------------------------------------------------------------ the pod


def test_a_pod_is_told_its_index() -> None:
    """4.12: annotation, label, variable, hostname."""
    job = job_object(completionMode="Indexed", completions=5)
    mine = {"name": "JOB_COMPLETION_INDEX", "value": "mine"}
    spec = job["spec"]["template"]["spec"]
    spec["initContainers"] = [{"name": "i", "env": [{"name": "A", "value": "b"}]}]
    spec["containers"].append({"name": "d", "env": [mine]})
    pod = pod_of(job, NewPod(name="sum-3-abcde", index=3, failures=(2, 1)))
    metadata = pod["metadata"]
    assert metadata["name"] == "sum-3-abcde"
    assert metadata["labels"] == {"batch.kubernetes.io/job-name": "sum", INDEX: "3"}
    assert metadata["annotations"] == {
        INDEX: "3",
        "batch.kubernetes.io/job-index-failure-count": "2",
        "batch.kubernetes.io/job-index-ignored-failure-count": "1",
    }
    assert pod["spec"]["hostname"] == "sum-3"
    told = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {
            "fieldRef": {
                "apiVersion": "v1",
                "fieldPath": f"metadata.annotations['{INDEX}']",
            }
        },
    }
    assert [one["env"] for one in pod["spec"]["containers"]] == [[told], [mine]]
    assert pod["spec"]["initContainers"][0]["env"] == [{"name": "A", "value": "b"}, told]
    assert "hostname" not in job["spec"]["template"]["spec"], "the job's own stays as it is"
