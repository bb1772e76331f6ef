"""Every fault there is, by name."""

from kvstore.testing.torture.clock_faults import CLOCK_FAULTS
from kvstore.testing.torture.disk_faults import DISK_FAULTS
from kvstore.testing.torture.failpoints import FailpointFault, FailpointJoin
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.network_faults import NETWORK_FAULTS
from kvstore.testing.torture.process_faults import PROCESS_FAULTS

_ALL: tuple[type[Fault], ...] = (
    *PROCESS_FAULTS,
    *NETWORK_FAULTS,
    *DISK_FAULTS,
    *CLOCK_FAULTS,
    FailpointFault,
    FailpointJoin,
)

FAULTS: dict[str, type[Fault]] = {fault.name: fault for fault in _ALL}
