"""Which pods are whose: one look at each change of a pod, however many nodes a process has."""

from collections.abc import Callable

from controlplane.api.resource import Object, Resource
from controlplane.indexer import Key
from controlplane.informer import Informer, Informers

Listener = Callable[[Key, str], None]
"""Told the key and the uid of a pod of its node that is new, changed, or gone."""


class PodFeed:
    """Changes of pods, by node. Those of one process share one, and its cache."""

    def __init__(self, informers: Informers, pods: Resource) -> None:
        self.informer: Informer[Object] = informers.of(pods)
        self._listeners: dict[str, Listener] = {}
        self.informer.add_handler(self._on_change)

    def subscribe(self, node_name: str, listener: Listener) -> None:
        """Be told of a node's pods: of all that there are, and of every change. One a node."""
        assert node_name not in self._listeners, f"{node_name} has an agent in this process"
        self._listeners[node_name] = listener
        for obj in self.informer.indexer.list():
            if _node_of(obj) == node_name:
                self._tell(obj)

    def unsubscribe(self, node_name: str) -> None:
        """Hear nothing more."""
        self._listeners.pop(node_name, None)

    def _on_change(self, key: Key, old: Object | None, new: Object | None) -> None:
        """A pod of the same name may be another one, of another node."""
        if old is not None and (new is None or _uid_of(old) != _uid_of(new)):
            self._tell(old)
        if new is not None:
            self._tell(new)

    def _tell(self, obj: Object) -> None:
        listener = self._listeners.get(_node_of(obj))
        if listener is not None:
            metadata = obj["metadata"]
            listener(Key(metadata.get("namespace", ""), metadata["name"]), _uid_of(obj))


def _node_of(obj: Object) -> str:
    spec = obj.get("spec")
    return str(spec.get("nodeName") or "") if isinstance(spec, dict) else ""


def _uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid") or "")
