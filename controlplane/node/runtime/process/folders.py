"""The agent's files of pods and containers. Every change is whole, or did not happen; what a crash
left between is removed when the files are read. Blocks on the disk: call it in a thread.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.runtime.shim import records
from controlplane.node.runtime.shim.records import Launch, Pod, ShimIdentity, State
from controlplane.node.trees import remove_tree

_DRAFT, _GONE = ".new", ".gone"

logger = logging.getLogger(__name__)

_R = TypeVar("_R", bound=msgspec.Struct)


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent keeps of a sandbox."""

    config: SandboxConfig
    created_at: float
    pod: Pod


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent keeps of a container."""

    config: ContainerConfig
    created_at: float
    image_id: str


def unknown_sandbox(sandbox_id: str, cgroups: Mapping[str, str]) -> SandboxRecord:
    """In the place of one that cannot be read, so that it can be ended.

    cgroups  see `records.Pod`
    """
    pod = Pod(
        id=sandbox_id,
        hostname="",
        is_host_network=False,
        shares_processes=False,
        sysctls={},
        isolation="process",  # of the least: whatever may be left of it is looked for
        has_user_namespace=False,
        cgroups=dict(cgroups),
    )
    config = SandboxConfig(name="", namespace="", uid="", log_folder="")
    return SandboxRecord(config=config, created_at=0.0, pod=pod)


class Folders:
    """All below the runtime's root folder. Raises OSError: the disk is full, or the like."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._sandboxes = self.root / records.SANDBOXES

    def prepare(self) -> None:
        """Make the folders, and clear away what was not finished."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self._sandboxes.mkdir(exist_ok=True)
        for folder in self._sandboxes.iterdir():
            if _is_rest(folder):
                _clear(folder)
                continue
            for container in _listed(folder / records.CONTAINERS):
                if _is_rest(container):
                    _clear(container)

    def sandbox(self, sandbox_id: str) -> Path:
        return self._sandboxes / sandbox_id

    def socket(self, sandbox_id: str) -> Path:
        return self.sandbox(sandbox_id) / records.SHIM_SOCKET

    def container(self, sandbox_id: str, container_id: str) -> Path:
        return self.sandbox(sandbox_id) / records.CONTAINERS / container_id

    def sandboxes(self) -> dict[str, SandboxRecord]:
        """All that can be read."""
        found = {}
        for folder in _listed(self._sandboxes):
            record = _read(folder, SandboxRecord)
            if record is not None and not _is_rest(folder):
                found[folder.name] = record
        return found

    def containers(self, sandbox_id: str) -> dict[str, tuple[ContainerRecord, State]]:
        """… of a sandbox, as far as they were when somebody wrote it down."""
        found = {}
        for folder in _listed(self.sandbox(sandbox_id) / records.CONTAINERS):
            record = _read(folder, ContainerRecord)
            if record is not None and not _is_rest(folder):
                state = records.read(State, folder / records.STATE) or State()
                found[folder.name] = (record, state)
        return found

    def unreadable_sandboxes(self) -> list[str]:
        """Of which nothing is known but that they were there."""
        return _unreadable(self._sandboxes, SandboxRecord)

    def unreadable_containers(self, sandbox_id: str) -> list[str]:
        """… of a sandbox."""
        return _unreadable(self.sandbox(sandbox_id) / records.CONTAINERS, ContainerRecord)

    def shim(self, sandbox_id: str) -> ShimIdentity | None:
        """Which process the shim of a sandbox is, or was."""
        return records.read(ShimIdentity, self.sandbox(sandbox_id) / records.SHIM)

    def create_sandbox(self, sandbox_id: str, record: SandboxRecord) -> None:
        """With the files that its containers see."""

        def fill(draft: Path) -> None:
            (draft / records.CONTAINERS).mkdir()
            config = record.config
            texts = {"hostname": f"{config.hostname}\n", "hosts": config.hosts}
            texts["resolv.conf"] = config.resolv_conf
            for name, text in texts.items():
                if text.strip():
                    (draft / name).write_text(text)
                    (draft / name).chmod(0o644)
            records.write(draft / records.CONFIG, msgspec.json.encode(record))

        _create(self.sandbox(sandbox_id), fill)

    def create_container(
        self, sandbox_id: str, container_id: str, record: ContainerRecord, launch: Launch
    ) -> None:
        """With what its shim has to know."""

        def fill(draft: Path) -> None:
            records.write(draft / records.LAUNCH, records.encode(launch))
            records.write(draft / records.CONFIG, msgspec.json.encode(record))

        _create(self.container(sandbox_id, container_id), fill)

    def write_state(self, sandbox_id: str, container_id: str, state: State) -> None:
        """For a shim that cannot do it any more."""
        path = self.container(sandbox_id, container_id) / records.STATE
        with suppress(FileNotFoundError):
            records.write(path, records.encode(state))

    def remove_sandbox(self, sandbox_id: str) -> None:
        _remove(self.sandbox(sandbox_id))

    def remove_container(self, sandbox_id: str, container_id: str) -> None:
        _remove(self.container(sandbox_id, container_id))

    def container_root(self, sandbox_id: str, container_id: str) -> Path:
        """What a container has written, where it has a root folder of its own."""
        return self.container(sandbox_id, container_id) / records.ROOT_FOLDER


def _clear(folder: Path) -> None:
    """What cannot be removed now is tried again at the next start; nobody waits for it."""
    try:
        remove_tree(folder)
    except OSError as error:
        logger.warning("%s stays for now: %s", folder, error)


def _is_rest(folder: Path) -> bool:
    return folder.suffix in (_DRAFT, _GONE)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(folder: Path, kind: type[_R]) -> _R | None:
    """None: what is there says nothing. OSError where it may be asked again."""
    try:
        return msgspec.json.decode((folder / records.CONFIG).read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def _unreadable(folder: Path, kind: type[msgspec.Struct]) -> list[str]:
    found = (one for one in _listed(folder) if not _is_rest(one))
    return [one.name for one in found if _read(one, kind) is None]


def _create(folder: Path, fill: Callable[[Path], None]) -> None:
    draft = folder.with_suffix(_DRAFT)
    try:
        draft.mkdir(mode=0o700)
        fill(draft)
        draft.rename(folder)
    except OSError:
        remove_tree(draft)
        raise


def _remove(folder: Path) -> None:
    gone = folder.with_suffix(_GONE)
    with suppress(FileNotFoundError):
        folder.rename(gone)
    remove_tree(gone)
