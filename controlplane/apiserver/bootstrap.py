"""What every cluster has from the start: namespaces, roles, priority classes, its own service.

Source: Kubernetes' documentation ("Initial namespaces", "Default roles"); kube-behaviour 3.1, 8.4.
Every server runs it when it starts: what is there already is left, what somebody took away from a
default role comes back. Its own service comes back as long as it runs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from controlplane.admission.priority import SYSTEM_CLASSES
from controlplane.api import aggregation
from controlplane.api.errors import ApiError
from controlplane.api.lifecycle import DeleteOptions
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.apiserver import default_roles, rbac, reconciliation
from controlplane.claims import ClaimLostError
from controlplane.objects import Claim, ObjectStore

SERVICE_SECONDS = 10.0
"""How often the service `kubernetes` is looked for: all pods reach the API by it."""

_log = logging.getLogger(__name__)

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Bootstrap:
    """addresses: (host, port) of the API servers, for the endpoints of `kubernetes`."""

    def __init__(
        self,
        store: ObjectStore,
        registry: Registry,
        *,
        service_address: str,
        endpoints: Sequence[tuple[str, int]],
        claim_of: Mapping[str, str],
    ) -> None:
        self._store = store
        self._registry = registry
        self._service_address = service_address
        self._endpoints = endpoints
        self._claim_of = claim_of
        self._is_lost = False

    async def run(self) -> None:
        """Make what is missing. Raises ApiError when the store does not answer."""
        for name in NAMESPACES:
            await self._ensure("", "v1", "namespaces", _namespace(name))
        for name, value in SYSTEM_CLASSES.items():
            await self._ensure(
                "scheduling.k8s.io", "v1", "priorityclasses", _priority_class(name, value)
            )
        await self._ensure_roles()
        await self._ensure_service()

    async def keep_service(self) -> None:
        """Make the service, or its endpoints, again when they are deleted; until cancelled."""
        while True:
            await asyncio.sleep(SERVICE_SECONDS)
            try:
                await self._ensure_service()
            except ApiError as error:
                _log.warning("the service kubernetes cannot be looked after: %s", error)

    async def _ensure(
        self, group: str, version: str, plural: str, found: Object, also: Sequence[Claim] = ()
    ) -> None:
        resource = self._registry.find(group, version, plural)
        assert resource is not None, plural
        try:
            await self._store.create(resource, found, also=also)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    async def _ensure_roles(self) -> None:
        """Roles before their bindings; each is written only where something is missing."""
        roles = self._rbac("clusterroles")
        known = await self._known(roles)
        for role in _filled(list(default_roles.cluster_roles())):
            await self._ensure_completed(roles, known, role, reconciliation.completed_role)
        bindings = self._rbac("clusterrolebindings")
        known = await self._known(bindings)
        for binding in default_roles.cluster_role_bindings():
            name = str(binding["metadata"]["name"])
            old = known.get(name)
            if old is not None and reconciliation.is_of_another_role(old, binding):
                await self._remove(bindings, old)
                del known[name]
            await self._ensure_completed(bindings, known, binding, reconciliation.completed_binding)

    async def _ensure_completed(
        self,
        resource: Resource,
        known: Mapping[str, Object],
        wanted: Object,
        complete: Callable[[Object, Object], Object],
    ) -> None:
        """Create it, or add what it lacks."""
        name = str(wanted["metadata"]["name"])
        if name not in known:
            try:
                await self._store.create(resource, wanted)
                return
            except ApiError as error:
                if error.reason != "AlreadyExists":  # else another server starts, too
                    raise
        elif complete(known[name], wanted) == known[name]:
            return
        await self._store.update(resource, "", name, lambda old: complete(old, wanted))

    async def _known(self, resource: Resource) -> dict[str, Object]:
        return {
            str(one["metadata"]["name"]): one for one in (await self._store.list(resource)).items
        }

    async def _remove(self, resource: Resource, old: Object) -> None:
        metadata = old["metadata"]
        try:
            options = DeleteOptions(uid=str(metadata["uid"]))
            await self._store.delete(resource, "", str(metadata["name"]), options=options)
        except ApiError as error:
            if error.reason not in ("NotFound", "Conflict"):  # else another server was faster
                raise

    def _rbac(self, plural: str) -> Resource:
        resource = self._registry.find(rbac.RBAC_GROUP, "v1", plural)
        assert resource is not None, plural
        return resource

    async def _ensure_service(self) -> None:
        claims = [
            Claim(key=key.encode(), value=value.encode(), expected=0)
            for key, value in self._claim_of.items()
        ]
        try:
            await self._ensure("", "v1", "services", _service(self._service_address), claims)
            self._is_lost = False
        except ClaimLostError as error:
            if not self._is_lost:
                told = ", ".join(key.decode() for key in error.keys)
                _log.error("there is no service kubernetes: another one has claimed %s", told)
            self._is_lost = True
        if not self._endpoints:
            return
        group = "discovery.k8s.io"
        await self._ensure("", "v1", "endpoints", _endpoints(self._endpoints))
        await self._ensure(group, "v1", "endpointslices", _endpoint_slice(self._endpoints))
        await self._point_here("", "endpoints", _with_endpoints)
        await self._point_here(group, "endpointslices", _with_slice)

    async def _point_here(
        self,
        group: str,
        plural: str,
        change: Callable[[Object, Sequence[tuple[str, int]]], Object],
    ) -> None:
        """This server may have had another port before, and others are there as well."""
        resource = self._registry.find(group, "v1", plural)
        assert resource is not None
        await self._store.update(
            resource, "default", "kubernetes", lambda old: change(old, self._endpoints)
        )


def _filled(roles: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """With the rules of aggregated roles, those that others aggregate first."""
    done = {role["metadata"]["name"]: role for role in roles if "aggregationRule" not in role}
    for role in roles:
        if "aggregationRule" in role:
            chosen = role["aggregationRule"]["clusterRoleSelectors"]
            rules = aggregation.aggregated(chosen, done.values())
            done[role["metadata"]["name"]] = {**role, "rules": rules}
    yield from done.values()


def _namespace(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _priority_class(name: str, value: int) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "preemptionPolicy": "PreemptLowerPriority",
        "description": "Used for system critical pods.",
    }


def _service(address: str) -> dict[str, Any]:
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": 443}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "ports": [port],
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv6" if ":" in address else "IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def _endpoints(addresses: Sequence[tuple[str, int]]) -> dict[str, Any]:
    subsets = [
        {
            "addresses": [{"ip": host}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }
        for host, port in addresses
    ]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": subsets,
    }


def _with_endpoints(old: Object, addresses: Sequence[tuple[str, int]]) -> Object:
    """In place of what was there of the same hosts."""
    ours = _endpoints(addresses)["subsets"]
    hosts = {host for host, _ in addresses}
    others = [
        subset
        for subset in old.get("subsets") or ()
        if not any(one.get("ip") in hosts for one in subset.get("addresses") or ())
    ]
    return {**old, "subsets": [*others, *ours]}


def _with_slice(old: Object, addresses: Sequence[tuple[str, int]]) -> Object:
    """The same. All endpoints of a slice share their port: servers that differ need not share."""
    ours = _endpoint_slice(addresses)
    hosts = {host for host, _ in addresses}
    others = [one for one in old.get("endpoints") or () if not hosts.intersection(one["addresses"])]
    return {**old, "endpoints": [*others, *ours["endpoints"]], "ports": ours["ports"]}


def _endpoint_slice(addresses: Sequence[tuple[str, int]]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv6" if ":" in addresses[0][0] else "IPv4",
        "endpoints": [
            {"addresses": [host], "conditions": {"ready": True}} for host, _ in addresses
        ],
        "ports": [{"name": "https", "port": addresses[0][1], "protocol": "TCP"}],
    }
