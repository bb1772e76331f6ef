"""The command that ends objects: delete, which waits until they are gone."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from controlplane.ctl import manifests
from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.resources import ApiResource
from controlplane.ctl.session import Session
from controlplane.ctl.targets import Targets, objects, selection, targets_of


async def delete(session: Session) -> None:
    """Delete what is meant, and wait until it is gone."""
    options = session.options
    waiting: list[tuple[ApiResource, str, str, str]] = []
    for resource, namespace, name in await _doomed(session):
        body: dict[str, Any] = {"propagationPolicy": options.cascade.capitalize()}
        if options.grace_period >= 0:
            # As kubectl without --force: a pod that is forgotten at once may run on.
            body["gracePeriodSeconds"] = options.grace_period or 1
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
    _refuse_contradiction(options)
    if options.filename:
        found = []
        for manifest in manifests.read(options.filename):
            resource, namespace = session.belonging(manifest)
            found.append((resource, namespace, manifest.name))
        return found
    targets = targets_of(session.resources, options.words)
    is_by_name = all(one.names for one in targets)
    if not is_by_name and not (options.all or selection(options)):
        raise CtlError("error: resource(s) were provided, but no name was specified")
    if is_by_name:
        _refuse_more_than_names(options, targets)
        return [(one.resource, session.namespace, name) for one in targets for name in one.names]
    found = [
        (one.resource, str(item["metadata"].get("namespace") or ""), item["metadata"]["name"])
        for one in targets
        async for item in objects(session, one)
    ]
    if not found:
        session.complain("No resources found")
    return found


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """What says too much is refused, in kubectl's words: one half of it would be ignored."""
    if options.all and selection(options):
        raise CtlError("error: setting 'all' parameter but found a non empty selector.")
    if options.filename and options.words:
        raise CtlError(
            "error: when paths, URLs, or stdin is provided as input, you may not specify resource"
            " arguments as well"
        )
    if options.filename and selection(options):
        raise CtlError("error: a selector cannot be used with files")


def _refuse_more_than_names(options: argparse.Namespace, targets: Sequence[Targets]) -> None:
    """… of names: nothing else chooses what they mean."""
    if options.all or selection(options):
        raise CtlError(
            "error: selectors and the all flag cannot be used when passing resource/name arguments"
            if "/" in options.words[0]
            else "error: name cannot be provided when a selector is specified"
        )
    if options.all_namespaces and any(one.resource.is_namespaced for one in targets):
        raise CtlError("error: a resource cannot be retrieved by name across all namespaces")


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
