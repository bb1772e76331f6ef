"""Promise of the address allocation: no two Services have one ClusterIP. PURE."""

from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Ledger, Step
from controlplane.simulation.rules import Moment
from kvstore.testing.history import ViolationError


class Addresses:
    """See above."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        changes = [one for one in step.changes if one.place == facts.SERVICES]
        for change in changes:
            if change.old is not None:
                self._owners.pop(str(change.old["spec"].get("clusterIP") or ""), None)
        for change in changes:
            if change.new is None:
                continue
            address, name = str(change.new["spec"].get("clusterIP") or ""), facts.called(change.new)
            if address in ("", "None"):
                continue
            other = self._owners.setdefault(address, name)
            if other != name:
                told = f"{address} is of {other} and of {name}"
                raise ViolationError(f"revision {step.revision}: {told}")
