"""Namespaces that are deleted: all that is in them goes, then they do.

Pods go first, for what runs may need the rest to end well; then everything else at once. The last
look finds nothing; only then the finalizer `kubernetes` is taken away.

Source: Kubernetes' documentation, "Namespaces" and API reference of Namespace (conditions);
kube-behaviour 3.1. Pods first: feature OrderedNamespaceDeletion of 1.33.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.kinds.namespace import FINALIZER
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers.conditions import Said, with_conditions
from controlplane.controllers.context import Context, custom_resources
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

WORKERS = 10  # kube-controller-manager's --concurrent-namespace-syncs
PAGE_OBJECTS = 500
AGAIN_SECONDS_MIN, AGAIN_SECONDS_MAX = 1.0, 30.0
_PATIENCE = 4  # a namespace that waited so many times longer is looked at a while later


class Content(msgspec.Struct, frozen=True):
    """What is in a namespace after all of it was told to go.

    counts      resource as conditions name it (`pods.`, `deployments.apps`) -> objects
    finalizers  name -> objects that it holds
    failures    what could not be deleted, and why
    """

    counts: Mapping[str, int] = {}
    finalizers: Mapping[str, int] = {}
    failures: Sequence[str] = ()

    @property
    def is_gone(self) -> bool:
        """Nothing is left, as far as everything could be looked at."""
        return not self.counts and not self.failures


def controller(context: Context) -> Controller:
    """Of namespaces."""
    namespaces = context.resource("", "namespaces")
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        namespace = lister.get(namespaces, key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return None
        if FINALIZER not in (namespace.get("spec") or {}).get("finalizers", ()):
            return None  # others hold it still
        # What is defined since the cache heard last may have objects here already.
        custom = custom_resources((await store.list(definitions)).items)
        resources = [one for one in (*context.stored(), *custom) if one.is_namespaced]
        content = await _empty(resources, key.name, store)
        now = store.clock()
        await store.update(
            namespaces,
            "",
            key.name,
            lambda old: plan(old, content, now),
            uid=namespace["metadata"]["uid"],
            known=namespace,
        )
        return None if content.is_gone else again_seconds(namespace, now)

    return Controller("namespace", namespaces, reconcile, workers=WORKERS)


def plan(namespace: Object, content: Content, now: float) -> Object:
    """The namespace with its conditions, and without the finalizer once nothing is left. Pure."""
    status = namespace.get("status") or {}
    conditions = with_conditions(status.get("conditions") or (), _conditions(content), now)
    status = {**status, "phase": "Terminating", "conditions": conditions}
    spec = namespace.get("spec") or {}
    if content.is_gone:
        kept = [one for one in spec.get("finalizers") or () if one != FINALIZER]
        spec = {**spec, "finalizers": kept}
    return {**namespace, "spec": spec, "status": status}


def again_seconds(namespace: Object, now: float) -> float:
    """When to look again: soon at first, seldom at what has waited for long. Pure."""
    deleted = datetime.fromisoformat(namespace["metadata"]["deletionTimestamp"]).timestamp()
    return min(max((now - deleted) / _PATIENCE, AGAIN_SECONDS_MIN), AGAIN_SECONDS_MAX)


def _conditions(content: Content) -> list[Said]:
    counts = ", ".join(
        f"{what} has {count} resource instances" for what, count in sorted(content.counts.items())
    )
    held = ", ".join(
        f"{name} in {count} resource instances"
        for name, count in sorted(content.finalizers.items())
    )
    return [*_FOUND, _failure(content), _remaining(counts), _finalizers(held)]


_FOUND: tuple[Said, ...] = (
    (
        "NamespaceDeletionDiscoveryFailure",
        False,
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        False,
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
)
"""Which kinds there are is always known: definitions are objects of the same store."""


def _failure(content: Content) -> Said:
    kind = "NamespaceDeletionContentFailure"
    if content.failures:
        return (kind, True, "ContentDeletionFailed", "; ".join(content.failures))
    told = "All content successfully deleted, may be waiting on finalization"
    return (kind, False, "ContentDeleted", told)


def _remaining(counts: str) -> Said:
    kind = "NamespaceContentRemaining"
    if counts:
        return (kind, True, "SomeResourcesRemain", f"Some resources are remaining: {counts}")
    return (kind, False, "ContentRemoved", "All content successfully removed")


def _finalizers(held: str) -> Said:
    kind = "NamespaceFinalizersRemaining"
    if held:
        told = f"Some content in the namespace has finalizers remaining: {held}"
        return (kind, True, "SomeFinalizersRemain", told)
    told = "All content-preserving finalizers finished"
    return (kind, False, "ContentHasNoFinalizers", told)


async def _empty(resources: Sequence[Resource], namespace: str, store: ObjectStore) -> Content:
    """Delete what is there; what is there still."""
    pods = [one for one in resources if (one.group, one.plural) == ("", "pods")]
    content = await _deleted(pods, namespace, store)
    if not content.is_gone:
        return content
    return await _deleted([one for one in resources if one not in pods], namespace, store)


async def _deleted(resources: Sequence[Resource], namespace: str, store: ObjectStore) -> Content:
    counts: Counter[str] = Counter()
    finalizers: Counter[str] = Counter()
    failures: list[str] = []
    for resource in resources:
        try:
            for left in await _delete_all(resource, namespace, store):
                counts[f"{resource.plural}.{resource.group}"] += 1
                finalizers.update(left["metadata"].get("finalizers") or ())
        except ApiError as error:
            if error.code >= 500:
                raise  # the store is away: nothing is known of the others either
            failures.append(f"{resource.plural}.{resource.group}: {error.message}")
    return Content(counts, finalizers, failures)


async def _delete_all(resource: Resource, namespace: str, store: ObjectStore) -> list[Object]:
    """Objects that are marked, and stay for now."""
    left: list[Object] = []
    token = ""
    while True:
        page = await store.list(resource, namespace, limit=PAGE_OBJECTS, continue_token=token)
        for found in page.items:
            metadata = found["metadata"]
            if metadata.get("deletionTimestamp"):
                left.append(found)
                continue
            options = DeleteOptions(propagation_policy="Background", uid=metadata.get("uid", ""))
            try:
                deletion = await store.delete(
                    resource, namespace, metadata["name"], options=options
                )
            except ApiError as error:
                if error.code != 404:
                    raise
                continue
            if not deletion.is_gone:
                left.append(deletion.object)
        token = page.continue_token
        if not token:
            return left
