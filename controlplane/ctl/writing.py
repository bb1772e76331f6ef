"""Commands that make objects or change them: create, apply, scale."""

from collections.abc import Callable, Iterator
from typing import Any

from controlplane.ctl import manifests
from controlplane.ctl.client import APPLY, MERGE
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.manifests import Manifest
from controlplane.ctl.resources import ApiResource
from controlplane.ctl.session import Session
from controlplane.ctl.targets import targets_of

_MANAGER = "cpctl"
_Place = Callable[[ApiResource, str, Manifest], str]
"""The path that an object of a namespace is sent to. Raises CtlError."""


def _write_query(session: Session) -> dict[str, str]:
    query = {"fieldManager": _MANAGER, "fieldValidation": "Strict"}
    if session.options.dry_run == "server":
        query["dryRun"] = "All"
    return query


def _done(session: Session, resource: ApiResource, name: str, what: str) -> None:
    is_dry = getattr(session.options, "dry_run", "none") == "server"
    session.say(f"{resource.title}/{name} {what}{' (server dry run)' if is_dry else ''}")


def _placed(session: Session, place: _Place) -> Iterator[tuple[Manifest, ApiResource, str]]:
    """Each object of the files and where it is sent to; what belongs nowhere is told instead."""
    for manifest in manifests.read(session.options.filename):
        try:
            resource, namespace = session.belonging(manifest)
            path = place(resource, namespace, manifest)
        except CtlError as error:
            session.fail(error)
        else:
            yield manifest, resource, path


def _collection(resource: ApiResource, namespace: str, _manifest: Manifest) -> str:
    return resource.collection(namespace)


def _object(resource: ApiResource, namespace: str, manifest: Manifest) -> str:
    if not manifest.name:
        raise CtlError(f"error: from {manifest.source}: an object to be applied needs a name")
    return resource.object(namespace, manifest.name)


async def create(session: Session) -> None:
    """Create each object of the files."""
    query = _write_query(session)
    for manifest, resource, path in _placed(session, _collection):
        try:
            made = await session.client.send("POST", path, manifest.content, query)
        except StatusError as error:
            session.fail(error, doing=f'error when creating "{manifest.source}"')
        else:
            _done(session, resource, made["metadata"]["name"], "created")


async def apply(session: Session) -> None:
    """Server-side apply of each object of the files."""
    query = _write_query(session)
    if session.options.force_conflicts:
        query["force"] = "true"
    for manifest, resource, path in _placed(session, _object):
        try:
            await session.client.send("PATCH", path, manifest.content, query, content_type=APPLY)
        except StatusError as error:
            session.fail(error, doing=f'error when applying "{manifest.source}"')
        else:
            _done(session, resource, manifest.name, "serverside-applied")


async def scale(session: Session) -> None:
    """Set the number of replicas."""
    options = session.options
    targets = targets_of(session.resources, options.words)
    if not all(one.names for one in targets):
        raise CtlError("error: resource(s) were provided, but no name was specified")
    for target in targets:
        for name in target.names:
            path = target.resource.object(session.place(target.resource), name, "scale")
            patch: dict[str, Any] = {"spec": {"replicas": options.replicas}}
            try:
                if options.current_replicas is not None:
                    patch["metadata"] = await _expected(session, path)
                await session.client.send(
                    "PATCH", path, patch, {"fieldManager": _MANAGER}, content_type=MERGE
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
