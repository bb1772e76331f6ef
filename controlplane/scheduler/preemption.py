"""Which pods go so that a more important one gets a node. PURE.

Source: Kubernetes, "Pod Priority and Preemption"; kube-behaviour 7.7.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from controlplane.api.selectors import LabelSelector
from controlplane.scheduler.diagnosis import Diagnosis, reasons_of, told
from controlplane.scheduler.evaluation import Evaluation
from controlplane.scheduler.framework import Room
from controlplane.scheduler.node_table import NodeTable, Trial
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.pod_class import PodFacts
from kvstore.seams import Random

CANDIDATES_PART = 10
"""A tenth of the nodes that may be helped is looked at, but at least CANDIDATES_MIN."""
CANDIDATES_MIN = 100
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NEVER = "not eligible due to preemptionPolicy=Never."
UNDER_WAY = "not eligible due to a terminating pod on the nominated node."
_LATEST = "~"  # after all times in RFC 3339: it has not begun
_PRIORITY_SHIFT = 2**31  # makes all priorities positive: fewer victims are never worse


class Budget(msgspec.Struct, frozen=True):
    """A PodDisruptionBudget.

    allowed    disruptions that it allows now
    disrupted  names of pods that it has counted as gone already
    """

    namespace: str
    selector: LabelSelector
    allowed: int
    disrupted: frozenset[str] = frozenset()

    def counts(self, pod: PodFacts) -> bool:
        """Whether it would be a disruption if this pod went. An empty selector counts none."""
        return (
            pod.namespace == self.namespace
            and not self.selector.is_everything
            and pod.name not in self.disrupted
            and self.selector.matches(pod.kind.labels)
        )


class Candidate(msgspec.Struct, frozen=True):
    """A node, and who would have to go, the most important first.

    violations  of victims, how many a budget does not allow
    """

    node_name: str
    victims: tuple[PodFacts, ...]
    violations: int = 0


class Hopeless(msgspec.Struct, frozen=True):
    """A node that would not have the pod though others went, and why."""

    reasons: Mapping[str, int]


def why_not(
    pod: PodFacts, diagnosis: Diagnosis, table: NodeTable, nominations: Nominations
) -> str | None:
    """Why a pod may not have others removed; None: it may.

    Those who are to go for it may be told only now, or it is not yet known here that they were: it
    has no others removed beside them.
    """
    if not pod.is_preempting:
        return NEVER
    nominated_node = nominations.node_of(pod.uid)
    row = table.rows.get(nominated_node)
    if row is None or row not in diagnosis.helpable:
        return None
    victims = nominations.victims_of(pod.uid, nominated_node)
    is_under_way = any(
        one.uid in victims
        or (one.priority < pod.priority and one.is_terminating and one.is_disrupted)
        for one in table.pods[row].values()
    )
    return UNDER_WAY if is_under_way else None


def tried(
    evaluation: Evaluation,
    pod: PodFacts,
    helpable: Sequence[int],
    nominations: Nominations,
    budgets: Iterable[Budget],
    dice: Random,
) -> Iterator[Candidate | Hopeless]:
    """What each node costs, beginning somewhere by chance, until there are enough candidates.

    Between two nodes the caller may do something else, for the table is as it was; when a node
    changes meanwhile, what was found so far is all.
    """
    if not helpable:
        return
    wanted = min(len(helpable), max(CANDIDATES_MIN, len(helpable) * CANDIDATES_PART // 100))
    start = dice.randrange(0, len(helpable))
    by_namespace: dict[str, list[Budget]] = {}
    for budget in budgets:
        by_namespace.setdefault(budget.namespace, []).append(budget)
    table, version = evaluation.table, evaluation.table.facts_version
    found, is_any_harmless = 0, False
    for row in (*helpable[start:], *helpable[:start]):
        if table.facts_version != version:
            return
        one = _victims(evaluation, pod, row, nominations, by_namespace)
        yield one
        if isinstance(one, Candidate):
            found += 1
            is_any_harmless = is_any_harmless or not one.violations
            if found >= wanted and is_any_harmless:
                return


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one that costs least; the first of those that cost the same."""
    return min(candidates, key=_cost, default=None)


def refusal(node_count: int, hopeless: Sequence[Hopeless]) -> str:
    """Why no node can be had this way; nodes that were not tried could not be helped."""
    reasons: Counter[str] = Counter()
    for one in hopeless:
        reasons.update(one.reasons)
    if node_count > len(hopeless):
        reasons[NOT_HELPFUL] += node_count - len(hopeless)
    return told(node_count, dict(reasons))


def _cost(candidate: Candidate) -> tuple[object, ...]:
    """Budgets violated, the greatest priority, their sum, how many; then who began last."""
    victims = candidate.victims
    greatest = max((one.priority for one in victims), default=-_PRIORITY_SHIFT)
    starts = (one.start or _LATEST for one in victims if one.priority == greatest)
    begun = min(starts, default=_LATEST)
    return (
        candidate.violations,
        greatest,
        sum(one.priority + _PRIORITY_SHIFT for one in victims),
        len(victims),
        _Latest(begun),
    )


class _Latest(str):
    """A time that is the less the later it is."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _importance(pod: PodFacts) -> tuple[int, str, str]:
    """The more important come first: of greater priority, then who runs longer; of equal ones
    always the same, so that whoever is chosen is chosen again.
    """
    return (-pod.priority, pod.start or _LATEST, pod.uid)


def _victims(
    evaluation: Evaluation,
    pod: PodFacts,
    row: int,
    nominations: Nominations,
    budgets: Mapping[str, Sequence[Budget]],
) -> Candidate | Hopeless:
    """As few as may be: all that are less important go, then each comes back that has room."""
    table = evaluation.table
    name = table.named(row)
    lower = [one for one in table.pods[row].values() if one.priority < pod.priority]
    if not lower:
        return Hopeless({NO_VICTIMS: 1})
    lower.sort(key=_importance)
    ahead = nominations.ahead_of(pod, name)
    rooms = None if ahead and _keeps_away(ahead) else evaluation.rooms(row)
    if rooms is not None:
        return _outcome(_InThought(name, rooms), lower, ahead, budgets)
    with table.trial() as trial:
        return _outcome(_InTable(name, trial, evaluation), lower, ahead, budgets)


def _keeps_away(pods: Iterable[PodFacts]) -> bool:
    """Whether one of them may bring an anti-affinity, of which filters of now know nothing."""
    return any(not carried.weight for one in pods for carried in one.kind.carried)


class _InThought:
    """A node whose filters can tell what would be from what is."""

    def __init__(self, name: str, rooms: Sequence[Room]) -> None:
        self.name = name
        self._rooms = rooms

    def add(self, pod: PodFacts) -> None:
        for room in self._rooms:
            room.add(pod.kind)

    def remove(self, pod: PodFacts) -> None:
        for room in self._rooms:
            room.remove(pod.kind)

    def passes(self) -> bool:
        return all(room.passes() for room in self._rooms)

    def reasons(self) -> Mapping[str, int]:
        found = (room.reasons() for room in self._rooms if not room.passes())
        return dict.fromkeys(next(found, ()), 1)


class _InTable:
    """A node of which the table is changed for the while."""

    def __init__(self, name: str, trial: Trial, evaluation: Evaluation) -> None:
        self.name = name
        self._trial = trial
        self._evaluation = evaluation
        self._row = evaluation.table.rows[name]

    def add(self, pod: PodFacts) -> None:
        self._trial.add(pod, self.name)

    def remove(self, pod: PodFacts) -> None:
        self._trial.remove(pod, self.name)

    def passes(self) -> bool:
        return self._evaluation.passes(self._row)

    def reasons(self) -> Mapping[str, int]:
        return reasons_of(self._evaluation, self._row)


def _outcome(
    node: _InThought | _InTable,
    lower: Sequence[PodFacts],
    ahead: Sequence[PodFacts],
    budgets: Mapping[str, Sequence[Budget]],
) -> Candidate | Hopeless:
    """`lower` could go, the most important first; those `ahead` come before the pod."""
    for one in lower:
        node.remove(one)
    for one in ahead:
        node.add(one)
    if not node.passes():
        return Hopeless(node.reasons())
    violating, others = _by_budget(lower, budgets)
    victims: list[PodFacts] = []
    violations = 0
    for position, one in enumerate((*violating, *others)):
        node.add(one)
        if not node.passes():
            node.remove(one)
            victims.append(one)
            violations += position < len(violating)
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _by_budget(
    pods: Sequence[PodFacts], budgets: Mapping[str, Sequence[Budget]]
) -> tuple[list[PodFacts], list[PodFacts]]:
    """Those whose end a budget would not allow once those before them went, and the others."""
    spent: Counter[int] = Counter()
    violating: list[PodFacts] = []
    others: list[PodFacts] = []
    for pod in pods:
        is_violated = False
        for budget in budgets.get(pod.namespace, ()):
            if budget.counts(pod):
                spent[id(budget)] += 1
                is_violated = is_violated or spent[id(budget)] > budget.allowed
        (violating if is_violated else others).append(pod)
    return violating, others
