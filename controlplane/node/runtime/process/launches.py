"""From what a pod asks for to how a shim runs it; what cannot be done here is refused. PURE."""

import posixpath
import signal
from collections.abc import Iterable

import msgspec

from controlplane.node.runtime.interface import (
    ContainerConfig,
    Image,
    Mount,
    RefusedError,
    SandboxConfig,
)
from controlplane.node.runtime.shim.identity import capabilities
from controlplane.node.runtime.shim.records import MARKER, Launch, Pod

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The kernel's own: /proc tells programs of themselves, what is mounted on it deceives them.
_KERNEL_FOLDERS = ("/proc", "/sys")
# Sysctls that belong to a pod's namespaces; those of the network are the host's.
_POD_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What containers of this node have in common.

    user   whom the runtime runs as
    binds  of the host's files, what all containers see besides its programs
    """

    user: int
    group: int
    binds: tuple[str, ...]


def launch(
    config: ContainerConfig,
    sandbox: SandboxConfig,
    pod: Pod,
    image: Image,
    node: Node,
    files: Iterable[Mount],
) -> Launch:
    """How a container is run.

    files  the pod's own /etc/hosts and the like, where the container does not mount over them
    Raises RefusedError `CreateContainerError`, `InvalidImageName`.
    """
    command = _command(config, image)
    environment = _environment(config, sandbox, pod, image)
    for text in (*command, *environment, *environment.values(), config.working_folder):
        if "\0" in text:
            raise _refused("a command, a path or a variable holds a NUL character")
    user, group = _user(config, image, pod, node)
    taken = {mount.container_path for mount in config.mounts}
    shown = [mount for mount in files if mount.container_path not in taken]
    bounds = config.resources
    return Launch(
        command=command,
        environment=environment,
        working_folder=config.working_folder or image.working_folder,
        mounts=[_mount(mount, pod) for mount in (*shown, *config.mounts)],
        binds=list(node.binds),
        user=user,
        group=group,
        supplemental_groups=list(config.supplemental_groups),
        capabilities=None if config.is_privileged else _capabilities(config),
        is_root_read_only=config.is_root_read_only,
        is_privileged=config.is_privileged,
        has_stdin=config.has_stdin,
        closes_stdin_once=config.closes_stdin_once,
        has_tty=config.has_tty,
        stop_signal=_signal(config.stop_signal),
        log_path=_log_path(config, sandbox),
        cpu_shares=bounds.cpu_shares,
        cpu_nanocores=bounds.cpu_nanocores,
        memory_bytes=bounds.memory_bytes,
        pids=bounds.pids,
        oom_score_adj=bounds.oom_score_adj,
    )


def refuse_sysctls(config: SandboxConfig, pod: Pod) -> None:
    """Raises RefusedError for those that are not the pod's own here."""
    for name in config.sysctls:
        if not pod.has_namespaces or not name.startswith(_POD_SYSCTLS):
            told = f"sysctl {name!r} cannot be set: it would change the whole node"
            raise RefusedError("SysctlForbidden", told)


def _refused(message: str) -> RefusedError:
    return RefusedError("CreateContainerError", message)


def _command(config: ContainerConfig, image: Image) -> list[str]:
    if config.command:
        return [*config.command, *config.arguments]
    words = [*image.entrypoint, *(config.arguments or image.command)]
    if not words:
        raise RefusedError(
            "ErrImagePull",
            f"image {config.image!r} is only a name on this node, which pulls none: give the "
            "container a command, or the image a line in images.toml of the runtime's root folder",
        )
    return words


def _environment(
    config: ContainerConfig, sandbox: SandboxConfig, pod: Pod, image: Image
) -> dict[str, str]:
    environment = {"PATH": _PATH, "HOME": "/root" if not config.user else "/"}
    if sandbox.address:
        # The network is the machine's: a program has to know which address of it is its pod's.
        environment["POD_IP"] = sandbox.address
    if pod.hostname:
        environment["HOSTNAME"] = pod.hostname
    if config.has_tty:
        environment["TERM"] = "xterm"
    environment |= image.environment
    environment |= config.environment
    for name in environment:
        if not name or "=" in name:
            raise _refused(f"{name!r} is no name of a variable")
    return environment | {MARKER: pod.id}


def _user(
    config: ContainerConfig, image: Image, pod: Pod, node: Node
) -> tuple[int | None, int | None]:
    user, group = config.user, config.group
    if user is None and image.user:
        words = image.user.partition(":")
        if not words[0].isdigit() or (words[2] and not words[2].isdigit()):
            raise _refused(f"user {image.user!r} of the image is no number")
        user, group = int(words[0]), group if group is not None or not words[2] else int(words[2])
    for number in (user, group, *config.supplemental_groups):
        if number is not None and not 0 <= number < 2**31:
            raise _refused(f"{number} is no number of a user or group")
    if node.user != 0 and not pod.has_user_namespace and user not in (None, node.user):
        raise _refused(
            f"this node runs all containers as user {node.user}, none as {user}: "
            "it has no root, and cannot make user namespaces"
        )
    return user, group


def _capabilities(config: ContainerConfig) -> list[int]:
    try:
        return capabilities(config.adds_capabilities, config.drops_capabilities)
    except ValueError as error:
        raise _refused(str(error)) from error


def _signal(name: str) -> int:
    if not name:
        return signal.SIGTERM
    try:
        if name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError) as error:
        raise _refused(f"{name!r} is no signal") from error


def _log_path(config: ContainerConfig, sandbox: SandboxConfig) -> str:
    path = posixpath.normpath(config.log_path)
    if not config.log_path or posixpath.isabs(path) or path.split("/")[0] in ("..", "."):
        raise _refused(f"{config.log_path!r} is no path of a log below the pod's")
    return posixpath.join(sandbox.log_folder, path)


def _mount(mount: Mount, pod: Pod) -> tuple[str, str, bool, str]:
    target = posixpath.normpath(mount.container_path)
    if not posixpath.isabs(target) or ".." in mount.container_path.split("/") or target == "/":
        raise _refused(f"nothing can be mounted at {mount.container_path!r}")
    target = "/" + target.lstrip("/")
    if any(target == each or target.startswith(f"{each}/") for each in _KERNEL_FOLDERS):
        raise _refused(f"nothing can be mounted at {target}: it is the kernel's")
    source = posixpath.normpath(posixpath.join(mount.host_path, mount.sub_path))
    if not pod.has_namespaces and (target != source or mount.is_read_only):
        raise _refused(
            f"this node cannot mount {source} at {target}: its containers have no mounts "
            "of their own (isolation `process`). Let it make user namespaces "
            "(user.max_user_namespaces), or leave the volume out; "
            "automountServiceAccountToken: false does for the token's"
        )
    return target, mount.host_path, mount.is_read_only, mount.sub_path
