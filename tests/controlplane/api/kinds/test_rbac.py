"""Roles, cluster roles and their bindings."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.built_in import (
    defaulted,
    faults,
    faults_of_name,
    faults_of_update,
    printed,
    resource,
)

GROUP = "rbac.authorization.k8s.io"
ROLES = resource(GROUP, "roles")
CLUSTER_ROLES = resource(GROUP, "clusterroles")
BINDINGS = resource(GROUP, "rolebindings")
CLUSTER_BINDINGS = resource(GROUP, "clusterrolebindings")
META = {"name": "system:node", "creationTimestamp": "2023-11-14T22:03:20Z"}
RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
VIEW = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("system:node", ""),
        ("a/b", "may not contain '/'"),
        ("a%b", "may not contain '%'"),
        ("..", "may not be '..'"),
    ],
)
def test_names_of_roles_need_only_fit_into_a_path(name: str, fault: str) -> None:  # 11.3
    for kind in (ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS):
        assert faults_of_name(kind, name) == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RULE, []),
        ({**RULE, "verbs": []}, ["verbs: Required value: verbs must contain at least one value"]),
        (
            {"verbs": ["get"]},
            [
                "apiGroups: Required value: resource rules must supply at least one api group",
                "resources: Required value: resource rules must supply at least one resource",
            ],
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
            [
                (
                    'nonResourceURLs: Invalid value: ["/metrics"]: '
                    "namespaced rules cannot apply to non-resource URLs"
                )
            ],
        ),
        (
            {**RULE, "nonResourceURLs": ["/x"]},
            [
                (
                    'nonResourceURLs: Invalid value: ["/x"]: '
                    "namespaced rules cannot apply to non-resource URLs"
                ),
                (
                    'nonResourceURLs: Invalid value: ["/x"]: '
                    "rules cannot apply to both regular resources and non-resource URLs"
                ),
            ],
        ),
    ],
)
def test_rules_of_a_role_name_resources(rule: Any, expected: list[str]) -> None:  # 11.3
    found = faults(ROLES, {"metadata": {"name": "r"}, "rules": [RULE, rule]})
    assert found == [f"rules[1].{fault}" for fault in expected]


def test_rules_of_a_cluster_role_may_name_urls() -> None:  # 11.3
    rule = {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}
    assert faults(CLUSTER_ROLES, {"metadata": {"name": "r"}, "rules": [rule]}) == []


def test_an_aggregation_selects_something() -> None:  # 11.3
    obj = {"metadata": {"name": "r"}, "aggregationRule": {"clusterRoleSelectors": []}}
    assert faults(CLUSTER_ROLES, obj) == [
        (
            "aggregationRule.clusterRoleSelectors: Required value: "
            "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    ]
    wrong = {"matchExpressions": [{"key": "a", "operator": "Like"}]}
    obj = {"metadata": {"name": "r"}, "aggregationRule": {"clusterRoleSelectors": [{}, wrong]}}
    (fault,) = faults(CLUSTER_ROLES, obj)
    assert fault.startswith("aggregationRule.clusterRoleSelectors[1].matchExpressions[0].operator:")


def test_users_groups_and_roles_get_their_group() -> None:  # 11.3
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]
    found = defaulted(BINDINGS, {"roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects})
    assert found["roleRef"]["apiGroup"] == GROUP
    assert found["subjects"] == [{**subjects[0], "apiGroup": GROUP}, subjects[1]]


def _binding(subject: Any = None, role: Any = VIEW) -> dict[str, Any]:
    subjects = [subject] if subject else []
    return {"metadata": {"name": "b"}, "roleRef": role, "subjects": subjects}


def test_a_binding_names_a_role_that_it_can_grant() -> None:  # 11.3
    role = {"apiGroup": "x", "kind": "Role", "name": ""}
    assert faults(CLUSTER_BINDINGS, _binding(role=role)) == [
        f'roleRef.apiGroup: Unsupported value: "x": supported values: "{GROUP}"',
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "roleRef.name: Required value",
    ]
    assert faults(BINDINGS, _binding(role={**VIEW, "kind": "Pod"})) == [
        'roleRef.kind: Unsupported value: "Pod": supported values: "Role", "ClusterRole"'
    ]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"kind": "User", "name": "u", "apiGroup": GROUP}, []),
        ({"kind": "Group", "name": "", "apiGroup": GROUP}, ["name: Required value"]),
        (
            {"kind": "User", "name": "u"},
            [f'apiGroup: Unsupported value: "": supported values: "{GROUP}"'],
        ),
        (
            {"kind": "ServiceAccount", "name": "s", "apiGroup": GROUP},
            [
                f'apiGroup: Unsupported value: "{GROUP}": supported values: ""',
                "namespace: Required value",
            ],
        ),
        ({"kind": "ServiceAccount", "name": "s", "namespace": "n"}, []),
        (
            {"kind": "Robot", "name": "r"},
            [
                (
                    'kind: Unsupported value: "Robot": '
                    'supported values: "ServiceAccount", "User", "Group"'
                )
            ],
        ),
    ],
)
def test_subjects_are_users_groups_or_service_accounts(  # 11.3
    subject: Any, expected: list[str]
) -> None:
    found = faults(CLUSTER_BINDINGS, _binding(subject))
    assert found == [f"subjects[0].{fault}" for fault in expected]


def test_a_service_account_of_a_role_binding_may_leave_its_namespace_out() -> None:  # 11.3
    assert faults(BINDINGS, _binding({"kind": "ServiceAccount", "name": "s"})) == []
    (fault,) = faults(BINDINGS, _binding({"kind": "ServiceAccount", "name": "S"}))
    assert fault.startswith('subjects[0].name: Invalid value: "S": a lowercase RFC 1123 subdomain')


def test_a_binding_stays_one_of_its_role() -> None:  # 11.3
    old = _binding()
    assert faults_of_update(BINDINGS, {**old, "subjects": [{"kind": "User"}]}, old) == []
    new = _binding(role={**VIEW, "name": "edit"})
    assert faults_of_update(CLUSTER_BINDINGS, new, old) == [
        (
            'roleRef: Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", '
            'Kind:"ClusterRole", Name:"edit"}: cannot change roleRef'
        )
    ]


def test_how_roles_are_printed() -> None:  # 1.2
    shown = {"Name": "system:node", "Created At": "2023-11-14T22:03:20Z"}
    assert printed(ROLES, {"metadata": META}) == shown
    assert printed(CLUSTER_ROLES, {"metadata": META}) == shown


def test_how_bindings_are_printed() -> None:  # 1.2
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "User", "name": "v"},
        {"kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
    ]
    obj = {"metadata": META, "roleRef": VIEW, "subjects": subjects}
    narrow = {"Name": "system:node", "Role": "ClusterRole/view", "Age": "10m"}
    wide = {"Users": "u, v", "Groups": "g", "ServiceAccounts": "n/s"}
    for kind in (BINDINGS, CLUSTER_BINDINGS):
        assert printed(kind, obj) == narrow
        assert printed(kind, obj, wide=True) == narrow | wide
