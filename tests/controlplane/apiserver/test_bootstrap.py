"""What every cluster has from the start (kube-behaviour 3.1, 5.2, 8.4, 11.3)."""

import asyncio
from typing import Any

import pytest

from controlplane.api import meta, validation
from controlplane.apiserver import bootstrap, default_roles
from controlplane.apiserver.bootstrap import Bootstrap
from controlplane.apiserver.rbac import Attributes, Policy, rule_of
from controlplane.apiserver.users import User
from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.asked import registry, resource
from tests.controlplane.apiserver.conftest import Api, started

RBAC = "rbac.authorization.k8s.io"
WAIT_SECONDS_MAX = 30.0
OWN = (
    "/api/v1/namespaces/default/services/kubernetes",
    "/api/v1/namespaces/default/endpoints/kubernetes",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
)
"""The service by which pods reach the API."""
ROLES_PATH = f"/apis/{RBAC}/v1/clusterroles"


async def again(api: Api, host: str = "127.0.0.1", port: int = 6443) -> None:
    """As the next server does when it starts."""
    await Bootstrap(
        api.assembly.store,
        registry(),
        service_address=api.assembly.allocator.first,
        endpoints=[(host, port)],
        claim_of={},
    ).run()
    await api.assembly.cacher.current()


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease"])
async def test_the_first_namespaces(api: Api, name: str) -> None:
    found = await api.good("GET", f"/api/v1/namespaces/{name}")
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == name
    assert found["status"]["phase"] == "Active"
    assert found["spec"]["finalizers"] == ["kubernetes"]


async def test_the_servers_own_service_has_the_first_address(api: Api) -> None:
    found = await api.good("GET", "/api/v1/namespaces/default/services/kubernetes")
    assert found["spec"]["clusterIP"] == "10.96.0.1"
    assert found["spec"]["ports"][0]["port"] == 443
    spec = {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}
    body = {"metadata": {"name": "thief"}, "spec": spec}
    status = await api.fault("POST", "/api/v1/namespaces/default/services", body)
    assert status["code"] == 422
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    endpoints = (await api.good("GET", slices))["endpoints"]
    assert ["127.0.0.1"] in [one["addresses"] for one in endpoints]


async def test_the_servers_own_service_comes_back(
    client: Client, member: ClusterProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SERVICE_SECONDS", 0.05)
    async with started(client, member) as api:
        for path in OWN:
            before = await api.good("GET", path)
            await api.good("DELETE", path)

            async def is_back(path: str = path, uid: str = before["metadata"]["uid"]) -> bool:
                found = await api.ask("GET", path)
                return found.code == 200 and found.body["metadata"]["uid"] != uid

            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while not await is_back():  # noqa: ASYNC110 (it is asked of a server)
                    await asyncio.sleep(0.01)
        found = await api.good("GET", OWN[0])
        assert found["spec"]["clusterIP"] == api.assembly.allocator.first


async def test_the_first_address_is_kept_while_the_service_is_away(api: Api) -> None:
    await api.good("DELETE", OWN[0])
    await api.assembly.cacher.current()
    path = "/api/v1/namespaces/default/services"
    body: dict[str, Any] = {"metadata": {"name": "thief"}}
    for wanted in ({"clusterIP": "10.96.0.1"}, {"clusterIPs": ["10.96.0.1"]}):
        spec = {**wanted, "ports": [{"port": 80}]}
        status = await api.fault("POST", path, {**body, "spec": spec})
        assert status["code"] == 422
        assert "provided IP is already allocated" in status["message"]
    await again(api)
    assert (await api.good("GET", OWN[0]))["spec"]["clusterIP"] == "10.96.0.1"


async def test_the_first_address_is_given_to_nobody_who_names_none(
    api: Api, client: Client, member: ClusterProcesses
) -> None:
    """Not even as the last: of a range of four two are for services, and one of them is ours."""
    assert (await api.good("GET", OWN[0]))["spec"]["clusterIP"] == "10.96.0.1"
    async with started(client, member, service_range="10.97.0.0/30") as narrow:
        path = f"/api/v1/namespaces/{await narrow.new_namespace()}/services"
        body = {"metadata": {"generateName": "a-"}, "spec": {"ports": [{"port": 80}]}}
        made = await narrow.good("POST", path, body)
        assert made["spec"]["clusterIP"] == "10.97.0.2"
        await narrow.assembly.cacher.current()
        assert "range is full" in (await narrow.fault("POST", path, body))["message"]
        await narrow.good("DELETE", f"{path}/{made['metadata']['name']}")


async def test_a_lost_claim_of_the_first_address_is_told_once(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    key = "/ranges/ip/10.96.0.1"
    await api.good("DELETE", OWN[0])
    await api.assembly.store.client.put(key, b"default/thief")
    own = Bootstrap(
        api.assembly.store,
        registry(),
        service_address="10.96.0.1",
        endpoints=[],
        claim_of={key: "default/kubernetes"},
    )
    await own.run()
    await own.run()
    told = [message for message in caplog.messages if "no service kubernetes" in message]
    assert told == [f"there is no service kubernetes: another one has claimed {key}"]
    await api.assembly.store.client.delete(key)
    await own.run()
    assert (await api.good("GET", OWN[0]))["spec"]["clusterIP"] == "10.96.0.1"


async def test_endpoints_follow_a_server_that_starts_again_on_another_port(api: Api) -> None:
    await again(api, "127.0.0.1", 6443)
    await again(api, "192.0.2.7", 7443)
    await again(api, "127.0.0.1", 6444)
    found = await api.good("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
    places = {
        (subset["addresses"][0]["ip"], subset["ports"][0]["port"]) for subset in found["subsets"]
    }
    assert places == {("192.0.2.7", 7443), ("127.0.0.1", 6444)}
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    sliced = await api.good("GET", slices)
    assert {one["addresses"][0] for one in sliced["endpoints"]} == {"192.0.2.7", "127.0.0.1"}
    assert sliced["ports"][0]["port"] == 6444


async def test_classes_of_the_system(api: Api) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    assert (await api.good("GET", f"{path}/system-node-critical"))["value"] == 2_000_001_000
    assert (await api.good("GET", f"{path}/system-cluster-critical"))["value"] == 2_000_000_000


async def test_what_is_there_is_left_as_it_is(api: Api) -> None:
    path = "/api/v1/namespaces/kube-public"
    merge = "application/merge-patch+json"
    patch = {"metadata": {"labels": {"mine": "yes"}}}
    await api.good("PATCH", path, patch, content_type=merge)
    before = await api.good("GET", path)
    await again(api)
    assert await api.good("GET", path) == before
    await api.good("PATCH", path, {"metadata": {"labels": {"mine": None}}}, content_type=merge)


async def test_what_was_taken_from_a_default_role_comes_back(api: Api) -> None:
    """... and what was added stays (11.3: auto-reconciliation)."""
    path = f"{ROLES_PATH}/system:monitoring"
    whole = await api.good("GET", path)
    mine = {"nonResourceURLs": ["/mine"], "verbs": ["get"]}
    await api.good("PUT", path, {**whole, "rules": [mine]})
    await again(api)
    assert (await api.good("GET", path))["rules"] == [mine, *whole["rules"]]
    await api.good("PUT", path, {"metadata": {"name": "system:monitoring"}, "rules": []})


async def test_who_says_so_keeps_a_default_role_as_it_is(api: Api) -> None:
    path = f"{ROLES_PATH}/system:auth-delegator"
    found = await api.good("GET", path)
    found["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    await api.good("PUT", path, {**found, "rules": []})
    await again(api)
    assert not (await api.good("GET", path)).get("rules")


async def test_starting_again_writes_nothing(api: Api) -> None:
    await again(api)
    before = await api.assembly.store.revision()
    await again(api)
    assert await api.assembly.store.revision() == before


# ------------------------------------------------------------------------ default roles

ROLES: list[dict[str, Any]] = list(default_roles.cluster_roles())
BINDINGS = list(default_roles.cluster_role_bindings())


def test_default_roles_are_valid_objects() -> None:
    for kind, found in (("clusterroles", ROLES), ("clusterrolebindings", BINDINGS)):
        for one in found:
            whole = meta.prepare_create(resource(kind, RBAC), one, uid="u", now=0.0)
            assert validation.validate(resource(kind, RBAC).schema, whole) == []
            strategy = resource(kind, RBAC).strategy
            assert strategy.validate is not None
            assert list(strategy.validate(whole)) == [], one["metadata"]["name"]
    names = [one["metadata"]["name"] for one in ROLES]
    assert len(set(names)) == len(names)
    assert {one["roleRef"]["name"] for one in BINDINGS} <= set(names)


def test_making_them_twice_makes_equal_ones() -> None:
    """Nobody has changed the data under them."""
    assert list(default_roles.cluster_roles()) == ROLES


def policy(**roles: str) -> Policy:
    """Users with default roles; view holds what aggregates to it, and so on."""
    aggregated: dict[str, list[Any]] = {}
    narrower = {"view": ("view",), "edit": ("view", "edit"), "admin": ("view", "edit", "admin")}
    for name, parts in narrower.items():
        wanted = {f"system:aggregate-to-{part}" for part in parts}
        aggregated[name] = [
            rule for one in ROLES if one["metadata"]["name"] in wanted for rule in one["rules"]
        ]
    whole = [
        {**one, "rules": aggregated.get(one["metadata"]["name"], one["rules"])} for one in ROLES
    ]
    bindings = [
        {
            "metadata": {"name": user},
            "roleRef": {"kind": "ClusterRole", "name": role.replace("_", "-")},
            "subjects": [{"kind": "User", "name": user}],
        }
        for user, role in roles.items()
    ]
    return Policy(cluster_roles=whole, cluster_role_bindings=[*BINDINGS, *bindings])


def may(who: Policy, user: str, verb: str, plural: str, group: str = "") -> bool:
    return who.allows(User(name=user), Attributes(verb=verb, resource=plural, group=group))


def test_who_views_sees_no_secrets_and_writes_nothing() -> None:
    """As documented: reading Secrets would be the rights of every account of the namespace."""
    who = policy(v="view")
    assert may(who, "v", "list", "pods")
    assert may(who, "v", "get", "deployments", "apps")
    for verb, plural in (("get", "secrets"), ("create", "pods"), ("create", "pods/exec")):
        assert not may(who, "v", verb, plural)
    assert not may(who, "v", "get", "roles", RBAC)


def test_who_edits_changes_all_but_roles() -> None:
    who = policy(e="edit")
    for verb, plural in (
        ("create", "pods"),
        ("delete", "secrets"),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
    ):
        assert may(who, "e", verb, plural)
    assert not may(who, "e", "create", "roles", RBAC)
    assert not may(who, "e", "update", "resourcequotas")
    assert not may(who, "e", "delete", "nodes")


def test_who_administers_a_namespace_gives_roles_and_sets_no_quotas() -> None:
    who = policy(a="admin")
    assert may(who, "a", "create", "rolebindings", RBAC)
    assert not may(who, "a", "create", "clusterrolebindings", RBAC)
    assert not may(who, "a", "update", "resourcequotas")
    assert not may(who, "a", "escalate", "roles", RBAC)


def test_who_administers_the_cluster_may_everything() -> None:
    who = policy(c="cluster_admin")
    assert may(who, "c", "escalate", "anything", "of.any")
    assert who.allows(User(name="c"), Attributes(verb="post", path="/anything"))


def test_who_is_known_may_look_around_and_ask_about_himself() -> None:
    known = User(name="x", groups=("system:authenticated",))
    for path in ("/api", "/apis/apps/v1", "/openapi/v3", "/version", "/readyz"):
        assert policy().allows(known, Attributes(verb="get", path=path)), path
    review = Attributes(
        verb="create", group="authorization.k8s.io", resource="selfsubjectaccessreviews"
    )
    assert policy().allows(known, review)
    assert not policy().allows(known, Attributes(verb="get", path="/metrics"))
    assert not policy().allows(known, Attributes(verb="list", resource="pods"))


def test_rules_of_default_roles_are_read_as_written() -> None:
    for one in ROLES:
        for rule in one["rules"]:
            assert rule_of(rule).told == {key: value for key, value in rule.items() if value}


def test_roles_of_components_are_bound_to_them() -> None:
    """Row 11.3: the defaults, as Kubernetes' documentation lists them."""
    found = {
        one["metadata"]["name"]: {(its["kind"], its["name"]) for its in one["subjects"]}
        for one in BINDINGS
    }
    controllers = (
        *("clusterrole-aggregation-controller", "generic-garbage-collector"),
        *("namespace-controller", "resourcequota-controller"),
        *("root-ca-cert-publisher", "service-account-controller"),
    )
    assert found == {
        "cluster-admin": {("Group", "system:masters")},
        "system:basic-user": {("Group", "system:authenticated")},
        "system:discovery": {("Group", "system:authenticated")},
        "system:monitoring": {("Group", "system:monitoring")},
        "system:public-info-viewer": {
            ("Group", "system:authenticated"),
            ("Group", "system:unauthenticated"),
        },
        "system:service-account-issuer-discovery": {("Group", "system:serviceaccounts")},
        "system:kube-controller-manager": {("User", "system:kube-controller-manager")},
        "system:kube-scheduler": {("User", "system:kube-scheduler")},
        "system:volume-scheduler": {("User", "system:kube-scheduler")},
        "system:node-proxier": {("User", "system:kube-proxy")},
        "system:node": set(),
        "system:kube-dns": {("ServiceAccount", "kube-dns")},
        **{f"system:controller:{name}": {("ServiceAccount", name)} for name in controllers},
    }
    accounts = [its for one in BINDINGS for its in one["subjects"] if its["kind"][0] == "S"]
    assert {its["namespace"] for its in accounts} == {"kube-system"}


@pytest.mark.parametrize(
    "name",
    [
        *("system:node-bootstrapper", "system:node-problem-detector", "system:kubelet-api-admin"),
        *("system:auth-delegator", "system:kube-aggregator"),
        "system:persistent-volume-provisioner",
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
    ],
)
def test_other_roles_wait_for_whoever_binds_them(name: str) -> None:
    assert name in [one["metadata"]["name"] for one in ROLES]
    assert name not in [one["metadata"]["name"] for one in BINDINGS]


@pytest.mark.parametrize(
    ("user", "verb", "group", "plural", "name", "is_allowed"),
    [
        ("system:kube-scheduler", "create", "", "pods/binding", "p", True),
        ("system:kube-scheduler", "update", "", "pods/status", "p", True),
        ("system:kube-scheduler", "update", "", "pods", "p", False),
        ("system:kube-scheduler", "update", "", "persistentvolumes", "v", True),
        ("system:kube-scheduler", "get", "", "secrets", "s", False),
        ("system:kube-scheduler", "update", "coordination.k8s.io", "leases", "x", False),
        (
            "system:kube-scheduler",
            *("update", "coordination.k8s.io", "leases", "kube-scheduler", True),
        ),
        ("system:kube-controller-manager", "list", "any.example.com", "things", "", True),
        ("system:kube-controller-manager", "create", "", "serviceaccounts/token", "a", True),
        ("system:kube-controller-manager", "delete", "", "pods", "p", False),
        ("system:kube-proxy", "watch", "discovery.k8s.io", "endpointslices", "", True),
        ("system:kube-proxy", "create", "events.k8s.io", "events", "", True),
        ("system:kube-proxy", "list", "", "pods", "", False),
        ("system:serviceaccount:kube-system:kube-dns", "watch", "", "services", "", True),
        ("system:serviceaccount:default:kube-dns", "watch", "", "services", "", False),
        (
            "system:serviceaccount:kube-system:generic-garbage-collector",
            *("delete", "apps", "replicasets", "r", True),
        ),
        (
            "system:serviceaccount:kube-system:clusterrole-aggregation-controller",
            *("escalate", RBAC, "clusterroles", "view", True),
        ),
        (
            "system:serviceaccount:kube-system:service-account-controller",
            *("create", "", "serviceaccounts", "default", True),
        ),
        ("system:node:n1", "get", "", "secrets", "s", False),
    ],
)
def test_what_components_may(
    user: str, verb: str, group: str, plural: str, name: str, *, is_allowed: bool
) -> None:
    """Row 11.3."""
    asked = Attributes(verb=verb, group=group, resource=plural, namespace="x", name=name)
    assert policy().allows(User(name=user), asked) is is_allowed
