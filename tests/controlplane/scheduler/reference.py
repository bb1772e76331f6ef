"""The scheduler's rules once more, node by node and in plain Python on plain JSON.

Written from the rules (kube-behaviour 7.3-7.5), not from the vectors: it shares no code with them
but the reading of quantities and selectors.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from controlplane.api import quantity, selectors

Object = Mapping[str, Any]
HOSTNAME = "kubernetes.io/hostname"
MI = 1024 * 1024


class Cluster:
    """Nodes, and which pods run on them. `namespaces`: the labels of each."""

    def __init__(
        self,
        nodes: Sequence[Object],
        placed: Sequence[tuple[Object, str]],
        namespaces: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.nodes = {str(one["metadata"]["name"]): one for one in nodes}
        self.pods = {name: [pod for pod, at in placed if at == name] for name in self.nodes}
        self.namespaces = namespaces

    def labels(self, name: str) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.nodes[name]["metadata"]["labels"]
        return labels

    # ------------------------------------------------------------------ filters

    def reasons(self, pod: Object, name: str) -> list[str]:
        """Of the first plug-in that does not let a pod to a node; []: it may have it."""
        for check in (self._cordon, self._taints, self._affinity, self._ports, self._fit):
            found = check(pod, name)
            if found:
                return found
        return self._spread(pod, name) or self._pod_affinity(pod, name)

    def _cordon(self, pod: Object, name: str) -> list[str]:
        cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        if self.nodes[name]["spec"].get("unschedulable") and not tolerated(pod, cordoned):
            return ["node(s) were unschedulable"]
        return []

    def _taints(self, pod: Object, name: str) -> list[str]:
        for taint in self.nodes[name]["spec"].get("taints", ()):
            if taint["effect"] != "PreferNoSchedule" and not tolerated(pod, taint):
                told = f"{taint['key']}: {taint.get('value', '')}"
                return [f"node(s) had untolerated taint {{{told}}}"]
        return []

    def _affinity(self, pod: Object, name: str) -> list[str]:
        return (
            [] if self.accepts(pod, name) else ["node(s) didn't match Pod's node affinity/selector"]
        )

    def accepts(self, pod: Object, name: str) -> bool:
        labels = self.labels(name)
        wanted = pod["spec"].get("nodeSelector", {})
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        rules = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
        required = rules.get("requiredDuringSchedulingIgnoredDuringExecution")
        return required is None or any(
            node_term(term, name, labels) for term in required["nodeSelectorTerms"]
        )

    def _ports(self, pod: Object, name: str) -> list[str]:
        taken = [port for other in self.pods[name] for port in ports(other)]
        for ip, protocol, number in ports(pod):
            for other_ip, other_protocol, other_number in taken:
                is_same_ip = "0.0.0.0" in (ip, other_ip) or ip == other_ip
                if is_same_ip and (protocol, number) == (other_protocol, other_number):
                    return ["node(s) didn't have free ports for the requested pod ports"]
        return []

    def _fit(self, pod: Object, name: str) -> list[str]:
        there = amounts(self.nodes[name]["status"]["allocatable"])
        found = []
        if len(self.pods[name]) + 1 > there["pods"]:
            found.append("Too many pods")
        for resource, wanted in requests(pod).items():
            used = sum(requests(other).get(resource, 0) for other in self.pods[name])
            if wanted and wanted > there.get(resource, 0) - used:
                found.append(f"Insufficient {resource}")
        return found

    def _spread(self, pod: Object, name: str) -> list[str]:
        required = [one for one in spreads(pod) if one["whenUnsatisfiable"] == "DoNotSchedule"]
        for one in required:
            key = one["topologyKey"]
            if key not in self.labels(name):
                return [
                    "node(s) didn't match pod topology spread constraints (missing required label)"
                ]
            counts: Counter[str] = Counter()
            for other in self.nodes:
                is_labelled = all(each["topologyKey"] in self.labels(other) for each in required)
                if is_labelled and self._is_included(pod, one, other):
                    counts[self.labels(other)[key]] += self._spread_count(pod, one, other)
            lowest = min(counts.values(), default=0)
            if len(counts) < one.get("minDomains", 1):
                lowest = 0
            own = is_spread_with(pod, one, pod)
            if counts[self.labels(name)[key]] + own - lowest > one["maxSkew"]:
                return ["node(s) didn't match pod topology spread constraints"]
        return []

    def _is_included(self, pod: Object, constraint: Object, name: str) -> bool:
        is_honored = constraint.get("nodeAffinityPolicy", "Honor") == "Honor"
        if is_honored and not self.accepts(pod, name):
            return False
        return constraint.get("nodeTaintsPolicy") != "Honor" or not self._taints(pod, name)

    def _spread_count(self, pod: Object, constraint: Object, name: str) -> int:
        return sum(
            is_spread_with(pod, constraint, other)
            for other in self.pods[name]
            if not other["metadata"].get("deletionTimestamp")
        )

    def _pod_affinity(self, pod: Object, name: str) -> list[str]:
        labels = self.labels(name)
        if not self._is_near(pod, name):
            return ["node(s) didn't match pod affinity rules"]
        for term in required_terms(pod, "podAntiAffinity"):
            if any(
                self.means(pod, term, other)
                and at.get(term["topologyKey"]) is not None
                and at.get(term["topologyKey"]) == labels.get(term["topologyKey"])
                for other, at in self._all_pods()
            ):
                return ["node(s) didn't match pod anti-affinity rules"]
        for other, at in self._all_pods():
            for term in required_terms(other, "podAntiAffinity"):
                key = term["topologyKey"]
                if key in at and at[key] == labels.get(key) and self.means(other, term, pod):
                    return ["node(s) didn't satisfy existing pods anti-affinity rules"]
        return []

    def _is_near(self, pod: Object, name: str) -> bool:
        labels, terms = self.labels(name), required_terms(pod, "podAffinity")
        if any(term["topologyKey"] not in labels for term in terms):
            return False
        wanted = [
            at
            for other, at in self._all_pods()
            if all(self.means(pod, term, other) for term in terms)
        ]
        keys = [term["topologyKey"] for term in terms]
        if all(any(at.get(key) == labels[key] for at in wanted) for key in keys):
            return True
        is_any = any(key in at for at in wanted for key in keys)
        return not is_any and all(self.means(pod, term, pod) for term in terms)

    def _all_pods(self) -> list[tuple[Object, Mapping[str, str]]]:
        return [(pod, self.labels(name)) for name in self.nodes for pod in self.pods[name]]

    def means(self, owner: Object, term: Object, other: Object) -> bool:
        """Whether a term of one pod means another."""
        namespace = other["metadata"]["namespace"]
        names, chosen = term.get("namespaces", ()), term.get("namespaceSelector")
        if not names and chosen is None:
            is_of = namespace == owner["metadata"]["namespace"]
        else:
            is_of = namespace in names or (
                chosen is not None
                and selectors.from_object(chosen).matches(self.namespaces.get(namespace, {}))
            )
        return is_of and selector(owner, term).matches(other["metadata"]["labels"])

    # ------------------------------------------------------------------ scores

    def scores(self, pod: Object, feasible: Sequence[str]) -> dict[str, dict[str, int]]:
        """Plug-in -> node -> 0 to 100."""
        counted: dict[str, Callable[[Object, str], int]] = {
            "NodeResourcesFit": self._least_allocated,
            "NodeResourcesBalancedAllocation": self._balanced,
            "ImageLocality": self._images,
        }
        found = {
            plugin: {name: score(pod, name) for name in feasible}
            for plugin, score in counted.items()
        }
        found["TaintToleration"] = self._untainted(pod, feasible)
        found["NodeAffinity"] = self._preferred_nodes(pod, feasible)
        found["PodTopologySpread"] = self._evenly(pod, feasible)
        found["InterPodAffinity"] = self._company(pod, feasible)
        return found

    def _untainted(self, pod: Object, feasible: Sequence[str]) -> dict[str, int]:
        counts = {
            name: sum(
                taint["effect"] == "PreferNoSchedule" and not tolerated(pod, taint)
                for taint in self.nodes[name]["spec"].get("taints", ())
            )
            for name in feasible
        }
        most = max(counts.values(), default=0)
        return {name: 100 - (100 * n // most if most else 0) for name, n in counts.items()}

    def _preferred_nodes(self, pod: Object, feasible: Sequence[str]) -> dict[str, int]:
        rules = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
        preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution", ())
        sums = {
            name: sum(
                one["weight"]
                for one in preferred
                if node_term(one["preference"], name, self.labels(name))
            )
            for name in feasible
        }
        most = max(sums.values(), default=0)
        return {name: 100 * n // most if most else 0 for name, n in sums.items()}

    def _least_allocated(self, pod: Object, name: str) -> int:
        there = amounts(self.nodes[name]["status"]["allocatable"])
        parts = []
        for resource in ("cpu", "memory"):
            total = there.get(resource, 0)
            if total:
                used = sum(estimate(one)[resource] for one in (*self.pods[name], pod))
                parts.append((total - used) * 100 // total if used <= total else 0)
        return sum(parts) // len(parts) if parts else 0

    def _balanced(self, pod: Object, name: str) -> int:
        asked = requests(pod)
        if not asked.get("cpu") and not asked.get("memory"):
            return 0
        there = amounts(self.nodes[name]["status"]["allocatable"])
        parts = []
        for resource in ("cpu", "memory"):
            total = there.get(resource, 0)
            if total:
                used = sum(requests(one).get(resource, 0) for one in (*self.pods[name], pod))
                parts.append(min(1.0, used / total))
        deviation = abs((parts[0] - parts[1]) / 2) if len(parts) == 2 else 0.0
        return int((1 - deviation) * 100)

    def _images(self, pod: Object, name: str) -> int:
        containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
        total = 0
        for container in containers:
            image = container["image"] + ("" if ":" in container["image"] else ":latest")
            sizes = {
                other: one["sizeBytes"]
                for other, node in self.nodes.items()
                for one in node["status"].get("images", ())
                if image in one["names"]
            }
            if name in sizes:
                total += int(sizes[name] * (len(sizes) / len(self.nodes)))
        lowest, highest = 23 * MI, 1000 * MI * len(containers)
        return 100 * (min(max(total, lowest), highest) - lowest) // (highest - lowest)

    def _evenly(self, pod: Object, feasible: Sequence[str]) -> dict[str, int]:
        soft = [one for one in spreads(pod) if one["whenUnsatisfiable"] == "ScheduleAnyway"]
        if not soft:
            return dict.fromkeys(feasible, 0)
        keys = [one["topologyKey"] for one in soft]
        labelled = [name for name in self.nodes if all(key in self.labels(name) for key in keys)]
        counted = [name for name in feasible if name in labelled]
        raw = dict.fromkeys(counted, 0.0)
        for one in soft:
            key = one["topologyKey"]
            domains = {self.labels(name)[key] for name in counted}
            size = len(counted) if key == HOSTNAME else len(domains)
            for name in counted:
                if key == HOSTNAME:
                    count = self._spread_count(pod, one, name)
                else:
                    count = sum(
                        self._spread_count(pod, one, other)
                        for other in labelled
                        if self.labels(other)[key] == self.labels(name)[key]
                        and self._is_included(pod, one, other)
                    )
                raw[name] += count * math.log(size + 2) + (one["maxSkew"] - 1)
        costs = {name: math.floor(cost + 0.5) for name, cost in raw.items()}
        most, least = max(costs.values(), default=0), min(costs.values(), default=0)
        return {
            name: (100 * (most + least - costs[name]) // most if most else 100)
            if name in costs
            else 0
            for name in feasible
        }

    def _company(self, pod: Object, feasible: Sequence[str]) -> dict[str, int]:
        raw = dict.fromkeys(feasible, 0)

        def add(term: Object, at: Mapping[str, str], weight: int) -> None:
            key = term["topologyKey"]
            for name in feasible:
                if key in at and self.labels(name).get(key) == at[key]:
                    raw[name] += weight

        for other, at in self._all_pods():
            for weight, term in preferred_terms(pod):
                if self.means(pod, term, other):
                    add(term, at, weight)
            hard = [(1, term) for term in required_terms(other, "podAffinity")]
            for weight, term in (*preferred_terms(other), *hard):
                if self.means(other, term, pod):
                    add(term, at, weight)
        most, least = max(raw.values(), default=0), min(raw.values(), default=0)
        if most == least:
            return dict.fromkeys(feasible, 0)
        return {name: int(100 * ((n - least) / (most - least))) for name, n in raw.items()}


# ---------------------------------------------------------------------- of single objects


def tolerated(pod: Object, taint: Object) -> bool:
    return any(
        one.get("effect", "") in ("", taint["effect"])
        and one.get("key", "") in ("", taint["key"])
        and (one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", ""))
        for one in pod["spec"].get("tolerations", ())
    )


def node_term(term: Object, name: str, labels: Mapping[str, str]) -> bool:
    expressions = term.get("matchExpressions", ())
    fields = term.get("matchFields", ())
    if not expressions and not fields:
        return False
    return all(expression(one, labels.get(one["key"])) for one in expressions) and all(
        expression(one, name) for one in fields
    )


def expression(one: Object, value: str | None) -> bool:
    match one["operator"]:
        case "In":
            return value in one["values"]
        case "NotIn":
            return value not in one["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdecimal() and int(value) > int(one["values"][0])
        case _:
            return value is not None and value.isdecimal() and int(value) < int(one["values"][0])


def ports(pod: Object) -> list[tuple[str, str, int]]:
    return [
        (one.get("hostIP", "0.0.0.0"), one.get("protocol", "TCP"), one["hostPort"])
        for container in pod["spec"]["containers"]
        for one in container.get("ports", ())
        if one.get("hostPort")
    ]


def amounts(found: Mapping[str, str]) -> dict[str, int]:
    return {
        name: math.ceil(quantity.parse(text) * (1000 if name == "cpu" else Fraction(1)))
        for name, text in found.items()
    }


def requests(pod: Object, unset: Mapping[str, int] = {}) -> dict[str, int]:
    """Containers together, or an init container if that asks for more."""
    total: Counter[str] = Counter()
    for container in pod["spec"]["containers"]:
        total.update({**unset, **amounts(container["resources"]["requests"])})
    for container in pod["spec"].get("initContainers", ()):
        for name, count in {**unset, **amounts(container["resources"]["requests"])}.items():
            total[name] = max(total[name], count)
    total.update(amounts(pod["spec"].get("overhead", {})))
    return dict(total)


def estimate(pod: Object) -> dict[str, int]:
    return requests(pod, {"cpu": 100, "memory": 200 * MI})


def spreads(pod: Object) -> list[Object]:
    return list(pod["spec"].get("topologySpreadConstraints", ()))


def is_spread_with(pod: Object, constraint: Object, other: Object) -> bool:
    chosen = constraint.get("labelSelector")
    if not chosen or pod["metadata"]["namespace"] != other["metadata"]["namespace"]:
        return False
    return selector(pod, constraint).matches(other["metadata"]["labels"])


def selector(pod: Object, term: Object) -> selectors.LabelSelector:
    """With the pod's own values of `matchLabelKeys` and `mismatchLabelKeys`."""
    labels = pod["metadata"]["labels"]
    found = selectors.from_object(term.get("labelSelector"))
    more = [
        selectors.Requirement(key, operator, frozenset((labels[key],)))
        for field, operator in (("matchLabelKeys", "in"), ("mismatchLabelKeys", "notin"))
        for key in term.get(field, ())
        if key in labels
    ]
    if found.is_nothing:
        return found
    return selectors.LabelSelector((*found.requirements, *more))


def required_terms(pod: Object, kind: str) -> list[Object]:
    rules = pod["spec"].get("affinity", {}).get(kind, {})
    return list(rules.get("requiredDuringSchedulingIgnoredDuringExecution", ()))


def preferred_terms(pod: Object) -> list[tuple[int, Object]]:
    found: list[tuple[int, Object]] = []
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        rules = pod["spec"].get("affinity", {}).get(kind, {})
        found += [
            (sign * one["weight"], one["podAffinityTerm"])
            for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution", ())
        ]
    return found
