"""All scripts, by what they are about."""

from tests.e2e.kubectl.script import Scenario
from tests.e2e.kubectl.scripts import (
    access,
    custom,
    debian,
    describe,
    kinds,
    lifecycle,
    network,
    nodes,
    reading,
    workloads,
    writing,
)

SCENARIOS: tuple[Scenario, ...] = (
    *kinds.SCENARIOS,
    *reading.SCENARIOS,
    *describe.SCENARIOS,
    *writing.SCENARIOS,
    *workloads.SCENARIOS,
    *network.SCENARIOS,
    *access.SCENARIOS,
    *nodes.SCENARIOS,
    *lifecycle.SCENARIOS,
    *custom.SCENARIOS,
    *debian.SCENARIOS,
)
