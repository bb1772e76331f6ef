"""When a container that has ended is started again, and a start that failed tried again. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (container restart policy), "Images"
(ImagePullBackOff); kube-behaviour 10.4. The delay is written on each container when it is made, as
the runtime tells it to whichever agent comes: a new agent does not begin at 10 s again.
"""

import msgspec

from controlplane.api.types.core_v1 import Pod
from controlplane.node.runtime.interface import Container

FIRST_SECONDS = 10.0
SECONDS_MAX = 300.0
GOOD_RUN_SECONDS = 2 * SECONDS_MAX
"""Whoever ran so long begins anew."""

RETRY_FIRST_SECONDS = 1.0
RETRY_SECONDS_MAX = 10.0
"""Of what may be there at any moment: a ConfigMap, a volume, an address."""

SHOWN_SECONDS = 2.0
"""So long the reason of a failed pull is told, then that it waits."""

DELAY = "keelson.dev/restart-delay-seconds"
"""Annotation of a container: how long after its end the next attempt waits."""

_IMAGE_REASONS = frozenset(("ErrImagePull", "RegistryUnavailable", "ImageInspectError"))


class StartFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A start that was refused. Times are of the agent's monotonic clock, in seconds.

    seconds  that it waits, from `at`
    """

    reason: str
    message: str
    at: float
    seconds: float

    @property
    def due(self) -> float:
        """When it is tried again."""
        return self.at + self.seconds

    @property
    def shown_until(self) -> float:
        """Until when its own reason is told."""
        return self.at + SHOWN_SECONDS

    @property
    def is_pull(self) -> bool:
        """Whether the image could not be had."""
        return self.reason in _IMAGE_REASONS


def failed(before: StartFailure | None, reason: str, message: str, *, now: float) -> StartFailure:
    """One more; pulls wait 10 s to 300 s, all else 1 s to 10 s."""
    is_pull = reason in _IMAGE_REASONS
    first = FIRST_SECONDS if is_pull else RETRY_FIRST_SECONDS
    longest = SECONDS_MAX if is_pull else RETRY_SECONDS_MAX
    seconds = first
    if before is not None and before.is_pull == is_pull:
        seconds = min(before.seconds * 2, longest)
    return StartFailure(reason=reason, message=message, at=now, seconds=seconds)


def delay_after(container: Container) -> float:
    """Seconds from the end of a container to its next start (10.4)."""
    if container.finished_at - container.started_at > GOOD_RUN_SECONDS:
        return 0.0
    try:
        told = float(container.config.annotations.get(DELAY, "0"))
    except ValueError:
        return 0.0
    return min(max(told, 0.0), SECONDS_MAX)


def next_delay(container: Container | None) -> float:
    """What the container that comes after `container` is marked with: it waits twice as long."""
    if container is None:
        return 0.0
    waited = delay_after(container)
    return min(waited * 2, SECONDS_MAX) if waited else FIRST_SECONDS


def is_wanted_again(policy: str, exit_code: int) -> bool:
    """Whether a container that ended so is started again."""
    return policy != "Never" and (policy != "OnFailure" or exit_code != 0)


def policy_of(pod: Pod, *, is_sidecar: bool = False, is_init: bool = False) -> str:
    """Init containers that must succeed are tried until they do, unless nothing is (10.2)."""
    if is_sidecar:
        return "Always"
    policy = pod.spec.restart_policy or "Always"
    return "OnFailure" if is_init and policy == "Always" else policy
