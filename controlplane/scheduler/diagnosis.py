"""Why no node may have a pod, in the words of Kubernetes' scheduler. PURE.

Source: kube-behaviour 7.2.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from controlplane.scheduler.evaluation import Evaluation
from controlplane.scheduler.pod_class import PodFacts

NO_NODES = "no nodes available to schedule pods"

Positions = npt.NDArray[np.intp]


class Diagnosis(msgspec.Struct, frozen=True):
    """
    node_count  of all nodes
    reasons     messages, and of how many nodes each is true
    plugins     who rejected the pod
    helpable    rows on which it may help when other pods go
    refusal     why none may have the pod, whatever nodes there are; empty: reasons say it
    """

    node_count: int
    reasons: dict[str, int] = {}
    plugins: frozenset[str] = frozenset()
    helpable: Sequence[int] = ()
    refusal: str = ""

    @property
    def message(self) -> str:
        """`0/5 nodes are available: 3 Insufficient cpu, 2 node(s) were unschedulable.`"""
        if not self.node_count:
            return NO_NODES
        if self.refusal:
            return _none_of(self.node_count, self.refusal)
        return told(self.node_count, self.reasons)


def told(node_count: int, reasons: dict[str, int]) -> str:
    """Reasons as they are told, in the order of their texts."""
    listed = ", ".join(sorted(f"{count} {message}" for message, count in reasons.items()))
    return _none_of(node_count, listed)


def _none_of(node_count: int, why: str) -> str:
    start = f"0/{node_count} nodes are available:"
    return f"{start} {why}." if why else start


class _Tally:
    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.plugins: set[str] = set()
        self.helpable: list[int] = []

    def reject(self, evaluation: Evaluation, rows: Positions) -> Positions:
        """Count why rows do not pass; those that do."""
        for plugin in evaluation.filters():
            if not len(rows):
                break
            passes = plugin.filter(evaluation.view(rows))
            rejected, rows = rows[~passes], rows[passes]
            if not len(rejected):
                continue
            self.plugins.add(plugin.name)
            is_hopeless = np.zeros(len(rejected), dtype=np.bool_)
            for one in plugin.explain(evaluation.view(rejected)):
                count = int(np.count_nonzero(one.rows))
                if count:
                    self.reasons[one.message] += count
                if not one.is_resolvable:
                    is_hopeless |= one.rows
            self.helpable += rejected[~is_hopeless].tolist()
        return rows


def reasons_of(evaluation: Evaluation, row: int) -> dict[str, int]:
    """Why one row does not pass as things are now; {}: it does."""
    tally = _Tally()
    tally.reject(evaluation, np.array([row], dtype=np.intp))
    return dict(tally.reasons)


def diagnose(
    evaluation: Evaluation, awaited: Iterable[tuple[int, Sequence[PodFacts]]] = ()
) -> Diagnosis:
    """Why no row may have the pod.

    awaited  rows that pass, but not with the pods that are to come there
    """
    table = evaluation.table
    tally = _Tally()
    tally.reject(evaluation, np.flatnonzero(table.is_there(table.all_rows)))
    for row, pods in awaited:
        with table.trial() as trial:
            for pod in pods:
                trial.add(pod, table.named(row))
            tally.reject(evaluation, np.array([row], dtype=np.intp))
    return Diagnosis(
        node_count=table.count,
        reasons=dict(tally.reasons),
        plugins=frozenset(tally.plugins),
        helpable=tuple(tally.helpable),
    )
