"""Addresses of services: a ClusterIP of the service range, node ports of the port range. PURE.

Each is a key of its own that is claimed in the Txn of its Service, and deleted in the Txn that
removes it: two services can never have the same, and none is lost (kube-behaviour 5.2, 5.3).
What nobody asks for by name comes from the upper part of the range, what somebody names usually
from the lower one, so the two seldom meet.
"""

import ipaddress
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from controlplane.admission.review import Review
from controlplane.api import addresses, causes, errors
from controlplane.api.errors import ApiError, Cause
from controlplane.api.resource import Object
from controlplane.objects import Claim

_PROBES_MAX = 64  # random ones, before all are tried in order

_SINGLE = "SingleStack"

IsTaken = Callable[[str], bool]
"""Whether a key was claimed, as far as the cache knows; the Txn has the last word."""


class Allocator:
    """dice: which of the free ones; whoever repeats a run gives the same."""

    def __init__(
        self, service_range: str, ports: range, is_taken: IsTaken, dice: random.Random
    ) -> None:
        self.network = ipaddress.ip_network(service_range)
        self._ports = ports
        self._is_taken = is_taken
        self._dice = dice
        size = self.network.num_addresses
        self._static_addresses = min(max(16, size // 16), 256)
        static_ports = min(max(16, len(ports) // 32), 128)
        self._static_ports = static_ports if static_ports < len(ports) else 0

    @property
    def _family(self) -> str:
        """The one that the cluster has."""
        return f"IPv{self.network.version}"

    @property
    def first(self) -> str:
        """The address of `kubernetes.default`."""
        return str(self.network[1])

    def mutate(self, review: Review, found: Object) -> Object:
        """Give a service what it lacks, and claim it. Raises ApiError 422 and 500."""
        if not review.is_of("services", "", "CREATE", "UPDATE"):
            return found
        old = (review.old or {}).get("spec") or {}
        spec = self._with_address(review, dict(found.get("spec") or {}), old)
        return {**found, "spec": self._with_ports(review, spec, old)}

    # ---------------------------------------------------------------- addresses

    def _with_address(
        self, review: Review, spec: dict[str, Any], old: Mapping[str, Any]
    ) -> dict[str, Any]:
        if spec.get("type") == "ExternalName":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
            return spec
        spec |= self._families(review, spec, old)
        wanted = _canonical(str(spec.get("clusterIP") or (spec.get("clusterIPs") or [""])[0]))
        kept = str(old.get("clusterIP") or "")
        if not wanted and kept and old.get("type") != "ExternalName":
            wanted = kept
        if wanted != addresses.HEADLESS and wanted != kept:
            wanted = self._claimed_address(review, wanted)
        elif not wanted:
            wanted = self._claimed_address(review, "")
        spec["clusterIP"] = wanted
        spec["clusterIPs"] = [wanted]
        return spec

    def _families(
        self, review: Review, spec: Mapping[str, Any], old: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Of which families it is, in a cluster that has one. Raises ApiError 422.

        Source: Kubernetes' initIPFamilyFields.
        """
        asked = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
        given = [address for address in asked if address and address != addresses.HEADLESS]
        policy = spec.get("ipFamilyPolicy") or old.get("ipFamilyPolicy") or _SINGLE
        families = list(spec.get("ipFamilies") or ())
        faults = _contradictions(policy, given, families)
        for position, address in enumerate(given[len(families) :], len(families)):
            family = _family(address)
            families.append(family)
            if family != self._family:
                why = f"{family} is not configured on this cluster"
                faults.append(causes.invalid(f"spec.clusterIPs[{position}]", given, why))
        # Who finds the endpoints of a headless service without a selector is not our business.
        if not faults and (spec.get("selector") or addresses.HEADLESS not in asked):
            faults = self._lacking(policy, families)
        if faults:
            raise errors.invalid("Service", "", review.name, faults)
        return {"ipFamilyPolicy": policy, "ipFamilies": families or [self._family]}

    def _lacking(self, policy: str, families: Sequence[str]) -> list[Cause]:
        """What is asked for, and the cluster has not."""
        found: list[Cause] = []
        if policy == "RequireDualStack":
            why = "this cluster is not configured for dual-stack services"
            found.append(causes.invalid("spec.ipFamilyPolicy", policy, why))
        for position, family in enumerate(families):
            if family != self._family:
                path = f"spec.ipFamilies[{position}]"
                found.append(causes.invalid(path, family, "not configured on this cluster"))
        return found

    def _claimed_address(self, review: Review, wanted: str) -> str:
        if wanted:
            why = self._refusal_of(review, wanted)
            if why:
                raise _invalid(review, "spec.clusterIPs", [wanted], why)
            review.claims.append(_claim(review, addresses.IP_PREFIX + wanted))
            return wanted
        for address in self._candidates():
            if not self._is_taken(addresses.IP_PREFIX + address):
                review.claims.append(_claim(review, addresses.IP_PREFIX + address))
                return address
        raise errors.internal("failed to allocate a serviceIP: range is full")

    def _refusal_of(self, review: Review, wanted: str) -> str:
        try:
            address = ipaddress.ip_address(wanted)
        except ValueError:
            return "must be a valid IP address"
        network = self.network
        if address not in network or address in (network[0], network[-1]):
            return (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid "
                f"range. The range of valid IPs is {network}"
            )
        if self._is_refused(review, addresses.IP_PREFIX + wanted):
            return f"failed to allocate IP {wanted}: provided IP is already allocated"
        return ""

    def _is_refused(self, review: Review, key: str) -> bool:
        """What was given up just now may be asked for by its name before the cache knows.

        So it is claimed at first whatever the cache says; who loses such a claim comes again, on
        a cache that has the news.
        """
        if not self._is_taken(key):
            return False
        was_doubted = key in review.doubted
        review.doubted.add(key)
        return was_doubted

    def _candidates(self) -> Iterator[str]:
        last = self.network.num_addresses - 2
        lowest = min(self._static_addresses + 1, last)
        for _ in range(_PROBES_MAX):
            yield str(self.network[self._dice.randint(lowest, last)])
        for number in itertools.chain(range(lowest, last + 1), range(1, lowest)):
            yield str(self.network[number])

    # -------------------------------------------------------------------- ports

    def _with_ports(
        self, review: Review, spec: dict[str, Any], old: Mapping[str, Any]
    ) -> dict[str, Any]:
        ports = [dict(port) for port in spec.get("ports") or ()]
        if spec.get("type") not in ("NodePort", "LoadBalancer"):
            for port in ports:
                port.pop("nodePort", None)
        else:
            held = {
                (addresses.protocol(port), port["nodePort"])
                for port in addresses.with_node_port(old)
            }
            # What another port asks for by name is given to none that comes before it.
            own = {number for _, number in held} | {
                int(port.get("nodePort") or 0) for port in ports
            }
            # A load balancer that reaches pods by itself needs none but those it names.
            is_asked_only = spec.get("allocateLoadBalancerNodePorts") is False
            for position, port in enumerate(ports):
                if port.get("nodePort") or not is_asked_only:
                    self._give_port(review, port, position, held, own)
        return {**spec, "ports": ports} if ports else spec

    def _give_port(
        self,
        review: Review,
        port: dict[str, Any],
        position: int,
        held: set[tuple[str, int]],
        own: set[int],
    ) -> None:
        protocol, wanted = addresses.protocol(port), int(port.get("nodePort") or 0)
        if wanted and (protocol, wanted) in held:
            port["nodePort"] = wanted
            return
        if wanted:
            self._require_free(review, wanted, protocol, position)
        else:
            wanted = self._free_port(protocol, own)
        held.add((protocol, wanted))
        own.add(wanted)
        review.claims.append(_claim(review, addresses.port_key(protocol, wanted)))
        port["nodePort"] = wanted

    def _require_free(self, review: Review, wanted: int, protocol: str, position: int) -> None:
        field = f"spec.ports[{position}].nodePort"
        if wanted not in self._ports:
            why = (
                "provided port is not in the valid range. The range of valid ports is "
                f"{self._ports[0]}-{self._ports[-1]}"
            )
            raise _invalid(review, field, wanted, why)
        if self._is_refused(review, addresses.port_key(protocol, wanted)):
            raise _invalid(review, field, wanted, "provided port is already allocated")

    def _free_port(self, protocol: str, own: set[int]) -> int:
        dynamic = self._ports[self._static_ports :]
        tried: list[int] = [self._dice.choice(dynamic) for _ in range(_PROBES_MAX)]
        ports: tuple[int, ...] = (*tried, *dynamic, *self._ports[: self._static_ports])
        for port in ports:
            if port not in own and not self._is_taken(addresses.port_key(protocol, port)):
                return port
        raise errors.internal("failed to allocate a nodePort: range is full")


def _contradictions(policy: str, given: Sequence[str], families: Sequence[str]) -> list[Cause]:
    """What of it would be wrong in every cluster."""
    found: list[Cause] = []
    if len(given) > 1 and len(set(map(_family, given))) < len(given):
        why = "may specify no more than one IP for each IP family"
        found.append(causes.invalid("spec.clusterIPs", given, why))
    for several, what in ((given, "cluster IPs"), (families, "IP families")):
        if policy == _SINGLE and len(several) > 1:
            why = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what}"
            found.append(causes.invalid("spec.ipFamilyPolicy", policy, f"{why} are specified"))
    return found


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _canonical(address: str) -> str:
    """One address has one key, however it is spelled; what is none stays as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _claim(review: Review, key: str) -> Claim:
    owner = f"{review.namespace}/{review.name}"
    return Claim(key=key.encode(), value=owner.encode(), expected=0)


def _invalid(review: Review, field: str, value: object, why: str) -> ApiError:
    return errors.invalid("Service", "", review.name, [causes.invalid(field, value, why)])
