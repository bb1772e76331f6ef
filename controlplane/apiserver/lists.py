"""Lists in every form, made piece by piece: a long one is never held as a whole. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from controlplane.api import errors, stored, tables, yaml_text
from controlplane.api.errors import ApiError, Cause, UnreadableError
from controlplane.api.resource import Resource
from controlplane.apiserver.call import Call, warned
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.selection import METADATA, TABLE, Form

WHOLE_BYTES_MAX = 256 * 1024
"""Of objects: a shorter list is one piece."""
WHOLE_YAML_BYTES_MAX = 16 * 1024
"""The same where it is made in a thread, which a piece is and the whole is not."""
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
    form, resource = call.form, call.resource
    if form.name == TABLE:
        head, field, items = _table(call, form, page)
    else:
        head, field, items = _list(resource, form, page)
    parts = _yaml(head, field, items) if form.is_yaml else _json(head, field, items)
    if resource.strategy.from_storage is not None:
        parts = iter(list(parts))  # it may fail, which can be told only before the first byte
    made = Answer(headers=warned(call), content_type=form.media_type, rest=parts)
    if sum(map(len, page.raws)) <= (WHOLE_YAML_BYTES_MAX if form.is_yaml else WHOLE_BYTES_MAX):
        made.body, made.rest = b"".join(parts), None
    return made


def _json(head: Mapping[str, Any], field: str, items: Iterator[bytes]) -> Iterator[bytes]:
    yield b'%b,"%b":[' % (orjson.dumps(head)[:-1], field.encode())
    comma = b""
    for item in items:
        yield comma + item
        comma = b","
    yield b"]}"


def _yaml(head: Mapping[str, Any], field: str, items: Iterator[bytes]) -> Iterator[bytes]:
    """The keys are sorted, the list's among them."""
    before = {key: value for key, value in head.items() if key < field}
    after = {key: value for key, value in head.items() if key > field}
    yield yaml_text.dump(before)
    is_empty = True
    for item in items:
        if is_empty:
            yield field.encode() + b":\n"
            is_empty = False
        yield yaml_text.item(orjson.loads(item))
    if is_empty:
        yield field.encode() + b": []\n"
    if after:
        yield yaml_text.dump(after)


Parts = tuple[Mapping[str, Any], str, Iterator[bytes]]
"""What a list says of itself, the field that holds it, and each of it in JSON."""


def _list(resource: Resource, form: Form, page: Page) -> Parts:
    kind, version = resource.list_kind or f"{resource.kind}List", resource.api_version
    items = (stored.served(resource, raw) for raw in page.raws)
    if form.name == METADATA:
        kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        items = (stored.partial(raw) for raw in page.raws)
    return {"kind": kind, "apiVersion": version, "metadata": page.metadata}, "items", items


def _table(call: Call, form: Form, page: Page) -> Parts:
    head = dict(
        tables.table(
            call.resource,
            (),
            now=call.now,
            resource_version=str(page.revision),
            continue_token=page.token,
            remaining=page.remaining,
            include_object=form.include_object,
        )
    )
    del head["rows"]
    rows = tables.rows(call.resource, page.raws, now=call.now, include_object=form.include_object)
    return head, "rows", rows


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
