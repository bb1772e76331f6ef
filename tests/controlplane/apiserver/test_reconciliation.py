"""Default roles and bindings are completed at each start (kube-behaviour 11.3).

Source: Kubernetes' documentation, "Using RBAC Authorization", "Auto-reconciliation".
"""

import asyncio
from typing import Any

import pytest

from controlplane.apiserver import reconciliation
from controlplane.apiserver.reconciliation import completed_binding, completed_role
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_bootstrap import BINDINGS, RBAC, ROLES, again
from tests.controlplane.apiserver.test_rbac import subject

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
MERGE = "application/merge-patch+json"
KEPT = {"annotations": {AUTOUPDATE: "false"}}


def role(name: str) -> dict[str, Any]:
    (found,) = [one for one in ROLES if one["metadata"]["name"] == name]
    return found


def binding(name: str) -> dict[str, Any]:
    (found,) = [one for one in BINDINGS if one["metadata"]["name"] == name]
    return found


def changed(found: dict[str, Any], *, metadata: dict[str, Any] | None = None, **fields: Any) -> Any:
    return {**found, "metadata": {**found["metadata"], **(metadata or {})}, **fields}


@pytest.mark.parametrize("found", ROLES, ids=lambda one: one["metadata"]["name"])
def test_a_role_that_is_whole_stays_as_it_is(found: dict[str, Any]) -> None:
    assert completed_role(found, found) == found
    bare = changed(found, rules=[])
    if "aggregationRule" not in found:
        assert completed_role(bare, found)["rules"] == found["rules"]


def test_rights_that_a_wider_rule_gives_are_not_added_again() -> None:
    """Missing are permissions, not texts: an administrator may have put rules together."""
    wanted = role("system:kube-dns")
    wider = {"apiGroups": ["*"], "resources": ["services", "endpoints"], "verbs": ["*"]}
    assert completed_role(changed(wanted, rules=[wider]), wanted)["rules"] == [wider]
    narrower = {**wider, "resources": ["services"]}
    completed = completed_role(changed(wanted, rules=[narrower]), wanted)
    assert completed["rules"] == [narrower, *wanted["rules"]]


def test_labels_come_back_and_those_of_others_stay() -> None:
    """Without its label a role would no longer be part of `view`."""
    wanted = role("system:aggregate-to-view")
    bare = changed(wanted, metadata={"labels": {"mine": "yes"}, "annotations": None})
    completed = completed_role(bare, wanted)["metadata"]
    assert completed["labels"] == {**wanted["metadata"]["labels"], "mine": "yes"}
    assert completed["annotations"][AUTOUPDATE] == "true"


def test_what_a_role_gathers_is_gathered_again() -> None:
    wanted = role("view")
    mine = {"matchLabels": {"mine": "yes"}}
    theirs = wanted["aggregationRule"]["clusterRoleSelectors"]
    own = changed(wanted, aggregationRule={"clusterRoleSelectors": [mine]})
    selectors = completed_role(own, wanted)["aggregationRule"]["clusterRoleSelectors"]
    assert selectors == [mine, *theirs]


def test_subjects_come_back_and_those_that_were_added_stay() -> None:
    wanted = binding("system:basic-user")
    mine = subject("User", "bob")
    completed = completed_binding(changed(wanted, subjects=[mine]), wanted)
    assert completed["subjects"] == [mine, *wanted["subjects"]]
    assert completed_binding(completed, wanted) == completed
    assert completed_binding(changed(wanted, subjects=None), wanted)["subjects"]


def test_whoever_opts_out_keeps_all_as_it_is() -> None:
    wanted = role("view")
    bare = changed(wanted, metadata=KEPT, rules=[], aggregationRule=None)
    assert completed_role(bare, wanted) == bare
    bound = changed(binding("cluster-admin"), metadata=KEPT, subjects=[], roleRef={"name": "view"})
    assert completed_binding(bound, binding("cluster-admin")) == bound
    assert not reconciliation.is_of_another_role(bound, binding("cluster-admin"))


async def test_a_binding_of_another_role_is_made_anew(api: Api) -> None:
    """Whose role it is cannot be changed: what somebody made in its place goes."""
    path = f"/apis/{RBAC}/v1/clusterrolebindings"
    whole = await api.good("GET", f"{path}/system:kube-dns")
    await api.good("DELETE", f"{path}/system:kube-dns")
    thief = {**binding("system:kube-dns"), "subjects": [subject("User", "bob", apiGroup=RBAC)]}
    thief["roleRef"] = {**thief["roleRef"], "name": "cluster-admin"}
    await api.good("POST", path, thief)
    await again(api)
    found = await api.good("GET", f"{path}/system:kube-dns")
    assert (found["roleRef"], found["subjects"]) == (whole["roleRef"], whole["subjects"])


async def test_what_was_deleted_comes_back(api: Api) -> None:
    for plural in ("clusterroles", "clusterrolebindings"):
        path = f"/apis/{RBAC}/v1/{plural}/system:kube-scheduler"
        before = await api.good("GET", path)
        await api.good("DELETE", path)
        await again(api)
        after = await api.good("GET", path)
        for word in ("rules", "subjects", "roleRef"):
            assert after.get(word) == before.get(word)


async def test_servers_that_start_together_do_not_disturb_each_other(api: Api) -> None:
    bindings = f"/apis/{RBAC}/v1/clusterrolebindings"
    await api.good("DELETE", f"{bindings}/system:kube-dns")
    await api.good("PATCH", f"{bindings}/cluster-admin", {"subjects": []}, content_type=MERGE)
    await asyncio.gather(*[again(api) for _ in range(4)])
    for name in ("system:kube-dns", "cluster-admin"):
        found = await api.good("GET", f"{bindings}/{name}")
        assert found["subjects"] == binding(name)["subjects"]
