"""What the runtime is asked for."""

from typing import Any

import pytest

from controlplane.node import container_config, restarts
from controlplane.node.container_config import Making, hosts_of, kernel_hostname_of, sandbox_config
from controlplane.node.environment import ConfigError
from controlplane.node.runtime.interface import ContainerConfig, Image, Resources
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import pod

IMAGE = Image(
    id="i",
    name="n",
    entrypoint=("/entry",),
    command=("serve",),
    environment={"PATH": "/bin", "A": "image"},
    working_folder="/srv",
)


def made(
    image: Image = IMAGE, spec: dict[str, Any] | None = None, **fields: Any
) -> ContainerConfig:
    found = pod(container("a", **fields), **(spec or {}))
    making = Making(
        attempt=3, delay_seconds=20, image=image, environment={"A": "1"}, message_path="/m"
    )
    return container_config.container_config(found, found.spec.containers[0], making)


@pytest.mark.parametrize(
    ("fields", "command", "arguments"),
    [
        ({}, ("/entry",), ("serve",)),
        ({"args": ["x"]}, ("/entry",), ("x",)),
        ({"command": ["/c"]}, ("/c",), ()),
        ({"command": ["/c"], "args": ["$(A)", "$$(A)", "$(B)"]}, ("/c",), ("1", "$(A)", "$(B)")),
    ],
)
def test_command_of_the_pod_replaces_the_image_s(
    fields: dict[str, Any], command: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    found = made(**fields)
    assert (found.command, found.arguments) == (command, arguments)


def test_rest_of_the_image_counts_where_the_pod_says_nothing() -> None:
    found = made()
    assert found.environment == {"PATH": "/bin", "A": "1"}
    assert found.working_folder == "/srv"
    assert found.log_path == "a/3.log"
    assert found.annotations[restarts.DELAY] == "20"
    assert found.labels["io.kubernetes.container.name"] == "a"
    assert made(workingDir="/w").working_folder == "/w"


def test_resources() -> None:
    limits = {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}
    assert made(resources=limits).resources == Resources(
        cpu_shares=256, cpu_nanocores=1_500_000_000, memory_bytes=64 << 20
    )
    assert made().resources == Resources(cpu_shares=2)


def test_container_s_security_context_wins_over_the_pod_s() -> None:
    shared = {
        "securityContext": {
            "runAsUser": 5,
            "runAsGroup": 6,
            "fsGroup": 7,
            "supplementalGroups": [8],
        }
    }
    found = made(spec=shared)
    assert (found.user, found.group, found.supplemental_groups) == (5, 6, (7, 8))
    assert made(spec=shared, securityContext={"runAsUser": 0}).user == 0


@pytest.mark.parametrize(
    ("user", "context", "why"),
    [
        ("", {}, "container has runAsNonRoot and image will run as root"),
        ("0", {}, "container has runAsNonRoot and image will run as root"),
        ("www", {}, "container has runAsNonRoot and image has non-numeric user (www)"),
        ("5", {"runAsUser": 0}, "container's runAsUser breaks non-root policy"),
    ],
)
def test_nobody_runs_as_root_who_may_not(user: str, context: dict[str, int], why: str) -> None:
    image = Image(id="i", name="n", command=("x",), user=user)
    with pytest.raises(ConfigError) as told:
        made(image, securityContext={"runAsNonRoot": True, **context})
    assert str(told.value).startswith(why)
    assert made(image, securityContext={"runAsNonRoot": True, "runAsUser": 7}).user == 7


def test_sandbox() -> None:
    found = pod(
        "a",
        hostname="web-0",
        subdomain="web",
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x", "y"]}],
        setHostnameAsFQDN=True,
    )
    config = sandbox_config(
        found,
        attempt=1,
        address="10.1.0.2",
        log_folder="/logs",
        resolv_conf="nameserver 10.96.0.10\n",
        cluster_domain="cluster.local",
    )
    assert config.hostname == "web-0.web.default.svc.cluster.local"
    assert (config.address, config.attempt) == ("10.1.0.2", 1)
    assert "10.1.0.2\tweb-0.web.default.svc.cluster.local\tweb-0\n" in config.hosts
    assert config.hosts.endswith("1.2.3.4\tx\ty\n")
    assert config.annotations[container_config.GRACE] == "30"


def test_hostname_of_the_kernel_may_be_the_whole_name() -> None:
    """setHostnameAsFQDN: of at most 64 characters."""
    called: dict[str, Any] = {"setHostnameAsFQDN": True, "subdomain": "web"}
    full = kernel_hostname_of(pod("a", hostname="web-0", **called), "cluster.local")
    assert full == "web-0.web.default.svc.cluster.local"
    assert kernel_hostname_of(pod("a", setHostnameAsFQDN=True), "cluster.local") == "p"
    assert kernel_hostname_of(pod("a", subdomain="web"), "cluster.local") == "p"
    rest = len(".web.default.svc.cluster.local")
    longest = pod("a", hostname="x" * (64 - rest), **called)
    assert len(kernel_hostname_of(longest, "cluster.local")) == 64
    name = "x" * (65 - rest)
    with pytest.raises(ValueError, match=r"^failed to construct FQDN from pod hostname") as told:
        kernel_hostname_of(pod("a", hostname=name, **called), "cluster.local")
    assert str(told.value).endswith(
        f"FQDN {name}.web.default.svc.cluster.local is too long "
        "(64 characters is the max, 65 characters requested)"
    )


def test_sandbox_of_the_host_s_network_is_the_host() -> None:
    config = sandbox_config(
        pod("a", hostNetwork=True),
        attempt=0,
        address="10.1.0.2",
        log_folder="/logs",
        resolv_conf="",
        cluster_domain="cluster.local",
    )
    assert (config.is_host_network, config.address, config.hostname) == (True, "", "")


def test_hosts_of_a_pod_without_a_domain() -> None:
    assert "10.1.0.2\tp\n" in hosts_of(pod("a"), address="10.1.0.2", cluster_domain="c")
