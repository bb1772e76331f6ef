"""The volumes of a node's pods: made before their sandbox, kept current, removed after it.

Source: Kubernetes' documentation, "Volumes"; kube-behaviour 9.1.
"""

import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from controlplane.api import quantity
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import (
    EphemeralContainer,
    HostPathVolumeSource,
    Pod,
    Volume,
    VolumeMount,
)
from controlplane.node import atomic_folder, volume_files
from controlplane.node.environment import ConfigError, expand
from controlplane.node.folders import Folders
from controlplane.node.runtime.interface import Mount
from controlplane.node.sources import Sources
from controlplane.node.volume_files import Origin, VolumeError

EMPTY_MODE = 0o777

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


class VolumeFailure(Exception):  # noqa: N818 - beside VolumeError it says of which volume
    """A volume of a pod cannot be made."""

    def __init__(self, volume: str, why: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')
        self.volume = volume


class NoVolumes:
    """Of a node that is hollow: what runs there reads no file, so none is made."""

    async def set_up(self, pod: Pod) -> None:
        """Nothing to do."""

    async def refresh(self, pod: Pod) -> None:
        """Nothing to do."""

    async def excess(self, pod: Pod) -> str:
        """Nothing is used."""
        return ""

    def mounts(
        self, pod: Pod, spec: Spec | EphemeralContainer, environment: Mapping[str, str]
    ) -> list[Mount]:
        """None."""
        return []


class Volumes:
    """Of one node. `allocatable`: of the node."""

    def __init__(
        self,
        folders: Folders,
        sources: Sources,
        *,
        host_ip: str,
        allocatable: Callable[[], Mapping[str, str]],
    ) -> None:
        self._folders = folders
        self._sources = sources
        self._host_ip = host_ip
        self._allocatable = allocatable

    async def set_up(self, pod: Pod) -> None:
        """Make all volumes of a pod, or what is missing of them.

        Raises VolumeFailure, ApiError where the store cannot be asked.
        """
        for volume in pod.spec.volumes:
            try:
                await self._set_up(pod, volume)
            except (VolumeError, OSError, ValueError) as error:
                raise VolumeFailure(volume.name, str(error)) from error

    async def refresh(self, pod: Pod) -> None:
        """Have files of objects as the objects are now. Raises as `set_up`."""
        for volume in pod.spec.volumes:
            if volume_files.is_of_files(volume):
                try:
                    await self._set_up(pod, volume)
                except (VolumeError, OSError, ValueError) as error:
                    raise VolumeFailure(volume.name, str(error)) from error

    async def excess(self, pod: Pod) -> str:
        """Why the pod uses more than it may; empty: it does not."""
        for volume in pod.spec.volumes:
            limit = volume.empty_dir.size_limit if volume.empty_dir is not None else None
            if limit is None:
                continue
            try:
                bound = quantity.parse(limit)
                used = await self._folders.size(self._folders.volume(pod.metadata.uid, volume.name))
            except ValueError:
                continue
            if bound and used > bound:
                return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
        return ""

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
            try:
                path = self._mounted(pod, volume, mount, environment)
            except (OSError, ValueError) as error:
                why = f'failed to prepare subPath for volumeMount "{mount.name}"'
                raise ConfigError(f"{why} of container {spec.name}: {error}") from error
            found.append(
                Mount(
                    container_path=mount.mount_path,
                    host_path=str(path),
                    is_read_only=mount.read_only or volume_files.is_of_files(volume),
                )
            )
        return found

    async def _set_up(self, pod: Pod, volume: Volume) -> None:
        uid = pod.metadata.uid
        if volume.host_path is not None:
            _check_host_path(volume.host_path)
        elif volume.empty_dir is not None:
            folder = self._folders.volume(uid, volume.name)
            if not folder.is_dir():
                folder.mkdir(parents=True)
                folder.chmod(EMPTY_MODE)
        elif volume_files.is_of_files(volume):
            origin = Origin(
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
            files = volume_files.files(pod, volume, origin)
            atomic_folder.write(self._folders.volume(uid, volume.name), files)
        else:
            raise VolumeError("volumes of its type are not supported by this node")

    def _mounted(
        self, pod: Pod, volume: Volume, mount: VolumeMount, environment: Mapping[str, str]
    ) -> Path:
        """The path of the host. ValueError for one that leaves its volume."""
        if volume.host_path is not None:
            base = Path(volume.host_path.path)
        else:
            base = self._folders.volume(pod.metadata.uid, volume.name)
        below = mount.sub_path or expand(mount.sub_path_expr, environment)
        if not below:
            return base
        if below.startswith("/") or ".." in below.split("/"):
            raise ValueError(f"{below!r} must be a path below the volume")
        path = base / below
        root = base.resolve()
        # Links are followed now, and what they lead to is mounted: a container that changes one
        # later changes nothing.
        found = path.resolve()
        if found != root and root not in found.parents:
            raise ValueError(f"{below!r} leads out of the volume")
        if not found.exists():
            found.mkdir(parents=True)
            found.chmod(EMPTY_MODE)
        return found


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
