"""Which requests matter more: levels with shares of all seats, and who belongs to which. PURE.

Source: Kubernetes' documentation, "API Priority and Fairness" (suggested configuration objects:
flow schemas in order of their precedence, shares and lendable parts); kube-behaviour 11.9.
"""

from collections.abc import Callable

import msgspec

from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import (
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    User,
)

NODES = "system:nodes"
CONTROLLERS, SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_OF_KUBE_SYSTEM = f"{SERVICE_ACCOUNTS}:kube-system"
_PROBES = ("healthz", "livez", "readyz")
_LEASE_VERBS = frozenset(("get", "create", "update"))


class Level(msgspec.Struct, frozen=True):
    """A priority level.

    shares            of all seats, in relation to the other levels'
    lendable_percent  of its seats that others may take while it does not need them
    """

    name: str
    shares: int
    lendable_percent: int


EXEMPT = Level("exempt", 0, 0)
"""Never waits, and takes no seat."""
SYSTEM = Level("system", 30, 33)
NODE_HIGH = Level("node-high", 40, 25)
LEADER_ELECTION = Level("leader-election", 10, 0)
WORKLOAD_HIGH = Level("workload-high", 40, 50)
WORKLOAD_LOW = Level("workload-low", 100, 90)
GLOBAL_DEFAULT = Level("global-default", 20, 50)
CATCH_ALL = Level("catch-all", 5, 0)
LEVELS = (
    SYSTEM,
    NODE_HIGH,
    LEADER_ELECTION,
    WORKLOAD_HIGH,
    WORKLOAD_LOW,
    GLOBAL_DEFAULT,
    CATCH_ALL,
)


def level_of(user: User, asked: Attributes) -> Level:
    """The level of the first schema that a request matches."""
    return next((level for level, matches in _SCHEMAS if matches(user, asked)), CATCH_ALL)


def _is_probe(user: User, asked: Attributes) -> bool:
    return not asked.is_resource and asked.path.strip("/").partition("/")[0] in _PROBES


def _elects_leader(user: User, asked: Attributes) -> bool:
    """In whatever namespace; others' elections are work like all that they do."""
    is_system = user.name in (CONTROLLERS, SCHEDULER) or _OF_KUBE_SYSTEM in user.groups
    is_lease = (asked.group, asked.resource) == ("coordination.k8s.io", "leases")
    return is_system and is_lease and asked.verb in _LEASE_VERBS


def _is_heartbeat(user: User, asked: Attributes) -> bool:
    is_node = (asked.group, asked.resource) in (("", "nodes"), ("", "nodes/status"))
    is_lease = (asked.group, asked.resource) == ("coordination.k8s.io", "leases")
    return NODES in user.groups and (is_node or is_lease)


_Matches = Callable[[User, Attributes], bool]
_SCHEMAS: tuple[tuple[Level, _Matches], ...] = (
    (EXEMPT, lambda user, asked: user.is_master),
    (EXEMPT, _is_probe),
    (LEADER_ELECTION, _elects_leader),
    (NODE_HIGH, _is_heartbeat),
    (SYSTEM, lambda user, asked: NODES in user.groups),
    (WORKLOAD_HIGH, lambda user, asked: user.name in (CONTROLLERS, SCHEDULER)),
    (WORKLOAD_HIGH, lambda user, asked: _OF_KUBE_SYSTEM in user.groups),
    (WORKLOAD_LOW, lambda user, asked: SERVICE_ACCOUNTS in user.groups),
    (GLOBAL_DEFAULT, lambda user, asked: bool({AUTHENTICATED, UNAUTHENTICATED} & set(user.groups))),
)
"""In the order of precedence; the first that matches decides."""
