"""What stays on the disk of pods and containers, and by which names.

    ROOT/zygote.sock, zygote.log, zygote.lock
    ROOT/sandboxes/ID/            config.json, shim.json, shim.sock, shim.log, hosts …
    ROOT/sandboxes/ID/containers/ID/   config.json, launch.json, state.json, rootfs/

`config.json` is the agent's own; `launch.json` and `state.json` are here. A file is whole or not
there: it is written beside its place, flushed, and renamed.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

CONFIG, LAUNCH, STATE, SHIM = "config.json", "launch.json", "state.json", "shim.json"
ROOT_FOLDER, CONTAINERS, SANDBOXES = "rootfs", "containers", "sandboxes"
SHIM_SOCKET, ZYGOTE_SOCKET, ZYGOTE_LOCK = "shim.sock", "zygote.sock", "zygote.lock"
# Every process of a pod has this variable, so that it can be found when all else is gone.
MARKER = "KEELSON_SANDBOX"


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What a shim has to know of its sandbox.

    isolation       `process`, `namespaces`, `namespaces+rootfs`
    has_user_namespace  the user has no rights of their own: they are those of a user namespace
    cgroups         controller -> folder of the node's control groups; empty: cannot be written
    """

    id: str
    hostname: str
    is_host_network: bool
    shares_processes: bool
    sysctls: dict[str, str]
    isolation: str
    has_user_namespace: bool
    cgroups: dict[str, str]

    @property
    def has_namespaces(self) -> bool:
        return self.isolation != "process"

    @property
    def has_root(self) -> bool:
        return self.isolation == "namespaces+rootfs"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a container is run.

    mounts       (path in the container, path on the host, is read-only, path below that)
    binds        the host's files that it sees at their own places, read-only
    capabilities numbers of those it may have; None: all
    cpu_shares, cpu_nanocores, memory_bytes, pids   0: no bound
    """

    command: list[str]
    environment: dict[str, str]
    working_folder: str
    mounts: list[tuple[str, str, bool, str]]
    binds: list[str]
    user: int | None
    group: int | None
    supplemental_groups: list[int]
    capabilities: list[int] | None
    is_root_read_only: bool
    is_privileged: bool
    has_stdin: bool
    closes_stdin_once: bool
    has_tty: bool
    stop_signal: int
    log_path: str
    cpu_shares: int
    cpu_nanocores: int
    memory_bytes: int
    pids: int
    oom_score_adj: int


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a container is. Not there: created.

    started_at, finished_at  seconds since 1970; 0: not yet
    """

    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ShimIdentity:
    """Which process a shim is: a number alone may be another's by now.

    start_ticks  of the process, since the machine started
    boot         which start of the machine
    """

    pid: int
    start_ticks: int
    boot: str


_R = TypeVar("_R", Pod, Launch, State, ShimIdentity)


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the disk is full. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def encode(record: Pod | Launch | State | ShimIdentity) -> bytes:
    """A record as its file has it."""
    return json.dumps(asdict(record)).encode()


def decode(kind: type[_R], data: bytes | Mapping[str, Any]) -> _R:
    """A record from its file; fields that an older version does not know are left out.

    Raises ValueError for what is none.
    """
    told = json.loads(data) if isinstance(data, bytes) else data
    names = {field.name for field in fields(kind)}
    try:
        return kind(**{name: value for name, value in told.items() if name in names})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error


def read(kind: type[_R], path: Path) -> _R | None:
    """A record; None: there is none that can be read."""
    try:
        return decode(kind, path.read_bytes())
    except (OSError, ValueError):
        return None
