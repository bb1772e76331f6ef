"""The command that ends objects: delete, which waits until they are gone."""

import asyncio
from typing import Any

from controlplane.ctl import manifests
from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.resources import ApiResource
from controlplane.ctl.session import Session
from controlplane.ctl.targets import objects, targets_of


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
        for manifest in manifests.read(options.filename):
            resource, namespace = session.belonging(manifest)
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
        async for item in objects(session, one)
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
