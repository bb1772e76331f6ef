"""Which pods are behind which services. Numbers are rows of kube-behaviour.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import record
from controlplane.api.types.core_v1 import Pod, ServicePort
from controlplane.controllers import backends
from controlplane.controllers.backends import Selectors
from controlplane.indexer import Key
from tests.controlplane.controllers.serving import pod, service


def port(target: int | str, protocol: str = "TCP") -> ServicePort:
    return ServicePort(port=80, target_port=target, protocol=protocol)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (port(8080), 8080),
        (port(0), 80),
        (port("web"), 9090),
        (port("web", ""), 9090),
        (port("web", "UDP"), None),
        (port("other"), None),
    ],
)
def test_ports_are_looked_up_in_each_pod(wanted: ServicePort, number: int | None) -> None:
    """5.4: a name is another number in each pod, and of one protocol."""
    assert backends.port_of(pod(ports={"web": 9090}), wanted) == number


def test_ports_of_sidecars_count() -> None:
    """5.4: not those of init containers that end."""
    found = pod(ports={"web": 9090})
    (container,) = found.spec.containers
    tree = record.to_object(found)
    for policy, number in (("Always", 9090), (None, None)):
        init = {**record.to_object(container), "restartPolicy": policy}
        tree["spec"] = {"containers": [{"name": "main"}], "initContainers": [init]}
        assert backends.port_of(record.from_object(Pod, tree), port("web")) == number


def test_services_whose_endpoints_are_somebody_elses() -> None:
    """5.4: selector-less ones, and those that are a name only."""
    assert backends.is_selecting(service())
    assert not backends.is_selecting(service(selector={}))
    assert not backends.is_selecting(service(type="ExternalName"))


def test_what_does_not_concern_services() -> None:
    """5.4: a heartbeat of a pod is no reason to plan; what an endpoint tells is."""
    before = record.to_object(pod(is_ready=False))
    for change in (
        {"status": {**before["status"], "containerStatuses": [{"name": "main"}]}},
        {"metadata": {**before["metadata"], "annotations": {"a": "b"}}},
    ):
        assert backends.concern({**before, **change}) == backends.concern(before)
    for other in (
        pod(is_ready=True),
        pod(is_ready=False, is_deleted=True),
        pod(is_ready=False, node="n1"),
        pod(is_ready=False, ip="127.64.9.9"),
        pod(is_ready=False, phase="Failed"),
        pod(is_ready=False, hostname="h"),
    ):
        assert backends.concern(record.to_object(other)) != backends.concern(before)
    labelled = {**before["metadata"], "labels": {"app": "other"}}
    assert backends.concern({**before, "metadata": labelled}) != backends.concern(before)


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


@given(
    services=st.dictionaries(st.sampled_from("pqrs"), labels, max_size=4),
    later=st.dictionaries(st.sampled_from("pqrs"), labels | st.none(), max_size=4),
    pod_labels=labels,
)
def test_services_of_a_pod(
    services: dict[str, dict[str, str]],
    later: dict[str, dict[str, str] | None],
    pod_labels: dict[str, str],
) -> None:
    """5.4: those that a look at all services finds, also after they have changed."""
    selectors = Selectors()
    for name, selector in services.items():
        selectors.put(Key("n", name), selector)
        selectors.put(Key("other", name), selector)
    for name, changed in later.items():
        services.pop(name, None)
        if changed is None:
            selectors.remove(Key("n", name))
        else:
            services[name] = changed
            selectors.put(Key("n", name), changed)
    found = {"metadata": {"namespace": "n", "name": "a", "labels": pod_labels}}
    assert selectors.matching(found) == sorted(
        Key("n", name)
        for name, selector in services.items()
        if selector and selector.items() <= pod_labels.items()
    )


@given(selector=labels.filter(bool), pod_labels=labels)
def test_pods_of_a_service(selector: dict[str, str], pod_labels: dict[str, str]) -> None:
    """5.4: the index finds each, and of what it finds those stay that are selected."""
    found = {"metadata": {"namespace": "default", "name": "a", "labels": pod_labels}}
    pair = backends.selector_pair(service(selector=selector))
    indexed = [found] if pair in backends.label_pairs(found) else []
    is_selected = selector.items() <= pod_labels.items()
    assert backends.selected(indexed, selector) == ([found] if is_selected else [])
