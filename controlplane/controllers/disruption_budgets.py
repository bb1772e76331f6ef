"""PodDisruptionBudgets: how many of the pods that they select may be disrupted now.

The API server spends what is allowed, one a write (`apiserver/pods.py`). Here it is counted anew
whenever a pod changes, and written only if nobody has spent of it since: an eviction is never
forgotten.

Source: Kubernetes' documentation, "Disruptions"; kube-behaviour 8.1.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from controlplane.api import changes, selectors
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.core_v1 import Pod
from controlplane.api.types.meta_v1 import OwnerReference
from controlplane.api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers import budget_status
from controlplane.controllers.context import Context, custom_resources, kinds_of
from controlplane.controllers.readable import readable
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

WORKERS = 5
AGAIN_SECONDS = 10.0  # after a look that could not tell how many pods there should be
_KIND = "disruption budgets: kind of a definition"
_SCALED = (
    ("apps", "replicasets"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("", "replicationcontrollers"),
)


class ScaleError(Exception):
    """It cannot be told how many pods there should be."""


def controller(context: Context) -> Controller:
    """Of budgets."""
    budgets, pods = context.resource("policy", "poddisruptionbudgets"), context.resource("", "pods")
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    scaled = [context.resource(*place) for place in _SCALED]
    selecting = _Selecting()
    scales = Scales(scaled, definitions, [*context.stored()])

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        live = lister.get(budgets, key)
        if live is None:
            selecting.forget(key)
            return None
        # Before the pods are looked at: whatever changes from now on is a reason to look again.
        selector = selecting.note(key, live)
        budget = lister.record(PodDisruptionBudget, budgets, key)
        assert budget is not None
        selected = _selected(lister, pods, key.namespace, selector)
        if not selected:
            context.recorder.record(live, "Normal", "NoPods", "No matching pods found")
        try:
            expected = None
            if budget_status.needs_scale(budget.spec):
                expected = await scales.expected(selected, lister, store)
                _tell_unmanaged(context.recorder, live, selector, selected)
            seen = budget_status.outlook(budget, selected, expected, store.clock())
        except (ScaleError, ValueError) as error:
            told = f"Failed to calculate the number of expected pods: {error}"
            context.recorder.record(live, "Warning", "CalculateExpectedPodCountFailed", told)
            unknown = budget_status.unknown(budget, str(error), store.clock())
            await _write(store, budgets, live, budget, unknown)
            return AGAIN_SECONDS
        await _write(store, budgets, live, budget, seen.status)
        for pod in seen.not_deleted:
            _tell_not_deleted(context.recorder, lister, pods, pod, key)
        return seen.again_seconds

    return Controller(
        "disruption",
        budgets,
        reconcile,
        triggers=[
            Trigger(pods, selecting.of_pod),
            *(Trigger(one, selecting.of_template) for one in scaled),
        ],
        indexes={_KIND: (definitions, kinds_of)},
        workers=WORKERS,
    )


class _Selecting:
    """Which budgets select which pods, of budgets that were looked at."""

    def __init__(self) -> None:
        self._selectors: dict[str, dict[str, LabelSelector]] = {}

    def note(self, key: Key, budget: Object) -> LabelSelector:
        """The selector of a budget, from now on. Raises what reading one raises."""
        selector = selectors.from_object((budget.get("spec") or {}).get("selector"))
        self._selectors.setdefault(key.namespace, {})[key.name] = selector
        return selector

    def forget(self, key: Key) -> None:
        """The budget is gone."""
        of_namespace = self._selectors.get(key.namespace, {})
        of_namespace.pop(key.name, None)
        if not of_namespace:
            self._selectors.pop(key.namespace, None)

    def of_pod(self, pod: Object) -> list[Key]:
        """The budgets that select a pod."""
        return self._of(pod["metadata"].get("namespace", ""), pod["metadata"].get("labels"))

    def of_template(self, owner: Object) -> list[Key]:
        """The budgets that select the pods that an object makes."""
        template = (owner.get("spec") or {}).get("template") or {}
        labels = (template.get("metadata") or {}).get("labels")
        return self._of(owner["metadata"].get("namespace", ""), labels)

    def _of(self, namespace: str, labels: Mapping[str, str] | None) -> list[Key]:
        found = self._selectors.get(namespace, {})
        return [
            Key(namespace, name)
            for name, selector in found.items()
            if selector.matches(labels or {})
        ]


class Scales:
    """How many pods their controllers want, all together."""

    def __init__(
        self, cached: Iterable[Resource], definitions: Resource, stored: Iterable[Resource]
    ) -> None:
        """`cached`: those that a lister holds."""
        self._cached = {one.place: one for one in cached}
        self._definitions = definitions
        self._kinds = {(one.group, one.kind): one for one in stored}

    async def expected(self, selected: Iterable[Pod], lister: Lister, store: ObjectStore) -> int:
        """Of pods; those without a controller do not count. Raises ScaleError, ApiError."""
        replicas: dict[str, int] = {}
        seen: set[str] = set()
        for pod in selected:
            owner = next((one for one in pod.metadata.owner_references if one.controller), None)
            if owner is None or owner.uid in seen:
                continue
            seen.add(owner.uid)
            found = await self._scaled(owner, pod.metadata.namespace, lister, store)
            if found is None:
                raise ScaleError(f'found no controllers for pod "{pod.metadata.name}"')
            resource, obj = found
            assert resource.scale is not None
            replicas[obj["metadata"]["uid"]] = _at(obj, resource.scale[0])
        return sum(replicas.values())

    async def _scaled(
        self, owner: OwnerReference, namespace: str, lister: Lister, store: ObjectStore
    ) -> tuple[Resource, Object] | None:
        """What has the number of replicas; None: there is none."""
        group = owner.api_version.rpartition("/")[0]
        resource = self._kinds.get((group, owner.kind)) or self._custom(group, owner.kind, lister)
        if resource is None:
            return None
        if resource.scale is None:
            whole = f"{resource.plural}.{resource.group}".rstrip(".")
            raise ScaleError(f"{whole} does not implement the scale subresource")
        found = await self._get(resource, Key(namespace, owner.name), lister, store)
        if found is None or found["metadata"].get("uid") != owner.uid:
            return None
        deployment = _deployment_of(resource, found)
        if deployment is None:
            return resource, found
        return await self._scaled(deployment, namespace, lister, store)

    def _custom(self, group: str, kind: str, lister: Lister) -> Resource | None:
        defined = lister.by_index(self._definitions, _KIND, f"{group}/{kind}")
        found = custom_resources(defined)
        return found[0] if len(found) == 1 else None

    async def _get(
        self, resource: Resource, key: Key, lister: Lister, store: ObjectStore
    ) -> Object | None:
        if resource.place in self._cached:
            return lister.get(resource, key)
        try:
            return await store.get(resource, key.namespace, key.name)
        except ApiError as error:
            if error.code != 404:
                raise
            return None


def _deployment_of(resource: Resource, found: Object) -> OwnerReference | None:
    """Who says how many replicas a ReplicaSet has, if it is a Deployment."""
    if resource.place != ("apps", "replicasets"):
        return None
    for one in found["metadata"].get("ownerReferences") or ():
        if one.get("controller") and one.get("kind") == "Deployment":
            return msgspec.convert(one, OwnerReference)
    return None


def _at(obj: Object, path: str) -> int:
    """The number at a path; 0: there is none. Raises ScaleError for what is no number."""
    found: Any = obj
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        return 0
    if isinstance(found, bool) or not isinstance(found, int):
        raise ScaleError(f"{obj['metadata']['name']}: {path} is no number")
    return found


def _selected(lister: Lister, pods: Resource, namespace: str, selector: LabelSelector) -> list[Pod]:
    """The pods of a budget; one that is none, as a stranger may write, is not healthy either."""
    found = [one for one in lister.list(pods, namespace) if _is_selected(selector, one)]
    return readable(lister, Pod, pods, found)


def _is_selected(selector: LabelSelector, pod: Object) -> bool:
    try:
        return selector.matches(pod["metadata"].get("labels") or {})
    except (AttributeError, TypeError):  # labels that are none
        return False


async def _write(
    store: ObjectStore,
    budgets: Resource,
    live: Object,
    budget: PodDisruptionBudget,
    status: PodDisruptionBudgetStatus,
) -> None:
    """Raises ApiError 409 if an eviction was faster."""
    if status == budget.status:
        return
    metadata = live["metadata"]

    def change(current: Object) -> Object:
        told = changes.carry(current.get("status") or {}, budget.status, status)
        return {**current, "status": {**_NEVER_EMPTY, **told}}

    await store.update(
        budgets,
        metadata["namespace"],
        metadata["name"],
        change,
        resource_version=metadata["resourceVersion"],
        known=live,
    )


_NEVER_EMPTY = dict.fromkeys(
    ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"), 0
)
"""What a status has even when it is 0."""


def _tell_unmanaged(
    recorder: EventRecorder, live: Object, selector: LabelSelector, selected: Iterable[Pod]
) -> None:
    owners = ((one.controller for one in pod.metadata.owner_references) for pod in selected)
    if all(any(found) for found in owners):
        return
    told = (
        f"Pods selected by this PodDisruptionBudget (selector: {selector.text}) were found to be "
        "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
        'result in undefined behavior. To account for these pods please set ".spec.minAvailable" '
        "field of the PDB to an integer value."
    )
    recorder.record(live, "Warning", "UnmanagedPods", told)


def _tell_not_deleted(
    recorder: EventRecorder, lister: Lister, pods: Resource, pod: Pod, budget: Key
) -> None:
    found = lister.get(pods, Key(pod.metadata.namespace, pod.metadata.name))
    if found is not None:
        told = f"Pod was expected by PDB {budget} to be deleted but it wasn't"
        recorder.record(found, "Warning", "NotDeleted", told)
