"""One pod, and the node that it gets: filters, scores, and a roll of dice among the best. PURE.

All nodes are scored, however many there are: with vectors that costs less than to choose which
(Kubernetes scores a part of them in large clusters, kube-behaviour 7.6).
Source: kube-behaviour 7.2, 7.4.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from controlplane.scheduler.arrays import Ints, Mask
from controlplane.scheduler.diagnosis import Diagnosis, diagnose
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.pod_class import PodFacts
from kvstore.seams import Random

_NOT = np.iinfo(np.int64).min


class Placement(msgspec.Struct, frozen=True):
    """The node that a pod gets."""

    node_name: str


def place(
    evaluations: Evaluations,
    profile: Profile,
    pod: PodFacts,
    nominations: Nominations,
    dice: Random,
) -> Placement | Diagnosis:
    """The best node for a pod, or why there is none. Nothing is changed.

    A node for which the pod waits is taken without a look at others. A node must have room for
    those, too, who wait for it with a better right.
    """
    table = evaluations.table
    if not table.count:
        return Diagnosis(0, plugins=frozenset(one.name for one in profile.filters))
    for plugin in profile.pre_filters:
        refusal = plugin.pre_filter(pod.kind, table)
        if refusal is not None:
            return Diagnosis(table.count, plugins=frozenset((plugin.name,)), refusal=refusal)
    evaluation = evaluations.of(profile, pod.kind)
    feasible = evaluation.passing()
    nominated = nominations.node_of(pod.uid)
    row = table.rows.get(nominated)
    if row is not None and feasible[row] and not _crowd(evaluation, pod, row, nominations):
        return Placement(nominated)
    awaited: list[tuple[int, Sequence[PodFacts]]] = []
    scores: Ints | None = None
    while feasible.any():
        if scores is None:
            scores = evaluation.scores(feasible)
        row = _best(scores, feasible, dice)
        crowd = _crowd(evaluation, pod, row, nominations)
        if not crowd:
            return Placement(table.named(row))
        awaited.append((row, crowd))
        feasible = feasible.copy()
        feasible[row] = False
    return diagnose(evaluation, awaited) if awaited else _diagnosis(evaluation)


def _best(scores: Ints, feasible: Mask, dice: Random) -> int:
    """7.4: ties are broken uniformly at random."""
    masked = scores if feasible.all() else np.where(feasible, scores, _NOT)
    ties = np.flatnonzero(masked == masked.max())
    return int(ties[dice.randrange(0, len(ties)) if len(ties) > 1 else 0])


def _diagnosis(evaluation: Evaluation) -> Diagnosis:
    """The same for all pods of a class until something changes."""
    table = evaluation.table
    version = (table.log.position, table.namespaces_version)
    known = evaluation.memo.get(__name__)
    if known is None or known[0] != version:
        known = evaluation.memo[__name__] = (version, diagnose(evaluation))
    found = known[1]
    assert isinstance(found, Diagnosis)
    return found


def _crowd(
    evaluation: Evaluation, pod: PodFacts, row: int, nominations: Nominations
) -> Sequence[PodFacts]:
    """Who waits for a node with a better right, where there is not room for all of them."""
    table = evaluation.table
    ahead = nominations.ahead_of(pod, table.named(row))
    if not ahead:
        return ()
    with table.trial() as trial:
        for one in ahead:
            trial.add(one, table.named(row))
        return () if evaluation.passes(row) else ahead
