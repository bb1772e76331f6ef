"""Property tests of an application of yours against a simulated cluster, with hypothesis.

    from hypothesis import given, settings
    from kvstore.testing import properties as kv

    @settings(deadline=None)
    @given(topology=kv.topologies(), faults=kv.fault_schedules())
    def test_mine(topology, faults):
        async def application(cluster):
            async with cluster.connect() as client:
                ...
        kv.run(application, topology=topology, faults=faults)

Members and clients are the production ones; clock, network and disk are simulated, so a run takes
some milliseconds and repeats exactly. What hypothesis finds it prints as code that repeats it.
`ClusterMachine` and `StoreMachine` are for rule-based tests. README shows a whole one.

What belongs here: data that describes a run, its strategies, its driver. The only part of the
project that needs hypothesis.
"""

try:
    import hypothesis  # noqa: F401 (a message that helps, before any other import fails)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "kvstore.testing.properties needs hypothesis: pip install 'hypothesis>=6.100'",
        name=error.name,
    ) from error

from kvstore.testing.history import ViolationError
from kvstore.testing.properties.calls import (
    CompareAndSet,
    Delete,
    Get,
    History,
    Put,
    PutLeased,
    Step,
    Wait,
    check_linearizable,
)
from kvstore.testing.properties.cluster import Cluster
from kvstore.testing.properties.machine import ClusterMachine, StoreMachine
from kvstore.testing.properties.schedule import (
    BrokenDisk,
    ContestedElection,
    Crash,
    CrashAtPoint,
    CutBetween,
    CutOff,
    CutOneWay,
    Delay,
    Episode,
    Fault,
    LastCopy,
    LateAck,
    Loss,
    MembershipChanges,
    Pause,
    PowerCut,
    Reconnections,
    Schedule,
    SlowDisk,
    Split,
    Stall,
    Target,
    Topology,
)
from kvstore.testing.properties.strategies import (
    fault_schedules,
    faults,
    keys,
    operations,
    targets,
    topologies,
    values,
)
from kvstore.testing.properties.trial import StuckError, run

__all__ = [
    "BrokenDisk",
    "Cluster",
    "ClusterMachine",
    "CompareAndSet",
    "ContestedElection",
    "Crash",
    "CrashAtPoint",
    "CutBetween",
    "CutOff",
    "CutOneWay",
    "Delay",
    "Delete",
    "Episode",
    "Fault",
    "Get",
    "History",
    "LastCopy",
    "LateAck",
    "Loss",
    "MembershipChanges",
    "Pause",
    "PowerCut",
    "Put",
    "PutLeased",
    "Reconnections",
    "Schedule",
    "SlowDisk",
    "Split",
    "Stall",
    "Step",
    "StoreMachine",
    "StuckError",
    "Target",
    "Topology",
    "ViolationError",
    "Wait",
    "check_linearizable",
    "fault_schedules",
    "faults",
    "keys",
    "operations",
    "run",
    "targets",
    "topologies",
    "values",
]
