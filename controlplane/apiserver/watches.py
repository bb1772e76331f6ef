"""One watch: from changes of the cache to the bytes that its client gets. PURE.

Source: Kubernetes' API concepts, "Efficient detection of changes"; kube-behaviour 2.4 to 2.7.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from controlplane.api import stored, tables
from controlplane.api.resource import Resource
from controlplane.apiserver.recent import Change, Entry
from controlplane.apiserver.selection import METADATA, TABLE, Form, Selection

ADDED, MODIFIED, DELETED, BOOKMARK, ERROR = "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


class Watcher:
    """What one client watches. Events are JSON lines, framed for chunked transfer.

    now: seconds since 1970, for the ages in a Table.
    """

    def __init__(
        self,
        resource: Resource,
        selection: Selection,
        form: Form,
        *,
        now: Callable[[], float],
        revision: int,
    ) -> None:
        self._resource = resource
        self._selection = selection
        self._form = form
        self._now = now
        self._has_columns = False  # a Table tells its columns once
        self.revision = revision
        """Everything up to it was sent, or is nothing for this watch."""

    def initial(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """What is there already, as ADDED: a line for each that it is about."""
        for entry in entries:
            if self._selection.matches(entry):
                yield self._line(ADDED, entry, None)

    def step(self, changes: Iterable[Change], revision: int) -> bytes:
        """Lines for those of the changes that it is about and has not sent; up to `revision` that
        is all.
        """
        lines = []
        for change in changes:
            if change.revision > self.revision:
                line = self._lines_of(change)
                if line:
                    lines.append(line)
        self.revision = max(self.revision, revision)
        return b"".join(lines)

    def bookmark(self, *, ends_initial_events: bool = False) -> bytes:
        """Tell how far it has come."""
        metadata: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if ends_initial_events:
            metadata["annotations"] = _INITIAL_EVENTS_END
        found: dict[str, Any] = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": metadata,
        }
        if self._form.name == TABLE:
            found = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "rows": [],
            }
            if not self._has_columns:
                self._has_columns = True
                found["columnDefinitions"] = self._table([])["columnDefinitions"]
        elif self._form.name == METADATA:
            found["kind"], found["apiVersion"] = "PartialObjectMetadata", "meta.k8s.io/v1"
        return framed(b'{"type":"BOOKMARK","object":%b}\n' % orjson.dumps(found))

    def _lines_of(self, change: Change) -> bytes:
        selection = self._selection
        was = change.old is not None and selection.matches(change.old)
        if change.is_deletion:
            return self._line(DELETED, change.new, change) if was else b""
        if selection.matches(change.new):
            return self._line(MODIFIED if was else ADDED, change.new, change)
        if change.old is None or not was:
            return b""
        # It has left the selection: for this watch it is gone, and was last what it knew.
        return self._line(DELETED, change.old.at(change.revision), change)

    def _line(self, type_: str, entry: Entry, change: Change | None) -> bytes:
        def encode() -> bytes:
            return framed(b'{"type":"%b","object":%b}\n' % (type_.encode(), self._object(entry)))

        if change is None or (self._form.name == TABLE and not self._has_columns):
            return encode()  # nobody else gets the same
        return change.encoded((f"{self._resource.api_version}/{self._form.key}", type_), encode)

    def _object(self, entry: Entry) -> bytes:
        if self._form.name == TABLE:
            table = dict(self._table([stored.loads(self._resource, entry.raw)]))
            if self._has_columns:
                del table["columnDefinitions"]
            self._has_columns = True
            return orjson.dumps(table)
        if self._form.name == METADATA:
            return stored.partial(entry.raw)
        return stored.served(self._resource, entry.raw)

    def _table(self, found: Sequence[Any]) -> Any:
        version = str(found[0]["metadata"]["resourceVersion"]) if found else ""
        return tables.table(
            self._resource,
            found,
            now=self._now(),
            resource_version=version,
            include_object=self._form.include_object,
        )


def partial(found: Any) -> dict[str, Any]:
    """PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": found["metadata"],
    }


def error_line(status: object) -> bytes:
    """The last line of a watch that failed."""
    return framed(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(status))


def framed(data: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked transfer: made once, written to every watcher as it is."""
    return b"%x\r\n%b\r\n" % (len(data), data)
