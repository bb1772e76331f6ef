"""All scripts, by what they are about."""

from tests.e2e.kubectl.script import Scenario
from tests.e2e.kubectl.scripts import describe, kinds, reading, writing

SCENARIOS: tuple[Scenario, ...] = (
    *kinds.SCENARIOS,
    *reading.SCENARIOS,
    *describe.SCENARIOS,
    *writing.SCENARIOS,
)
