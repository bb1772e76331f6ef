"""Commands that only look: get, also with --watch, and describe."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.resource import Object
from controlplane.ctl import description, output
from controlplane.ctl.client import JSON, TABLE
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.output import TableWriter
from controlplane.ctl.resources import ApiResource
from controlplane.ctl.session import Session
from controlplane.ctl.targets import Targets, objects, parts, selection, targets_of


async def get(session: Session) -> None:
    """Print what there is, and with --watch what becomes of it."""
    options = session.options
    targets = targets_of(session.resources, options.words)
    if options.all_namespaces and any(one.names for one in targets):
        raise CtlError("error: a resource cannot be retrieved by name across all namespaces")
    if options.watch:
        if len(targets) != 1 or len(targets[0].names) > 1:
            raise CtlError("error: you may only specify a single resource type")
        await _watch(session, targets[0])
    elif options.output in ("", "wide"):
        await _get_tables(session, targets)
    else:
        await _get_objects(session, targets)


async def _get_tables(session: Session, targets: Sequence[Targets]) -> None:
    tables = []
    for target in targets:
        merged: dict[str, Any] = {}
        async for table in parts(session, target, TABLE):
            merged = {**table, "rows": [*merged.get("rows", ()), *(table.get("rows") or ())]}
        if merged.get("rows"):
            tables.append((target.resource, merged))
    for number, (resource, table) in enumerate(tables):
        if number:
            session.say("")
        writer = _writer(session, resource, is_one_of_many=len(targets) > 1)
        for line in writer.lines(table, has_header=not session.options.no_headers):
            session.say(line)
    if not tables and not session.has_failed:
        is_somewhere = session.place(targets[0].resource) != ""
        where = f" in {session.namespace} namespace." if is_somewhere else ""
        session.complain(f"No resources found{where}")


def _writer(session: Session, resource: ApiResource, *, is_one_of_many: bool) -> TableWriter:
    return TableWriter(
        is_wide=session.options.output == "wide",
        prefix=f"{resource.title}/" if is_one_of_many else "",
        has_namespaces=session.options.all_namespaces and resource.is_namespaced,
    )


async def _get_objects(session: Session, targets: Sequence[Targets]) -> None:
    found = []
    for target in targets:
        async for one in objects(session, target):
            if session.options.output == "name":
                session.say(f"{target.resource.title}/{one['metadata']['name']}")
            found.append(output.without_managed_fields(one))
    if session.options.output == "name":
        return
    is_one = len(targets) == 1 and len(targets[0].names) == 1
    if is_one and not found:
        return
    _show(session, found[0] if is_one else output.listed(found))


def _show(session: Session, found: Object) -> None:
    is_json = session.options.output == "json"
    session.say(output.as_json(found) if is_json else output.as_yaml(found))


async def _watch(session: Session, target: Targets) -> None:
    """The list, and then the changes after it."""
    options, resource = session.options, target.resource
    query = selection(options)
    for name in target.names:
        query["fieldSelector"] = f"metadata.name={name}"
    path = resource.collection(session.place(resource))
    accept = TABLE if options.output in ("", "wide") else JSON
    writer = _writer(session, resource, is_one_of_many=False)
    has_header, version = not options.no_headers, ""
    async for page in session.client.pages(path, query, accept=accept):
        version = page["metadata"]["resourceVersion"]
        if accept == TABLE:
            shown = has_header and bool(page.get("rows"))
            for line in writer.lines(page, has_header=shown):
                session.say(line)
            has_header = has_header and not shown
        else:
            for item in page["items"]:
                _say_object(session, resource, item)
    query["resourceVersion"] = version
    async for event in session.client.watch(path, query, accept=accept):
        if event["type"] == "BOOKMARK":
            continue
        if accept == TABLE:
            for line in writer.lines(event["object"], has_header=has_header):
                session.say(line)
            has_header = False
        else:
            _say_object(session, resource, event["object"])


def _say_object(session: Session, resource: ApiResource, found: Object) -> None:
    if session.options.output == "name":
        session.say(f"{resource.title}/{found['metadata']['name']}")
        return
    if session.options.output == "yaml":
        session.say("---")
    known = {"apiVersion": resource.api_version, "kind": resource.kind, **found}
    _show(session, output.without_managed_fields(known))


async def describe(session: Session) -> None:
    """All that an object says, and its events."""
    is_first = True
    for target in targets_of(session.resources, session.options.words):
        async for found in objects(session, target):
            if not is_first:
                session.say("\n")
            is_first = False
            events = await _events(session, found["metadata"])
            session.say(description.describe(found, events, now=time.time()))
    if is_first and not session.has_failed:
        session.complain(f"No resources found in {session.namespace} namespace.")


async def _events(session: Session, metadata: Mapping[str, Any]) -> list[Object]:
    terms = {"name": metadata["name"], "uid": metadata["uid"]}
    selector = ",".join(f"involvedObject.{field}={value}" for field, value in terms.items())
    path = session.resources.called("events")[0].collection(str(metadata.get("namespace") or ""))
    found: list[Object] = []
    # Who may read an object need not be allowed to read events.
    with contextlib.suppress(StatusError):
        async for page in session.client.pages(path, {"fieldSelector": selector}):
            found += page["items"]
    return found
