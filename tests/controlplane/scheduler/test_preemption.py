"""Who goes for whom: kube-behaviour 7.7."""

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.selectors import from_labels
from controlplane.scheduler.configuration import DEFAULT_PLUGINS
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile, View, Weighted
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.preemption import (
    Budget,
    Candidate,
    Hopeless,
    best,
    refusal,
    tried,
    why_not,
)
from controlplane.scheduler.resources import NodeResourcesFit
from tests.controlplane.scheduler.clusters import clusters
from tests.controlplane.scheduler.objects import Object, facts, node, pod, table

PROFILE = Profile(DEFAULT_PLUGINS)
_UNDER_WAY = "not eligible due to a terminating pod on the nominated node."


class Trial:
    """A pod that fits nowhere, and what is found out about it."""

    def __init__(self, made: NodeTable, incoming: Object, *, seed: int = 1) -> None:
        self.table = made
        self.pod = facts(incoming)
        self.nominations = Nominations()
        self.evaluations = Evaluations(made)
        self.dice = Random(seed)

    def diagnosis(self) -> Diagnosis:
        found = place(self.evaluations, PROFILE, self.pod, self.nominations, self.dice)
        assert isinstance(found, Diagnosis)
        return found

    def why_not(self) -> str | None:
        return why_not(self.pod, self.diagnosis(), self.table, self.nominations)

    def outcomes(self, budgets: Sequence[Budget] = ()) -> list[Candidate | Hopeless]:
        helpable = self.diagnosis().helpable
        evaluation = self.evaluations.of(PROFILE, self.pod.kind)
        return list(tried(evaluation, self.pod, helpable, self.nominations, budgets, self.dice))

    def best(self, budgets: Sequence[Budget] = ()) -> Candidate:
        found = [one for one in self.outcomes(budgets) if isinstance(one, Candidate)]
        chosen = best(found)
        assert chosen is not None
        return chosen


def _placed(name: str, at: str, priority: int, cpu: str = "1", **more: Any) -> tuple[Object, str]:
    return pod(name, more.pop("labels", {}), cpu=cpu, priority=priority, **more), at


def _names(pods: Sequence[PodFacts]) -> list[str]:
    return [one.name for one in pods]


def test_as_few_go_as_may_be_and_the_least_important() -> None:
    """7.7: remove all that are lower, reprieve the highest first."""
    running = [_placed(f"p{n}", "n", n) for n in (1, 2, 3)]
    trial = Trial(table([node("n")], running), pod("new", cpu="2", priority=10))
    assert _names(trial.best().victims) == ["p1"]  # one core is free already


def test_nobody_of_the_same_priority_goes() -> None:
    running = [_placed("p", "n", 10, "4")]
    trial = Trial(table([node("n")], running), pod("new", cpu="2", priority=10))
    (outcome,) = trial.outcomes()
    assert isinstance(outcome, Hopeless)
    assert refusal(1, [outcome]) == (
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_nodes_that_others_cannot_free_are_not_tried() -> None:
    """7.2: the words when preemption is of no use."""
    nodes = [
        node("tainted", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
        node("small", allocatable={"cpu": "1"}),
        node("full"),
    ]
    running = [_placed("p", "full", 10, "4"), _placed("q", "small", 0)]
    trial = Trial(table(nodes, running), pod("new", cpu="2", priority=10))
    outcomes = [one for one in trial.outcomes() if isinstance(one, Hopeless)]
    assert refusal(3, outcomes) == (
        "0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )


def test_node_that_keeps_its_reason_is_told_with_it() -> None:
    """A pod that must stay holds too much: its node's own reason is told."""
    running = [_placed("high", "n", 20, "3"), _placed("low", "n", 0, "1")]
    trial = Trial(table([node("n")], running), pod("new", cpu="2", priority=10))
    (outcome,) = trial.outcomes()
    assert outcome == Hopeless({"Insufficient cpu": 1})


def test_what_no_node_has_nobody_gives_back() -> None:
    asks = {"example.com/gpu": "1"}
    made = table([node("n")], [(pod("low", requests=asks), "n")])
    trial = Trial(made, pod("new", requests=asks, priority=10))
    evaluation = trial.evaluations.of(PROFILE, trial.pod.kind)
    evaluation.passing()
    (outcome,) = tried(evaluation, trial.pod, [0], trial.nominations, (), trial.dice)
    assert outcome == Hopeless({"Insufficient example.com/gpu": 1})


def test_node_is_chosen_by_what_it_costs() -> None:
    """7.7: budgets, greatest priority, sum of priorities, count, latest start of the greatest."""

    def candidate(name: str, *victims: tuple[int, str], violations: int = 0) -> Candidate:
        pods = [
            facts(pod(f"{name}{n}", priority=priority, status={"startTime": start}))
            for n, (priority, start) in enumerate(victims)
        ]
        return Candidate(name, tuple(pods), violations)

    early, late = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"
    pairs = [
        (candidate("violates", (1, late), violations=1), candidate("great", (9, late))),
        (candidate("great", (9, late)), candidate("less", (5, late), (4, late), (4, late))),
        (candidate("sum", (5, late), (4, late)), candidate("less", (5, late), (3, late))),
        (candidate("early", (5, early), (3, late)), candidate("late", (5, late), (3, early))),
    ]
    for worse, better in pairs:
        assert best([worse, better]) is better
        assert best([better, worse]) is better
    same = [candidate("first", (1, late)), candidate("second", (1, late))]
    assert best(same) is same[0]


def test_fewer_victims_are_never_worse() -> None:
    """Negative priorities would else make many victims a small sum."""
    one = Candidate("one", (facts(pod("a", priority=-5)),))
    two = Candidate("two", (facts(pod("b", priority=-5)), facts(pod("c", priority=-10))))
    assert best([two, one]) is one


def test_budget_is_violated_only_where_nothing_else_helps() -> None:
    """7.7: fewest PDB violations; those that would violate are spared first."""
    guarded = Budget("default", from_labels({"app": "guarded"}), allowed=0)
    running = [
        _placed("guarded", "a", 0, "4", labels={"app": "guarded"}),
        _placed("free", "b", 5, "4"),
    ]
    trial = Trial(table([node("a"), node("b")], running), pod("new", cpu="2", priority=10))
    assert trial.best([guarded]).node_name == "b"
    assert trial.best().node_name == "a", "without the budget the lower priority goes"


def test_on_one_node_the_guarded_pod_is_spared() -> None:
    guarded = Budget("default", from_labels({"app": "guarded"}), allowed=0)
    running = [
        _placed("guarded", "n", 0, "2", labels={"app": "guarded"}),
        _placed("free", "n", 5, "2"),
    ]
    trial = Trial(table([node("n")], running), pod("new", cpu="2", priority=10))
    found = trial.best([guarded])
    assert (_names(found.victims), found.violations) == (["free"], 0)
    assert _names(trial.best().victims) == ["guarded"]


def test_budget_allows_so_many_and_no_more() -> None:
    guarded = Budget("default", from_labels({"app": "x"}), allowed=1)
    running = [_placed(f"p{n}", "n", 0, "2", labels={"app": "x"}) for n in range(2)]
    trial = Trial(table([node("n")], running), pod("new", cpu="4", priority=10))
    assert trial.best([guarded]).violations == 1
    spent = Budget("default", from_labels({"app": "x"}), 1, disrupted=frozenset(("p1",)))
    assert trial.best([spent]).violations == 0, "it is counted as gone already"


def test_a_tenth_of_the_nodes_is_looked_at_but_a_hundred_at_least() -> None:
    """7.7: max(10 %, 100) candidates, from a random offset."""
    nodes = [node(f"n{n:04}") for n in range(1200)]
    running = [_placed(f"p{n:04}", f"n{n:04}", 0, "4") for n in range(1200)]
    made = table(nodes, running)
    first = Trial(made, pod("new", cpu="2", priority=10), seed=1).outcomes()
    assert len(first) == 120
    other = Trial(made, pod("new", cpu="2", priority=10), seed=2).outcomes()
    assert isinstance(first[0], Candidate)
    assert isinstance(other[0], Candidate)
    assert first[0].node_name != other[0].node_name
    few = Trial(table(nodes[:110], running[:110]), pod("new", cpu="2", priority=10)).outcomes()
    assert len(few) == 100


def test_table_is_as_it_was_after_a_trial() -> None:
    anti = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
            ]
        }
    }
    running = [_placed("p", "n", 0, "4", affinity=anti)]
    made = table([node("n")], running)
    trial = Trial(made, pod("new", cpu="2", priority=10))
    carried = {key: counts.tolist() for key, counts in made.carried.items()}
    assert _names(trial.best().victims) == ["p"]
    assert {key: counts.tolist() for key, counts in made.carried.items()} == carried
    assert made.requested("cpu", slice(0, 1)).tolist() == [4000]


def test_anti_affinity_of_a_lesser_pod_is_overcome() -> None:
    """Filters that look at all pods are asked again without the victims."""
    anti = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"app": "x"}},
                }
            ]
        }
    }
    running = [
        _placed("apart", "n", 0, "100m", affinity=anti),
        _placed("harmless", "n", 0, "100m"),
    ]
    trial = Trial(table([node("n")], running), pod("new", {"app": "x"}, cpu="1", priority=10))
    assert _names(trial.best().victims) == ["apart"]


class _WithoutRoom(NodeResourcesFit):
    """Has the table changed for each question."""

    def room(self, view: View) -> None:  # type: ignore[override]
        return None


_THROUGH_THE_TABLE = Profile(
    [
        Weighted(_WithoutRoom(), one.weight) if one.plugin.name == "NodeResourcesFit" else one
        for one in DEFAULT_PLUGINS
    ]
)


def test_anti_affinity_of_a_pod_that_waits_for_the_node_is_heeded() -> None:
    """7.7: nobody goes in vain."""
    apart = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app": "x"}},
            }
        ]
    }
    running = [_placed("a", "n", 0, "2"), _placed("b", "n", 0, "2")]
    trial = Trial(table([node("n")], running), pod("new", {"app": "x"}, cpu="2", priority=50))
    ahead = pod("ahead", cpu="2", priority=100, affinity={"podAntiAffinity": apart})
    trial.nominations.set(facts(ahead), "n")
    (outcome,) = trial.outcomes()
    assert outcome == Hopeless({"node(s) didn't satisfy existing pods anti-affinity rules": 1})


def test_of_equal_pods_the_same_go_whatever_has_been_tried() -> None:
    """7.7: a trial that puts them back may put them back in another order."""
    running = [_placed(name, "n", 0, "2") for name in "abc"]
    trial = Trial(table([node("n")], running), pod("new", cpu="4", priority=50))
    again = Trial(table([node("n")], running[::-1]), pod("new", cpu="4", priority=50))
    assert trial.outcomes() == again.outcomes()


@settings(deadline=None, max_examples=150)
@given(
    clusters(),
    st.lists(st.integers(0, 9), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.integers(0, 2),
)
def test_what_is_thought_is_what_a_trial_shows(
    made: tuple[list[Object], list[Object]],
    priorities: list[int],
    are_there: list[bool],
    allowed: int,
) -> None:
    """The quick way to the victims of a node, and the way through the table.

    are_there  which pods run; the others wait for their node
    """
    nodes, pods = made
    there, nominations = table(nodes), Nominations()
    for position, one in enumerate(pods[:-1]):
        one["spec"]["priority"] = priorities[position]
        name = nodes[position % len(nodes)]["metadata"]["name"]
        if are_there[position]:
            there.add_pod(facts(one), name)
        else:
            nominations.set(facts(one), name)
    budget = Budget("default", from_labels({"app": "x"}), allowed)
    incoming = facts({**pods[-1], "spec": {**pods[-1]["spec"], "priority": 5}})
    found = []
    for profile in (PROFILE, _THROUGH_THE_TABLE):
        evaluation = Evaluation(profile, incoming.kind, there)
        evaluation.passing()
        rows = sorted(there.rows.values())
        found.append(list(tried(evaluation, incoming, rows, nominations, [budget], Random(1))))
    assert found[0] == found[1]


def test_who_may_not_have_others_removed() -> None:
    """7.7: preemptionPolicy Never; one preemption at a time."""
    running = [
        _placed(
            "going",
            "n",
            0,
            "4",
            status={"conditions": [{"type": "DisruptionTarget", "status": "True"}]},
        )
    ]
    running[0][0]["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    made = table([node("n")], running)
    never = Trial(made, pod("new", cpu="2", priority=10, preemptionPolicy="Never"))
    assert never.why_not() == "not eligible due to preemptionPolicy=Never."
    other = Trial(made, pod("new", cpu="2", priority=10))
    assert other.why_not() is None
    other.nominations.set(other.pod, "n")
    assert other.why_not() == _UNDER_WAY


def test_preemption_of_which_nothing_is_seen_yet_is_the_only_one() -> None:
    """7.7: it is written beside the scheduling of other pods, and of this one."""
    made = table([node("n"), node("m")], [_placed("a", "n", 0, "4"), _placed("b", "m", 0, "4")])
    trial = Trial(made, pod("new", cpu="2", priority=10))
    trial.nominations.set(trial.pod, "n", frozenset(("uid-a",)))
    assert trial.why_not() == _UNDER_WAY
    trial.nominations.set(trial.pod, "n")
    assert trial.why_not() == _UNDER_WAY, "the same, as the pod's own status tells it"
    made.remove_pod("uid-a")
    made.add_pod(facts(pod("c", cpu="4")), "n")
    assert trial.why_not() is None, "somebody else has the room"
    trial.nominations.set(trial.pod, "m", frozenset(("uid-b",)))
    trial.nominations.set(trial.pod, "")
    assert trial.why_not() is None, "it was given up"


def test_room_that_a_better_pod_waits_for_is_not_taken() -> None:
    """7.7: nominated pods of the same or higher priority count as if they ran."""
    made = table([node("n")])
    waiting, late = facts(pod("waiting", cpu="3", priority=10)), pod("late", cpu="3", priority=9)
    trial = Trial(made, late)
    trial.nominations.set(waiting, "n")
    assert trial.diagnosis().message == "0/1 nodes are available: 1 Insufficient cpu."
    equal = Trial(made, pod("equal", cpu="3", priority=10))
    equal.nominations.set(waiting, "n")
    equal.diagnosis()
    better = Trial(made, pod("better", cpu="3", priority=11))
    better.nominations.set(waiting, "n")
    found = place(better.evaluations, PROFILE, better.pod, better.nominations, better.dice)
    assert found == Placement("n")
    own = place(better.evaluations, PROFILE, waiting, better.nominations, better.dice)
    assert own == Placement("n"), "it is not in its own way"
    assert better.nominations.below(better.pod, "n") == [waiting]
