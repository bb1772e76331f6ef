"""Revisions of a Deployment: each template that it has had is a ReplicaSet. PURE.

Source: Kubernetes' documentation, "Deployments" (pod-template-hash label, rolling back, clean up
policy); kube-behaviour 4.5, 4.6.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from controlplane.api import record
from controlplane.api.names import SUFFIX_CHARS
from controlplane.api.resource import Object
from controlplane.api.types.apps_v1 import Deployment, ReplicaSet, ReplicaSetSpec
from controlplane.api.types.core_v1 import PodTemplateSpec
from controlplane.api.types.meta_v1 import LabelSelector, ObjectMeta
from controlplane.controller import owner_reference
from controlplane.controllers import rollouts

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HISTORY_CHARS_MAX = 2000
UNLIMITED = 2**31 - 1
"""What says that there is no limit, and no deadline."""

_KEPT_APART = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        rollouts.DESIRED,
        rollouts.MAXIMUM,
    )
)
"""Annotations that a ReplicaSet does not share with its Deployment."""


class History(msgspec.Struct, frozen=True):
    """The ReplicaSets of a Deployment: the one that has its template, and all others."""

    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]

    @property
    def all(self) -> tuple[ReplicaSet, ...]:
        """Old ones first."""
        return self.old if self.new is None else (*self.old, self.new)


Complete = Callable[[PodTemplateSpec], PodTemplateSpec]
"""A template with all defaults."""


def history(
    deployment: Deployment, replica_sets: Iterable[ReplicaSet], complete: Complete
) -> History:
    """Of several with the same template the oldest counts, so that all agree on it (4.5).

    Templates that differ in what one of them leaves to its defaults are the same: who writes one
    past the API server, or before it had a default, makes no new revision.
    """
    ordered = sorted(replica_sets, key=rollouts.by_age)
    wanted = _bare(deployment.spec.template)
    new = next((one for one in ordered if _bare(one.spec.template) == wanted), None)
    if new is None and ordered:
        new = next((one for one in ordered if has_template(deployment, one, complete)), None)
    return History(new, tuple(one for one in ordered if one is not new))


def has_template(deployment: Deployment, replica_set: ReplicaSet, complete: Complete) -> bool:
    """Whether both make the same pods."""
    return complete(_bare(replica_set.spec.template)) == complete(_bare(deployment.spec.template))


def _bare(template: PodTemplateSpec) -> PodTemplateSpec:
    """As structs, in which what is empty is as if it were left out; without the hash's label."""
    metadata = template.metadata
    if HASH not in metadata.labels:
        return template
    labels = {name: value for name, value in metadata.labels.items() if name != HASH}
    return replace(template, metadata=replace(metadata, labels=labels))


# ------------------------------------------------------------------------- the hash


def template_hash(template: PodTemplateSpec, collisions: int | None) -> str:
    """4.5: FNV-32a of what the template says and how often that collided, in safe letters."""
    text = orjson.dumps(record.to_object(_bare(template)), option=orjson.OPT_SORT_KEYS)
    if collisions is not None:
        text += collisions.to_bytes(8, "little")
    return safe_letters(str(fnv_32a(text)))


def fnv_32a(text: bytes) -> int:
    """The hash of Fowler, Noll and Vo, 32 bits, in the order xor, multiply."""
    found = 0x811C9DC5
    for byte in text:
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def safe_letters(text: str) -> str:
    """Letter by letter, without vowels and what looks like another."""
    return "".join(SUFFIX_CHARS[ord(one) % len(SUFFIX_CHARS)] for one in text)


# ----------------------------------------------------------------- a new ReplicaSet


def new_replica_set(deployment: Deployment, old: Sequence[ReplicaSet]) -> ReplicaSet:
    """The ReplicaSet of the Deployment's template, which none has yet."""
    spec = deployment.spec
    label = {HASH: template_hash(spec.template, deployment.status.collision_count)}
    selector = spec.selector or LabelSelector()
    metadata = spec.template.metadata
    labels = {**metadata.labels, **label}
    made = ReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{label[HASH]}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            annotations={
                **_shared(deployment),
                **rollouts.annotations(deployment),
                REVISION: str(next_revision(old)),
            },
        ),
        spec=ReplicaSetSpec(
            replicas=0,
            min_ready_seconds=spec.min_ready_seconds,
            selector=replace(selector, match_labels={**selector.match_labels, **label}),
            template=replace(spec.template, metadata=replace(metadata, labels=labels)),
        ),
    )
    replicas = rollouts.grown(deployment, made, old)
    return replace(made, spec=replace(made.spec, replicas=replicas))


def as_object(made: ReplicaSet, deployment: Object) -> dict[str, Any]:
    """A new ReplicaSet as it is created, its template as the Deployment has it.

    deployment  from which the template comes: fields that no type knows stay
    """
    template = (deployment.get("spec") or {}).get("template") or {}
    metadata = {**(template.get("metadata") or {}), "labels": dict(made.metadata.labels)}
    found = record.to_object(made)
    found["metadata"]["ownerReferences"] = [owner_reference(deployment)]
    found["spec"]["template"] = {**template, "metadata": metadata}
    found.pop("status", None)
    return found


# ------------------------------------------------------------------------ revisions


def revision_of(replica_set: ReplicaSet) -> int:
    """0: it says none."""
    return _revision(replica_set.metadata.annotations.get(REVISION, ""))


def _revision(told: str) -> int:
    return int(told) if told.isascii() and told.isdecimal() and len(told) <= 18 else 0


def next_revision(old: Iterable[ReplicaSet]) -> int:
    """One more than any of them has."""
    return max(map(revision_of, old), default=0) + 1


def renewed(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> ReplicaSet:
    """The ReplicaSet that has the Deployment's template, as the newest of all (4.6).

    One that others followed, and to which somebody went back, keeps in mind which it was.
    """
    annotations = {**new.metadata.annotations, **_shared(deployment)}
    before, revision = revision_of(new), next_revision(old)
    if before < revision:
        annotations[REVISION] = str(revision)
        if before:
            annotations[HISTORY] = _longer(annotations.get(HISTORY, ""), str(before))
    return replace(
        new,
        metadata=replace(new.metadata, annotations=annotations),
        spec=replace(new.spec, min_ready_seconds=deployment.spec.min_ready_seconds),
    )


def _longer(told: str, revision: str) -> str:
    """The oldest revisions are forgotten where there are too many."""
    revisions = [*told.split(","), revision] if told else [revision]
    while len(",".join(revisions)) > HISTORY_CHARS_MAX:
        del revisions[0]
    return ",".join(revisions)


def _shared(deployment: Deployment) -> Mapping[str, str]:
    """Also `kubernetes.io/change-cause`, by which `kubectl rollout history` tells of each (4.6)."""
    annotations = deployment.metadata.annotations
    return {name: value for name, value in annotations.items() if name not in _KEPT_APART}


def superfluous(deployment: Deployment, old: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Old ones beyond the Deployment's limit, the oldest revisions first; none that has pods."""
    limit = deployment.spec.revision_history_limit
    if limit is None or limit == UNLIMITED:
        return []
    kept = [one for one in old if one.metadata.deletion_timestamp is None]
    ordered = sorted(kept, key=lambda one: (revision_of(one), rollouts.by_age(one)))
    doomed = ordered[: max(len(ordered) - limit, 0)]
    return [one for one in doomed if _is_empty(one)]


def _is_empty(replica_set: ReplicaSet) -> bool:
    """Surely: its controller has seen that it is to be so."""
    status = replica_set.status
    is_seen = replica_set.metadata.generation <= status.observed_generation
    return is_seen and not status.replicas and not rollouts.size(replica_set)
