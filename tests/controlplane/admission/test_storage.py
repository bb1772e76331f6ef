"""Classes that are the default, and claims that grow (kube-behaviour 9.1, 11.4)."""

from typing import Any

import pytest

from controlplane.admission import claim_resize, default_classes, storage_protection
from controlplane.api.errors import ApiError
from tests.controlplane.apiserver.asked import resource, review

CLAIMS = resource("persistentvolumeclaims")
INGRESSES = resource("ingresses", "networking.k8s.io")
STORAGE_DEFAULT = "storageclass.kubernetes.io/is-default-class"
STORAGE_BETA = "storageclass.beta.kubernetes.io/is-default-class"
INGRESS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def storage_class(
    name: str, annotation: str = "", *, day: int = 1, value: str = "true", **fields: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}
    if annotation:
        metadata["annotations"] = {annotation: value}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": metadata,
    } | fields


def ingress_class(name: str, *, day: int = 1) -> dict[str, Any]:
    made = storage_class(name, INGRESS_DEFAULT, day=day)
    return {**made, "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}


def named(kind: Any, spec: Any, *classes: Any, **metadata: Any) -> Any:
    """The class that a new object gets."""
    found = {"metadata": {"name": "a", "namespace": "shop", **metadata}, "spec": spec}
    done = default_classes.mutate(review("CREATE", kind, *classes), found)
    return done["spec"].get("ingressClassName" if kind is INGRESSES else "storageClassName")


@pytest.mark.parametrize("annotation", [STORAGE_DEFAULT, STORAGE_BETA])
def test_a_claim_without_class_gets_the_default(annotation: str) -> None:
    slow, fast = storage_class("slow"), storage_class("fast", annotation)
    assert named(CLAIMS, {}, slow, fast) == "fast"
    assert named(CLAIMS, {}, slow) is None
    assert named(CLAIMS, {}, storage_class("fast", annotation, value="false")) is None


def test_of_several_defaults_the_newest_counts() -> None:
    classes = [
        storage_class("b", STORAGE_DEFAULT, day=2),
        storage_class("a", STORAGE_DEFAULT, day=1),
        storage_class("d", STORAGE_DEFAULT, day=9),
        storage_class("c", STORAGE_DEFAULT, day=9),
    ]
    assert named(CLAIMS, {}, *classes) == "c"


def test_who_names_a_class_keeps_it_also_an_empty_one() -> None:
    default = storage_class("fast", STORAGE_DEFAULT)
    assert named(CLAIMS, {"storageClassName": "slow"}, default) == "slow"
    assert named(CLAIMS, {"storageClassName": ""}, default) == ""
    old = {"volume.beta.kubernetes.io/storage-class": "slow"}
    assert named(CLAIMS, {}, default, annotations=old) is None


def test_an_ingress_without_class_gets_the_default() -> None:
    classes = [ingress_class("old"), ingress_class("new", day=2)]
    assert named(INGRESSES, {}, *classes) == "new"
    assert named(INGRESSES, {}) is None
    assert named(INGRESSES, {"ingressClassName": "mine"}, *classes) == "mine"
    annotated = {"kubernetes.io/ingress.class": "nginx"}
    assert named(INGRESSES, {}, *classes, annotations=annotated) is None


def test_what_is_there_keeps_what_it_has() -> None:
    found = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {}}
    default = storage_class("fast", STORAGE_DEFAULT)
    asked = review("UPDATE", CLAIMS, default, old=found)
    assert default_classes.mutate(asked, found) is found


# --------------------------------------------------------------------------------- growth


def claim(size: str, *, phase: str = "Bound", name: str = "fast") -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"storageClassName": name, "resources": {"requests": {"storage": size}}},
        "status": {"phase": phase},
    }


GROWING = storage_class("fast", allowVolumeExpansion=True)
ONLY_BOUND = "Only bound persistent volume claims can be expanded"
UNSUPPORTED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
    "must support resize"
)


def resize(new: Any, old: Any, *classes: Any) -> str:
    """Why it is refused; empty: it is not."""
    try:
        claim_resize.validate(review("UPDATE", CLAIMS, *classes, old=old), new)
    except ApiError as error:
        return error.message.removeprefix('persistentvolumeclaims "a" is forbidden: ')
    return ""


def test_a_claim_grows_where_its_class_allows_it() -> None:
    assert resize(claim("2Gi"), claim("1Gi"), GROWING) == ""
    assert resize(claim("2Gi"), claim("1Gi"), storage_class("fast")) == UNSUPPORTED
    refusing = storage_class("fast", allowVolumeExpansion=False)
    assert resize(claim("2Gi"), claim("1Gi"), refusing) == UNSUPPORTED
    assert resize(claim("2Gi"), claim("1Gi")) == UNSUPPORTED
    assert resize(claim("2Gi", name=""), claim("1Gi", name=""), GROWING) == UNSUPPORTED


def test_only_a_bound_claim_grows() -> None:
    assert resize(claim("2Gi"), claim("1Gi", phase="Pending"), GROWING) == ONLY_BOUND


@pytest.mark.parametrize("size", ["1Gi", "1024Mi", "512Mi"])
def test_what_does_not_grow_is_no_matter_of_classes(size: str) -> None:
    assert resize(claim(size), claim("1Gi", phase="Pending")) == ""


# ----------------------------------------------------------------------------- protection


@pytest.mark.parametrize(
    ("plural", "finalizer"),
    [
        ("persistentvolumeclaims", "kubernetes.io/pvc-protection"),
        ("persistentvolumes", "kubernetes.io/pv-protection"),
    ],
)
def test_claims_and_volumes_are_held_from_their_start(plural: str, finalizer: str) -> None:
    kind, found = resource(plural), {"metadata": {"name": "a", "finalizers": ["x/y"]}}
    held = storage_protection.mutate(review("CREATE", kind), found)
    assert held["metadata"]["finalizers"] == ["x/y", finalizer]
    assert storage_protection.mutate(review("CREATE", kind), held) is held
    assert storage_protection.mutate(review("UPDATE", kind, old=found), found) is found
    assert storage_protection.mutate(review("CREATE", resource("pods")), found) is found
