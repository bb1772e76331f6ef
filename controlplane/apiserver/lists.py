"""Lists in every form, made piece by piece: a long one is never held as a whole. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from controlplane.api import errors, stored, tables
from controlplane.api.errors import ApiError, Cause, UnreadableError
from controlplane.api.resource import Resource
from controlplane.apiserver.call import Call, warned
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.selection import METADATA, TABLE
from controlplane.apiserver.watches import partial

WHOLE_BYTES_MAX = 256 * 1024
"""Of objects: a shorter list is one piece."""
_ROWS = 50  # of a Table, made at a time
_CAUSES_MAX = 100  # of what cannot be read, as Kubernetes tells


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of a list.

    raws       bytes of each, resourceVersion included
    token      where it goes on; empty: it does not
    remaining  how many come after it; None: nothing, or nobody knows
    """

    raws: Sequence[bytes]
    revision: int
    token: str = ""
    remaining: int | None = None

    @property
    def metadata(self) -> Mapping[str, object]:
        """Of the list."""
        found: dict[str, object] = {"resourceVersion": str(self.revision)}
        if self.token:
            found["continue"] = self.token
            if self.remaining is not None:
                found["remainingItemCount"] = self.remaining
        return found


def answer(call: Call, page: Page) -> Answer:
    """The list that a call asks for. Raises UnreadableError."""
    parts = _table(call, page) if call.form.name == TABLE else _list(call, page)
    if call.resource.strategy.from_storage is not None:
        parts = iter(list(parts))  # it may fail, which can be told only before the first byte
    if sum(map(len, page.raws)) <= WHOLE_BYTES_MAX:
        return Answer(body=b"".join(parts), headers=warned(call))
    return Answer(rest=parts, headers=warned(call))


def _list(call: Call, page: Page) -> Iterator[bytes]:
    resource = call.resource
    kind, version = resource.list_kind or f"{resource.kind}List", resource.api_version
    if call.form.name == METADATA:
        kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    head = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": page.metadata})
    yield b'%b,"items":[' % head[:-1]
    comma = b""
    for item in _items(call, page.raws):
        yield comma + item
        comma = b","
    yield b"]}"


def _items(call: Call, raws: Sequence[bytes]) -> Iterator[bytes]:
    for raw in raws:
        if call.form.name == METADATA:
            yield orjson.dumps(partial(orjson.loads(raw)))
        else:
            yield stored.served(call.resource, raw)


def _table(call: Call, page: Page) -> Iterator[bytes]:
    """Some rows at a time: all of them at once would be much to walk for the collector."""
    head = dict(_rows(call, page, ()))
    del head["rows"]
    yield b'%b,"rows":[' % orjson.dumps(head)[:-1]
    comma = b""
    for start in range(0, len(page.raws), _ROWS):
        rows = orjson.dumps(_rows(call, page, page.raws[start : start + _ROWS])["rows"])
        yield comma + rows[1:-1]
        comma = b","
    yield b"]}"


def _rows(call: Call, page: Page, raws: Sequence[bytes]) -> Mapping[str, Any]:
    return tables.table(
        call.resource,
        (stored.loads(call.resource, raw) for raw in raws),
        now=call.now,
        resource_version=str(page.revision),
        continue_token=page.token,
        remaining=page.remaining,
        include_object=call.form.include_object,
        has_columns=not raws,
    )


def unreadable(
    resource: Resource, prefix: str, found: Sequence[tuple[str, UnreadableError]]
) -> ApiError:
    """500 of a list that cannot be whole: which objects these are, and why (Kubernetes 1.32:
    reason StorageReadError, at most 100 causes).
    """
    shown = found[:_CAUSES_MAX]
    causes = [Cause("UnexpectedServerResponse", error.why, key) for key, error in shown]
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    what = errors.qualified(resource.plural, resource.group)
    return ApiError(
        500,
        "StorageReadError",
        f"failed to read one or more {what} from the storage: "
        + ", ".join(f"{key}: {error.why}" for key, error in shown[:3])
        + more,
        name=prefix,
        group=resource.group,
        kind=resource.plural,
        causes=causes,
    )
