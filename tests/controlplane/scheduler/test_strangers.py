"""What strangers write past the API server, however odd, is their own pods' trouble only."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Node, Pod
from controlplane.indexer import Key
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.place import Placement, place
from tests.controlplane.scheduler.objects import Object, node, pod

_numbers = st.sampled_from((-(2**63), -1, 0, 1, 2**31, 2**63 - 1))  # JSON has no others
_quantities = st.sampled_from(("", "x", "-5", "1e99", "9" * 40 + "Ei", "0.0000000001", "1"))
_texts = st.sampled_from(("", "zone", "a b", "kubernetes.io/hostname", "é" * 300))
_selectors = st.sampled_from(
    (
        {},
        {"matchLabels": {"app": "x"}},
        {"matchLabels": {"": "?!"}},
        {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["x"]}]},
        {"matchExpressions": [{"key": "app", "operator": "In"}]},
    )
)


@st.composite
def _odd_nodes(draw: DrawFn) -> Object:
    made = node("odd", {draw(_texts): draw(_texts)}, allocatable={"cpu": draw(_quantities)})
    made["spec"]["taints"] = [{"key": draw(_texts), "effect": draw(_texts)}]
    made["status"]["images"] = [
        {"names": ["app:latest", draw(_texts)], "sizeBytes": draw(_numbers)}
    ]
    return made


@st.composite
def _odd_pods(draw: DrawFn) -> Object:
    term = {
        "topologyKey": draw(_texts),
        "labelSelector": draw(_selectors),
        "namespaceSelector": draw(st.none() | _selectors),
        "matchLabelKeys": [draw(_texts)],
    }
    weighted = [{"weight": draw(_numbers), "podAffinityTerm": term}]
    expression = {"key": draw(_texts), "operator": draw(st.sampled_from(("Gt", "In", "?")))}
    preference = {"matchExpressions": [{**expression, "values": [draw(_texts)]}]}
    rules = {
        "requiredDuringSchedulingIgnoredDuringExecution": draw(st.sampled_from(([], [term]))),
        "preferredDuringSchedulingIgnoredDuringExecution": weighted,
    }
    spread = {
        **{key: term[key] for key in ("topologyKey", "labelSelector", "matchLabelKeys")},
        "maxSkew": draw(_numbers),
        "minDomains": draw(_numbers),
        "whenUnsatisfiable": draw(st.sampled_from(("DoNotSchedule", "ScheduleAnyway", "?"))),
    }
    return pod(
        "odd",
        {"app": "x", draw(_texts): draw(_texts)},
        cpu=draw(_quantities),
        containers=[
            {
                "name": "c",
                "image": draw(_texts),
                "resources": {"requests": {"cpu": draw(_quantities), "x/y": draw(_quantities)}},
                "ports": [{"containerPort": 1, "hostPort": draw(_numbers)}],
            }
            for _ in range(draw(st.integers(1, 3)))
        ],
        affinity={
            "podAffinity": rules,
            "podAntiAffinity": {**rules, "requiredDuringSchedulingIgnoredDuringExecution": []},
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": draw(_numbers), "preference": preference}
                ]
            },
        },
        topologySpreadConstraints=[spread],
        tolerations=[{"operator": draw(_texts)}],
        priority=draw(st.sampled_from((-(2**63), 0, 1))),
        nodeName=draw(st.sampled_from(("", "odd", "nowhere"))),
    )


def _set(cache: Cache, obj: Object) -> None:
    found = from_object(Pod, obj)
    cache.set_pod(Key("default", found.metadata.name), found, 0.0)


@settings(deadline=None, max_examples=80)
@given(_odd_nodes(), st.lists(_odd_pods(), max_size=3))
def test_sound_pod_gets_a_node_beside_whatever_else(odd: Object, pods: list[Object]) -> None:
    cache = Cache(DEFAULT)
    for one in (odd, node("sound", {"zone": "a"})):
        cache.set_node(one["metadata"]["name"], from_object(Node, one), 0.0)
    for number, obj in enumerate(pods):
        obj["metadata"] |= {"name": f"odd-{number}", "uid": f"odd-{number}"}
        _set(cache, obj)
    _set(cache, pod("sound", {"app": "y"}, cpu="1", priority=2**63 - 1))
    entry = cache.pop(0.0)
    assert entry is not None
    assert entry.pod.name == "sound"
    profile = cache.profile(entry.pod)
    found = place(cache.evaluations, profile, entry.pod, cache.nominations, Random(1))
    assert isinstance(found, Placement)
    cache.assume(entry.pod, found.node_name, 0.0)
    for number in range(len(pods)):
        cache.set_pod(Key("default", f"odd-{number}"), None, 0.0)
    assert sum(map(len, cache.table.pods)) == 1, "who goes leaves nothing"


@pytest.mark.parametrize("sizes", [2**63, -1])
def test_size_of_an_image_is_no_number_that_cannot_be_counted(sizes: int) -> None:
    """Every pod with this image would be concerned."""
    images = [{"names": ["app:latest"], "sizeBytes": sizes}]
    cache = Cache(DEFAULT)
    cache.set_node("n", from_object(Node, node("n", images=images)), 0.0)
    _set(cache, pod("a"))
    entry = cache.pop(0.0)
    assert entry is not None
    profile = cache.profile(entry.pod)
    assert place(cache.evaluations, profile, entry.pod, cache.nominations, Random(1)) == (
        Placement("n")
    )
