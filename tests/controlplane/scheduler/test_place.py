"""Where pods go, and what is said when they go nowhere: kube-behaviour 7.2, 7.4, 7.6."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from controlplane.scheduler.configuration import Configuration, configuration_of
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile, Weighted
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.scores import ImageLocality
from tests.controlplane.scheduler.objects import GI, Object, facts, node, node_facts, pod, table
from tests.controlplane.scheduler.placing import MI, PROFILE, message, placed, score

# ---------------------------------------------------------------------- words


def test_reasons_are_counted_and_sorted_as_texts() -> None:
    """7.2: "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, 3 Insuff…"."""
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    nodes = [node(f"s{n}", allocatable={"cpu": "1"}) for n in range(3)]
    nodes += [node(f"t{n}", taints=[taint]) for n in range(2)]
    assert message(table(nodes), facts(pod("p", cpu="2"))) == (
        "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, 3 Insufficient cpu."
    )


def test_without_nodes_there_is_another_word() -> None:
    assert message(table([]), facts(pod("p"))) == "no nodes available to schedule pods"


@pytest.mark.parametrize(
    ("reason", "there", "wanted"),
    [
        ("node(s) were unschedulable", {"unschedulable": True}, {}),
        (
            "node(s) had untolerated taint {k: }",
            {"taints": [{"key": "k", "effect": "NoExecute"}]},
            {},
        ),
        ("node(s) didn't match Pod's node affinity/selector", {}, {"nodeSelector": {"a": "b"}}),
        ("Too many pods", {"allocatable": {"pods": "0"}}, {}),
        ("Insufficient memory", {}, {"memory": "9Gi"}),
        ("Insufficient ephemeral-storage", {}, {"requests": {"ephemeral-storage": "1Gi"}}),
        ("Insufficient example.com/gpu", {}, {"requests": {"example.com/gpu": "1"}}),
    ],
)
def test_each_filter_has_its_words(
    reason: str, there: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """7.3."""
    made = table([node("n", **there)])
    assert message(made, facts(pod("p", **wanted))) == f"0/1 nodes are available: 1 {reason}."


def test_node_name_and_ports_have_their_words() -> None:
    """7.3: NodeName, NodePorts."""
    made = table([node("n")])
    assert message(made, facts(pod("p"), node_name="m")) == (
        "0/1 nodes are available: 1 node(s) didn't match the requested node name."
    )
    web = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}
    made.add_pod(facts(pod("a", containers=[web])), "n")
    assert message(made, facts(pod("b", containers=[web]))) == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    )
    local = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 81}]}
    for ip, name in (("127.0.0.1", "c"), ("127.0.0.2", "d")):
        local["ports"] = [{"containerPort": 80, "hostPort": 81, "hostIP": ip}]
        one = facts(pod(name, containers=[local]))
        assert placed(made, one) == "n", "another address is another port"
        made.add_pod(one, "n")


def test_pod_of_a_daemon_set_asks_one_node_only() -> None:
    """7.2: nodes that are ruled out by name are told apart from those that were asked."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
        }
    }
    made = table([node("a"), node("b"), node("c")])
    assert placed(made, facts(pod("p", affinity=affinity))) == "a"
    assert message(made, facts(pod("p", affinity=affinity, cpu="5"))) == (
        "0/3 nodes are available: 1 Insufficient cpu, "
        "2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


# ---------------------------------------------------------------------- scores


def test_least_allocated_is_the_mean_of_what_is_free() -> None:
    """7.4: mean over cpu and memory of (alloc - req) · 100 / alloc, in integers."""
    made = table([node("n", allocatable={"cpu": "3", "memory": "3Gi"})])
    one = facts(pod("p", cpu="1", memory="2Gi"))
    assert score("NodeResourcesFit", made, one) == {"n": (66 + 33) // 2}


def test_unset_requests_count_in_least_allocated_only() -> None:
    """7.4: 100 m and 200 MB there; BalancedAllocation uses real requests."""
    made = table([node("n", allocatable={"cpu": "1", "memory": f"{2000 * MI}"})])
    assert score("NodeResourcesFit", made, facts(pod("p"))) == {"n": 90}
    asks_cpu = facts(pod("p", cpu="500m"))
    assert score("NodeResourcesBalancedAllocation", made, asks_cpu) == {"n": 75}


def test_balanced_allocation_likes_resources_used_alike() -> None:
    """7.4: (1 - deviation) · 100, which is |f₁ - f₂| / 2 of two resources."""
    made = table([node("n", allocatable={"cpu": "4", "memory": "8Gi"})])
    alike, unlike = facts(pod("p", cpu="2", memory="4Gi")), facts(pod("p", cpu="4", memory="2Gi"))
    assert score("NodeResourcesBalancedAllocation", made, alike) == {"n": 100}
    assert score("NodeResourcesBalancedAllocation", made, unlike) == {"n": 62}


def test_taints_that_prefer_not_cost_in_parts_of_the_most() -> None:
    """7.4: TaintToleration 100 · (max - n) / max."""
    soft = [{"key": key, "effect": "PreferNoSchedule"} for key in "abc"]
    made = table([node("none"), node("one", taints=soft[:1]), node("three", taints=soft)])
    scores = score("TaintToleration", made, facts(pod("p")))
    assert scores == {"none": 100, "one": 67, "three": 0}


def test_images_count_from_23_megabytes_to_1000_a_container() -> None:
    """7.4: 100 · (Σ size · nodes with / nodes - 23 MB) / (1000 MB · containers - 23 MB)."""
    sizes = {"tiny": 40, "half": 1046, "huge": 5000}
    made = table(
        [
            node(name, images=[{"names": [f"{name}:latest"], "sizeBytes": size * MI}])
            for name, size in sizes.items()
        ]
    )
    for name, points in (("tiny", 0), ("half", 33), ("huge", 100)):
        one = facts(pod("p", containers=[{"name": "c", "image": name}]))
        assert score("ImageLocality", made, one)[name] == points


def test_image_counts_more_when_more_nodes_have_it() -> None:
    """7.4: also on nodes that did not change."""
    images = [{"names": ["app:latest"], "sizeBytes": 1000 * MI}]
    made = table([node("a", images=images), node("b")])
    kind = facts(pod("p")).kind
    evaluation = Evaluation(Profile([Weighted(ImageLocality())]), kind, made)
    assert evaluation.scores(evaluation.passing()).tolist() == [48, 0]
    made.set_node(node_facts(node("b", images=images)))
    assert evaluation.scores(evaluation.passing()).tolist() == [100, 100]


def test_most_allocated_and_ratio_can_be_chosen() -> None:
    """7.4: MostAllocated, RequestedToCapacityRatio."""
    made = table([node("n", allocatable={"cpu": "4", "memory": "8Gi"})])
    one = facts(pod("p", cpu="1", memory="4Gi"))
    most = {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}
    assert score("NodeResourcesFit", made, one, scoringStrategy=most) == {"n": 25}
    shape = [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}]
    ratio = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}
    scores = score("NodeResourcesFit", made, one, scoringStrategy=ratio)
    assert scores == {"n": 63}  # (75 + 50) / 2, rounded


def test_weights_are_those_of_kubernetes() -> None:
    """7.4, 7.5."""
    assert {one.plugin.name: one.weight for one in PROFILE.scores} == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesFit": 1,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }


def test_ties_are_broken_by_chance() -> None:
    """7.4: uniformly."""
    made = table([node(f"n{n}") for n in range(4)])
    dice, evaluations = Random(7), Evaluations(made)
    found = Counter(
        str(place(evaluations, PROFILE, facts(pod("p")), Nominations(), dice)) for _ in range(4000)
    )
    assert len(found) == 4
    assert min(found.values()) > 850


def test_all_nodes_are_scored() -> None:
    """7.6: the best of 300 is found wherever it stands; Kubernetes would look at 47 % of them."""
    nodes = [node(f"n{n:03}") for n in range(300)]
    nodes[299] = node("n299", allocatable={"cpu": "64", "memory": f"{128 * GI}"})
    for seed in range(5):
        assert placed(table(nodes), facts(pod("p", cpu="1", memory="1Gi")), seed=seed) == "n299"


def test_pods_of_one_class_are_placed_one_after_the_other() -> None:
    """Each sees what the one before took, though only that row was looked at again."""
    made = table([node(f"n{n}") for n in range(10)])
    evaluations, dice = Evaluations(made), Random(3)
    for n in range(40):
        one = facts(pod(f"p{n}", cpu="1", memory="1Gi"))
        found = place(evaluations, PROFILE, one, Nominations(), dice)
        assert isinstance(found, Placement)
        made.add_pod(one, found.node_name)
    assert {len(pods) for pods in made.pods} == {4}
    full = place(evaluations, PROFILE, facts(pod("p", cpu="1")), Nominations(), dice)
    assert isinstance(full, Diagnosis)


def test_node_that_changes_is_looked_at_again() -> None:
    """Alone: what is remembered of the others stays."""
    made = table([node(f"n{n}") for n in range(10)])
    evaluations = Evaluations(made)
    one = facts(pod("p", cpu="1"))

    def choose() -> Placement | Diagnosis:
        return place(evaluations, PROFILE, one, Nominations(), Random(1))

    assert isinstance(choose(), Placement)
    for n in range(10):
        made.set_node(node_facts(node(f"n{n}", unschedulable=n != 7)))
        choose()
    assert choose() == Placement("n7")
    made.set_node(node_facts(node("n3", allocatable={"cpu": "64", "memory": "64Gi"})))
    assert choose() == Placement("n3")
    made.remove_node("n3")
    assert choose() == Placement("n7")


# ---------------------------------------------------------------------- affinity


def _near(kind: str, **changes: Any) -> Object:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "x"}},
        **changes,
    }
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_first_of_those_who_want_to_be_together_goes_anywhere() -> None:
    """7.3: InterPodAffinity."""
    made = table([node("a", {"zone": "a"}), node("b", {"zone": "b"}), node("none")])
    together = pod("p", {"app": "x"}, **_near("podAffinity"))
    assert placed(made, facts(together)) in ("a", "b")
    made.add_pod(facts(together), "b")
    assert placed(made, facts(pod("q", {"app": "x"}, **_near("podAffinity")))) == "b"
    stranger = table([node("a", {"zone": "a"})])
    assert message(stranger, facts(pod("q", {"app": "y"}, **_near("podAffinity")))) == (
        "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."
    )


def test_anti_affinity_holds_in_both_directions() -> None:
    """7.3: InterPodAffinity, symmetric."""
    made = table([node("a", {"zone": "a"})])
    apart = pod("apart", {"app": "z"}, **_near("podAntiAffinity"))
    made.add_pod(facts(pod("p", {"app": "x"})), "a")
    assert message(made, facts(apart)) == (
        "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    )
    made.remove_pod("uid-p")
    made.add_pod(facts(apart), "a")
    assert message(made, facts(pod("p", {"app": "x"}))) == (
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    assert placed(made, facts(pod("p", {"app": "y"}))) == "a"


def test_who_comes_later_keeps_away_those_after() -> None:
    """7.3: what is remembered of a class knows the terms of pods that run now."""
    other = {"labelSelector": {"matchLabels": {"app": "other"}}}
    running = [(pod("other", **_near("podAntiAffinity", **other)), "a")]
    made = table([node("a", {"zone": "a"})], running)
    evaluations = Evaluations(made)
    for apart, is_placed in ((False, True), (True, False), (False, True)):
        if apart:
            made.add_pod(facts(pod("apart", **_near("podAntiAffinity"))), "a")
        else:
            made.remove_pod("uid-apart")
        one = facts(pod("p", {"app": "x"}))
        found = place(evaluations, PROFILE, one, Nominations(), Random(1))
        assert isinstance(found, Placement) == is_placed


def test_namespaces_are_meant_by_name_or_label() -> None:
    """7.3: namespaces and namespaceSelector; without either it is the pod's own."""
    made = table([node("a", {"zone": "a"})])
    made.set_namespace("other", {"team": "t"})
    made.add_pod(facts(pod("p", {"app": "x"}, namespace="other")), "a")
    assert placed(made, facts(pod("q", **_near("podAntiAffinity")))) == "a"
    choices: tuple[Object, ...] = (
        {"namespaces": ["other"]},
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchLabels": {"team": "t"}}},
    )
    for chosen in choices:
        one = facts(pod("q", **_near("podAntiAffinity", **chosen)))
        assert isinstance(placed(made, one), Diagnosis), chosen
    made.set_namespace("other", {"team": "u"})
    one = facts(
        pod("q", **_near("podAntiAffinity", namespaceSelector={"matchLabels": {"team": "t"}}))
    )
    assert placed(made, one) == "a"


def test_terms_of_pods_that_run_score_too() -> None:
    """7.4: InterPodAffinity Σ ± weights, min-max; a required term of another pod counts 1."""
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    likes: Object = {
        "affinity": {
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 2, "podAffinityTerm": term}
                ]
            }
        }
    }
    running = [(pod("needs", **_near("podAffinity")), "a"), (pod("likes", **likes), "b")]
    made = table([node(name, {"zone": name}) for name in "abc"], running)
    scores = score("InterPodAffinity", made, facts(pod("p", {"app": "x"})))
    assert scores == {"a": 50, "b": 100, "c": 0}
    dislikes: Object = {
        "affinity": {
            "podAntiAffinity": likes["affinity"]["podAffinity"],
        }
    }
    made.add_pod(facts(pod("dislikes", **dislikes)), "c")
    scores = score("InterPodAffinity", made, facts(pod("p", {"app": "x"})))
    assert scores == {"a": 75, "b": 100, "c": 0}


def test_profiles_are_placed_each_by_its_own_rules() -> None:
    """7.8."""
    packing: Configuration = configuration_of(
        {
            "profiles": [
                {"schedulerName": "spreading"},
                {
                    "schedulerName": "packing",
                    "plugins": {
                        "disabled": [{"name": "NodeResourcesBalancedAllocation"}],
                        "enabled": [{"name": "NodeResourcesFit", "weight": 10}],
                    },
                    "pluginConfig": [
                        {
                            "name": "NodeResourcesFit",
                            "args": {"scoringStrategy": {"type": "MostAllocated"}},
                        }
                    ],
                },
            ]
        },
        {},
    )
    made = table([node("empty"), node("used")], [(pod("p", cpu="1", memory="2Gi"), "used")])
    one = facts(pod("q", cpu="1", memory="2Gi"))
    assert placed(made, one, packing.profiles["spreading"]) == "empty"
    assert placed(made, one, packing.profiles["packing"]) == "used"
