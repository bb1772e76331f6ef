"""What a write leaves in the store, over a real one (kube-behaviour 2.2, 2.12, 2.15)."""

from typing import Any

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
