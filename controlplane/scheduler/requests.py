"""What a pod asks of a node, and what a node has to give: whole numbers of a resource's unit. PURE.

The unit of cpu is a thousandth of a core; of all else it is one (a byte, a device).
Source: Kubernetes, "Resource Management for Pods and Containers", "Sidecar Containers",
"Pod Overhead"; kube-behaviour 7.3, 7.4.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from controlplane.api import quantity
from controlplane.api.types.core_v1 import Container, PodSpec

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"

UNSET_CPU = 100
UNSET_MEMORY = 200 * 1024 * 1024
"""7.4: what scores take a container for that asks for nothing."""

AMOUNT_MAX = 2**53
"""More is cut: a hundred times it must still be an int64, and a float must hold it exactly."""

Amounts = Mapping[str, int]


@lru_cache(4096)
def amount(resource: str, text: str) -> int:
    """A quantity in the resource's unit, rounded up; 0 for what a stranger wrote that is none."""
    try:
        number = quantity.parse(text)
    except ValueError:
        return 0
    scaled = number * 1000 if resource == CPU else number
    return max(0, min(AMOUNT_MAX, -(-scaled.numerator // scaled.denominator)))


def amounts(quantities: Mapping[str, str]) -> dict[str, int]:
    """Of a map of quantities, as a node's allocatable."""
    return {name: amount(name, text) for name, text in quantities.items()}


def requests_of(spec: PodSpec, unset: Amounts = {}) -> dict[str, int]:  # noqa: B006 - read only
    """A whole pod's: its containers together, or its greatest step of initialisation.

    Init containers that restart run beside both. A limit without a request is one, too: pods that
    controllers make do not pass the API server's defaults.
    unset  what a container asks for that does not say
    """
    running: dict[str, int] = {}
    greatest: dict[str, int] = {}
    for container in spec.init_containers:
        asked = _of_container(container, unset)
        if container.restart_policy == "Always":
            _add(running, asked)
            step = running
        else:
            step = dict(running)
            _add(step, asked)
        for name, count in step.items():
            greatest[name] = max(greatest.get(name, 0), count)
    for container in spec.containers:
        _add(running, _of_container(container, unset))
    for name, count in greatest.items():
        running[name] = max(running.get(name, 0), count)
    _add(running, amounts(spec.overhead))
    return {name: min(count, AMOUNT_MAX) for name, count in running.items()}


def _of_container(container: Container, unset: Amounts) -> dict[str, int]:
    resources = container.resources
    return {**unset, **amounts(resources.limits), **amounts(resources.requests)}


def _add(total: dict[str, int], more: Amounts) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def images_of(spec: PodSpec) -> tuple[str, ...]:
    """The images of all containers as nodes name them: with a tag."""
    containers: Iterable[Container] = (*spec.init_containers, *spec.containers)
    return tuple(with_tag(one.image) for one in containers)


def with_tag(image: str) -> str:
    """`nginx` is `nginx:latest`; a colon before a slash is a registry's port."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
