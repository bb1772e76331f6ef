"""What the runtime is asked to run for a pod. PURE.

Source: Kubernetes' API reference of Container and SecurityContext; documentation, "Define a
Command and Arguments for a Container", "Resource Management for Pods and Containers".
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from controlplane.api import quantity
from controlplane.api.types.core_v1 import (
    Container as Spec,
)
from controlplane.api.types.core_v1 import (
    EphemeralContainer,
    Pod,
    PodSecurityContext,
    SecurityContext,
)
from controlplane.node import restarts
from controlplane.node.environment import ConfigError, expand
from controlplane.node.plan import grace_seconds
from controlplane.node.runtime.interface import (
    NANOCORES,
    ContainerConfig,
    Image,
    Mount,
    Resources,
    SandboxConfig,
)

HOSTNAME_CHARACTERS_MAX = 63
KERNEL_CHARACTERS_MAX = 64  # of Linux: utsname.nodename
SHARES_MIN = 2
TERMINATION_LOG = "/dev/termination-log"

GRACE = "keelson.dev/termination-grace-seconds"
"""Annotation of a sandbox: what its containers get to end once their pod is not known any more."""

MESSAGE_PATH = "keelson.dev/termination-message-path"
"""Annotation of a container: the file of the host in which it may say why it ended."""

MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"


def labels_of(pod: Pod) -> dict[str, str]:
    """By which foreign tools find the pod of a sandbox or container."""
    meta = pod.metadata
    return {
        "io.kubernetes.pod.name": meta.name,
        "io.kubernetes.pod.namespace": meta.namespace,
        "io.kubernetes.pod.uid": meta.uid,
    }


def hostname_of(pod: Pod) -> str:
    """Its own, or its name: as much of it as fits."""
    name = pod.spec.hostname or pod.metadata.name
    return name[:HOSTNAME_CHARACTERS_MAX].rstrip("-.")


def domain_of(pod: Pod, cluster_domain: str) -> str:
    """Empty: it has none."""
    if not pod.spec.subdomain:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def kernel_hostname_of(pod: Pod, cluster_domain: str) -> str:
    """What `hostname` says in it: with setHostnameAsFQDN all of its name. ValueError: too long."""
    hostname, domain = hostname_of(pod), domain_of(pod, cluster_domain)
    if not domain or not pod.spec.set_hostname_as_fqdn:
        return hostname
    name = f"{hostname}.{domain}"
    if len(name) > KERNEL_CHARACTERS_MAX:
        raise ValueError(
            "failed to construct FQDN from pod hostname and cluster domain, "
            f"FQDN {name} is too long ({KERNEL_CHARACTERS_MAX} characters is the max, "
            f"{len(name)} characters requested)"
        )
    return name


def hosts_of(pod: Pod, *, address: str, cluster_domain: str) -> str:
    """Lines for /etc/hosts."""
    hostname, domain = hostname_of(pod), domain_of(pod, cluster_domain)
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    if address:
        names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
        lines.append(f"{address}\t{names}")
    lines += [f"{alias.ip}\t" + "\t".join(alias.hostnames) for alias in pod.spec.host_aliases]
    return "\n".join(lines) + "\n"


def sandbox_config(
    pod: Pod,
    *,
    attempt: int,
    address: str,
    log_folder: str,
    resolv_conf: str,
    cluster_domain: str,
) -> SandboxConfig:
    """Of a pod. ValueError: it cannot be called as it is to be."""
    context = pod.spec.security_context or PodSecurityContext()
    is_host = pod.spec.host_network
    return SandboxConfig(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        uid=pod.metadata.uid,
        attempt=attempt,
        hostname="" if is_host else kernel_hostname_of(pod, cluster_domain),
        address="" if is_host else address,
        log_folder=log_folder,
        resolv_conf=resolv_conf,
        hosts="" if is_host else hosts_of(pod, address=address, cluster_domain=cluster_domain),
        is_host_network=is_host,
        shares_processes=bool(pod.spec.share_process_namespace),
        sysctls={one.name: one.value for one in context.sysctls},
        labels=labels_of(pod),
        annotations={GRACE: f"{grace_seconds(pod):g}"},
    )


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """What else a container is made of.

    message_path  of the host, where its termination message will be
    pids          it may have at most; 0: any number
    """

    attempt: int
    delay_seconds: float
    image: Image
    environment: Mapping[str, str]
    mounts: Sequence[Mount] = ()
    message_path: str = ""
    pids: int = 0


def container_config(pod: Pod, spec: Spec | EphemeralContainer, making: Making) -> ContainerConfig:
    """Of a container. Raises ConfigError."""
    known = making.environment
    image = making.image
    command = spec.command or image.entrypoint
    arguments = spec.args or (() if spec.command else image.command)
    own = spec.security_context or SecurityContext()
    shared = pod.spec.security_context or PodSecurityContext()
    user = shared.run_as_user if own.run_as_user is None else own.run_as_user
    _require_no_root(pod, spec, own, shared, user, image)
    capabilities = own.capabilities
    groups = {*shared.supplemental_groups, *([shared.fs_group] if shared.fs_group else [])}
    return ContainerConfig(
        name=spec.name,
        attempt=making.attempt,
        image=spec.image,
        command=tuple(expand(one, known) for one in command),
        arguments=tuple(expand(one, known) for one in arguments),
        working_folder=spec.working_dir or image.working_folder,
        environment={**image.environment, **known},
        mounts=tuple(making.mounts),
        resources=resources_of(spec, pids=making.pids),
        user=_image_user(image) if user is None else user,
        group=shared.run_as_group if own.run_as_group is None else own.run_as_group,
        supplemental_groups=tuple(sorted(groups)),
        is_root_read_only=bool(own.read_only_root_filesystem),
        is_privileged=bool(own.privileged),
        adds_capabilities=capabilities.add if capabilities is not None else (),
        drops_capabilities=capabilities.drop if capabilities is not None else (),
        has_stdin=spec.stdin,
        closes_stdin_once=spec.stdin_once,
        has_tty=spec.tty,
        stop_signal=(spec.lifecycle.stop_signal or "") if spec.lifecycle is not None else "",
        log_path=f"{spec.name}/{making.attempt}.log",
        labels={**labels_of(pod), "io.kubernetes.container.name": spec.name},
        annotations={
            restarts.DELAY: f"{making.delay_seconds:g}",
            MESSAGE_PATH: making.message_path,
            MESSAGE_POLICY: spec.termination_message_policy or "File",
        },
    )


def _image_user(image: Image) -> int | None:
    user = image.user.partition(":")[0]
    return int(user) if user.isdecimal() and user.isascii() else None


def _require_no_root(
    pod: Pod,
    spec: Spec | EphemeralContainer,
    own: SecurityContext,
    shared: PodSecurityContext,
    user: int | None,
    image: Image,
) -> None:
    """Raises ConfigError where runAsNonRoot would be broken."""
    wanted = shared.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root
    if not wanted:
        return
    meta = pod.metadata
    where = f'(pod: "{meta.name}_{meta.namespace}({meta.uid})", container: {spec.name})'
    if user == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
    if user is None and image.user and _image_user(image) is None:
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image.user}), "
            f"cannot verify user is non-root {where}"
        )
    if user is None and not _image_user(image):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def resources_of(spec: Spec | EphemeralContainer, *, pids: int = 0) -> Resources:
    """Requests and limits as the runtime has them."""
    limits, requests = spec.resources.limits, spec.resources.requests
    asked = _amount(requests.get("cpu", limits.get("cpu")))
    return Resources(
        cpu_shares=max(int(asked * 1024), SHARES_MIN),
        cpu_nanocores=int(_amount(limits.get("cpu")) * NANOCORES),
        memory_bytes=int(_amount(limits.get("memory"))),
        pids=pids,
    )


def _amount(told: str | None) -> Fraction:
    """Of objects that were written past validation: what is no quantity asks for nothing."""
    try:
        return quantity.parse(told) if told is not None else Fraction(0)
    except ValueError:
        return Fraction(0)
