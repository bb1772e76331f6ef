"""What admission makes of a pod: account, token, priority, tolerations (kube-behaviour 11.4)."""

from typing import Any

import pytest

from controlplane.admission import (
    default_toleration_seconds,
    priority,
    service_account,
)
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from tests.controlplane.apiserver.asked import container, pod, resource, review

PODS = resource("pods")
CLASSES = resource("priorityclasses", "scheduling.k8s.io")
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def account(name: str = "default", **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": "shop"},
        **fields,
    }


def priority_class(name: str, value: int, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **fields,
    }


def refused(plugin: Any, asked: Any, found: Object) -> str:
    with pytest.raises(ApiError) as caught:
        plugin(asked, found)
    assert caught.value.code == 403
    return caught.value.message


# ------------------------------------------------------------------- service accounts


def with_account(found: Object, *accounts: Object) -> Any:
    given = accounts or (account(),)
    return service_account.mutate(review("CREATE", PODS, *given), found)["spec"]


def test_a_pod_acts_as_default_and_finds_its_token() -> None:
    """11.2: kube-api-access-*, token of 3607 s, the CA and the namespace."""
    spec = with_account(pod(container("a"), container("b"), initContainers=[container("i")]))
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    sources = volume["projected"]["sources"]
    assert sources[0]["serviceAccountToken"] == {"expirationSeconds": 3607, "path": "token"}
    assert sources[1]["configMap"]["name"] == "kube-root-ca.crt"
    assert sources[2]["downwardAPI"]["items"][0]["path"] == "namespace"
    for one in (*spec["containers"], *spec["initContainers"]):
        assert one["volumeMounts"] == [
            {"name": volume["name"], "readOnly": True, "mountPath": MOUNT}
        ]


def test_an_account_that_is_not_there_is_refused() -> None:
    asked = review("CREATE", PODS, account())
    found = pod(container(), serviceAccountName="robot")
    assert refused(service_account.mutate, asked, found) == (
        'pods "a" is forbidden: error looking up service account shop/robot: '
        'serviceaccount "robot" not found'
    )


@pytest.mark.parametrize(
    ("of_pod", "of_account", "is_mounted"),
    [
        (None, None, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_who_wants_no_token_gets_none(of_pod: Any, of_account: Any, is_mounted: bool) -> None:
    field = "automountServiceAccountToken"
    found = pod(container(), **({} if of_pod is None else {field: of_pod}))
    own = account(**({} if of_account is None else {field: of_account}))
    assert bool(with_account(found, own).get("volumes")) is is_mounted


def test_a_container_that_mounts_something_there_keeps_it() -> None:
    mine = {"name": "mine", "mountPath": MOUNT}
    spec = with_account(pod(container("a", volumeMounts=[mine])))
    assert spec["containers"][0]["volumeMounts"] == [mine]
    assert not spec.get("volumes"), "nobody would use it"


def test_a_pod_that_was_copied_has_one_volume_for_its_token() -> None:
    first = with_account(pod(container("a")))
    again = with_account({**pod(), "spec": first})
    assert again["volumes"] == first["volumes"]
    assert again["containers"] == first["containers"]


def test_pull_secrets_come_from_the_account_unless_the_pod_has_some() -> None:
    own = account(imagePullSecrets=[{"name": "s"}])
    assert with_account(pod(container()), own)["imagePullSecrets"] == [{"name": "s"}]
    mine = pod(container(), imagePullSecrets=[{"name": "mine"}])
    assert with_account(mine, own)["imagePullSecrets"] == [{"name": "mine"}]


def test_mirror_pods_have_no_account() -> None:
    mirror = pod(container())
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    asked = review("CREATE", PODS)
    assert service_account.mutate(asked, mirror) is mirror
    service_account.validate(asked, mirror)
    mirror["spec"]["serviceAccountName"] = "default"
    assert "mirror pod may not reference service accounts" in refused(
        service_account.validate, asked, mirror
    )


def test_updates_and_other_kinds_are_left_alone() -> None:
    found = pod(container())
    for asked in (review("UPDATE", PODS, old=found), review("CREATE", resource("configmaps"))):
        assert service_account.mutate(asked, found) is found


# -------------------------------------------------------------------------- priority


def with_priority(found: Object, *classes: Object) -> Any:
    return priority.mutate(review("CREATE", PODS, *classes), found)["spec"]


def test_a_class_is_resolved_to_its_number() -> None:
    """8.4."""
    high = priority_class("high", 1000, preemptionPolicy="Never")
    spec = with_priority(pod(container(), priorityClassName="high"), high)
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")


@pytest.mark.parametrize(
    ("name", "value"),
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)],
)
def test_classes_of_the_system_need_no_object(name: str, value: int) -> None:
    """8.4."""
    assert with_priority(pod(container(), priorityClassName=name))["priority"] == value


def test_without_a_class_the_default_one_holds_or_zero() -> None:
    """8.4."""
    assert with_priority(pod(container()), priority_class("x", 5))["priority"] == 0
    default = priority_class("d", 7, globalDefault=True)
    spec = with_priority(pod(container()), default)
    assert (spec["priority"], spec["priorityClassName"]) == (7, "d")
    # Of two (each was written when the other was not there yet) the lower one.
    spec = with_priority(pod(container()), default, priority_class("e", 6, globalDefault=True))
    assert spec["priority"] == 6


def test_an_unknown_class_is_refused() -> None:
    """8.4."""
    asked = review("CREATE", PODS)
    message = refused(priority.mutate, asked, pod(container(), priorityClassName="x"))
    assert message == 'pods "a" is forbidden: no PriorityClass with name x was found'


def test_nobody_gives_himself_a_number() -> None:
    asked = review("CREATE", PODS, priority_class("high", 1000))
    for spec in ({"priority": 5}, {"priority": 5, "priorityClassName": "high"}):
        assert "must not be provided in pod spec" in refused(
            priority.mutate, asked, pod(container(), **spec)
        )
    same = pod(container(), priority=1000, priorityClassName="high")
    assert priority.mutate(asked, same)["spec"]["priority"] == 1000
    never = pod(container(), priorityClassName="high", preemptionPolicy="Never")
    assert "the string value of PreemptionPolicy" in refused(priority.mutate, asked, never)


def test_an_update_need_not_repeat_what_admission_has_set() -> None:
    old = pod(container(), priority=1000, preemptionPolicy="Never", priorityClassName="high")
    new = pod(container(), priorityClassName="high")
    found = priority.mutate(review("UPDATE", PODS, old=old), new)
    assert (found["spec"]["priority"], found["spec"]["preemptionPolicy"]) == (1000, "Never")
    changed = pod(container(), priority=5)
    # It is not changed back: that it may not change is for validation to say.
    assert priority.mutate(review("UPDATE", PODS, old=old), changed)["spec"]["priority"] == 5


def test_there_is_one_default_class() -> None:
    """8.4."""
    default = priority_class("d", 7, globalDefault=True)
    new = priority_class("new", 8, globalDefault=True)
    asked = review("CREATE", CLASSES, default, name="new")
    assert "PriorityClass d is already marked as default" in refused(priority.mutate, asked, new)
    priority.mutate(review("CREATE", CLASSES, default, name="new"), priority_class("new", 8))
    priority.mutate(review("UPDATE", CLASSES, default, name="d", old=default), default)


# ----------------------------------------------------------------------- tolerations

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def tolerations(*stated: dict[str, Any], operation: str = "CREATE") -> list[tuple[str, int]]:
    found = pod(container())
    if stated:
        found["spec"]["tolerations"] = list(stated)
    made = default_toleration_seconds.mutate(review(operation, PODS, old={}), found)
    added = made["spec"].get("tolerations", [])[len(stated) :]
    assert all((one["operator"], one["effect"]) == ("Exists", "NoExecute") for one in added)
    return [(one["key"], one["tolerationSeconds"]) for one in added]


def test_a_pod_stays_300_s_on_a_node_that_is_lost() -> None:
    """6.3."""
    assert tolerations() == [(NOT_READY, 300), (UNREACHABLE, 300)]


@pytest.mark.parametrize(
    ("stated", "missing"),
    [
        ({"key": NOT_READY, "operator": "Exists"}, [UNREACHABLE]),
        ({"key": NOT_READY, "effect": "NoExecute", "tolerationSeconds": 5}, [UNREACHABLE]),
        ({"key": NOT_READY, "effect": "NoSchedule"}, [NOT_READY, UNREACHABLE]),
        ({"operator": "Exists"}, []),
        ({"operator": "Exists", "effect": "NoSchedule"}, [NOT_READY, UNREACHABLE]),
        ({"key": "other", "operator": "Exists"}, [NOT_READY, UNREACHABLE]),
    ],
)
def test_what_a_pod_says_itself_stays(stated: dict[str, Any], missing: list[str]) -> None:
    assert [key for key, _ in tolerations(stated)] == missing
