"""One request on its way through the server: who asks, for what, and what it may use."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
import orjson

from controlplane.api import subresources, tables, yaml_text
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.incoming import Answer, Incoming, Target
from controlplane.apiserver.negotiation import JSON, YAML
from controlplane.apiserver.selection import JSON as JSON_FORM
from controlplane.apiserver.selection import METADATA, TABLE, Form, form_of
from controlplane.apiserver.users import User
from controlplane.apiserver.watches import partial
from controlplane.upgrades import Connection


class Call(msgspec.Struct, kw_only=True):
    """A request for a resource that is served, by a user who may make it."""

    incoming: Incoming
    target: Target
    resource: Resource
    user: User
    now: float  # seconds since 1970
    warnings: list[str] = []

    @property
    def form(self) -> Form:
        """In which form objects are wanted. Raises ApiError 400 and 406."""
        below = self.target.subresource
        if below and subresources.subresource(below).is_stream:
            return Form(JSON_FORM)  # of errors only: what is sent is what it is
        return form_of(self.incoming, is_stream=self.target.verb == "watch")


class StalledError(Exception):
    """A client has taken nothing of a stream for too long."""


class CutError(Exception):
    """What a stream is made of has ended before its end: its client must not take it for all."""


class Sink(Protocol):
    """Where a stream goes."""

    def write(self, chunks: bytes) -> None:
        """Send framed chunks; nothing once it is closed."""

    @property
    def is_writable(self) -> bool:
        """Whether its client keeps up; if not, whoever has something to write waits."""

    async def drained(self) -> None:
        """Wait until it is writable; others have a turn. Raises StalledError."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody gets what is written."""


def _nothing() -> None:
    """There is nothing to give back."""


class Streaming(msgspec.Struct):
    """An answer that lasts: `run` writes framed chunks to its sink until it is over.

    stalled_seconds_max  so long it waits for its client to take something; None: as long as others
    release              gives back what it is made of: it is over, or nobody is there for it
    """

    run: Callable[[Sink], Awaitable[None]]
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stalled_seconds_max: float | None = None
    release: Callable[[], None] = _nothing


class Upgrading(msgspec.Struct):
    """An answer after which its client speaks another protocol than HTTP: `run` does so until it is
    over; `release` as of Streaming.
    """

    run: Callable[[Connection], Awaitable[None]]
    release: Callable[[], None]
    headers: tuple[tuple[str, str], ...] = ()


Outgoing = Answer | Streaming | Upgrading
Deliver = Callable[[Answer], Awaitable[None]]
"""Returns when the client has an answer, or is gone."""


def answer(call: Call, found: Object, *, code: int = 200) -> Answer:
    """An object in the form that is wanted."""
    form = call.form
    body: Mapping[str, Any] = found
    if form.name == TABLE:
        body = tables.table(
            call.resource,
            [found],
            now=call.now,
            resource_version=str(found["metadata"].get("resourceVersion", "")),
            include_object=form.include_object,
        )
    elif form.name == METADATA:
        body = partial(found)
    return Answer(code=code, body=orjson.dumps(body), headers=warned(call))


async def rendered(form: Form, made: Answer) -> Answer:
    """An answer in JSON, as the text that is wanted."""
    if not form.is_yaml or made.content_type != JSON or made.rest is not None:
        return made
    # A large one takes a while, in which others have their turns.
    body = await asyncio.to_thread(yaml_text.dump, orjson.loads(made.body))
    return msgspec.structs.replace(made, body=body, content_type=YAML)


def plain(found: Mapping[str, Any], *, code: int = 200) -> Answer:
    """JSON as it is."""
    return Answer(code=code, body=orjson.dumps(found))


def warned(call: Call) -> tuple[tuple[str, str], ...]:
    """The headers of its warnings (RFC 7234, 5.5)."""
    return tuple(map(warning, call.warnings))


def warning(text: str) -> tuple[str, str]:
    """The header of one."""
    return "Warning", f'299 - "{_escaped(text)}"'


def _escaped(text: str) -> str:
    told = "".join(char if char.isprintable() else " " for char in text[:_WARNING_CHARACTERS_MAX])
    return told.replace("\\", "\\\\").replace('"', '\\"')[:_WARNING_CHARACTERS_MAX]


_WARNING_CHARACTERS_MAX = 1024
