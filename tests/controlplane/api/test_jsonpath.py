"""JSONPath: what columns and selectable fields may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import jsonpath

OBJECT: dict[str, Any] = {
    "metadata": {"labels": {"app": "web", "example.com/tier": "front"}},
    "spec": {
        "replicas": 3,
        "paused": False,
        "containers": [
            {"name": "a", "ports": [{"containerPort": 80}]},
            {"name": "b", "ports": [{"containerPort": 443, "name": "tls"}]},
            {"name": "c"},
        ],
    },
    "status": {
        "conditions": [
            {"type": "Available", "status": "False", "weight": 2},
            {"type": "Ready", "status": "True", "weight": 10, "isLast": True},
        ],
        "nothing": None,
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.replicas", [3]),
        (".spec.paused", [False]),
        ("$.spec.replicas", [3]),
        (".spec['replicas']", [3]),
        ("['spec']['replicas','paused']", [3, False]),
        (r".metadata.labels.example\.com/tier", ["front"]),
        (".metadata.labels['example.com/tier']", ["front"]),
        ('.metadata.labels["app"]', ["web"]),
        (".spec.containers[0].name", ["a"]),
        (".spec.containers[-1].name", ["c"]),
        (".spec.containers[0,2].name", ["a", "c"]),
        (".spec.containers[1:].name", ["b", "c"]),
        (".spec.containers[0:3:2].name", ["a", "c"]),
        (".spec.containers[*].name", ["a", "b", "c"]),
        (".metadata.labels.*", ["web", "front"]),
        (".spec.containers[*].ports[*].containerPort", [80, 443]),
        ("..containerPort", [80, 443]),
        (".spec..name", ["a", "b", "tls", "c"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type != "Ready")].type', ["Available"]),
        (".status.conditions[?(@.weight > 2)].type", ["Ready"]),
        (".status.conditions[?(@.weight<=2)].type", ["Available"]),
        (".status.conditions[?(@.isLast==true)].type", ["Ready"]),
        (".status.conditions[?(@.isLast)].type", ["Ready"]),
        (".spec.containers[?(@.ports[0].name=='tls')].name", ["b"]),
        ('.status.conditions[?(@.type=="a)] b")]', []),
        (".", [OBJECT]),
    ],
)
def test_path_finds(path: str, found: list[Any]) -> None:
    assert jsonpath.compile(path)(OBJECT) == found
    assert jsonpath.getter(path)(OBJECT) == (found[0] if found else None)


@pytest.mark.parametrize(
    "path",
    [
        ".spec.absent",
        ".spec.replicas.deeper",
        ".spec.containers.name",
        ".spec.containers[7]",
        ".spec.containers[-4]",
        ".spec[0]",
        ".status.nothing",
        ".spec.containers[?(@.name > 1)]",  # a text is neither more nor less than a number
        ".status.conditions[?(@.isLast==1)]",  # nor is true one
        ".status.conditions[?(@.absent==@.alsoAbsent)]",
    ],
)
def test_what_is_missing_is_nothing_and_no_error(path: str) -> None:
    """11.7: columns of objects that lack a field stay empty."""
    assert jsonpath.compile(path)(OBJECT) == []
    assert jsonpath.getter(path)(OBJECT) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "spec",
        "{.spec}",
        ".spec[",
        ".spec[]",
        ".spec[a]",
        ".spec[0",
        ".spec['a]",
        ".spec[1:2:0]",
        ".spec[?(@.x=y)]",
        ".spec[?()]",
        ".spec[?(@.x=='a']",
        ".a b",
        "." + "a" * jsonpath.LENGTH_MAX,
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ath|constant|slice"):
        jsonpath.compile(path)


def test_results_are_bounded() -> None:
    """Paths come from users: each `..` could square the number of values."""
    tree: Any = [0]
    for _ in range(8):
        tree = [tree, tree, tree]
    found = jsonpath.compile("........[*]")({"a": tree})
    assert len(found) == jsonpath.VALUES_MAX


_NAMES = st.text("abcXYZ_", min_size=1, max_size=5)


@given(st.lists(_NAMES, min_size=1, max_size=6), st.integers())
def test_simple_paths_and_brackets_agree(names: list[str], value: int) -> None:
    tree: Any = value
    for name in reversed(names):
        tree = {name: tree}
    dotted = "".join(f".{name}" for name in names)
    quoted = "".join(f"['{name}']" for name in names)
    assert jsonpath.compile(dotted)(tree) == [value]
    assert jsonpath.compile(quoted)(tree) == [value]


@given(st.text(".[]()?@$*:,'\"=<>! ab01\\", max_size=20))
def test_any_text_is_a_path_or_refused(path: str) -> None:
    try:
        find = jsonpath.compile(path)
    except ValueError:
        return
    assert isinstance(find(OBJECT), list)
