"""What the agent may do for a pod. PURE.

An action with the `key` of one that runs still is that one: it is not begun twice.
"""

import msgspec


class RunSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Make its volumes and its sandbox. `is_replacement`: an earlier one died."""

    attempt: int
    is_replacement: bool = False

    @property
    def key(self) -> str:
        """One at a time."""
        return "sandbox"


class StopSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Kill what runs in it, and give back its address."""

    sandbox_id: str

    @property
    def key(self) -> str:
        """One at a time, and none is made meanwhile."""
        return "sandbox"


class RemoveSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """… and forget it, with its containers and what they left on the disk."""

    sandbox_id: str

    @property
    def key(self) -> str:
        """Of each."""
        return f"remove {self.sandbox_id}"


class StartContainer(msgspec.Struct, frozen=True, kw_only=True):
    """delay_seconds  that it is marked with: see `restarts`"""

    name: str
    sandbox_id: str
    attempt: int
    delay_seconds: float

    @property
    def key(self) -> str:
        """Nothing else is done with a container meanwhile."""
        return f"container {self.name}"


class RunPreStop(msgspec.Struct, frozen=True, kw_only=True):
    """Its preStop hook, while others are to end before it.

    deadline  of the agent's monotonic clock, when it is to be killed
    message   of the event
    """

    name: str
    container_id: str
    deadline: float
    message: str

    @property
    def key(self) -> str:
        """It is not stopped before its hook is done."""
        return f"container {self.name}"


class StopContainer(msgspec.Struct, frozen=True, kw_only=True):
    """Its preStop hook, its stop signal, and SIGKILL.

    deadline  of the agent's monotonic clock, when it is to be killed
    message   of the event
    is_again  its end was told already, and its hook has had its turn
    """

    name: str
    container_id: str
    deadline: float
    message: str
    is_again: bool = False

    @property
    def key(self) -> str:
        """Nothing else is done with a container meanwhile."""
        return f"container {self.name}"


class RemoveContainer(msgspec.Struct, frozen=True, kw_only=True):
    """Forget one that has ended, with its log, or was never started.

    key_name  of the container, or its id
    """

    container_id: str
    key_name: str

    @property
    def key(self) -> str:
        """A container that was never started is in the way of its next attempt."""
        return f"container {self.key_name}"


class RemoveVolumes(msgspec.Struct, frozen=True, kw_only=True):
    """What its containers had mounted, and is the pod's own."""

    @property
    def key(self) -> str:
        """One at a time."""
        return "files"


class RemoveFiles(msgspec.Struct, frozen=True, kw_only=True):
    """All that a pod had on disk."""

    @property
    def key(self) -> str:
        """One at a time."""
        return "files"


Action = (
    RunSandbox
    | StopSandbox
    | RemoveSandbox
    | StartContainer
    | RunPreStop
    | StopContainer
    | RemoveContainer
    | RemoveVolumes
    | RemoveFiles
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and when to look again if nothing happens.

    wake_at  of the agent's monotonic clock; None: not before something changes
    is_over  nothing of the pod runs, and nothing will
    is_ended a sandbox or a container must not be started any more
    """

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None
    is_over: bool = False
    is_ended: bool = False
