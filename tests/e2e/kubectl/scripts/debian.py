"""The verbs of every day, as Debian's kubectl 1.20 knows them and every later one.

1.20 asks for each group's resources by itself, validates with OpenAPI v2 or not at all, and sends
JSON where later ones send protobuf.
"""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import background, ends, fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE, SELECTOR, TEMPLATE, deleted

_WEB = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: x, tier: front}}}}
spec: {{replicas: 2, {SELECTOR}, template: {TEMPLATE}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: x}}, ports: [{{port: 80}}]}}
"""
_SET = _WEB.split("---")[0].replace("Deployment", "ReplicaSet").replace("name: web", "name: r")
_OF_MORE = _WEB.replace("replicas: 2", "replicas: 5").replace(", tier: front", "")

_CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {k: "1", other: "1"}
"""
_CHANGED = _CONFIG.replace('k: "1"', 'k: "2"').replace(', other: "1"', "")
_REPLICAS = "get deploy web -o jsonpath={.spec.replicas}"
_VERSION = "get cm a -o jsonpath={.metadata.resourceVersion}"

SCENARIOS = (
    scenario(
        "with any kubectl: create and get",
        "1.2 2.1 2.12 2.18 2.20",
        ok(
            "create -f web.yaml",
            "deployment\\.apps/web created\nservice/web created",
        ),
        ok(
            "get deployments",
            table("NAME READY UP-TO-DATE AVAILABLE AGE", rf"web 0/2 \d \d {AGE}"),
        ),
        ok(
            "get svc web --no-headers -o wide",
            rf"web +ClusterIP +10\.\d+\.\d+\.\d+ +<none> +80/TCP +{AGE} +app=x",
        ),
        ok("get deploy,svc -l tier=front -o name", r"deployment\.apps/web"),
        ok("get deploy -l 'tier in (front,back),!other' -o name", r"deployment\.apps/web"),
        ok(
            "get deploy web -o jsonpath='{.kind} {.apiVersion} {.metadata.generation}'",
            "Deployment apps/v1 1",
        ),
        ok(
            "get deploy web -o custom-columns=N:.metadata.name,R:.spec.replicas",
            table("N R", "web 2"),
        ),
        ok("get deploy web -o go-template='{{.spec.replicas}}'", "2"),
        ok("get deploy web -o yaml", ("^apiVersion: apps/v1$", "^kind: Deployment$", "^  uid: ")),
        fails(
            "create -f web.yaml",
            (
                r'^Error from server \(AlreadyExists\): error when creating "web\.yaml": deployments\.apps "web" already exists$',
                r"provided port is already allocated|services \"web\" already exists",
            ),
        ),
        fails(
            "get deploy absent",
            r'Error from server \(NotFound\): deployments\.apps "absent" not found',
        ),
        fails("get nothing", r'error: the server doesn\'t have a resource type "nothing"'),
        fails(
            "create -f - --validate=false",
            (r'^The Service "bad" is invalid: ', r"spec\.ports: Required value"),
            stdin="apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {selector: {a: b}}\n",
        ),
        files={"web.yaml": _WEB},
        since=DEBIAN_MINOR,
    ),
    scenario(
        "with any kubectl: apply",
        "2.2 2.14",
        ok("apply -f a.yaml", "configmap/a created"),
        ok(_VERSION, r"\d+", saves="version"),
        ok("apply -f a.yaml", "configmap/a unchanged"),
        ok(_VERSION, "$version"),
        # What somebody else has added stays; what is left out of the file goes.
        ok('patch cm a -p \'{"data":{"mine":"1"}}\'', "configmap/a patched"),
        ok("apply -f changed.yaml", "configmap/a configured"),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"2","mine":"1"\}'),
        ok(
            "apply -f web.yaml",
            "deployment\\.apps/web created\nservice/web created",
        ),
        ok("get svc web -o jsonpath={.spec.clusterIP}", r"10\.\d+\.\d+\.\d+", saves="address"),
        ok(
            "apply -f more.yaml",
            "deployment\\.apps/web configured\nservice/web unchanged",
        ),
        ok(_REPLICAS, "5"),
        ok("get deploy web -o jsonpath={.metadata.labels}", r'\{"app":"x"\}'),
        ok("get svc web -o jsonpath={.spec.clusterIP}", "$address"),
        ok("apply view-last-applied deploy/web -o json", (r'"replicas": 5',)),
        fails(
            "apply -f -",
            (r'^The Deployment "web" is invalid: spec\.selector: Invalid value: ', "immutable"),
            stdin=_WEB.split("---")[0].replace("app: x", "app: other"),
        ),
        files={
            "a.yaml": _CONFIG,
            "changed.yaml": _CHANGED,
            "web.yaml": _WEB,
            "more.yaml": _OF_MORE,
        },
        since=DEBIAN_MINOR,
    ),
    scenario(
        "with any kubectl: apply on the server's side",
        "2.15",
        ok("apply --server-side -f a.yaml", "configmap/a serverside-applied"),
        fails(
            "apply --server-side --field-manager=other -f changed.yaml",
            (r'Apply failed with 1 conflict: conflict with "kubectl".*: \.data\.k',),
        ),
        ok(
            "apply --server-side --field-manager=other --force-conflicts -f changed.yaml",
            "configmap/a serverside-applied",
        ),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"2","other":"1"\}'),
        files={"a.yaml": _CONFIG, "changed.yaml": _CHANGED},
        since=DEBIAN_MINOR,
    ),
    scenario(
        "with any kubectl: scale",
        "1.6 2.3 2.13",
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok(_REPLICAS, "1"),
        ok("scale deployment web --replicas=3", r"deployment\.apps/web scaled"),
        ok(_REPLICAS, "3"),
        ok("get deploy web -o jsonpath={.metadata.generation}", "2"),
        ok("scale deploy/web --current-replicas=3 --replicas=0", r"deployment\.apps/web scaled"),
        ok(_REPLICAS, "0"),
        fails(
            "scale deploy/web --current-replicas=3 --replicas=1",
            r"error: Expected replicas to be 3, was 0",
        ),
        fails(
            "scale deployment absent --replicas=1",
            (
                r"^(Error from server \(NotFound\): deployments\.apps|error: no objects passed to scale)",
            ),
        ),
        ok("create -f -", r"replicaset\.apps/r created", stdin=_SET),
        ok("scale rs r --replicas=4", r"replicaset\.apps/r scaled"),
        ok("get rs r -o jsonpath={.spec.replicas}", "4"),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "with any kubectl: delete",
        "2.4 2.16 2.17",
        ok("create -f a.yaml", "configmap/a created"),
        background("watch", "get cm -w --no-headers", until="^a "),
        ok("delete -f a.yaml", deleted('configmap "a"')),
        ends("watch", (rf"(?s)^a +2 +{AGE}.*^a +2 +{AGE}",)),
        fails("get cm a", r'Error from server \(NotFound\): configmaps "a" not found'),
        fails(
            "delete -f a.yaml",
            r'Error from server \(NotFound\): error when deleting "a\.yaml": configmaps "a" not found',
        ),
        ok("delete cm a --ignore-not-found", ""),
        ok("create -f web.yaml", ("^deployment.apps/web created$", "^service/web created$")),
        ok(
            "delete deploy,svc web",
            (r'^deployment\.apps "web" deleted', r'^service "web" deleted'),
        ),
        ok("get deploy,svc -o name", ""),
        ok("create cm b", "configmap/b created"),
        ok("label cm b a=b", "configmap/b labeled"),
        ok("delete cm -l a=b", deleted('configmap "b"')),
        ok("get cm -l a=b -o name", ""),
        files={"a.yaml": _CONFIG, "web.yaml": _WEB},
        since=DEBIAN_MINOR,
    ),
)
