"""The built-in kinds as Kubernetes' API reference has them, seen by the kubectl on PATH.

Short names, groups and scopes: kubectl reference, "Resource types", and API reference 1.33.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from controlplane.api import openapi, tables
from controlplane.api.registry import Registry
from controlplane.api.resource import Resource
from tests.controlplane.api.test_kubectl_reads import Handler, Kubectl, Server, kubectls, serving

DOCUMENTED = """
configmaps                 cm        v1                            true   ConfigMap
endpoints                  ep        v1                            true   Endpoints
events                     ev        v1                            true   Event
limitranges                limits    v1                            true   LimitRange
namespaces                 ns        v1                            false  Namespace
nodes                      no        v1                            false  Node
persistentvolumeclaims     pvc       v1                            true   PersistentVolumeClaim
persistentvolumes          pv        v1                            false  PersistentVolume
pods                       po        v1                            true   Pod
resourcequotas             quota     v1                            true   ResourceQuota
secrets                    -         v1                            true   Secret
serviceaccounts            sa        v1                            true   ServiceAccount
services                   svc       v1                            true   Service
customresourcedefinitions  crd,crds  apiextensions.k8s.io/v1       false  CustomResourceDefinition
controllerrevisions        -         apps/v1                       true   ControllerRevision
daemonsets                 ds        apps/v1                       true   DaemonSet
deployments                deploy    apps/v1                       true   Deployment
replicasets                rs        apps/v1                       true   ReplicaSet
statefulsets               sts       apps/v1                       true   StatefulSet
horizontalpodautoscalers   hpa       autoscaling/v2                true   HorizontalPodAutoscaler
cronjobs                   cj        batch/v1                      true   CronJob
jobs                       -         batch/v1                      true   Job
leases                     -         coordination.k8s.io/v1        true   Lease
endpointslices             -         discovery.k8s.io/v1           true   EndpointSlice
events                     ev        events.k8s.io/v1              true   Event
ingressclasses             -         networking.k8s.io/v1          false  IngressClass
ingresses                  ing       networking.k8s.io/v1          true   Ingress
networkpolicies            netpol    networking.k8s.io/v1          true   NetworkPolicy
poddisruptionbudgets       pdb       policy/v1                     true   PodDisruptionBudget
clusterrolebindings        -         rbac.authorization.k8s.io/v1  false  ClusterRoleBinding
clusterroles               -         rbac.authorization.k8s.io/v1  false  ClusterRole
rolebindings               -         rbac.authorization.k8s.io/v1  true   RoleBinding
roles                      -         rbac.authorization.k8s.io/v1  true   Role
priorityclasses            pc        scheduling.k8s.io/v1          false  PriorityClass
storageclasses             sc        storage.k8s.io/v1             false  StorageClass
"""
ROWS = [tuple(line.split()) for line in DOCUMENTED.strip().splitlines()]
KINDS = Registry.builtin()


class _Handler(Handler):
    registry = KINDS


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(_Handler) as server:
        yield server


@pytest.fixture(params=kubectls()[:1], ids=["kubectl"])
def kubectl(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Kubectl:
    return Kubectl(request.param, server, tmp_path)


def test_kubectl_lists_the_documented_kinds(kubectl: Kubectl) -> None:
    """1.1"""
    found = [line.split() for line in kubectl("api-resources --no-headers").splitlines()]
    rows = {tuple(row if len(row) == 5 else [row[0], "-", *row[1:]]) for row in found}
    assert set(ROWS) <= rows


def test_get_all_asks_for_the_documented_kinds(kubectl: Kubectl) -> None:
    """1.1: category all"""
    names = set(kubectl("api-resources --categories=all -o name").split())
    assert names >= {
        "pods",
        "services",
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "horizontalpodautoscalers.autoscaling",
        "cronjobs.batch",
        "jobs.batch",
    }
    assert not any(name.startswith(("secrets", "configmaps", "ingresses")) for name in names)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[2].replace('/', '-')}")
def test_kubectl_explains_each_kind(kubectl: Kubectl, row: tuple[str, ...]) -> None:
    """1.4"""
    plural, _, api_version, _, kind = row
    text = kubectl(f"explain {plural} --api-version={api_version}")
    assert re.search(
        rf"^KIND: +{kind}\nVERSION: +{api_version.split('/')[-1]}$", text, re.MULTILINE
    )
    assert "DESCRIPTION:" in text
    assert "metadata\t<ObjectMeta>" in text


@pytest.mark.parametrize("resource", KINDS.all(), ids=lambda one: f"{one.api_version}-{one.plural}")
def test_a_bare_object_is_printed(resource: Resource) -> None:
    """1.2: a cell for each column, whatever is missing, and JSON can say it."""
    bare: dict[str, Any] = {"metadata": {"name": "a"}}
    made = tables.table(resource, [bare], now=0)
    (row,) = made["rows"]
    assert len(row["cells"]) == len(made["columnDefinitions"])
    assert "a" in row["cells"]
    assert orjson.loads(orjson.dumps(made)) == made


def test_operations_of_all_kinds_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for group in KINDS.groups()
        for version in KINDS.versions(group)
        for operations in (openapi.document(KINDS, group, version) or {})["paths"].values()
        for method, operation in operations.items()
        if method != "parameters"
    ]
    assert len(names) > 300
    assert len(names) == len(set(names))
