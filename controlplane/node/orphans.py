"""What is known of a pod that only the runtime has still. PURE."""

from controlplane.api.types.core_v1 import Pod
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.node.container_config import GRACE
from controlplane.node.plan import GRACE_SECONDS_DEFAULT
from controlplane.node.view import PodView


def pod_of(uid: str, view: PodView) -> Pod:
    """Its name; nothing of its containers, which are stopped all at once then."""
    sandbox = view.sandbox
    if sandbox is None:
        return Pod(metadata=ObjectMeta(uid=uid))
    config = sandbox.config
    return Pod(metadata=ObjectMeta(name=config.name, namespace=config.namespace, uid=uid))


def grace_of(view: PodView) -> float:
    """Seconds in which its containers may end, as its sandbox remembers them."""
    sandbox = view.sandbox
    told = sandbox.config.annotations.get(GRACE, "") if sandbox is not None else ""
    try:
        return max(float(told), 0.0)
    except ValueError:
        return float(GRACE_SECONDS_DEFAULT)
