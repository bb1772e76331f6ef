"""Kinds without pods: their files fit the schemas, and nothing that fits a schema breaks them."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from controlplane.api.defaulting import apply_defaults
from controlplane.api.resource import Resource
from tests.controlplane.api.kinds.served import REGISTRY
from tests.controlplane.api.kinds.test_kinds import admitted, has, trees

API_RESOURCES = """
configmaps                 cm         v1                            true   ConfigMap
events                     ev         v1                            true   Event
limitranges                limits     v1                            true   LimitRange
namespaces                 ns         v1                            false  Namespace
resourcequotas             quota      v1                            true   ResourceQuota
secrets                               v1                            true   Secret
serviceaccounts            sa         v1                            true   ServiceAccount
customresourcedefinitions  crd,crds   apiextensions.k8s.io/v1       false  CustomResourceDefinition
controllerrevisions                   apps/v1                       true   ControllerRevision
leases                                coordination.k8s.io/v1        true   Lease
events                     ev         events.k8s.io/v1              true   Event
clusterrolebindings                   rbac.authorization.k8s.io/v1  false  ClusterRoleBinding
clusterroles                          rbac.authorization.k8s.io/v1  false  ClusterRole
rolebindings                          rbac.authorization.k8s.io/v1  true   RoleBinding
roles                                 rbac.authorization.k8s.io/v1  true   Role
priorityclasses            pc         scheduling.k8s.io/v1          false  PriorityClass
"""
"""As `kubectl api-resources` of Kubernetes documents them."""
ROWS = [line.split() for line in API_RESOURCES.strip().splitlines()]
KINDS = {row[-1] for row in ROWS}
RESOURCES = [one for one in REGISTRY.all() if one.kind in KINDS]
every_kind = pytest.mark.parametrize(
    "kind", RESOURCES, ids=[f"{one.kind}-{one.group or 'core'}" for one in RESOURCES]
)


def test_kinds_are_known_by_kubernetes_names() -> None:  # 1.1
    found = [
        [
            one.plural,
            *([",".join(one.short_names)] if one.short_names else []),
            one.api_version,
            str(one.is_namespaced).lower(),
            one.kind,
        ]
        for one in RESOURCES
    ]
    assert sorted(found) == sorted(ROWS)


@every_kind
def test_every_path_of_its_file_is_in_its_schema(kind: Resource) -> None:
    of_columns = [one.path for one in kind.columns if one.path]
    paths = [*kind.defaults, *kind.immutable, *kind.field_labels, *of_columns]
    assert [path for path in paths if not has(kind.schema, path)] == []


@every_kind
def test_what_fits_the_schema_gives_causes_and_never_an_exception(kind: Resource) -> None:  # 2.19
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(kind.schema, 7))
    def check(tree: dict[str, Any]) -> None:
        for cause in admitted(kind, tree):
            assert re.fullmatch(r"FieldValue[A-Z][A-Za-z]+", cause.reason)
            assert cause.field
            assert cause.message

    check()


@every_kind
def test_defaults_are_the_same_when_they_are_filled_in_again(kind: Resource) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(kind.schema, 7))
    def check(tree: dict[str, Any]) -> None:
        default = kind.strategy.default or (lambda obj: obj)
        once = default(apply_defaults(kind.defaults, tree))
        assert default(apply_defaults(kind.defaults, once)) == once

    check()
