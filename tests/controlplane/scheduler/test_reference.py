"""The vectors against the rules in plain Python (`reference.py`), on clusters by chance."""

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.scheduler.arrays import Ints, Mask
from controlplane.scheduler.configuration import DEFAULT_PLUGINS
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.place import Placement, place
from tests.controlplane.scheduler.clusters import NAMESPACES, clusters
from tests.controlplane.scheduler.objects import Object, facts, node_facts
from tests.controlplane.scheduler.reference import Cluster

PROFILE = Profile(DEFAULT_PLUGINS)
WEIGHTS = {one.plugin.name: one.weight for one in PROFILE.scores}


def _each_score(evaluation: Evaluation, name: str, feasible: Mask) -> Ints:
    """Of one plug-in, as `Evaluation.scores` has it with weight 1."""
    alone = Profile([one for one in DEFAULT_PLUGINS if one.plugin.name == name])
    scores = Evaluation(alone, evaluation.pod, evaluation.table)
    scores.passing()
    weight = alone.scores[0].weight
    return scores.scores(feasible) // weight


@settings(deadline=None, max_examples=120)
@given(clusters(), st.randoms(use_true_random=False))
def test_vectors_say_what_the_rules_say(
    made: tuple[list[Object], list[Object]], dice: Random
) -> None:
    """7.3, 7.4, 7.5: filters with their reasons, each score, and the node that is chosen."""
    nodes, coming = made
    table = NodeTable()
    for name, labels in NAMESPACES.items():
        table.set_namespace(name, labels)
    for one in nodes:
        table.set_node(node_facts(one))
    evaluations = Evaluations(table)
    placed: list[tuple[Object, str]] = []
    for pod in coming:
        cluster = Cluster(nodes, placed, NAMESPACES)
        chosen = facts(pod)
        reasons = {name: cluster.reasons(pod, name) for name in cluster.nodes}
        feasible = [name for name in cluster.nodes if not reasons[name]]
        evaluation = evaluations.of(PROFILE, chosen.kind)
        passing = evaluation.passing()
        assert {table.named(int(row)) for row in np.flatnonzero(passing)} == set(feasible)

        outcome = place(evaluations, PROFILE, chosen, Nominations(), dice)
        if not feasible:
            assert isinstance(outcome, Diagnosis)
            counts: dict[str, int] = {}
            for found in reasons.values():
                for reason in found:
                    counts[reason] = counts.get(reason, 0) + 1
            assert _with_names_forgotten(outcome.reasons) == counts
            continue
        expected = cluster.scores(pod, feasible)
        for name, scores in expected.items():
            got = _each_score(evaluation, name, passing)
            told = {node: int(got[table.rows[node]]) for node in feasible}
            if name == "TaintToleration" and set(scores.values()) == {100}:
                assert set(told.values()) <= {0, 100}  # all alike: it is left out
            else:
                assert told == scores, name
        total = {
            node: sum(WEIGHTS[name] * scores[node] for name, scores in expected.items())
            for node in feasible
        }
        assert isinstance(outcome, Placement)
        assert total[outcome.node_name] == max(total.values())
        table.add_pod(chosen, outcome.node_name)
        placed.append((pod, outcome.node_name))


def _with_names_forgotten(reasons: dict[str, int]) -> dict[str, int]:
    """Nodes that were not asked, for others are named, are told apart by the vectors only."""
    told: dict[str, int] = {}
    for message, count in reasons.items():
        is_unasked = message == "node(s) didn't satisfy plugin(s) [NodeAffinity]"
        known = "node(s) didn't match Pod's node affinity/selector" if is_unasked else message
        told[known] = told.get(known, 0) + count
    return told


@settings(deadline=None, max_examples=60)
@given(clusters(), st.data())
def test_what_is_remembered_is_what_a_new_look_finds(
    made: tuple[list[Object], list[Object]], data: st.DataObject
) -> None:
    """Whatever changes in between, rows that are looked at again are all that need be."""
    nodes, coming = made
    table = NodeTable()
    for name, labels in NAMESPACES.items():
        table.set_namespace(name, labels)
    evaluations = Evaluations(table)
    known = [facts(pod) for pod in coming]
    for _ in range(12):
        node = data.draw(st.sampled_from(nodes))
        pod = data.draw(st.sampled_from(known))
        match data.draw(st.sampled_from(("node", "gone", "add", "remove", "namespace"))):
            case "node":
                other = data.draw(st.sampled_from(nodes))
                changed = {**other, "metadata": {**other["metadata"], **_name(node)}}
                table.set_node(node_facts(changed))
            case "gone":
                table.remove_node(node["metadata"]["name"])
            case "add":
                table.add_pod(pod, node["metadata"]["name"])
            case "remove":
                table.remove_pod(pod.uid)
            case _:
                team = data.draw(st.sampled_from(("a", "b")))
                table.set_namespace("other", {"team": team})
        asked = data.draw(st.sampled_from(known))
        kept, fresh = evaluations.of(PROFILE, asked.kind), Evaluation(PROFILE, asked.kind, table)
        passing = kept.passing()
        assert passing.tolist() == fresh.passing().tolist()
        scores, expected = kept.scores(passing), fresh.scores(passing)
        assert scores[passing].tolist() == expected[passing].tolist()
    _compare(table)


def _name(node: Object) -> dict[str, str]:
    return {"name": node["metadata"]["name"]}


def _compare(table: NodeTable) -> None:
    """A table that was made in one go from what is there holds the same."""
    again = NodeTable()
    for row in table.rows.values():
        node = table.nodes[row]
        assert node is not None
        again.set_node(node)
        for pod in table.pods[row].values():
            again.add_pod(pod, node.name)
    assert again.count == table.count
    for name, row in table.rows.items():
        other = again.rows[name]
        assert again.pods[other].keys() == table.pods[row].keys()
        assert again.pods_free(slice(None))[other] == table.pods_free(slice(None))[row]
        for resource in table.resources:
            if resource in again.resources:
                one = table.requested(resource, slice(None))[row]
                assert one == again.requested(resource, slice(None))[other]
    assert {key: int(counts.sum()) for key, counts in table.carried.items()} == {
        key: int(counts.sum()) for key, counts in again.carried.items()
    }
