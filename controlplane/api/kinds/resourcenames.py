"""Names of resources in quotas and limit ranges: which are Kubernetes' own. PURE.

Source: Kubernetes' "Resource Quotas", "Limit Ranges", "Managing Resources for Containers".
"""

from controlplane.api.syntaxes import faults_of_qualified_name

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_REQUESTABLE = (*_COMPUTE, "storage")
OBJECT_COUNTS = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
"""Resources that are counted by name; all others as `count/<resource>.<group>`."""

_QUOTAS = frozenset(
    {
        *_REQUESTABLE,
        *(f"requests.{name}" for name in _REQUESTABLE),
        *(f"limits.{name}" for name in _COMPUTE),
        *OBJECT_COUNTS,
    }
)
_STANDARD = frozenset({*_QUOTAS, "requests.hugepages-", "limits.hugepages-"})
_HUGE_PAGES = "hugepages-"


def is_huge_pages(name: str) -> bool:
    """`hugepages-2Mi`."""
    return name.startswith(_HUGE_PAGES)


def _is_native(name: str) -> bool:
    """Whether it is Kubernetes' own, and no resource of somebody's devices."""
    return "/" not in name or "kubernetes.io/" in name


def is_quota(name: str) -> bool:
    """Whether a quota may name it without a prefix."""
    return name in _QUOTAS or name.startswith((_HUGE_PAGES, f"requests.{_HUGE_PAGES}"))


def is_integer(name: str) -> bool:
    """Whether there are no parts of it."""
    is_extended = not _is_native(name) and not name.startswith("requests.")
    return name in OBJECT_COUNTS or is_extended


def may_overcommit(name: str) -> bool:
    """Whether a limit may be above the request."""
    return _is_native(name) and not is_huge_pages(name)


def faults_of_quota(name: str) -> list[str]:
    """A key of a quota's `hard`."""
    faults = faults_of_qualified_name(name)
    if not faults and "/" not in name and not is_quota(name):
        return ["must be a standard resource for quota"]
    return faults


def faults_of_resource(name: str) -> list[str]:
    """Any resource."""
    faults = faults_of_qualified_name(name)
    if not faults and "/" not in name and not (name in _STANDARD or is_huge_pages(name)):
        return ["must be a standard resource type or fully qualified"]
    return faults


def faults_of_container_resource(name: str) -> list[str]:
    """A resource that a container can ask for."""
    faults = faults_of_resource(name)
    if not faults and "/" not in name and not (name in _COMPUTE or is_huge_pages(name)):
        return ["must be a standard resource for containers"]
    return faults
