"""Small clusters by chance, in which every rule of the scheduler has something to say."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.controlplane.scheduler import objects
from tests.controlplane.scheduler.objects import Object

NAMESPACES = {"default": {"team": "a"}, "other": {"team": "b"}, "third": {}}
_HOST, _ZONE = "kubernetes.io/hostname", "zone"
_MI = 1024 * 1024

_app = st.sampled_from(("x", "y"))
_cpu = st.sampled_from(("", "0", "100m", "500m", "1", "3"))
_memory = st.sampled_from(("", "0", "100Mi", "1Gi", "3Gi"))
_taints = st.lists(
    st.builds(
        lambda key, value, effect: {"key": key, "value": value, "effect": effect},
        st.sampled_from(("red", "blue")),
        st.sampled_from(("", "1")),
        st.sampled_from(("NoSchedule", "PreferNoSchedule", "NoExecute")),
    ),
    max_size=2,
    unique_by=lambda taint: (taint["key"], taint["effect"]),
)


def _rarely(one: SearchStrategy[Any], otherwise: Any = None) -> SearchStrategy[Any]:
    return st.one_of(st.just(otherwise), st.just(otherwise), one)


@st.composite
def nodes(draw: DrawFn, name: str) -> Object:
    labels = {}
    if draw(_rarely(st.just(value=True), otherwise=False)) is False:
        labels[_ZONE] = draw(st.sampled_from(("1", "2", "3")))
    size = draw(_rarely(st.sampled_from(("2", "9"))))
    if size:
        labels["size"] = size
    allocatable = {
        "cpu": draw(st.sampled_from(("4", "2", "2500m", "0"))),
        "memory": draw(st.sampled_from(("8Gi", "3Gi", "4000000000"))),
        "pods": draw(st.sampled_from(("110", "2", "3"))),
    }
    if draw(st.booleans()):
        allocatable["example.com/gpu"] = "2"
    images = draw(st.lists(st.sampled_from(("app:latest", "db:1")), max_size=2, unique=True))
    return objects.node(
        name,
        labels,
        allocatable=allocatable,
        taints=draw(_rarely(_taints, [])),
        unschedulable=draw(_rarely(st.just(value=True), otherwise=False)),
        images=[{"names": [one], "sizeBytes": 700 * _MI} for one in images],
    )


@st.composite
def _expressions(draw: DrawFn) -> Object:
    key = draw(st.sampled_from((_ZONE, "size", _HOST, "none")))
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")))
    values: list[str] = []
    if operator in ("Gt", "Lt"):
        values = ["5"]
    elif operator in ("In", "NotIn"):
        values = draw(st.lists(st.sampled_from(("1", "2", "9", "n0")), min_size=1, max_size=2))
    return {"key": key, "operator": operator, "values": values}


@st.composite
def _node_terms(draw: DrawFn) -> Object:
    term: Object = {"matchExpressions": draw(st.lists(_expressions(), max_size=2))}
    if draw(_rarely(st.just(value=True), otherwise=False)) and term["matchExpressions"]:
        operator = draw(st.sampled_from(("In", "NotIn")))
        name = {"key": "metadata.name", "operator": operator, "values": ["n1"]}
        term["matchFields"] = [name]
    return term


_selectors = st.one_of(
    st.builds(lambda app: {"matchLabels": {"app": app}}, _app),
    st.just({}),
    st.just({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}),
)


@st.composite
def _pod_terms(draw: DrawFn) -> Object:
    term: Object = {
        "topologyKey": draw(st.sampled_from((_ZONE, _HOST, "size"))),
        "labelSelector": draw(_selectors),
    }
    scope = draw(_rarely(st.sampled_from(("names", "all", "team"))))
    if scope == "names":
        term["namespaces"] = ["other"]
    elif scope:
        term["namespaceSelector"] = {} if scope == "all" else {"matchLabels": {"team": "a"}}
    keys = draw(_rarely(st.sampled_from(("matchLabelKeys", "mismatchLabelKeys"))))
    if keys:
        term[keys] = ["tier"]
    return term


@st.composite
def _spreads(draw: DrawFn) -> list[Object]:
    found = []
    for key in draw(st.lists(st.sampled_from((_ZONE, _HOST)), max_size=2, unique=True)):
        action = draw(st.sampled_from(("DoNotSchedule", "ScheduleAnyway")))
        one: Object = {
            "topologyKey": key,
            "whenUnsatisfiable": action,
            "maxSkew": draw(st.integers(1, 3)),
            "labelSelector": draw(_selectors),
        }
        if action == "DoNotSchedule":
            one["minDomains"] = draw(st.integers(1, 4))
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = draw(_rarely(st.sampled_from(("Honor", "Ignore"))))
            if policy:
                one[field] = policy
        if draw(st.booleans()):
            one["matchLabelKeys"] = ["tier"]
        found.append(one)
    return found


@st.composite
def _affinity(draw: DrawFn) -> Object:
    def weighted(field: str, terms: SearchStrategy[Object]) -> list[Object]:
        chosen = draw(st.lists(st.tuples(st.integers(1, 100), terms), max_size=2))
        return [{"weight": weight, field: term} for weight, term in chosen]

    affinity: Object = {}
    node: Object = {
        "preferredDuringSchedulingIgnoredDuringExecution": weighted("preference", _node_terms())
    }
    if draw(_rarely(st.just(value=True))):
        terms = draw(st.lists(_node_terms(), min_size=1, max_size=2))
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    affinity["nodeAffinity"] = node
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity[kind] = {
            "requiredDuringSchedulingIgnoredDuringExecution": draw(
                _rarely(st.lists(_pod_terms(), max_size=2), [])
            ),
            "preferredDuringSchedulingIgnoredDuringExecution": weighted(
                "podAffinityTerm", _pod_terms()
            ),
        }
    return affinity


@st.composite
def pods(draw: DrawFn, name: str) -> Object:
    labels = {"app": draw(_app)}
    if draw(st.booleans()):
        labels["tier"] = draw(st.sampled_from(("front", "back")))
    containers = [
        {
            "name": f"c{position}",
            "image": draw(st.sampled_from(("app", "db:1", "big/image"))),
            "resources": {
                "requests": {
                    key: value
                    for key, value in (("cpu", draw(_cpu)), ("memory", draw(_memory)))
                    if value
                }
                | ({"example.com/gpu": "1"} if draw(_rarely(st.just(value=True))) else {})
            },
            "ports": draw(_rarely(st.just([{"containerPort": 80, "hostPort": 80}]), [])),
        }
        for position in range(draw(st.integers(1, 2)))
    ]
    made = objects.pod(
        name,
        labels,
        namespace=draw(st.sampled_from(tuple(NAMESPACES))),
        containers=containers,
        topologySpreadConstraints=draw(_rarely(_spreads(), [])),
        affinity=draw(_rarely(_affinity(), {})),
        tolerations=draw(
            _rarely(
                st.sampled_from(
                    (
                        [{"operator": "Exists"}],
                        [{"key": "red", "operator": "Equal", "value": "1"}],
                        [{"key": "blue", "operator": "Exists", "effect": "NoSchedule"}],
                    )
                ),
                [],
            )
        ),
    )
    selector = draw(_rarely(st.sampled_from(({_ZONE: "1"}, {_HOST: "n0"}))))
    if selector:
        made["spec"]["nodeSelector"] = selector
    if draw(_rarely(st.just(value=True))):
        made["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    return made


@st.composite
def clusters(draw: DrawFn) -> tuple[list[Object], list[Object]]:
    """Nodes, and pods to be given to them one after the other."""
    names = [f"n{position}" for position in range(draw(st.integers(1, 5)))]
    found = [draw(nodes(name)) for name in names]
    coming = [draw(pods(f"p{position}")) for position in range(draw(st.integers(1, 6)))]
    return found, coming
