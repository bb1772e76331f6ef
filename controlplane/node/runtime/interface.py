"""What a node agent asks of whatever runs containers. The shape of Kubernetes' CRI.

A *sandbox* is what the containers of a pod share (address, hostname, shared memory); a *container*
is one attempt to run a command in it, and stays, also when it has ended, until it is removed. All
calls but `create_container`, `run_sandbox` and `exec` are idempotent. A runtime keeps what it runs
when the agent ends, and tells a new agent of all of it.

Times are seconds since 1970 as the wall clock shows; sizes are bytes.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

NANOCORES = 1_000_000_000

ContainerState = Literal["created", "running", "exited"]


class RefusedError(Exception):
    """The runtime could not do it.

    reason  for the status of the container: `CreateContainerError`, `RunContainerError`,
            `ErrImagePull`, `InvalidImageName`, `ErrImageNeverPull`, `NotFound` …
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RuntimeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """isolation  what containers are kept apart by: `process`, `namespaces`,
    `namespaces+rootfs`, `fake`; the agent shows it on the Node
    """

    name: str
    version: str
    isolation: str


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """attempt      counts the sandboxes of a pod, from 0
    address      which the pod is to have; a runtime with a network of its own gives another
    log_folder   exists; logs of containers go below it
    resolv_conf  the file's text; empty: the host's
    hosts        lines for /etc/hosts
    """

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    address: str = ""
    log_folder: str
    resolv_conf: str = ""
    hosts: str = ""
    is_host_network: bool = False
    shares_processes: bool = False
    sysctls: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """is_ready  false once it was stopped, or has died"""

    id: str
    config: SandboxConfig
    is_ready: bool
    address: str
    created_at: float


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """host_path  exists: a folder or a file
    sub_path   what of it is shown, if not all: links in it are followed, but never out of it
    """

    container_path: str
    host_path: str
    is_read_only: bool = False
    sub_path: str = ""


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """0: without a bound.

    cpu_shares    1024 a requested core
    cpu_nanocores what it may use at most
    oom_score_adj who is killed first when the machine has no memory left: -1000 … 1000
    """

    cpu_shares: int = 0
    cpu_nanocores: int = 0
    memory_bytes: int = 0
    pids: int = 0
    oom_score_adj: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """command    what the image says, or what the pod says instead
    log_path   relative to the sandbox's log_folder: `NAME/ATTEMPT.log`, in CRI's log format
    user       numbers; None: as the image says, or as the runtime runs
    annotations, labels  the agent's own notes, told back unchanged
    """

    name: str
    attempt: int
    image: str
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    working_folder: str = ""
    environment: Mapping[str, str] = {}
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    user: int | None = None
    group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    is_root_read_only: bool = False
    is_privileged: bool = False
    adds_capabilities: tuple[str, ...] = ()
    drops_capabilities: tuple[str, ...] = ()
    has_stdin: bool = False
    closes_stdin_once: bool = False
    has_tty: bool = False
    stop_signal: str = ""
    log_path: str
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """started_at, finished_at  0: not yet
    exit_code    128 + the signal for one that a signal ended
    reason       `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, `StartError`
    message      why, for people
    """

    id: str
    sandbox_id: str
    config: ContainerConfig
    state: ContainerState
    image_id: str = ""
    created_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says of how it is run; `size` in bytes."""

    id: str
    name: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    working_folder: str = ""
    user: str = ""
    size: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """cpu_seconds  used since the container started
    memory       working set
    """

    at: float
    cpu_seconds: float = 0.0
    memory: int = 0
    disk: int = 0
    pids: int = 0


class ExecResult(msgspec.Struct, frozen=True):
    """What a command in a container wrote and returned; output is cut at 10 KiB each."""

    exit_code: int
    output: bytes
    errors: bytes


class Session(Protocol):
    """The streams of a command in a container, or of the container itself (attach).

    Where it has a terminal there is no `errors`.
    """

    stdin: asyncio.StreamWriter | None
    output: asyncio.StreamReader
    errors: asyncio.StreamReader | None

    def resize(self, columns: int, rows: int) -> None:
        """Of its terminal."""

    async def wait(self) -> int:
        """Its exit code; of an attach: when the container ends, or is left."""

    async def close(self) -> None:
        """Leave it. A command of `exec` that still runs is killed; an attached container is not."""


class Runtime(Protocol):
    """Everything raises RefusedError for what it cannot do; `NotFound` for what is not there."""

    async def version(self) -> RuntimeVersion:
        """Who it is."""

    async def run_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox; its id."""

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in it, and give back its address. It stays, to be asked for."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """… and forget it with all its containers. Their logs stay."""

    async def list_sandboxes(self) -> list[Sandbox]:
        """All that there are."""

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container; its id. It does not run yet."""

    async def start_container(self, container_id: str) -> None:
        """Run its command. One that is not there ends it at once: exited, `StartError`, 128."""

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Its stop signal (SIGTERM), and SIGKILL to all of it after so long; return at its end."""

    async def remove_container(self, container_id: str) -> None:
        """Kill it if it runs, and forget it. Its log stays."""

    async def list_containers(self) -> list[Container]:
        """All that there are, of all sandboxes."""

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], timeout_seconds: float
    ) -> ExecResult:
        """Run a command in a container that runs. TimeoutError: it was killed after so long."""

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, has_stdin: bool, has_tty: bool
    ) -> Session:
        """… with streams."""

    async def attach(self, container_id: str, *, has_stdin: bool) -> Session:
        """What the container itself writes from now on, and its stdin if it has one."""

    async def connect(
        self, sandbox_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a TCP port of the pod (port-forward)."""

    async def reopen_log(self, container_id: str) -> None:
        """Its log was renamed: write on in a new file of the old name."""

    async def usage(self) -> Mapping[str, Usage]:
        """Of each container that runs, by id."""

    async def pull_image(self, name: str) -> Image:
        """Have an image here. Raises RefusedError `ErrImagePull`, `InvalidImageName`."""

    async def image(self, name: str) -> Image | None:
        """An image that is here."""

    async def changed(self) -> None:
        """Return when something may be otherwise than it was when it was last asked, at once if
        it is already. It is a hint: whoever needs to be sure lists again now and then.
        """
