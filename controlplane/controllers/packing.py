"""How endpoints are packed into EndpointSlices. PURE.

Every slice that changes is sent to every node, so as few of them change as can be: what is there
stays where it is, what is new fills slices that change anyway, then the slice that it fills best,
and only then a new one. Slices are never repacked for their own sake.

Source: Kubernetes' documentation, "EndpointSlices" ("Distribution of EndpointSlices"), KEP-752;
kube-behaviour 5.4.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from controlplane.api.types.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from controlplane.api.types.meta_v1 import ObjectMeta, OwnerReference
from controlplane.controllers import backends

ENDPOINTS_MAX = 100  # 5.4: of a slice; kube-controller-manager's --max-endpoints-per-slice
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"

Ports = tuple[EndpointPort, ...]
"""In the order of their names: endpoints that have the same share slices."""

Groups = Mapping[str, Mapping[Ports, Mapping[str, Endpoint]]]
"""What is wanted: by family, by ports, and by what `key_of` says of an endpoint."""


class Owner(msgspec.Struct, frozen=True):
    """Of what the slices are made, and what they are to be labelled with.

    annotations     all that they have, but for when; None: they keep those that others gave them
    is_shown_empty  there is a slice of each family also where there are no endpoints
    """

    api_version: str
    kind: str
    metadata: ObjectMeta
    labels: Mapping[str, str]
    annotations: Mapping[str, str] | None = None
    is_shown_empty: bool = False

    def marked(self, metadata: ObjectMeta) -> ObjectMeta:
        """What a slice is to be labelled with. When it was written for is `triggered`'s to say."""
        if self.annotations is None:
            return msgspec.structs.replace(metadata, labels=self.labels)
        annotations = dict(self.annotations)
        if backends.TRIGGER_TIME in metadata.annotations:
            annotations[backends.TRIGGER_TIME] = metadata.annotations[backends.TRIGGER_TIME]
        return msgspec.structs.replace(metadata, labels=self.labels, annotations=annotations)


class Plan(msgspec.Struct, frozen=True):
    """What makes the slices as they should be; a change is a slice before and after.

    In this order: so an endpoint that moves is where it goes before it leaves, wherever that can
    be.
    """

    create: tuple[EndpointSlice, ...] = ()
    update: tuple[tuple[EndpointSlice, EndpointSlice], ...] = ()
    delete: tuple[EndpointSlice, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(
            self.create + other.create, self.update + other.update, self.delete + other.delete
        )


def plan(
    owner: Owner,
    groups: Groups,
    slices: Iterable[EndpointSlice],
    *,
    endpoints_max: int = ENDPOINTS_MAX,
) -> Plan:
    """The changes that an owner's slices need.

    slices  that say they are this owner's, and ours; those that go already may be among them
    """
    there = [one for one in slices if one.metadata.deletion_timestamp is None]
    usable = [one for one in there if _is_usable(one, owner, groups)]
    planned = Plan(delete=tuple(one for one in there if not _is_usable(one, owner, groups)))
    for family, of_family in groups.items():
        found = [one for one in usable if one.address_type == family]
        planned += _plan_family(owner, family, of_family, found, endpoints_max)
    growing_first = sorted(planned.update, key=lambda pair: _growth(*pair), reverse=True)
    return msgspec.structs.replace(planned, update=tuple(growing_first))


def triggered(planned: Plan, when: str) -> Plan:
    """What is written says when what it tells of happened. Empty: it says nothing of that."""
    return msgspec.structs.replace(
        planned,
        create=tuple(_at(one, when) for one in planned.create),
        update=tuple((old, _at(new, when)) for old, new in planned.update),
    )


def _at(one: EndpointSlice, when: str) -> EndpointSlice:
    annotations = {
        name: value
        for name, value in one.metadata.annotations.items()
        if name != backends.TRIGGER_TIME
    }
    if when:
        annotations[backends.TRIGGER_TIME] = when
    metadata = msgspec.structs.replace(one.metadata, annotations=annotations)
    return msgspec.structs.replace(one, metadata=metadata)


def key_of(endpoint: Endpoint) -> str:
    """What it stays the same endpoint by: whose it is, or else where."""
    uid = endpoint.target_ref.uid if endpoint.target_ref is not None else ""
    return uid or next(iter(endpoint.addresses), "")


def in_order(ports: Iterable[EndpointPort]) -> Ports:
    """The same for the same ports."""
    return tuple(sorted(ports, key=lambda one: (one.name or "", one.protocol or "", one.port or 0)))


def _is_usable(one: EndpointSlice, owner: Owner, groups: Groups) -> bool:
    """Whether it is of this owner, and not of one that had its name, or was of another family."""
    is_owned = any(found.uid == owner.metadata.uid for found in one.metadata.owner_references)
    return is_owned and one.address_type in groups


def _plan_family(
    owner: Owner,
    family: str,
    groups: Mapping[Ports, Mapping[str, Endpoint]],
    slices: Sequence[EndpointSlice],
    endpoints_max: int,
) -> Plan:
    by_ports: dict[Ports, list[EndpointSlice]] = {}
    for one in slices:
        by_ports.setdefault(in_order(one.ports), []).append(one)
    strays = [one for ports, found in by_ports.items() if ports not in groups for one in found]
    planned = Plan(delete=tuple(strays))
    for ports, wanted in groups.items():
        there = [_Filling(one) for one in by_ports.get(ports, ())]
        planned += _pack(owner, wanted, there, _new_slice(owner, family, ports), endpoints_max)
    if owner.is_shown_empty and len(planned.delete) == len(slices) and not planned.create:
        # Who looks for the slices finds one, which says that there is nobody.
        placeholder = _new_slice(owner, family, ())
        if len(slices) == 1 and _is_same_content(slices[0], placeholder):
            return Plan()
        planned += Plan(create=(placeholder,))
    return _reused(owner, planned)


class _Filling:
    """A slice that is there, and the endpoints that it is to have."""

    def __init__(self, before: EndpointSlice) -> None:
        self.before = before
        self.endpoints: list[Endpoint] = []

    def room(self, endpoints_max: int) -> int:
        """How many more it can take."""
        return endpoints_max - len(self.endpoints)

    def keep(self, rest: dict[str, Endpoint], endpoints_max: int) -> None:
        """What it has and is wanted still, as it should be now; it is taken from the rest."""
        for endpoint in self.before.endpoints:
            wanted = rest.pop(key_of(endpoint), None) if self.room(endpoints_max) > 0 else None
            if wanted is not None:
                self.endpoints.append(wanted)

    def take(self, left: list[Endpoint], endpoints_max: int) -> None:
        """As many of what is left as it can take."""
        count = max(0, self.room(endpoints_max))
        self.endpoints += left[:count]
        del left[:count]

    def is_changed(self, owner: Owner) -> bool:
        """Whether it must be written."""
        return self.after(owner) != self.before

    def after(self, owner: Owner) -> EndpointSlice:
        """The slice as it should be."""
        before = self.before
        return msgspec.structs.replace(
            before, endpoints=tuple(self.endpoints), metadata=owner.marked(before.metadata)
        )


def _pack(
    owner: Owner,
    wanted: Mapping[str, Endpoint],
    there: Sequence[_Filling],
    empty: EndpointSlice,
    endpoints_max: int,
) -> Plan:
    """Put what is wanted into slices of one set of ports; as few as can be are written."""
    rest = dict(wanted)
    for one in there:
        one.keep(rest, endpoints_max)
    deleted = tuple(one.before for one in there if not one.endpoints)
    changed = [one for one in there if one.endpoints and one.is_changed(owner)]
    unchanged = [one for one in there if one.endpoints and not one.is_changed(owner)]
    left = list(rest.values())
    for one in sorted(changed, key=lambda one: one.room(endpoints_max)):
        one.take(left, endpoints_max)
    created = []
    while left:
        fits = [one for one in unchanged if one.room(endpoints_max) >= len(left)]
        if fits:
            best = min(fits, key=lambda one: one.room(endpoints_max))
            best.take(left, endpoints_max)
            changed.append(best)
        else:
            created.append(msgspec.structs.replace(empty, endpoints=tuple(left[:endpoints_max])))
            del left[:endpoints_max]
    updates = tuple((one.before, one.after(owner)) for one in changed)
    return Plan(tuple(created), updates, deleted)


def _reused(owner: Owner, planned: Plan) -> Plan:
    """A slice that would be deleted becomes one that would be created: one write, not two."""
    pairs = list(zip(planned.delete, planned.create, strict=False))
    updates = [(old, _as(owner, old, new)) for old, new in pairs]
    return Plan(
        planned.create[len(pairs) :],
        (*updates, *planned.update),
        planned.delete[len(pairs) :],
    )


def _as(owner: Owner, old: EndpointSlice, new: EndpointSlice) -> EndpointSlice:
    metadata = owner.marked(old.metadata)
    return msgspec.structs.replace(old, endpoints=new.endpoints, ports=new.ports, metadata=metadata)


def _is_same_content(one: EndpointSlice, other: EndpointSlice) -> bool:
    return (
        one.endpoints == other.endpoints
        and one.ports == other.ports
        and one.metadata.labels == other.metadata.labels
    )


def _new_slice(owner: Owner, family: str, ports: Ports) -> EndpointSlice:
    metadata = owner.metadata
    reference = OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=metadata.name,
        uid=metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )
    return EndpointSlice(
        address_type=family,
        metadata=ObjectMeta(
            generate_name=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=owner.labels,
            annotations=owner.annotations or {},
            owner_references=(reference,),
        ),
        ports=ports,
    )


def _growth(old: EndpointSlice, new: EndpointSlice) -> int:
    """By how many endpoints a slice is larger than before."""
    return len(new.endpoints) - len(old.endpoints)
