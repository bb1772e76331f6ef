import pytest

from controlplane.api import discovery
from controlplane.api.registry import Registry
from controlplane.ctl.errors import CtlError
from controlplane.ctl.resources import Resources

REGISTRY = Registry.builtin()
RESOURCES = Resources(
    discovery.api_group_discovery_list(REGISTRY, core=core, version="v2") for core in (True, False)
)


@pytest.mark.parametrize(
    "word", ["deployments", "deployment", "deploy", "Deployment", "deploy.apps", "deploy.v1.apps"]
)
def test_a_resource_has_many_names(word: str) -> None:
    [found] = RESOURCES.called(word)
    assert (found.title, found.api_version) == ("deployment.apps", "apps/v1")


def test_the_core_group_comes_first_and_others_can_be_named() -> None:
    assert RESOURCES.called("events")[0].group == ""
    assert RESOURCES.called("events.events.k8s.io")[0].group == "events.k8s.io"


def test_a_category_is_each_of_its_resources_once() -> None:
    """In the version that stands first: autoscaling has two."""
    found = [one.plural for one in RESOURCES.called("all")]
    assert len(found) == len(set(found))
    assert {"pods", "services", "deployments", "horizontalpodautoscalers"} <= set(found)
    [scaler] = [one for one in RESOURCES.called("all") if one.group == "autoscaling"]
    assert scaler.version == "v2"


def test_paths() -> None:
    [deployments] = RESOURCES.called("deploy")
    assert deployments.collection("d") == "/apis/apps/v1/namespaces/d/deployments"
    assert deployments.collection("") == "/apis/apps/v1/deployments"
    assert deployments.object("d", "a", "scale").endswith("/deployments/a/scale")
    [roles] = RESOURCES.called("clusterroles")
    assert roles.object("d", "system:x").endswith("/v1/clusterroles/system%3Ax")
    for name in ("", ".", "..", "a/b", "a%2e"):
        with pytest.raises(CtlError):
            deployments.object("d", name)
