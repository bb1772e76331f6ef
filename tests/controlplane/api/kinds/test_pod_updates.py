"""What may change of pods, and how they end. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    POD,
    created,
    defaulted,
    faults,
    resource,
    update_faults,
    with_fields,
)

FULL = with_fields(
    POD,
    spec__activeDeadlineSeconds=100,
    spec__tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute"}],
    spec__schedulingGates=[{"name": "example.com/g"}],
)
MAY_NOT = (
    "spec: Forbidden: pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metadata__labels": {"a": "b"}}, []),
        ({"spec__containers__0__image": "nginx:2"}, []),
        ({"spec__activeDeadlineSeconds": 50}, []),
        ({"spec__schedulingGates": []}, []),
        ({"spec__nodeSelector": {"a": "b"}}, []),  # gated: nobody has placed it yet
        (
            {"spec__tolerations": [*FULL["spec"]["tolerations"], {"operator": "Exists"}]},
            [],
        ),
        (
            {"spec__tolerations__0__tolerationSeconds": 5},
            [],
        ),
        (
            {"spec__tolerations": []},
            [
                (
                    "spec.tolerations: Forbidden: "
                    "existing toleration can not be modified except its tolerationSeconds"
                )
            ],
        ),
        (
            {"spec__activeDeadlineSeconds": 101},
            [
                (
                    "spec.activeDeadlineSeconds: Invalid value: 101: "
                    "must be less than or equal to previous value"
                )
            ],
        ),
        (
            {"spec__schedulingGates": [{"name": "example.com/g"}, {"name": "example.com/h"}]},
            [
                (
                    "spec.schedulingGates: Forbidden: only deletion is allowed, "
                    "but found new scheduling gate 'example.com/h'"
                )
            ],
        ),
        ({"spec__hostname": "x"}, [MAY_NOT]),
        ({"spec__containers__0__command": ["x"]}, [MAY_NOT]),
        ({"spec__terminationGracePeriodSeconds": 1}, [MAY_NOT]),
        (
            {"spec__containers": [*FULL["spec"]["containers"], {"name": "b", "image": "i"}]},
            ["spec.containers: Forbidden: pod updates may not add or remove containers"],
        ),
    ],
)
def test_little_of_a_pod_may_change(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19
    assert update_faults(with_fields(FULL, **fields), FULL) == expected


def test_where_a_pod_that_is_not_gated_runs_is_settled() -> None:
    # 2.19
    assert update_faults(with_fields(POD, spec__nodeSelector={"a": "b"}), POD) == [MAY_NOT]


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
DISK = {"key": "disk", "operator": "Exists"}


def nodes(*terms: Any) -> Any:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def pods(name: str, label: str) -> Any:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": label}}}
    return {name: {REQUIRED: [term]}}


TERM = {"matchExpressions": [ZONE]}
GATED = with_fields(
    FULL, spec__nodeSelector={"a": "b"}, spec__affinity=nodes(TERM) | pods("podAffinity", "x")
)
TERMS = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"
ONLY_ADDITIONS = "only additions are allowed (no mutations or deletions)"
COUNT_STAYS = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ({"a": "b", "c": "d"}, ""),
        ({"a": "c"}, 'map[string]string{"a":"c"}'),
        (None, "map[string]string(nil)"),
    ],
)
def test_a_gated_pod_asks_for_no_other_labels_of_its_node(selector: Any, told: str) -> None:
    # 2.19
    why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    expected = [f"spec.nodeSelector: Invalid value: {told}: {why}"] if told else []
    assert update_faults(with_fields(GATED, spec__nodeSelector=selector), GATED) == expected


@pytest.mark.parametrize(
    ("terms", "wrong"),
    [
        ([{"matchExpressions": [ZONE, DISK]}], ""),
        ([{"matchExpressions": [ZONE], "matchFields": [DISK]}], ""),
        ([{"matchExpressions": [DISK, ZONE]}], f"[0] {ONLY_ADDITIONS}"),
        ([{"matchExpressions": [{**ZONE, "values": ["b"]}]}], f"[0] {ONLY_ADDITIONS}"),
        ([{"matchFields": [ZONE]}], f"[0] {ONLY_ADDITIONS}"),
        ([TERM, TERM], f" {COUNT_STAYS}"),
        ([], f" {COUNT_STAYS}"),
    ],
)
def test_a_gated_pod_asks_for_no_other_nodes(terms: list[Any], wrong: str) -> None:
    # 2.19
    affinity = nodes(*terms) | pods("podAffinity", "x")
    found = update_faults(with_fields(GATED, spec__affinity=affinity), GATED)
    if not wrong:
        assert found == []
        return
    where, _, why = wrong.partition(" ")
    [told] = found
    assert told.startswith(f"{TERMS}{where}: Invalid value: ")
    assert told.endswith(why)


def test_of_a_gated_pods_affinity_that_of_pods_stays() -> None:
    # 2.19
    for affinity in (
        nodes(TERM),
        nodes(TERM) | pods("podAffinity", "y"),
        nodes(TERM) | pods("podAffinity", "x") | pods("podAntiAffinity", "x"),
    ):
        assert update_faults(with_fields(GATED, spec__affinity=affinity), GATED) == [MAY_NOT]
    gone = update_faults(with_fields(GATED, spec__affinity=None), GATED)
    assert [one.partition(": ")[0] for one in gone] == [TERMS, "spec"]


def test_a_gated_pod_that_asked_for_no_node_asks_for_any() -> None:
    # 2.19
    assert update_faults(with_fields(FULL, spec__affinity=nodes(TERM)), FULL) == []
    preferred = {"weight": 1, "preference": TERM}
    soft = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    asked = with_fields(FULL, spec__affinity=soft)
    assert update_faults(with_fields(FULL, spec__affinity=nodes(TERM)), asked) == []
    empty = with_fields(FULL, spec__affinity=nodes({}))  # which no node fits
    [told] = update_faults(with_fields(FULL, spec__affinity=nodes(TERM)), empty)
    assert told.startswith(f"{TERMS}[0]: Invalid value: ")


def debugged(*containers: dict[str, Any]) -> Any:
    return with_fields(POD, spec__ephemeralContainers=list(containers))


def through(subresource: str, new: Any, old: Any) -> list[str]:
    validate = resource(new).strategy.validate_through[subresource]
    return [f"{cause.field}: {cause.message}" for cause in validate(defaulted(new), created(old))]


def test_ephemeral_containers_come_to_running_pods_only() -> None:
    # 10.7
    validate = resource(POD).strategy.validate_create
    assert validate is not None
    (cause,) = validate(debugged({"name": "d", "image": "i"}))
    assert (cause.field, cause.message) == (
        "spec.ephemeralContainers",
        "Forbidden: cannot be set on create",
    )
    assert update_faults(debugged({"name": "d", "image": "i"}), POD) == [MAY_NOT]


def test_ephemeral_containers_are_added_and_stay() -> None:
    # 10.7
    one, other = {"name": "d", "image": "i"}, {"name": "e", "image": "i"}
    assert through("ephemeralcontainers", debugged(one, other), debugged(one)) == []
    assert through("ephemeralcontainers", debugged(other), debugged(one)) == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be removed'
    ]
    changed = one | {"image": "j"}
    assert through("ephemeralcontainers", debugged(changed), debugged(one)) == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be changed'
    ]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"name": "d", "image": "i", "targetContainerName": "web"}, []),
        (
            {"name": "d", "image": "i", "targetContainerName": "x"},
            ['.targetContainerName: Not found: "x"'],
        ),
        ({"name": "web", "image": "i"}, ['.name: Duplicate value: "web"']),
        (
            {"name": "d", "image": "i", "ports": [{"containerPort": 80}]},
            [".ports: Forbidden: cannot be set for an Ephemeral Container"],
        ),
    ],
)
def test_a_wrong_ephemeral_container(container: dict[str, Any], expected: list[str]) -> None:
    # 10.7
    assert faults(debugged(container)) == [f"spec.ephemeralContainers[0]{one}" for one in expected]


def test_a_pod_that_is_gated_has_no_node() -> None:
    # 7.1
    pod = with_fields(POD, spec__nodeName="n", spec__schedulingGates=[{"name": "example.com/g"}])
    assert faults(pod) == [
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"
    ]


def test_a_pod_that_runs_has_time_to_end() -> None:
    # 2.16, 10.6: 30 s; what nobody runs goes at once.
    grace = resource(POD).strategy.grace_seconds
    assert grace is not None
    running = defaulted(with_fields(POD, spec__nodeName="n"))
    assert (grace(running, None), grace(running, 5)) == (30, 5)
    assert grace(defaulted(POD), None) == 0


@pytest.mark.timeout(20)  # a square of this length is minutes
def test_thousands_of_tolerations_are_compared_soon() -> None:
    """The body of a request has room for them."""
    many = [{"key": f"a{number}", "operator": "Exists"} for number in range(30_000)]
    old = with_fields(FULL, spec__tolerations=many)
    new = with_fields(FULL, spec__tolerations=[{"operator": "Exists"}, *reversed(many)])
    assert update_faults(new, old) == []
