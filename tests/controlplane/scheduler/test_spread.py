"""How pods are spread over domains: kube-behaviour 7.5."""

from typing import Any

from controlplane.api.selectors import from_labels
from controlplane.scheduler.diagnosis import Diagnosis
from tests.controlplane.scheduler.objects import Object, facts, node, pod, table
from tests.controlplane.scheduler.placing import message, placed, score


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
    assert placed(made, facts(pod("q", {"app": "x"}, **_spread()))) == "b"
    made.add_pod(facts(pod("r", {"app": "x"}, cpu="4")), "b")
    made.add_pod(facts(pod("s", {"app": "x"}, cpu="4")), "b")
    made.add_pod(facts(pod("t", {"app": "y"}, cpu="4")), "a")
    assert message(made, facts(pod("q", {"app": "x"}, cpu="1", **_spread()))) == (
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints "
        "(missing required label), 2 Insufficient cpu."
    )


def test_pod_that_is_not_meant_itself_adds_nothing() -> None:
    """7.5: the 1 is that of the pod, where its own selector matches it."""
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, unschedulable=True)]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    assert placed(made, facts(pod("q", {"app": "y"}, **_spread()))) == "a"
    assert isinstance(placed(made, facts(pod("q", {"app": "x"}, **_spread()))), Diagnosis)


def test_too_few_domains_make_the_least_count_zero() -> None:
    """7.5: minDomains."""
    made = table([node("a", {"zone": "a"}), node("b", {"zone": "b"})])
    for name in "ab":
        made.add_pod(facts(pod(f"on-{name}", {"app": "x"})), name)
    assert placed(made, facts(pod("q", {"app": "x"}, **_spread(minDomains=2)))) in ("a", "b")
    assert message(made, facts(pod("q", {"app": "x"}, **_spread(minDomains=3)))) == (
        "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints."
    )


def test_nodes_that_the_pod_cannot_have_count_as_it_says() -> None:
    """7.5: nodeAffinityPolicy and nodeTaintsPolicy."""
    taint = {"key": "k", "effect": "NoSchedule"}
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, taints=[taint])]
    made = table(nodes, [(pod("p", {"app": "x"}), "a")])
    assert isinstance(placed(made, facts(pod("q", {"app": "x"}, **_spread()))), Diagnosis)
    honored = _spread(nodeTaintsPolicy="Honor")
    assert placed(made, facts(pod("q", {"app": "x"}, **honored))) == "a"
    chosen: Object = {"nodeSelector": {"zone": "a"}}
    assert placed(made, facts(pod("q", {"app": "x"}, **chosen, **_spread()))) == "a"
    ignored = _spread(nodeAffinityPolicy="Ignore")
    assert isinstance(placed(made, facts(pod("q", {"app": "x"}, **chosen, **ignored))), Diagnosis)


def test_revisions_are_spread_apart_from_each_other() -> None:
    """7.5: matchLabelKeys."""
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"})]
    old = {"app": "x", "pod-template-hash": "1"}
    made = table(nodes, [(pod("p", old), "a"), (pod("r", old), "a")])
    new = {"app": "x", "pod-template-hash": "2"}
    keyed = _spread(matchLabelKeys=["pod-template-hash"])
    made.add_pod(facts(pod("s", new)), "b")
    assert placed(made, facts(pod("q", new, **keyed))) == "a"
    assert placed(made, facts(pod("q", new, **_spread()))) == "b"


def test_pods_that_go_are_not_counted() -> None:
    going = pod("p", {"app": "x"})
    going["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    nodes = [node("a", {"zone": "a"}), node("b", {"zone": "b"}, allocatable={"cpu": "1"})]
    made = table(nodes, [(going, "a")])
    assert placed(made, facts(pod("q", {"app": "x"}, cpu="2", **_spread()))) == "a"


def test_spread_scores_by_count_and_logarithm_of_domains() -> None:
    """7.5: Σ count · ln(domains + 2) + (maxSkew - 1), reversed to 0-100."""
    nodes = [node(name, {"zone": name}) for name in "abc"]
    running = [(pod(f"{at}{n}", {"app": "x"}), at) for at, n in (("a", 0), ("a", 1), ("b", 0))]
    one = facts(pod("q", {"app": "x"}, **_spread(whenUnsatisfiable="ScheduleAnyway", maxSkew=5)))
    # ln 5 = 1.609…: 2 · 1.609 + 4 = 7, 1.609 + 4 = 6, 4
    assert score("PodTopologySpread", table(nodes, running), one) == {
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
    scores = score("PodTopologySpread", made, facts(pod("q", {"app": "x"}, **hosts)))
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
    scores = score("PodTopologySpread", made, one)
    # Zones: 1, 2 and that of nodes without one, ln 5; hosts: 4, ln 6.
    costs = {"a": round(1.609 + 4 + 1.792 + 2), "b": round(1.609 + 4 + 2), "c": 6, "d": 2}
    assert scores == {name: 100 * (9 + 2 - cost) // 9 for name, cost in costs.items()}
