"""What is told of each process: the rows of `cluster status`."""

import msgspec


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `cluster status`. `state`: starting, running, healthy, paused or stopped."""

    name: str
    state: str
    client_address: str
    data_folder: str
    pid: int | None = None
    restarts: int = 0
    role: str = ""
    term: int = 0
    raft_index: int = 0

    @property
    def is_healthy(self) -> bool:
        """Tell whether it answered a linearizable read."""
        return self.state == "healthy"


class ComponentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the control plane. `state` as a member's; `address`: where it serves HTTPS."""

    name: str
    state: str
    address: str
    log: str
    pid: int | None = None
    restarts: int = 0

    @property
    def is_healthy(self) -> bool:
        """Tell whether it does its work."""
        return self.state == "healthy"
