"""A cache of objects with named indexes, as a controller's reconcile reads it. PURE.

Objects are handed out as they are, not copied: nobody changes them. An index that fails for an
object, as one that was written past the API server may make it, does not find it: it is there all
the same, for everybody else.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Key(NamedTuple):
    """Which object of a resource; `namespace` is empty where there is none."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


IndexFunction = Callable[[T], Iterable[str]]
"""The values under which an index finds an object."""


class Indexer(Generic[T]):
    """Objects by key, and by the values of each index.

    on_failure  is told which index failed for which object, and how
    """

    def __init__(
        self,
        indexes: Mapping[str, IndexFunction[T]] | None = None,
        on_failure: Callable[[str, Key, Exception], None] = lambda index, key, error: None,
    ) -> None:
        self._on_failure = on_failure
        self._objects: dict[Key, T] = {}
        self._functions: dict[str, IndexFunction[T]] = dict(indexes or {})
        self._found: dict[str, dict[str, set[Key]]] = {name: {} for name in self._functions}
        self._namespaces: dict[str, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> T | None:
        """One object, or None."""
        return self._objects.get(key)

    def sorted_keys(self) -> list[Key]:
        """All keys."""
        return sorted(self._objects)

    def list(self, namespace: str = "") -> list[T]:
        """The objects of a namespace, or all, by key."""
        keys = self._namespaces.get(namespace, ()) if namespace else self._objects
        return [self._objects[key] for key in sorted(keys)]

    def by_index(self, index: str, value: str) -> Sequence[T]:
        """The objects that `index` finds under `value`, by key. KeyError: no such index."""
        keys = self._found[index].get(value, ())
        return [self._objects[key] for key in sorted(keys)]

    def add_index(self, index: str, function: IndexFunction[T]) -> None:
        """One more index, also over what is there already; an index is defined once."""
        assert index not in self._functions, f"there is an index {index!r} already"
        self._functions[index] = function
        found = self._found[index] = {}
        for key, obj in self._objects.items():
            for value in self._values(index, key, obj):
                found.setdefault(value, set()).add(key)

    def put(self, key: Key, obj: T) -> T | None:
        """Set an object; what was there before."""
        old = self.remove(key)
        self._objects[key] = obj
        self._namespaces.setdefault(key.namespace, set()).add(key)
        for name in self._functions:
            for value in self._values(name, key, obj):
                self._found[name].setdefault(value, set()).add(key)
        return old

    def remove(self, key: Key) -> T | None:
        """Take an object away; what was there."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        _discard(self._namespaces, key.namespace, key)
        for name in self._functions:
            for value in self._values(name, key, old):
                _discard(self._found[name], value, key)
        return old

    def _values(self, index: str, key: Key, obj: T) -> Collection[str]:
        try:
            return frozenset(self._functions[index](obj))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self._on_failure(index, key, error)
            return ()


def _discard(found: dict[str, set[Key]], value: str, key: Key) -> None:
    """Forget a key, and a value under which nothing is left."""
    keys = found.get(value)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del found[value]
