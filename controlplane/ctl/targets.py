"""Which objects a command means by its words and selectors, and what the server has of them."""

import argparse
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from controlplane.api.resource import Object
from controlplane.ctl.client import JSON
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.resources import ApiResource, Resources
from controlplane.ctl.session import Session


class Targets(msgspec.Struct, frozen=True):
    """One resource, and the names that are meant; none: all."""

    resource: ApiResource
    names: tuple[str, ...]


def targets_of(resources: Resources, words: Sequence[str]) -> list[Targets]:
    """Of `TYPE[,TYPE] [NAME …]` or `TYPE/NAME …`. Raises CtlError."""
    if not words:
        raise CtlError("error: You must specify the type of resource")
    if any("/" in word for word in words):
        found = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not (slash and kind and name) or "/" in name:
                raise CtlError(
                    "error: there is no need to specify a resource type as a separate argument"
                    " when passing arguments in resource/name form"
                )
            found += [Targets(one, (name,)) for one in resources.called(kind)]
        return found
    return [Targets(one, tuple(words[1:])) for one in resources.called(words[0])]


def selection(options: argparse.Namespace) -> dict[str, str]:
    query = {}
    if options.selector:
        query["labelSelector"] = options.selector
    if options.field_selector:
        query["fieldSelector"] = options.field_selector
    return query


async def parts(session: Session, target: Targets, accept: str) -> AsyncIterator[Any]:
    """Answers: one for each name, or the pages of a list; a name's error is told."""
    resource, place = target.resource, session.place(target.resource)
    for name in target.names:
        try:
            yield await session.client.get(resource.object(place, name), accept=accept)
        except StatusError as error:
            session.fail(error)
    if not target.names:
        query = selection(session.options)
        async for page in session.client.pages(resource.collection(place), query, accept=accept):
            yield page


async def objects(session: Session, target: Targets) -> AsyncIterator[Object]:
    """One by one, each with its kind."""
    resource = target.resource
    async for answer in parts(session, target, JSON):
        for found in [answer] if target.names else answer["items"]:
            yield {"apiVersion": resource.api_version, "kind": resource.kind, **found}
