"""Where a pod goes, what is said when it goes nowhere, and how nodes score."""

from random import Random
from typing import Any

from controlplane.scheduler.configuration import DEFAULT_PLUGINS, configuration_of
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.evaluation import Evaluation, Evaluations
from controlplane.scheduler.framework import Profile
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.pod_class import PodFacts

PROFILE = Profile(DEFAULT_PLUGINS)
MI = 1024 * 1024


def placed(
    made: NodeTable, one: PodFacts, profile: Profile = PROFILE, seed: int = 1
) -> str | Diagnosis:
    found = place(Evaluations(made), profile, one, Nominations(), Random(seed))
    return found.node_name if isinstance(found, Placement) else found


def message(made: NodeTable, one: PodFacts) -> str:
    found = placed(made, one)
    assert isinstance(found, Diagnosis)
    return found.message


def score(plugin: str, made: NodeTable, one: PodFacts, **args: Any) -> dict[str, int]:
    """Of one plug-in on all nodes, which must be feasible."""
    settings = [{"name": plugin, "args": args}] if args else []
    plugins = {"disabled": [{"name": "*"}], "enabled": [{"name": plugin}]}
    chosen = configuration_of({"profiles": [{"plugins": plugins, "pluginConfig": settings}]}, {})
    evaluation = Evaluation(chosen.profiles["default-scheduler"], one.kind, made)
    scores = evaluation.scores(evaluation.passing())
    return {name: int(scores[row]) for name, row in made.rows.items()}
