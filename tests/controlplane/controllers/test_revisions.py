"""Templates, their hashes and their history. Numbers are rows of kube-behaviour.md."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from controlplane.api import record
from controlplane.api.types.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
)
from controlplane.api.types.core_v1 import PodTemplateSpec
from controlplane.api.types.meta_v1 import LabelSelector, ObjectMeta
from controlplane.controllers import revisions
from controlplane.controllers.revisions import (
    as_object,
    fnv_32a,
    history,
    new_replica_set,
    renewed,
    safe_letters,
    superfluous,
    template_hash,
)
from tests.controlplane.controllers.pods import template

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"


def _template(image: str = "app:1", **labels: str) -> PodTemplateSpec:
    return record.from_object(PodTemplateSpec, template(image, **labels))


def _deployment(
    image: str = "app:1", collisions: int | None = None, limit: int | None = 10, **metadata: Any
) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name="d", namespace="n", uid="u", **metadata),
        spec=DeploymentSpec(
            replicas=3,
            min_ready_seconds=7,
            strategy=DeploymentStrategy(type="Recreate"),
            revision_history_limit=limit,
            selector=LabelSelector(match_labels={"app": "web"}),
            template=_template(image),
        ),
        status=DeploymentStatus(collision_count=collisions),
    )


def _revision(number: int, image: str = "", size: int = 0, **told: Any) -> ReplicaSet:
    generation = told.pop("generation", 1)
    annotations = {REVISION: str(number), **told.pop("annotations", {})}
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"r{number}",
            generation=generation,
            annotations=annotations,
            creation_timestamp=f"2023-11-14T22:{number:02}:00Z",
            **told,
        ),
        spec=ReplicaSetSpec(
            replicas=size,
            template=_template(image or f"app:{number}", app="web", **{"pod-template-hash": "x"}),
        ),
        status=ReplicaSetStatus(replicas=size, observed_generation=1),
    )


def _as_it_is(found: PodTemplateSpec) -> PodTemplateSpec:
    return found


# ------------------------------------------------------------------------- the hash


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)],
)
def test_hash_is_fnv_32a(text: bytes, expected: int) -> None:
    """4.5: values that its authors publish."""
    assert fnv_32a(text) == expected


def test_hash_has_safe_letters_only() -> None:
    """4.5: as Kubernetes maps digits."""
    assert safe_letters("0123456789") == "456789bcdf"


def test_hash_tells_templates_and_collisions_apart() -> None:
    """4.5."""
    found = template_hash(_template(), None)
    assert re.fullmatch("[456789bcdf]{1,10}", found)
    assert found == template_hash(_template(), None)
    others = {
        template_hash(_template("app:2"), None),
        template_hash(_template(), 0),
        template_hash(_template(), 1),
    }
    assert len({found, *others}) == 4
    assert found == template_hash(_template(app="web", **{"pod-template-hash": "y"}), None)


def test_new_replica_set_is_named_labelled_and_selected_by_the_hash() -> None:
    """4.5: the label is on the ReplicaSet, its selector and its pods; fields that nobody knows
    stay in the template.
    """
    deployment = _deployment()
    made = new_replica_set(deployment, [_revision(4)])
    hashed = template_hash(deployment.spec.template, None)
    labels = {"app": "web", "pod-template-hash": hashed}
    given = template()
    given["spec"]["fieldOfTomorrow"] = {"deep": [1]}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "uid": "u"},
        "spec": {"template": given},
    }
    found = as_object(made, owner)
    assert found["metadata"]["name"] == f"d-{hashed}"
    assert found["metadata"]["labels"] == labels
    assert found["metadata"]["ownerReferences"][0]["controller"] is True
    assert found["metadata"]["annotations"][REVISION] == "5"
    assert found["spec"] == {
        "replicas": 3,
        "minReadySeconds": 7,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": given["spec"]},
    }


# ---------------------------------------------------------------------- the history


def test_same_template_is_the_same_revision() -> None:
    """4.5: whatever its hash's label; what is empty is as if it were left out."""
    first, second = _revision(1), _revision(2)
    found = history(_deployment("app:1"), [second, first], _as_it_is)
    assert (found.new, found.old) == (first, (second,))
    told = template()
    told["metadata"]["creationTimestamp"] = None
    told["spec"]["containers"][0]["resources"] = {}
    again = record.from_object(PodTemplateSpec, told)
    assert again == _template(), "as kubectl rollout undo sends it"
    assert history(_deployment("app:9"), [first], _as_it_is).new is None


def test_defaults_make_no_new_revision() -> None:
    """4.5."""

    def complete(found: PodTemplateSpec) -> PodTemplateSpec:
        return replace(found, spec=replace(found.spec, restart_policy="Always"))

    first = _revision(1)
    told = replace(first, spec=replace(first.spec, template=complete(first.spec.template)))
    assert history(_deployment("app:1"), [told], _as_it_is).new is None
    assert history(_deployment("app:1"), [told], complete).new == told
    assert history(_deployment("app:2"), [told], complete).new is None


def test_oldest_of_the_same_counts() -> None:
    """4.5."""
    twins = [_revision(3, "app:1"), _revision(2, "app:1")]
    assert history(_deployment("app:1"), twins, _as_it_is).new == twins[1]


def test_going_back_makes_a_revision_the_newest() -> None:
    """4.6: max + 1; it remembers which it was; change-cause comes from the Deployment."""
    annotations = {
        "kubernetes.io/change-cause": "back",
        REVISION: "3",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    first, old = _revision(1), [_revision(2), _revision(3)]
    found = renewed(_deployment(annotations=annotations), first, old)
    assert found.metadata.annotations == {
        REVISION: "4",
        HISTORY: "1",
        "kubernetes.io/change-cause": "back",
    }
    assert found.spec.min_ready_seconds == 7
    again = renewed(_deployment(annotations=annotations), found, [_revision(5)])
    assert again.metadata.annotations[HISTORY] == "1,4"
    assert renewed(_deployment(annotations=annotations), again, [_revision(5)]) == again


def test_memory_of_revisions_is_bounded() -> None:
    """4.6: the oldest are forgotten beyond 2000 letters."""
    known = [str(number) for number in range(100_000, 100_285)]
    assert len(",".join(known)) == 1994

    def told_after(revision: int) -> str:
        before = replace(
            _revision(1),
            metadata=replace(
                _revision(1).metadata,
                annotations={
                    REVISION: str(revision),
                    HISTORY: ",".join(known),
                },
            ),
        )
        found = renewed(_deployment(), before, [_revision(9, annotations={REVISION: "999999"})])
        return found.metadata.annotations[HISTORY]

    assert told_after(77777) == ",".join([*known, "77777"]), "exactly 2000"
    assert told_after(777777) == ",".join([*known[1:], "777777"])


def test_history_keeps_the_newest() -> None:
    """4.6: by their revisions."""
    old = [_revision(number) for number in (5, 1, 4, 2, 3)]
    found = superfluous(_deployment(limit=2), old)
    assert [revisions.revision_of(one) for one in found] == [1, 2, 3]
    assert superfluous(_deployment(limit=None), old) == []
    assert superfluous(_deployment(limit=2**31 - 1), old) == []


def test_only_what_surely_has_no_pods_is_cleaned_up() -> None:
    """4.6: 0 replicas, and its controller knows it."""
    old = [_revision(1, size=1), _revision(2, generation=2), _revision(3)]
    assert superfluous(_deployment(limit=0), old) == [old[2]]
