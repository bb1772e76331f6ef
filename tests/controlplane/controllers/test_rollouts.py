"""Steps of rollouts, as numbers. Numbers of rows are those of kube-behaviour.md."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from controlplane.api import preparation, record
from controlplane.api.registry import Registry
from controlplane.api.types.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.controllers import rollouts
from controlplane.controllers.rollouts import Bounds, bounds

Share = int | str


def deployment(
    replicas: int, surge: Share = "25%", unavailable: Share = "25%", kind: str = "RollingUpdate"
) -> Deployment:
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    strategy = DeploymentStrategy(type=kind, rolling_update=rolling)
    return Deployment(
        metadata=ObjectMeta(name="d"), spec=DeploymentSpec(replicas=replicas, strategy=strategy)
    )


def replica_set(
    name: str, size: int, available: int | None = None, age: int = 0, **annotations: int
) -> ReplicaSet:
    """age: the greater, the older."""
    told = {
        f"deployment.kubernetes.io/{key.replace('_', '-')}": str(value)
        for key, value in annotations.items()
    }
    created = f"2023-11-14T22:{59 - age:02}:00Z"
    return ReplicaSet(
        metadata=ObjectMeta(name=name, annotations=told, creation_timestamp=created),
        spec=ReplicaSetSpec(replicas=size),
        status=ReplicaSetStatus(
            replicas=size, available_replicas=size if available is None else available
        ),
    )


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", Bounds(3, 2)),
        (3, "25%", "25%", Bounds(1, 0)),
        (1, "25%", "25%", Bounds(1, 0)),
        (4, "25%", "25%", Bounds(1, 1)),
        (10, 0, "5%", Bounds(0, 1)),  # both are 0: one may be unavailable
        (10, 2, 3, Bounds(2, 3)),
        (2, 0, 5, Bounds(0, 2)),
        (0, "25%", "25%", Bounds(0, 0)),
    ],
)
def test_fenceposts(replicas: int, surge: Share, unavailable: Share, expected: Bounds) -> None:
    """4.3: ceil(surge), floor(unavailable), and never both 0."""
    assert bounds(deployment(replicas, surge, unavailable)) == expected


def test_defaults() -> None:
    """4.2, 4.3: as the API server fills them in."""
    kind = Registry.builtin().find("apps", "v1", "deployments")
    assert kind is not None
    found = record.from_object(Deployment, preparation.defaulted(kind, {"spec": {}}))
    assert (found.spec.replicas, found.spec.min_ready_seconds) == (1, 0)
    assert (found.spec.revision_history_limit, found.spec.progress_deadline_seconds) == (10, 600)
    assert found.spec.strategy.type == "RollingUpdate"
    told = found.spec.strategy.rolling_update
    assert told is not None
    assert (told.max_surge, told.max_unavailable) == ("25%", "25%")


def test_nonsense_is_told() -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        bounds(deployment(3, "many"))


def test_new_one_grows_first_and_then_old_ones_shrink() -> None:
    """4.4: 10 @25 %: 8…13 pods."""
    wanted = deployment(10)
    old, new = replica_set("old", 10), replica_set("new", 0)
    assert rollouts.rolling(wanted, new, [old]) == {"new": 3}
    new = replica_set("new", 3, available=0)
    assert rollouts.rolling(wanted, new, [old]) == {"old": 8}
    old = replica_set("old", 8)
    assert rollouts.rolling(wanted, new, [old]) == {"new": 5}
    new = replica_set("new", 5, available=0)
    assert rollouts.rolling(wanted, new, [old]) == {}, "as few as may be are available"
    new = replica_set("new", 5, available=2)
    assert rollouts.rolling(wanted, new, [old]) == {"old": 6}


def test_unhealthy_old_pods_go_first() -> None:
    """4.4: of the oldest ReplicaSet before others."""
    wanted = deployment(10, surge=2, unavailable=2)
    broken = replica_set("broken", 4, available=0, age=5)
    good = replica_set("good", 8, age=9)
    new = replica_set("new", 0)
    assert rollouts.grown(wanted, new, [broken, good]) == 0, "there is no room"
    assert rollouts.rolling(wanted, new, [broken, good]) == {"broken": 0}


def test_what_a_status_has_not_heard_of_does_not_count_as_available() -> None:
    """4.4: 8 shall be left of 10, which are told still."""
    wanted = deployment(10)
    old, new = replica_set("old", 8, available=10), replica_set("new", 5, available=2)
    assert rollouts.rolling(wanted, new, [old]) == {"old": 6}


def test_more_pods_are_shared_out() -> None:
    """4.4: the example of Kubernetes' documentation, 10 to 15 in the middle of a rollout."""
    wanted = deployment(15, surge=3, unavailable=2)
    told = {"desired_replicas": 10, "max_replicas": 13}
    old, new = replica_set("old", 8, **told), replica_set("new", 5, available=0, **told)
    assert rollouts.is_scaling(wanted, [old, new])
    assert rollouts.scaled(wanted, new, [old]) == {"old": 11, "new": 7}
    assert rollouts.annotations(wanted) == {
        "deployment.kubernetes.io/desired-replicas": "15",
        "deployment.kubernetes.io/max-replicas": "18",
    }


def test_what_rounding_leaves_is_the_largest_ones() -> None:
    """4.4: of equal ones the newest gets it, and the oldest loses it."""
    told = {"desired_replicas": 6, "max_replicas": 6}
    both = [replica_set("a", 3, age=1, **told), replica_set("b", 3, **told)]
    assert rollouts.scaled(deployment(7, 0, 1), None, both) == {"a": 3, "b": 4}
    assert rollouts.scaled(deployment(5, 0, 1), None, both) == {"a": 2, "b": 3}


def test_only_one_that_has_pods_gets_all() -> None:
    """4.4, 4.8."""
    wanted = deployment(5)
    old, new = replica_set("old", 3), replica_set("new", 0)
    assert rollouts.scaled(wanted, new, [old]) == {"old": 5}
    assert rollouts.scaled(wanted, None, [replica_set("old", 0)]) == {"old": 5}
    assert rollouts.scaled(wanted, new, [replica_set("old", 0)]) == {"new": 5}
    assert rollouts.scaled(wanted, None, []) == {}


def test_old_ones_go_when_the_new_one_is_whole() -> None:
    """4.4."""
    new = replica_set("new", 5, desired_replicas=5)
    old = replica_set("old", 1, desired_replicas=4)
    assert rollouts.scaled(deployment(5), new, [old]) == {"old": 0}


# ------------------------------------------------------------------ whatever happens

shares = st.one_of(st.integers(0, 6), st.integers(0, 100).map(lambda percent: f"{percent}%"))


class _Play:
    """ReplicaSets whose controllers and nodes do what a test says, in any order."""

    def __init__(self, wanted: Deployment, sizes: list[int], data: st.DataObject) -> None:
        self.wanted = wanted
        self.data = data
        self.sets = [replica_set(f"old{age}", size, age=age) for age, size in enumerate(sizes, 1)]
        self.sets.append(replica_set("new", 0))

    @property
    def available(self) -> int:
        return sum(one.status.available_replicas for one in self.sets)

    def step(self) -> bool:
        """Whether anything was done."""
        *old, new = self.sets
        if rollouts.is_scaling(self.wanted, self.sets):
            sizes = rollouts.scaled(self.wanted, new, old)
        else:
            sizes = rollouts.rolling(self.wanted, new, old)
        before, loss = self.sets, 0
        self.sets = []
        for one in before:
            size = sizes.get(one.metadata.name, rollouts.size(one))
            # Pods that are not available go first (4.1).
            available = min(one.status.available_replicas, size)
            loss += one.status.available_replicas - available
            self.sets.append(
                replace(
                    one,
                    spec=ReplicaSetSpec(replicas=size),
                    status=ReplicaSetStatus(replicas=size, available_replicas=available),
                )
            )
        if loss:
            floor = rollouts.desired(self.wanted) - bounds(self.wanted).unavailable
            assert self.available >= floor, "our own doing"
        return self.sets != before

    def become_available(self, least: int) -> None:
        """Some pods become available."""
        for position, one in enumerate(self.sets):
            missing = rollouts.size(one) - one.status.available_replicas
            count = self.data.draw(st.integers(min(least, missing), missing))
            status = replace(one.status, available_replicas=one.status.available_replicas + count)
            self.sets[position] = replace(one, status=status)

    def fail(self) -> None:
        """Some pods are no longer available."""
        for position, one in enumerate(self.sets):
            count = self.data.draw(st.integers(0, one.status.available_replicas))
            self.sets[position] = replace(one, status=replace(one.status, available_replicas=count))


@given(
    replicas=st.integers(0, 20),
    surge=shares,
    unavailable=shares,
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    data=st.data(),
)
def test_rollouts_keep_their_bounds_and_end(
    replicas: int, surge: Share, unavailable: Share, sizes: list[int], data: st.DataObject
) -> None:
    """4.4: never more than desired + surge, never fewer available by our doing, and all is new."""
    wanted = deployment(replicas, surge, unavailable)
    play = _Play(wanted, sizes, data)
    room = max(replicas + bounds(wanted).surge, sum(sizes))
    for _ in range(data.draw(st.integers(0, 6))):
        play.step()
        assert rollouts.total(play.sets) <= room
        if data.draw(st.booleans()):
            play.fail()
        else:
            play.become_available(0)
    for _ in range(200):
        if not play.step() and all(
            rollouts.size(one) == one.status.available_replicas for one in play.sets
        ):
            break
        assert rollouts.total(play.sets) <= room
        play.become_available(1)
    assert [rollouts.size(one) for one in play.sets] == [0] * len(sizes) + [replicas]


@given(
    before=st.integers(1, 20),
    after=st.integers(0, 40),
    surge=shares,
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
)
@example(before=1, after=1, surge=1, sizes=[1, 1, 1, 1])
def test_sharing_out_uses_all_the_room(
    before: int, after: int, surge: Share, sizes: list[int]
) -> None:
    """4.4: nobody loses when all grow, nobody gains when all shrink."""
    wanted = deployment(after, surge, 1)
    most = max(before, sum(sizes))
    sets = [
        replica_set(f"r{age}", size, 0, age, desired_replicas=before, max_replicas=most)
        for age, size in enumerate(sizes)
    ]
    found = rollouts.scaled(wanted, None, sets)
    room = after + bounds(wanted).surge if after else 0
    told = sum(found.values())
    # What rounding leaves is taken from one set only; where it is too small, the next look goes on.
    assert told == room or (room < told < sum(sizes) and 0 in found.values())
    for one, size in zip(sets, sizes, strict=True):
        if room >= sum(sizes):
            assert found[one.metadata.name] >= size
        else:
            assert 0 <= found[one.metadata.name] <= size
