"""The volumes of a node's pods: made before their sandbox, kept current, removed after it.

Source: Kubernetes' documentation, "Volumes"; kube-behaviour 9.1.
"""

import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import (
    EphemeralContainer,
    HostPathVolumeSource,
    Pod,
    Volume,
)
from controlplane.node import atomic_folder, memory_volumes, sub_paths, volume_files
from controlplane.node.environment import ConfigError, expand
from controlplane.node.folders import EMPTY_DIR, Folders
from controlplane.node.runtime.interface import Mount
from controlplane.node.sources import Sources
from controlplane.node.volume_files import Origin, VolumeError

EMPTY_MODE = 0o777
GROUP_MAX = 2**31 - 1

logger = logging.getLogger(__name__)

_Check = Callable[[int], bool]
_HOST_PATH_TYPES: Mapping[str, tuple[_Check, str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class Volumes:
    """Of one node.

    allocatable  of the node
    may_mount    whether containers see what is mounted here
    """

    def __init__(
        self,
        folders: Folders,
        sources: Sources,
        *,
        host_ip: str,
        allocatable: Callable[[], Mapping[str, str]],
        may_mount: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folders = folders
        self._sources = sources
        self._host_ip = host_ip
        self._allocatable = allocatable
        self._may_mount = may_mount

    async def set_up(self, pod: Pod) -> None:
        """Make all volumes of a pod, or what is missing of them.

        Raises VolumeError, ApiError where the store cannot be asked.
        """
        for volume in pod.spec.volumes:
            await self._make(pod, volume)

    async def refresh(self, pod: Pod) -> None:
        """Have files of objects as the objects are now. Raises as `set_up`."""
        for volume in pod.spec.volumes:
            if volume_files.is_of_files(volume):
                await self._make(pod, volume)

    def mounts(
        self, pod: Pod, spec: Spec | EphemeralContainer, environment: Mapping[str, str]
    ) -> list[Mount]:
        """Where a container finds them. Raises ConfigError."""
        volumes = {one.name: one for one in pod.spec.volumes}
        found = []
        for mount in spec.volume_mounts:
            volume = volumes.get(mount.name)
            if volume is None:
                raise ConfigError(f'volume "{mount.name}" not found')
            below = mount.sub_path or expand(mount.sub_path_expr, environment)
            try:
                base = (
                    Path(volume.host_path.path)
                    if volume.host_path is not None
                    else self.folder(pod, volume)
                )
                if below:
                    sub_paths.prepare(base, below)
            except (OSError, ValueError) as error:
                why = f'failed to prepare subPath for volumeMount "{mount.name}"'
                raise ConfigError(f'{why} of container "{spec.name}": {error}') from error
            found.append(
                Mount(
                    container_path=mount.mount_path,
                    host_path=str(base),
                    is_read_only=mount.read_only or volume_files.is_of_files(volume),
                    sub_path=below,
                )
            )
        return found

    async def _make(self, pod: Pod, volume: Volume) -> None:
        try:
            await self._set_up(pod, volume)
        except (VolumeError, OSError, ValueError) as error:
            told = f'MountVolume.SetUp failed for volume "{volume.name}" : {error}'
            raise VolumeError(told) from error

    async def _set_up(self, pod: Pod, volume: Volume) -> None:
        if volume.host_path is not None:
            _check_host_path(volume.host_path)
        elif volume.empty_dir is not None:
            folder, group = self.folder(pod, volume), _group_of(pod)
            _make_empty(folder, group)
            if memory_volumes.is_of_memory(volume) and self._may_mount():
                size = memory_volumes.size_bytes(pod, volume, self._allocatable().get("memory", ""))
                memory_volumes.mount(folder, size=size, group=group)
        elif volume_files.is_of_files(volume):
            files = volume_files.files(pod, volume, await self._origin(pod, volume))
            atomic_folder.write(self.folder(pod, volume), files, group=_group_of(pod))
        else:
            raise VolumeError("volumes of its type are not supported by this node")

    async def _origin(self, pod: Pod, volume: Volume) -> Origin:
        return Origin(
            objects=await self._sources.objects(
                pod.metadata.namespace, volume_files.references(volume)
            ),
            tokens={
                wish: await self._sources.token(pod, wish)
                for wish in volume_files.token_wishes(volume)
            },
            host_ip=self._host_ip,
            allocatable=self._allocatable(),
        )

    def on_disk_instead(self, pod: Pod) -> list[str]:
        """Names of volumes that were to be in memory, once all have been set up."""
        return [
            one.name
            for one in pod.spec.volumes
            if memory_volumes.is_of_memory(one) and not self.is_in_memory(pod, one)
        ]

    def is_in_memory(self, pod: Pod, volume: Volume) -> bool:
        """Whether it takes memory instead of the disk. ValueError as below."""
        return memory_volumes.is_of_memory(volume) and self.folder(pod, volume).is_mount()

    def folder(self, pod: Pod, volume: Volume) -> Path:
        """Of a volume that is the pod's own. ValueError: a stranger has named it."""
        return self._folders.volume(pod.metadata.uid, _kind_of(volume), volume.name)


def _kind_of(volume: Volume) -> str:
    if volume.secret is not None:
        return "kubernetes.io~secret"
    if volume.config_map is not None:
        return "kubernetes.io~configmap"
    if volume.downward_api is not None:
        return "kubernetes.io~downward-api"
    return "kubernetes.io~projected" if volume.projected is not None else EMPTY_DIR


def _group_of(pod: Pod) -> int | None:
    """Whose the files of its volumes are to be. Only root may give files to any group; without
    it all containers run as whoever the agent is, and need none. ValueError."""
    context = pod.spec.security_context
    group = context.fs_group if context is not None else None
    if group is not None and not 0 <= group <= GROUP_MAX:
        raise ValueError(f"{group} is no number of a group")
    return group if os.geteuid() == 0 else None


def _make_empty(folder: Path, group: int | None) -> None:
    """Unless it is there: it keeps what is in it."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f"..{folder.name}")  # no volume can have such a name
    draft.mkdir(exist_ok=True)
    if group is not None:
        os.chown(draft, -1, group)
    draft.chmod(EMPTY_MODE if group is None else EMPTY_MODE | stat.S_ISGID)
    draft.rename(folder)


class NoVolumes(Volumes):
    """Of a node that is hollow: what runs there reads no file, so none is made."""

    async def set_up(self, pod: Pod) -> None:
        """Nothing to do."""

    async def refresh(self, pod: Pod) -> None:
        """Nothing to do."""

    def on_disk_instead(self, pod: Pod) -> list[str]:
        """None."""
        return []

    def mounts(
        self, pod: Pod, spec: Spec | EphemeralContainer, environment: Mapping[str, str]
    ) -> list[Mount]:
        """None."""
        return []


def _check_host_path(source: HostPathVolumeSource) -> None:
    """Raises VolumeError, OSError."""
    path, kind = Path(source.path), source.type or ""
    if not path.is_absolute():
        raise VolumeError(f"hostPath {source.path!r} is no absolute path")
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    elif not kind:
        if not path.exists():  # Kubernetes leaves this to whoever mounts it, who makes a folder
            path.mkdir(parents=True, mode=0o755)
        return
    check = _HOST_PATH_TYPES.get(kind)
    if check is None:
        raise VolumeError(f"hostPath type {kind} is not known")
    is_right, called = check
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = 0
    if not mode or not is_right(mode):
        raise VolumeError(f"hostPath type check failed: {source.path} is not {called}")
