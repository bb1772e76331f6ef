"""What cpctl's commands do: from parsed words to requests and lines."""

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from controlplane import ctl_describe, ctl_manifests, ctl_output
from controlplane.api.resource import Object
from controlplane.ctl_client import APPLY, JSON, MERGE, TABLE, ApiClient
from controlplane.ctl_errors import CtlError, StatusError, message_of
from controlplane.ctl_manifests import Manifest
from controlplane.ctl_output import TableWriter
from controlplane.ctl_resources import ApiResource, Resources

MANAGER = "cpctl"


class Session(msgspec.Struct):
    """What a command works with. `say` prints a line, `complain` one on standard error."""

    client: ApiClient
    resources: Resources
    options: argparse.Namespace
    say: Callable[[str], None]
    complain: Callable[[str], None]
    has_failed: bool = False

    @property
    def namespace(self) -> str:
        """Of the command line, or of the kubeconfig."""
        return str(self.options.namespace or self.client.access.namespace)

    def fail(self, error: StatusError, *, doing: str = "") -> None:
        """Tell it, and go on with the next one."""
        self.has_failed = True
        self.complain(message_of(error, doing=doing))


class Targets(msgspec.Struct, frozen=True):
    """One resource, and the names that are meant; none: all."""

    resource: ApiResource
    names: tuple[str, ...]


# ---------------------------------------------------------------------- what is meant


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


def _place(session: Session, resource: ApiResource) -> str:
    everywhere = getattr(session.options, "all_namespaces", False)
    return "" if everywhere or not resource.is_namespaced else session.namespace


def _selection(options: argparse.Namespace) -> dict[str, str]:
    query = {}
    if options.selector:
        query["labelSelector"] = options.selector
    if options.field_selector:
        query["fieldSelector"] = options.field_selector
    return query


# ------------------------------------------------------------------------------- get


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


async def _parts(session: Session, target: Targets, accept: str) -> AsyncIterator[Any]:
    """Answers: one for each name, or the pages of a list; a name's error is told."""
    resource, place = target.resource, _place(session, target.resource)
    for name in target.names:
        try:
            yield await session.client.get(resource.object(place, name), accept=accept)
        except StatusError as error:
            session.fail(error)
    if not target.names:
        query = _selection(session.options)
        async for page in session.client.pages(resource.collection(place), query, accept=accept):
            yield page


async def _get_tables(session: Session, targets: Sequence[Targets]) -> None:
    tables = []
    for target in targets:
        merged: dict[str, Any] = {}
        async for table in _parts(session, target, TABLE):
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
        is_somewhere = _place(session, targets[0].resource) != ""
        where = f" in {session.namespace} namespace." if is_somewhere else ""
        session.complain(f"No resources found{where}")


def _writer(session: Session, resource: ApiResource, *, is_one_of_many: bool) -> TableWriter:
    return TableWriter(
        is_wide=session.options.output == "wide",
        prefix=f"{resource.title}/" if is_one_of_many else "",
        has_namespaces=session.options.all_namespaces and resource.is_namespaced,
    )


async def _objects(session: Session, target: Targets) -> AsyncIterator[Object]:
    """One by one, each with its kind."""
    resource = target.resource
    async for answer in _parts(session, target, JSON):
        for found in [answer] if target.names else answer["items"]:
            yield {"apiVersion": resource.api_version, "kind": resource.kind, **found}


async def _get_objects(session: Session, targets: Sequence[Targets]) -> None:
    found = []
    for target in targets:
        async for one in _objects(session, target):
            if session.options.output == "name":
                session.say(f"{target.resource.title}/{one['metadata']['name']}")
            found.append(ctl_output.without_managed_fields(one))
    if session.options.output == "name":
        return
    is_one = len(targets) == 1 and len(targets[0].names) == 1
    if is_one and not found:
        return
    _show(session, found[0] if is_one else ctl_output.listed(found))


def _show(session: Session, found: Object) -> None:
    is_json = session.options.output == "json"
    session.say(ctl_output.as_json(found) if is_json else ctl_output.as_yaml(found))


async def _watch(session: Session, target: Targets) -> None:
    """The list, and then the changes after it."""
    options, resource = session.options, target.resource
    query = _selection(options)
    for name in target.names:
        query["fieldSelector"] = f"metadata.name={name}"
    path = resource.collection(_place(session, resource))
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
    _show(session, ctl_output.without_managed_fields(known))


# -------------------------------------------------------------------------- describe


async def describe(session: Session) -> None:
    """All that an object says, and its events."""
    is_first = True
    for target in targets_of(session.resources, session.options.words):
        async for found in _objects(session, target):
            if not is_first:
                session.say("\n")
            is_first = False
            events = await _events(session, found["metadata"])
            session.say(ctl_describe.describe(found, events, now=time.time()))
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


# ---------------------------------------------------------------------- create, apply


def _placed(session: Session, manifest: Manifest) -> tuple[ApiResource, str]:
    """The resource and namespace that an object belongs to. Raises CtlError."""
    content = manifest.content
    resource = session.resources.of_kind(content["apiVersion"], content["kind"])
    own = str(content["metadata"].get("namespace") or "")
    wanted = session.options.namespace
    if own and wanted and own != wanted:
        raise CtlError(
            f'error: the namespace from the provided object "{own}" does not match the namespace'
            f" \"{wanted}\". You must pass '--namespace={own}' to perform this operation."
        )
    return resource, own or session.namespace


def _write_query(session: Session) -> dict[str, str]:
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    if session.options.dry_run == "server":
        query["dryRun"] = "All"
    return query


def _done(session: Session, resource: ApiResource, name: str, what: str) -> None:
    is_dry = getattr(session.options, "dry_run", "none") == "server"
    session.say(f"{resource.title}/{name} {what}{' (server dry run)' if is_dry else ''}")


async def create(session: Session) -> None:
    """Create each object of the files."""
    query = _write_query(session)
    for manifest in ctl_manifests.read(session.options.filename):
        resource, namespace = _placed(session, manifest)
        try:
            made = await session.client.send(
                "POST", resource.collection(namespace), manifest.content, query
            )
        except StatusError as error:
            session.fail(error, doing=f'error when creating "{manifest.source}"')
        else:
            _done(session, resource, made["metadata"]["name"], "created")


async def apply(session: Session) -> None:
    """Server-side apply of each object of the files."""
    query = _write_query(session)
    if session.options.force_conflicts:
        query["force"] = "true"
    for manifest in ctl_manifests.read(session.options.filename):
        if not manifest.name:
            raise CtlError(f"error: from {manifest.source}: an object to be applied needs a name")
        resource, namespace = _placed(session, manifest)
        path = resource.object(namespace, manifest.name)
        try:
            await session.client.send("PATCH", path, manifest.content, query, content_type=APPLY)
        except StatusError as error:
            session.fail(error, doing=f'error when applying "{manifest.source}"')
        else:
            _done(session, resource, manifest.name, "serverside-applied")


# ---------------------------------------------------------------------- delete, scale


async def delete(session: Session) -> None:
    """Delete what is meant, and wait until it is gone."""
    options = session.options
    waiting: list[tuple[ApiResource, str, str, str]] = []
    for resource, namespace, name in await _doomed(session):
        body: dict[str, Any] = {"propagationPolicy": options.cascade.capitalize()}
        if options.grace_period >= 0:
            body["gracePeriodSeconds"] = options.grace_period
        try:
            answer = await session.client.send("DELETE", resource.object(namespace, name), body)
        except StatusError as error:
            if error.reason != "NotFound" or not options.ignore_not_found:
                session.fail(error)
            continue
        session.say(f'{resource.title} "{name}" deleted')
        uid = (answer.get("details") or answer["metadata"]).get("uid", "")
        waiting.append((resource, namespace, name, uid))
    if options.wait == "false":
        return
    try:
        async with asyncio.timeout(options.timeout or None):
            for resource, namespace, name, uid in waiting:
                await _gone(session.client, resource.collection(namespace), name, uid)
    except TimeoutError:
        raise CtlError(
            f"error: timed out waiting for the condition on {resource.plural}/{name}"
        ) from None


async def _doomed(session: Session) -> list[tuple[ApiResource, str, str]]:
    options = session.options
    if options.filename:
        found = []
        for manifest in ctl_manifests.read(options.filename):
            resource, namespace = _placed(session, manifest)
            found.append((resource, namespace, manifest.name))
        return found
    targets = targets_of(session.resources, options.words)
    is_by_name = all(one.names for one in targets)
    if not is_by_name and not (options.all or options.selector or options.field_selector):
        raise CtlError("error: resource(s) were provided, but no name was specified")
    if is_by_name:
        return [(one.resource, session.namespace, name) for one in targets for name in one.names]
    found = [
        (one.resource, str(item["metadata"].get("namespace") or ""), item["metadata"]["name"])
        for one in targets
        async for item in _objects(session, one)
    ]
    if not found:
        session.complain("No resources found")
    return found


async def _gone(client: ApiClient, path: str, name: str, uid: str) -> None:
    """Wait until no object has this name and uid; one that was made anew is another."""
    query = {"fieldSelector": f"metadata.name={name}"}
    while True:
        listed = await client.get(path, query)
        if not any(item["metadata"]["uid"] == uid for item in listed["items"]):
            return
        query["resourceVersion"] = listed["metadata"]["resourceVersion"]
        async for event in client.watch(path, query):
            if event["type"] == "DELETED":
                return
        del query["resourceVersion"]


async def scale(session: Session) -> None:
    """Set the number of replicas."""
    options = session.options
    targets = targets_of(session.resources, options.words)
    if not all(one.names for one in targets):
        raise CtlError("error: resource(s) were provided, but no name was specified")
    for target in targets:
        for name in target.names:
            path = target.resource.object(_place(session, target.resource), name, "scale")
            patch: dict[str, Any] = {"spec": {"replicas": options.replicas}}
            try:
                if options.current_replicas is not None:
                    patch["metadata"] = await _expected(session, path)
                await session.client.send(
                    "PATCH", path, patch, {"fieldManager": MANAGER}, content_type=MERGE
                )
            except StatusError as error:
                session.fail(error)
            else:
                _done(session, target.resource, name, "scaled")


async def _expected(session: Session, path: str) -> dict[str, str]:
    """What the patch is good for: only the version whose replicas were looked at."""
    found = await session.client.get(path)
    wanted, replicas = session.options.current_replicas, found["spec"].get("replicas", 0)
    if replicas != wanted:
        raise CtlError(f"error: Expected replicas to be {wanted}, was {replicas}")
    return {"resourceVersion": found["metadata"]["resourceVersion"]}
