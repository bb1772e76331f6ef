"""What every namespace has from its start to its end. PURE."""

from controlplane.api.resource import Object, Resource
from controlplane.objects import Claim


def is_active(namespace: Object) -> bool:
    """Whether something may be created in a namespace."""
    is_ending = (namespace.get("status") or {}).get("phase") == "Terminating"
    return not is_ending and not namespace["metadata"].get("deletionTimestamp")


def guard_of(namespaces: Resource, namespace: Object) -> Claim:
    """Compared in the Txn that creates something in a namespace: it is still as the cache had it.

    Otherwise what is created while the namespace goes would stay when it is gone.
    """
    metadata = namespace["metadata"]
    key = namespaces.key("", metadata["name"]).encode()
    return Claim(key, None, int(metadata["resourceVersion"]))
