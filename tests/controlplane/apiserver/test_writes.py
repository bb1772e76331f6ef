"""What a write leaves in the store, over a real one (kube-behaviour 2.2, 2.12, 2.15, 2.17)."""

import time
from typing import Any

import pytest

from controlplane.apiserver import writes
from tests.controlplane.apiserver.conftest import Api

APPLY = "application/apply-patch+yaml"


async def test_an_equal_quantity_is_no_conflict_and_no_change(api: Api) -> None:
    """2.15, 2.2: however it is spelled."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/resourcequotas/q"

    async def apply(manager: str, cpu: str) -> Any:
        body = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"cpu": cpu}}}
        return await api.good("PATCH", f"{path}?fieldManager={manager}", body, content_type=APPLY)

    first = await apply("a", "2000m")
    assert first["spec"] == {"hard": {"cpu": "2"}}
    again = await apply("a", "2000m")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert (await apply("b", "2000m"))["spec"] == first["spec"]


def _pod(**spec: Any) -> Any:
    containers = [{"name": "c", "image": "i", **spec.pop("container", {})}]
    return {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers, **spec}}


def _workload(pod: Any, **spec: Any) -> Any:
    return {"selector": {"matchLabels": {"a": "b"}}, "template": pod, **spec}


_UNDEFAULTED: list[tuple[str, str, str, Any]] = [
    (
        "apps",
        "deployments",
        "Deployment",
        {
            "spec": _workload(
                _pod(
                    container={
                        "env": [
                            {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
                        ]
                    }
                )
            )
        },
    ),
    (
        "apps",
        "daemonsets",
        "DaemonSet",
        {
            "spec": _workload(
                _pod(
                    volumes=[
                        {"name": "p", "projected": {"sources": [{"configMap": {"name": "c"}}]}},
                        {
                            "name": "d",
                            "downwardAPI": {
                                "items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]
                            },
                        },
                    ]
                )
            )
        },
    ),
    (
        "apps",
        "statefulsets",
        "StatefulSet",
        {
            "spec": _workload(
                _pod(),
                serviceName="s",
                volumeClaimTemplates=[
                    {
                        "metadata": {"name": "v"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            )
        },
    ),
    (
        "networking.k8s.io",
        "networkpolicies",
        "NetworkPolicy",
        {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
    ),
    (
        "rbac.authorization.k8s.io",
        "rolebindings",
        "RoleBinding",
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "u"}],
        },
    ),
    (
        "",
        "limitranges",
        "LimitRange",
        {"spec": {"limits": [{"type": "Container", "max": {"cpu": 1}}]}},
    ),
    ("", "secrets", "Secret", {"stringData": {"a": "b"}}),
]


@pytest.mark.parametrize(
    ("group", "plural", "kind", "body"), _UNDEFAULTED, ids=[one[2] for one in _UNDEFAULTED]
)
async def test_what_is_applied_again_is_not_written_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, group: str, plural: str, kind: str, body: Any
) -> None:
    """2.2, 2.15: also where an atomic part is stored with defaults, and a second has gone by."""
    root = f"/apis/{group}/v1" if group else "/api/v1"
    path = f"{root}/namespaces/{await api.new_namespace()}/{plural}/one?fieldManager=me"
    whole = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, **body}
    first = await api.good("PATCH", path, whole, content_type=APPLY)
    later = time.time() + 60
    monkeypatch.setattr(api.assembly.server, "_now", lambda: later)
    again = await api.good("PATCH", path, whole, content_type=APPLY)
    assert again["metadata"] == first["metadata"]
    labels = {**whole, "metadata": {"labels": {"new": "one"}}}
    changed = await api.good("PATCH", path, labels, content_type=APPLY)
    assert changed["metadata"]["managedFields"] != first["metadata"]["managedFields"]


# ------------------------------------------------------------------------------ dependants


def job() -> Any:
    containers = [{"name": "c", "image": "busybox"}]
    template = {"spec": {"containers": containers, "restartPolicy": "Never"}}
    return {"metadata": {"name": "j"}, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("query", "finalizers"),
    [
        ("", ["orphan"]),
        ("?propagationPolicy=Orphan", ["orphan"]),
        ("?propagationPolicy=Foreground", ["foregroundDeletion"]),
        ("?propagationPolicy=Background", None),
        ("?orphanDependents=false", None),
    ],
)
async def test_a_job_leaves_its_pods_unless_it_is_said_otherwise(
    api: Api, query: str, finalizers: Any
) -> None:
    """2.17: of old, which kubectl overrides by asking for Background."""
    path = f"/apis/batch/v1/namespaces/{await api.new_namespace()}/jobs"
    await api.good("POST", path, job())
    deleted = await api.good("DELETE", f"{path}/j{query}")
    assert deleted.get("metadata", {}).get("finalizers") == finalizers
    there = await api.ask("GET", f"{path}/j")
    assert there.code == (404 if finalizers is None else 200)


async def test_what_a_finalizer_says_of_dependants_goes_before_the_custom_of_a_kind(
    api: Api,
) -> None:
    """2.17."""
    path = f"/apis/batch/v1/namespaces/{await api.new_namespace()}/jobs"
    body = job()
    body["metadata"]["finalizers"] = ["foregroundDeletion"]
    await api.good("POST", path, body)
    deleted = await api.good("DELETE", f"{path}/j")
    assert deleted["metadata"]["finalizers"] == ["foregroundDeletion"]


async def test_most_kinds_take_their_dependants_along(api: Api) -> None:
    """2.17."""
    path = f"/api/v1/namespaces/{await api.new_namespace()}/configmaps"
    await api.good("POST", path, {"metadata": {"name": "c"}})
    await api.good("DELETE", f"{path}/c")
    assert (await api.ask("GET", f"{path}/c")).code == 404


async def test_an_event_has_no_dependants(api: Api) -> None:
    """2.17: whatever is asked for, it goes at once."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/events"
    about = {"kind": "Pod", "name": "p", "namespace": space}
    await api.good("POST", path, {"metadata": {"name": "e"}, "involvedObject": about})
    await api.good("DELETE", f"{path}/e?propagationPolicy=Foreground")
    assert (await api.ask("GET", f"{path}/e")).code == 404


async def test_a_patch_that_is_refused_is_told_and_not_what_is_stored(api: Api) -> None:
    space = await api.new_namespace()
    maps = f"/api/v1/namespaces/{space}/configmaps"
    await api.good("POST", maps, {"metadata": {"name": "a"}, "data": {"k": "stored"}})
    status = await api.fault(
        "PATCH", f"{maps}/a", {"immutable": "x"}, content_type=writes.STRATEGIC_PATCH
    )
    [cause] = status["details"]["causes"]
    assert cause["field"] == "patch"
    assert cause["message"].startswith('Invalid value: "{\\"immutable\\":\\"x\\"}": json: cannot')
    assert "stored" not in str(status)
