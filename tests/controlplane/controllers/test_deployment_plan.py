"""What Deployments plan, step by step. Numbers are rows of kube-behaviour.md."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controlplane.api import record
from controlplane.api.types.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from controlplane.api.types.core_v1 import PodTemplateSpec
from controlplane.api.types.meta_v1 import LabelSelector, ObjectMeta
from controlplane.controllers import progress, revisions, rollouts
from controlplane.controllers.deployments import plan
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.pods import template

ROLLING = DeploymentStrategy(
    type="RollingUpdate",
    rolling_update=RollingUpdateDeployment(max_surge="25%", max_unavailable="25%"),
)
RECREATE = DeploymentStrategy(type="Recreate")


def _template(image: str) -> PodTemplateSpec:
    return record.from_object(PodTemplateSpec, template(image))


def _deployment(strategy: DeploymentStrategy = ROLLING, replicas: int = 4) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="n", uid="web", generation=1),
        spec=DeploymentSpec(
            replicas=replicas,
            strategy=strategy,
            revision_history_limit=1,
            progress_deadline_seconds=600,
            selector=LabelSelector(match_labels={"app": "web"}),
            template=_template("app:1"),
        ),
    )


class Stage:
    """A Deployment and its ReplicaSets, whose pods come and go at once."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.sets: list[ReplicaSet] = []
        self.now = NOW
        self.made = 0

    def want(self, **spec: object) -> None:
        metadata = replace(
            self.deployment.metadata, generation=self.deployment.metadata.generation + 1
        )
        self.deployment = replace(
            self.deployment, metadata=metadata, spec=replace(self.deployment.spec, **spec)
        )

    def step(self) -> bool:
        """Whether there was anything to do."""
        running = {one.metadata.uid for one in self.sets if one.status.replicas}
        todo = plan(self.deployment, self.sets, running, self.now)
        before = (self.deployment, self.sets)
        after = {was.metadata.uid: one for was, one in todo.change}
        doomed = {one.metadata.uid for one in todo.delete}
        self.sets = [
            after.get(one.metadata.uid, one) for one in self.sets if one.metadata.uid not in doomed
        ]
        if todo.create is not None:
            self.made += 1
            told = {"uid": f"u{self.made}", "creation_timestamp": f"2023-11-14T{self.made:02}:00Z"}
            metadata = replace(todo.create.metadata, **told)
            self.sets.append(replace(todo.create, metadata=metadata))
        self.deployment = todo.after
        self.now += 1
        return before != (self.deployment, self.sets)

    def run_pods(self) -> None:
        self.sets = [
            replace(
                one,
                status=ReplicaSetStatus(
                    replicas=rollouts.size(one),
                    ready_replicas=rollouts.size(one),
                    available_replicas=rollouts.size(one),
                ),
            )
            for one in self.sets
        ]

    def settle(self) -> None:
        for _ in range(100):
            if not self.step():
                return
            self.run_pods()
        raise AssertionError("it comes to no end")

    def sizes(self) -> dict[str, int]:
        return {one.spec.template.spec.containers[0].image: rollouts.size(one) for one in self.sets}


wishes = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "template": st.sampled_from(["app:1", "app:2", "app:3"]).map(_template),
            "replicas": st.integers(0, 9),
            "paused": st.booleans(),
            "strategy": st.sampled_from([ROLLING, RECREATE]),
        },
    ),
    max_size=5,
)


@given(wanted=wishes, steps=st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_whatever_is_wanted_comes_about(wanted: list[dict[str, object]], steps: list[int]) -> None:
    """4.4 to 4.8: one ReplicaSet has all pods, with the greatest revision, and the history is
    bounded.
    """
    stage = Stage(_deployment())
    for wish, count in zip(wanted, steps, strict=False):
        stage.want(**wish)
        for _ in range(count):
            stage.step()
            stage.run_pods()
    stage.want(paused=False)
    stage.settle()
    found = revisions.history(stage.deployment, stage.sets, lambda one: one)
    assert found.new is not None
    assert rollouts.size(found.new) == rollouts.desired(stage.deployment)
    assert rollouts.total(found.old) == 0
    assert len(found.old) <= 1
    numbers = [revisions.revision_of(one) for one in found.all]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) == revisions.revision_of(found.new)
    told = stage.deployment.metadata.annotations[revisions.REVISION]
    assert told == str(max(numbers))
    assert progress.is_complete(stage.deployment, stage.deployment.status)
    assert not stage.step(), "what is as it should be is left alone"


def test_recreate_takes_everything_away_first() -> None:
    """4.8."""
    stage = Stage(_deployment(RECREATE))
    stage.settle()
    stage.want(template=_template("app:2"))
    stage.step()
    assert stage.sizes() == {"app:1": 0}
    stage.step()
    assert stage.sizes() == {"app:1": 0}, "its pods are there still"
    stage.run_pods()
    stage.step()
    assert stage.sizes() == {"app:1": 0, "app:2": 4}


def test_paused_one_only_scales() -> None:
    """4.8."""
    stage = Stage(_deployment())
    stage.settle()
    stage.want(paused=True, template=_template("app:2"), replicas=6)
    stage.settle()
    assert stage.sizes() == {"app:1": 6}


def test_what_has_the_name_of_another_does_not_change_it() -> None:
    """4.5: two templates of one hash."""
    stage = Stage(_deployment())
    stage.settle()
    stage.want(template=_template("app:2"))
    name = plan(stage.deployment, stage.sets, (), NOW).create
    assert name is not None
    [old] = stage.sets
    twin = replace(old, metadata=replace(old.metadata, name=name.metadata.name))
    found = plan(stage.deployment, [twin], (), NOW)
    assert found.create is not None
    assert all(after.spec.template == was.spec.template for was, after in found.change)


def test_what_is_deleted_only_counts() -> None:
    """4.7."""
    stage = Stage(_deployment())
    stage.settle()
    metadata = replace(stage.deployment.metadata, deletion_timestamp="2023-11-14T22:13:20Z")
    going = replace(stage.deployment, metadata=metadata, status=DeploymentStatus())
    found = plan(going, [], (), NOW)
    assert (found.create, found.change, found.delete) == (None, (), ())
