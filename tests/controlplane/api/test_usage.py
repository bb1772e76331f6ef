"""What objects use of quotas. Rows of kube-behaviour.md: 8.2."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.usage import is_counted, is_of, missing_of_pod, pod_amounts, usage_of

REGISTRY = Registry.builtin()


def _resource(plural: str, group: str = "") -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


PODS = _resource("pods")


def _container(**amounts: Any) -> dict[str, Any]:
    return {"name": "c", "resources": amounts}


def _pod(*containers: Object, **spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def _numbers(usage: Mapping[str, Fraction]) -> dict[str, float]:
    return {name: float(amount) for name, amount in usage.items()}


def test_pod_uses_what_its_containers_ask_for() -> None:
    """8.2: requests.* and limits.*; plain names are requests."""
    pod = _pod(
        _container(requests={"cpu": "100m", "memory": "1Ki"}, limits={"cpu": "1"}),
        _container(requests={"cpu": "200m", "example.com/gpu": "2", "hugepages-2Mi": "2Mi"}),
    )
    assert _numbers(usage_of(PODS, pod)) == {
        "count/pods": 1,
        "pods": 1,
        "cpu": 0.3,
        "requests.cpu": 0.3,
        "memory": 1024,
        "requests.memory": 1024,
        "limits.cpu": 1,
        "requests.example.com/gpu": 2,
        "requests.hugepages-2Mi": 2 * 1024**2,
        "hugepages-2Mi": 2 * 1024**2,
    }


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pod_that_has_ended_is_an_object_only(phase: str) -> None:
    """8.2."""
    pod = {**_pod(_container(requests={"cpu": "1"})), "status": {"phase": phase}}
    assert _numbers(usage_of(PODS, pod)) == {"count/pods": 1}


def test_pod_that_stays_though_it_is_deleted_is_an_object_only() -> None:
    """8.2: its grace is over, and has passed once more: as where a node is lost."""
    pod = _pod(_container(requests={"cpu": "1"}))
    mark = {"deletionTimestamp": "1970-01-01T00:01:40Z", "deletionGracePeriodSeconds": 30}
    deleted = {**pod, "metadata": {**pod["metadata"], **mark}}
    assert usage_of(PODS, deleted) == usage_of(PODS, pod)
    assert usage_of(PODS, deleted, now=130.0) == usage_of(PODS, pod)
    assert _numbers(usage_of(PODS, deleted, now=130.5)) == {"count/pods": 1}


def test_init_containers_count_by_the_greatest_step_sidecars_always() -> None:
    """ "Sidecar containers", resource sharing: a sidecar runs beside what comes after it."""
    pod = _pod(
        _container(requests={"cpu": "1"}),
        initContainers=[
            _container(requests={"cpu": "3"}),
            {**_container(requests={"cpu": "2"}), "restartPolicy": "Always"},
            _container(requests={"cpu": "2"}),
        ],
    )
    assert _numbers(pod_amounts(pod, "requests")) == {"cpu": 4}  # 2 beside the sidecar's 2


def test_overhead_is_asked_for_and_limits_only_what_has_a_limit() -> None:
    """ "Pod overhead"."""
    pod = _pod(_container(limits={"cpu": "1"}), overhead={"cpu": "100m", "memory": "1"})
    assert _numbers(pod_amounts(pod, "requests")) == {"cpu": 1.1, "memory": 1}
    assert _numbers(pod_amounts(pod, "limits")) == {"cpu": 1.1}


@pytest.mark.parametrize(
    ("spec", "usage"),
    [
        ({"type": "ClusterIP", "ports": [{}]}, {}),
        ({"type": "NodePort", "ports": [{}, {}]}, {"services.nodeports": 2}),
        (
            {"type": "LoadBalancer", "ports": [{}]},
            {"services.loadbalancers": 1, "services.nodeports": 1},
        ),
        (
            {
                "type": "LoadBalancer",
                "ports": [{"nodePort": 30000}, {}],
                "allocateLoadBalancerNodePorts": False,
            },
            {"services.loadbalancers": 1, "services.nodeports": 1},
        ),
    ],
)
def test_services_use_node_ports_and_load_balancers(spec: Object, usage: Object) -> None:
    """8.2: services.nodeports."""
    found = _numbers(usage_of(_resource("services"), {"metadata": {}, "spec": spec}))
    assert found == {"count/services": 1, "services": 1, **usage}


def test_claims_use_storage_of_their_class() -> None:
    """8.2: storage class."""
    spec = {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast"}
    claims = _resource("persistentvolumeclaims")
    assert _numbers(usage_of(claims, {"metadata": {}, "spec": spec})) == {
        "count/persistentvolumeclaims": 1,
        "persistentvolumeclaims": 1,
        "requests.storage": 1024**3,
        "fast.storageclass.storage.k8s.io/requests.storage": 1024**3,
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": 1,
    }


def test_objects_of_groups_are_counted_by_their_whole_name() -> None:
    """8.2: count/<res>.<group>."""
    deployments = _resource("deployments", "apps")
    assert _numbers(usage_of(deployments, {"metadata": {}})) == {"count/deployments.apps": 1}


_USED: list[tuple[Resource, Object]] = [
    (
        PODS,
        _pod(
            _container(
                requests={"cpu": "1", "ephemeral-storage": "1", "x.com/y": "1"},
                limits={"memory": "1", "hugepages-1Gi": "1Gi"},
            )
        ),
    ),
    (_resource("services"), {"metadata": {}, "spec": {"type": "LoadBalancer", "ports": [{}]}}),
    (
        _resource("persistentvolumeclaims"),
        {"metadata": {}, "spec": {"storageClassName": "x", "resources": {}}},
    ),
    (_resource("secrets"), {"metadata": {}}),
    (_resource("jobs", "batch"), {"metadata": {}}),
]


@pytest.mark.parametrize("position", range(len(_USED)))
def test_whoever_may_use_something_is_known_by_its_name(position: int) -> None:
    """8.2: or it would not be counted again."""
    resource, found = _USED[position]
    for name in usage_of(resource, found):
        assert [one.plural for one, _ in _USED if is_of(one, name)] == [resource.plural], name


def test_each_container_must_state_cpu_and_memory_nothing_else() -> None:
    """8.2: pods lacking requests rejected when quota covers them."""
    pod = _pod(_container(requests={"cpu": "1"}), _container(limits={"memory": "1"}))
    hard = ("cpu", "limits.memory", "requests.ephemeral-storage", "pods", "requests.x.com/gpu")
    assert missing_of_pod(pod, hard) == {"cpu": ["c"], "limits.memory": ["c"]}


_EFFORT = _pod(_container(requests={"cpu": "1"}))
_NO_EFFORT = _pod({"name": "c"})
_LIMITED = _pod({"name": "c"}, activeDeadlineSeconds=60)
_URGENT = _pod({"name": "c"}, priorityClassName="high")
_TERM = {"topologyKey": "zone", "namespaces": ["other"]}
_ABROAD = _pod(
    {"name": "c"},
    affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_TERM]}},
)


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("BestEffort", _NO_EFFORT, _EFFORT),
        ("NotBestEffort", _EFFORT, _NO_EFFORT),
        ("Terminating", _LIMITED, _EFFORT),
        ("NotTerminating", _EFFORT, _LIMITED),
        ("PriorityClass", _URGENT, _EFFORT),
        ("CrossNamespacePodAffinity", _ABROAD, _EFFORT),
    ],
)
def test_scopes_select_pods(scope: str, inside: Object, outside: Object) -> None:
    """8.2."""
    quota = {"spec": {"scopes": [scope]}}
    assert is_counted(quota, PODS, inside)
    assert not is_counted(quota, PODS, outside)
    assert not is_counted(quota, _resource("secrets"), {"metadata": {}})


@pytest.mark.parametrize(
    ("operator", "values", "is_in"),
    [
        ("In", ["high"], True),
        ("In", ["low"], False),
        ("NotIn", ["low"], True),
        ("NotIn", ["high"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_scope_selector_names_priority_classes(
    operator: str, values: list[str], is_in: bool
) -> None:
    """8.2: PriorityClass."""
    term = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    quota = {"spec": {"scopeSelector": {"matchExpressions": [term]}}}
    assert is_counted(quota, PODS, _URGENT) is is_in


_AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory"]), st.integers(0, 9).map(str), max_size=2
)
_CONTAINERS = st.lists(st.builds(lambda told: _container(requests=told), _AMOUNTS), max_size=3)


@given(containers=_CONTAINERS, init=_CONTAINERS)
def test_pod_asks_for_no_less_than_any_moment_needs(
    containers: list[Object], init: list[Object]
) -> None:
    """All containers together, or one init container at a time."""
    found = pod_amounts(_pod(*containers, initContainers=init), "requests")
    for name in ("cpu", "memory"):
        asked = [int(one["resources"]["requests"].get(name, 0)) for one in containers]
        steps = [int(one["resources"]["requests"].get(name, 0)) for one in init]
        assert found.get(name, 0) == max(sum(asked), *steps, 0)
