"""Where pods go, and what is said when they go nowhere: kube-behaviour 7.2, 7.4, 7.5, 7.6."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from controlplane.api.selectors import from_labels
from controlplane.scheduler.configuration import DEFAULT_PLUGINS, Configuration, configuration_of
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile, Weighted
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.scores import ImageLocality
from tests.controlplane.scheduler.objects import GI, Object, facts, node, node_facts, pod, table

PROFILE = Profile(DEFAULT_PLUGINS)
MI = 1024 * 1024


def _place(
    made: NodeTable, one: PodFacts, profile: Profile = PROFILE, seed: int = 1
) -> str | Diagnosis:
    found = place(Evaluations(made), profile, one, Nominations(), Random(seed))
    return found.node_name if isinstance(found, Placement) else found


def _message(made: NodeTable, one: PodFacts) -> str:
    found = _place(made, one)
    assert isinstance(found, Diagnosis)
    return found.message


def _score(plugin: str, made: NodeTable, one: PodFacts, **args: Any) -> dict[str, int]:
    """Of one plug-in on all nodes, which must be feasible."""
    settings = [{"name": plugin, "args": args}] if args else []
    plugins = {"disabled": [{"name": "*"}], "enabled": [{"name": plugin}]}
    chosen = configuration_of({"profiles": [{"plugins": plugins, "pluginConfig": settings}]}, {})
    evaluation = Evaluation(chosen.profiles["default-scheduler"], one.kind, made)
    scores = evaluation.scores(evaluation.passing())
    return {name: int(scores[row]) for name, row in made.rows.items()}


# ---------------------------------------------------------------------- words


def test_reasons_are_counted_and_sorted_as_texts() -> None:
    """7.2: "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, 3 Insuff…"."""
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    nodes = [node(f"s{n}", allocatable={"cpu": "1"}) for n in range(3)]
    nodes += [node(f"t{n}", taints=[taint]) for n in range(2)]
    assert _message(table(nodes), facts(pod("p", cpu="2"))) == (
        "0/5 nodes are available: 2 node(s) had untolerated taint {k: v}, 3 Insufficient cpu."
    )


def test_without_nodes_there_is_another_word() -> None:
    assert _message(table([]), facts(pod("p"))) == "no nodes available to schedule pods"


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
    assert _message(made, facts(pod("p", **wanted))) == f"0/1 nodes are available: 1 {reason}."


def test_node_name_and_ports_have_their_words() -> None:
    """7.3: NodeName, NodePorts."""
    made = table([node("n")])
    assert _message(made, facts(pod("p"), node_name="m")) == (
        "0/1 nodes are available: 1 node(s) didn't match the requested node name."
    )
    web = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}
    made.add_pod(facts(pod("a", containers=[web])), "n")
    assert _message(made, facts(pod("b", containers=[web]))) == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    )
    local = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 81}]}
    for ip, name in (("127.0.0.1", "c"), ("127.0.0.2", "d")):
        local["ports"] = [{"containerPort": 80, "hostPort": 81, "hostIP": ip}]
        one = facts(pod(name, containers=[local]))
        assert _place(made, one) == "n", "another address is another port"
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
    assert _place(made, facts(pod("p", affinity=affinity))) == "a"
    assert _message(made, facts(pod("p", affinity=affinity, cpu="5"))) == (
        "0/3 nodes are available: 1 Insufficient cpu, "
        "2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


# ---------------------------------------------------------------------- scores


def test_least_allocated_is_the_mean_of_what_is_free() -> None:
    """7.4: mean over cpu and memory of (alloc - req) · 100 / alloc, in integers."""
    made = table([node("n", allocatable={"cpu": "3", "memory": "3Gi"})])
    one = facts(pod("p", cpu="1", memory="2Gi"))
    assert _score("NodeResourcesFit", made, one) == {"n": (66 + 33) // 2}


def test_unset_requests_count_in_least_allocated_only() -> None:
    """7.4: 100 m and 200 MB there; BalancedAllocation uses real requests."""
    made = table([node("n", allocatable={"cpu": "1", "memory": f"{2000 * MI}"})])
    assert _score("NodeResourcesFit", made, facts(pod("p"))) == {"n": 90}
    asks_cpu = facts(pod("p", cpu="500m"))
    assert _score("NodeResourcesBalancedAllocation", made, asks_cpu) == {"n": 75}


def test_balanced_allocation_likes_resources_used_alike() -> None:
    """7.4: (1 - deviation) · 100, which is |f₁ - f₂| / 2 of two resources."""
    made = table([node("n", allocatable={"cpu": "4", "memory": "8Gi"})])
    alike, unlike = facts(pod("p", cpu="2", memory="4Gi")), facts(pod("p", cpu="4", memory="2Gi"))
    assert _score("NodeResourcesBalancedAllocation", made, alike) == {"n": 100}
    assert _score("NodeResourcesBalancedAllocation", made, unlike) == {"n": 62}


def test_taints_that_prefer_not_cost_in_parts_of_the_most() -> None:
    """7.4: TaintToleration 100 · (max - n) / max."""
    soft = [{"key": key, "effect": "PreferNoSchedule"} for key in "abc"]
    made = table([node("none"), node("one", taints=soft[:1]), node("three", taints=soft)])
    scores = _score("TaintToleration", made, facts(pod("p")))
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
    for name, score in (("tiny", 0), ("half", 33), ("huge", 100)):
        one = facts(pod("p", containers=[{"name": "c", "image": name}]))
        assert _score("ImageLocality", made, one)[name] == score


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
    assert _score("NodeResourcesFit", made, one, scoringStrategy=most) == {"n": 25}
    shape = [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}]
    ratio = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": shape}}
    scores = _score("NodeResourcesFit", made, one, scoringStrategy=ratio)
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
        assert _place(table(nodes), facts(pod("p", cpu="1", memory="1Gi")), seed=seed) == "n299"


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


# ---------------------------------------------------------------------- spread


def _spread(**changes: Any) -> dict[str, Any]:
    one = {
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "maxSkew": 1,
        "labelSelector": {"matchLabels": {"app": "x"}},
        **changes,
    }
    return {"topologySpreadConstraints": [one]}


def test_skew_is_bounded() -> None:
    """7.5: count(domain) + 1 - min ≤ maxSkew."""
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}), node("none")]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    assert _place(made, facts(pod("q", {"app": "x"}, **_spread()))) == "b"
    made.add_pod(facts(pod("r", {"app": "x"}, cpu="4")), "b")
    made.add_pod(facts(pod("s", {"app": "x"}, cpu="4")), "b")
    made.add_pod(facts(pod("t", {"app": "y"}, cpu="4")), "a")
    assert _message(made, facts(pod("q", {"app": "x"}, cpu="1", **_spread()))) == (
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints "
        "(missing required label), 2 Insufficient cpu."
    )


def test_pod_that_is_not_meant_itself_adds_nothing() -> None:
    """7.5: the 1 is that of the pod, where its own selector matches it."""
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, unschedulable=True)]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    assert _place(made, facts(pod("q", {"app": "y"}, **_spread()))) == "a"
    assert isinstance(_place(made, facts(pod("q", {"app": "x"}, **_spread()))), Diagnosis)


def test_too_few_domains_make_the_least_count_zero() -> None:
    """7.5: minDomains."""
    made = table([node("a", {"zone": "a"}), node("b", {"zone": "b"})])
    for name in "ab":
        made.add_pod(facts(pod(f"on-{name}", {"app": "x"})), name)
    assert _place(made, facts(pod("q", {"app": "x"}, **_spread(minDomains=2)))) in ("a", "b")
    assert _message(made, facts(pod("q", {"app": "x"}, **_spread(minDomains=3)))) == (
        "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints."
    )


def test_nodes_that_the_pod_cannot_have_count_as_it_says() -> None:
    """7.5: nodeAffinityPolicy and nodeTaintsPolicy."""
    taint = {"key": "k", "effect": "NoSchedule"}
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, taints=[taint])]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    assert isinstance(_place(made, facts(pod("q", {"app": "x"}, **_spread()))), Diagnosis)
    honored = _spread(nodeTaintsPolicy="Honor")
    assert _place(made, facts(pod("q", {"app": "x"}, **honored))) == "a"
    chosen: Object = {"nodeSelector": {"zone": "a"}}
    assert _place(made, facts(pod("q", {"app": "x"}, **chosen, **_spread()))) == "a"
    ignored = _spread(nodeAffinityPolicy="Ignore")
    assert isinstance(_place(made, facts(pod("q", {"app": "x"}, **chosen, **ignored))), Diagnosis)


def test_revisions_are_spread_apart_from_each_other() -> None:
    """7.5: matchLabelKeys."""
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"})]
    old = {"app": "x", "pod-template-hash": "1"}
    made = table(nodes, [(pod("p", old), "a"), (pod("r", old), "a")])
    new = {"app": "x", "pod-template-hash": "2"}
    keyed = _spread(matchLabelKeys=["pod-template-hash"])
    made.add_pod(facts(pod("s", new)), "b")
    assert _place(made, facts(pod("q", new, **keyed))) == "a"
    assert _place(made, facts(pod("q", new, **_spread()))) == "b"


def test_pods_that_go_are_not_counted() -> None:
    going = pod("p", {"app": "x"})
    going["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, allocatable={"cpu": "1"})]
    made = table(nodes, [(going, "a")])
    assert _place(made, facts(pod("q", {"app": "x"}, cpu="2", **_spread()))) == "a"


def test_spread_scores_by_count_and_logarithm_of_domains() -> None:
    """7.5: Σ count · ln(domains + 2) + (maxSkew - 1), reversed to 0-100."""
    nodes = [node(name, {"zone": name}) for name in "abc"]
    running = [(pod(f"{at}{n}", {"app": "x"}), at) for at, n in (("a", 0), ("a", 1), ("b", 0))]
    one = facts(pod("q", {"app": "x"}, **_spread(whenUnsatisfiable="ScheduleAnyway", maxSkew=5)))
    # ln 5 = 1.609…: 2 · 1.609 + 4 = 7, 1.609 + 4 = 6, 4
    assert _score("PodTopologySpread", table(nodes, running), one) == {
        "a": 100 * (7 + 4 - 7) // 7,
        "b": 100 * (7 + 4 - 6) // 7,
        "c": 100,
    }


def test_each_node_is_a_domain_of_its_own() -> None:
    """7.5: a node's own count · ln(nodes + 2) for the label kubernetes.io/hostname."""
    running = [(pod(f"a{n}", {"app": "x"}), "a") for n in range(5)]
    running += [(pod(f"b{n}", {"app": "x"}), "b") for n in range(2)]
    made = table([node(name) for name in "abc"], running)
    hosts = _spread(whenUnsatisfiable="ScheduleAnyway", topologyKey="kubernetes.io/hostname")
    # ln 5 = 1.609…: 5 · 1.609 = 8, 2 · 1.609 = 3, 0
    scores = _score("PodTopologySpread", made, facts(pod("q", {"app": "x"}, **hosts)))
    assert scores == {"a": 0, "b": 100 * (8 - 3) // 8, "c": 100}


def test_pods_of_a_kind_are_spread_without_a_word() -> None:
    """7.5: default constraints: hostname skew 3, zone skew 5, ScheduleAnyway."""
    kin = from_labels({"app": "x"})
    one = facts(pod("q", {"app": "x"}), kin)
    assert [
        (each.topology_key, each.max_skew, each.is_required) for each in one.kind.terms.spreads
    ] == [("kubernetes.io/hostname", 3, False), ("topology.kubernetes.io/zone", 5, False)]
    zone = "topology.kubernetes.io/zone"
    nodes = [node("a", {zone: "1"}), node("b", {zone: "1"}), node("c", {zone: "2"}), node("d")]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    scores = _score("PodTopologySpread", made, one)
    # Zones: 1, 2 and that of nodes without one, ln 5; hosts: 4, ln 6.
    costs = {"a": round(1.609 + 4 + 1.792 + 2), "b": round(1.609 + 4 + 2), "c": 6, "d": 2}
    assert scores == {name: 100 * (9 + 2 - cost) // 9 for name, cost in costs.items()}


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
    assert _place(made, facts(together)) in ("a", "b")
    made.add_pod(facts(together), "b")
    assert _place(made, facts(pod("q", {"app": "x"}, **_near("podAffinity")))) == "b"
    stranger = table([node("a", {"zone": "a"})])
    assert _message(stranger, facts(pod("q", {"app": "y"}, **_near("podAffinity")))) == (
        "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."
    )


def test_anti_affinity_holds_in_both_directions() -> None:
    """7.3: InterPodAffinity, symmetric."""
    made = table([node("a", {"zone": "a"})])
    apart = pod("apart", {"app": "z"}, **_near("podAntiAffinity"))
    made.add_pod(facts(pod("p", {"app": "x"})), "a")
    assert _message(made, facts(apart)) == (
        "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    )
    made.remove_pod("uid-p")
    made.add_pod(facts(apart), "a")
    assert _message(made, facts(pod("p", {"app": "x"}))) == (
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    assert _place(made, facts(pod("p", {"app": "y"}))) == "a"


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
    assert _place(made, facts(pod("q", **_near("podAntiAffinity")))) == "a"
    choices: tuple[Object, ...] = (
        {"namespaces": ["other"]},
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchLabels": {"team": "t"}}},
    )
    for chosen in choices:
        one = facts(pod("q", **_near("podAntiAffinity", **chosen)))
        assert isinstance(_place(made, one), Diagnosis), chosen
    made.set_namespace("other", {"team": "u"})
    one = facts(
        pod("q", **_near("podAntiAffinity", namespaceSelector={"matchLabels": {"team": "t"}}))
    )
    assert _place(made, one) == "a"


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
    scores = _score("InterPodAffinity", made, facts(pod("p", {"app": "x"})))
    assert scores == {"a": 50, "b": 100, "c": 0}
    dislikes: Object = {
        "affinity": {
            "podAntiAffinity": likes["affinity"]["podAffinity"],
        }
    }
    made.add_pod(facts(pod("dislikes", **dislikes)), "c")
    scores = _score("InterPodAffinity", made, facts(pod("p", {"app": "x"})))
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
    assert _place(made, one, packing.profiles["spreading"]) == "empty"
    assert _place(made, one, packing.profiles["packing"]) == "used"
