"""What is asked without a change: versions, discovery, documents, get in all its forms, events."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import background, ends, fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE

_THREE = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {tier: front, num: "1"}}, data: {k: x}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, labels: {tier: back, num: "2"}}, data: {k: z}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {num: "3"}}}
"""

_EVENT = """\
apiVersion: v1
kind: Event
metadata: {name: a.1}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: a, namespace: $NS}
reason: Looked
message: somebody has looked
type: Warning
count: 3
firstTimestamp: "2020-01-01T00:00:00Z"
lastTimestamp: "2020-01-01T00:05:00Z"
source: {component: tester}
"""

_CMS = "/api/v1/namespaces/$NS/configmaps"

SCENARIOS = (
    scenario(
        "the server says what it is",
        "2.22 1.1",
        # Older kubectls warn of the distance to the server's version.
        ok("version", (r"^Client Version: .*v1\.", r"^Server Version: .*v1\.33\."), err=None),
        ok("version -o json", (r'"major": "1"', r'"minor": "33"', r'"platform": ".+"'), err=None),
        ok(
            "cluster-info",
            (r"Kubernetes control plane.* is running at .*https://127\.0\.0\.1:\d+",),
        ),
        ok("get --raw /version", ('"gitVersion": ?"v1.33', '"goVersion"')),
        ok("get --raw /healthz", "ok"),
        ok("get --raw /livez", "ok"),
        ok("get --raw /readyz", "ok"),
        ok("get --raw /readyz?verbose", (r"^\[\+\]ping ok$", r"^readyz check passed$")),
        ok("get --raw /livez/ping", "ok"),
        ok("get --raw /metrics", (r"^apiserver_request_total\{.*\} \d+",)),
        ok("get --raw /openid/v1/jwks", ('"keys"', '"kty"', '"use": ?"sig"')),
        ok(
            "get --raw /.well-known/openid-configuration",
            ('"issuer"', '"jwks_uri"', '"response_types_supported"'),
        ),
        fails(
            "get --raw /nothing",
            r"Error from server \(NotFound\): the server could not find the requested resource",
        ),
        fails(
            "top nodes",
            "error: Metrics API not available",
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "discovery",
        "1.1",
        ok("api-versions", ("^v1$", r"^apps/v1$", r"^batch/v1$", r"^autoscaling/v2$")),
        ok(
            "api-resources --api-group=apps --sort-by=name",
            table(
                "NAME SHORTNAMES APIVERSION NAMESPACED KIND",
                "controllerrevisions apps/v1 true ControllerRevision",
                "daemonsets ds apps/v1 true DaemonSet",
                "deployments deploy apps/v1 true Deployment",
                "replicasets rs apps/v1 true ReplicaSet",
                "statefulsets sts apps/v1 true StatefulSet",
            ),
        ),
        ok(
            "api-resources --namespaced=false -o name",
            (
                "^namespaces$",
                "^nodes$",
                "^persistentvolumes$",
                r"^customresourcedefinitions\.apiextensions\.k8s\.io$",
                r"^storageclasses\.storage\.k8s\.io$",
            ),
        ),
        ok(
            "api-resources --api-group=batch -o wide --no-headers",
            (
                (
                    r"^cronjobs +cj +batch/v1 +true +CronJob +create,delete,deletecollection,get,list,"
                    r"patch,update,watch +all$"
                ),
            ),
        ),
        ok("api-resources --verbs=list,get --namespaced=true -o name", (r"^pods$", r"^events$")),
        ok("get --raw /api", ('"APIVersions"', '"serverAddressByClientCIDRs"')),
        ok("get --raw /apis/apps", ('"kind": ?"APIGroup"', '"preferredVersion"')),
        ok("get --raw /api/v1", ('"name": ?"pods/eviction"', '"shortNames": ?\\[\\s*"po"')),
    ),
    scenario(
        "explain",
        "1.4",
        ok(
            "explain pods",
            (r"^KIND: +Pod$", r"^VERSION: +v1$", r"^DESCRIPTION:$", r"^  spec\s+<PodSpec>$"),
        ),
        ok(
            "explain deployment.spec.replicas",
            (r"^GROUP: +apps$", r"^VERSION: +v1$", r"^FIELD: replicas <integer>$", "Defaults to 1"),
        ),
        ok("explain cm --recursive", (r"^  data\s+<map\[string\]string>$", r"^    finalizers\s")),
        ok(
            "explain hpa --api-version=autoscaling/v1",
            (r"^GROUP: +autoscaling$", r"^VERSION: +v1$"),
        ),
        fails("explain pods.nothing", 'error: field "nothing" does not exist', out=None),
        fails(
            "explain nothings",
            r'''(error: )?the server doesn't have a resource type "nothings"''',
        ),
    ),
    scenario(
        "get in every form",
        "1.2 2.8 2.20",
        ok("get cm", "", err=r"No resources found in $NS namespace\."),
        ok("get nodes -l tier=$NS", "", err="No resources found"),
        ok(
            "create -f -",
            "configmap/a created\nconfigmap/b created\nconfigmap/c created",
            stdin=_THREE,
        ),
        ok("get cm", table("NAME DATA AGE", f"a 1 {AGE}", f"b 1 {AGE}", f"c 0 {AGE}")),
        ok("get configmaps --no-headers", table(f"a 1 {AGE}", f"b 1 {AGE}", f"c 0 {AGE}")),
        ok("get cm --chunk-size=1 -o name", "configmap/a\nconfigmap/b\nconfigmap/c"),
        ok(
            "get cm --chunk-size=2",
            table("NAME DATA AGE", f"a 1 {AGE}", f"b 1 {AGE}", f"c 0 {AGE}"),
        ),
        ok(
            "get cm a --show-labels",
            table("NAME DATA AGE LABELS", f"a 1 {AGE} num=1,tier=front"),
        ),
        ok(
            "get cm -L tier",
            table("NAME DATA AGE TIER", f"a 1 {AGE} front", f"b 1 {AGE} back", f"c 0 {AGE}"),
        ),
        ok(
            "get cm -A --field-selector=metadata.namespace=$NS,metadata.name!=b",
            table("NAMESPACE NAME DATA AGE", f"$NS a 1 {AGE}", f"$NS c 0 {AGE}"),
        ),
        ok("get cm -l tier=front -o name", "configmap/a"),
        ok("get cm -l 'tier in (front, back)' -o name", "configmap/a\nconfigmap/b"),
        ok("get cm -l 'tier notin (front)' -o name", "configmap/b\nconfigmap/c"),
        ok("get cm -l 'tier,num!=2' -o name", "configmap/a"),
        ok("get cm -l '!tier' -o name", "configmap/c"),
        ok("get cm --sort-by='{.data.k}' -o name -l tier", "configmap/a\nconfigmap/b"),
        ok("get cm --sort-by=.metadata.name --no-headers", (f"^a +1 +{AGE}$", f"^c +0 +{AGE}$")),
        ok("get cm/b cm/a -o name", "configmap/b\nconfigmap/a"),
        ok("get cm a -o jsonpath='{.data.k} {.metadata.namespace}'", "x $NS"),
        ok("get cm -o jsonpath='{.items[*].metadata.name}'", "a b c"),
        ok("get cm a -o go-template='{{.data.k}}'", "x"),
        ok(
            "get cm -o custom-columns=WHO:.metadata.name,K:.data.k",
            table("WHO K", "a x", "b z", "c <none>"),
        ),
        ok("get cm a -o yaml", ("^apiVersion: v1$", "^data:$", "^  k: x$", "^kind: ConfigMap$")),
        ok("get cm a -o json", ('"kind": "ConfigMap"', '"resourceVersion": "[1-9][0-9]*"')),
        ok(
            "get cm a -o json --show-managed-fields",
            ('"managedFields": ', '"manager": ', '"f:data"'),
        ),
        ok("get cm a b -o yaml", ("^kind: List$",)),
        ok("get cm absent --ignore-not-found", ""),
        ok("get deploy,cm -l num=1 -o name", "configmap/a"),
        ok("get all", "", err=r"No resources found in $NS namespace\."),
        fails("get cm absent", r'Error from server \(NotFound\): configmaps "absent" not found'),
        fails(
            "get cm a absent",
            r'Error from server \(NotFound\): configmaps "absent" not found',
            out=table("NAME DATA AGE", f"a 1 {AGE}"),
        ),
        fails("get foos", r'''error: the server doesn't have a resource type "foos"'''),
        fails(
            "get cm x -n $NS-no",
            r'Error from server \(NotFound\): namespaces "$NS-no" not found',
        ),
        fails("get cm -l 'a b'", ("unable to parse requirement: found 'b', expected",)),
        fails(
            "get cm --field-selector=data.k=x",
            r'Error from server \(BadRequest\): Unable to find "/v1, Resource=configmaps" that '
            r'match label selector "", field selector "data\.k=x": "data\.k" is not a known field '
            r'selector: only "metadata\.name", "metadata\.namespace"',
        ),
        fails(
            "get pods --field-selector=spec.nothing=x",
            (r"\(BadRequest\)", r"field label not supported: spec\.nothing$"),
        ),
        fails(
            "get --raw '/api/v1/namespaces/$NS/configmaps?continue=nonsense'",
            (r"Error from server \(BadRequest\): continue key is not valid",),
        ),
        fails(
            "get --raw '/api/v1/namespaces/$NS/configmaps?resourceVersion=x'",
            (r"\((BadRequest|Invalid)\)",),
        ),
    ),
    scenario(
        "pods are found by their fields",
        "2.20",
        ok("run p --image=example.com/c:1 --restart=Never", "pod/p created"),
        ok("run q --image=example.com/c:1", "pod/q created"),
        ok("get pods --field-selector=status.phase=Pending -o name", "pod/p\npod/q"),
        ok("get pods --field-selector=spec.restartPolicy=Never -o name", "pod/p"),
        ok("get pods --field-selector=spec.serviceAccountName=default -o name", "pod/p\npod/q"),
        ok("get pods --field-selector=spec.schedulerName!=default-scheduler -o name", ""),
        ok("get pods --field-selector=spec.nodeName= -o name", "pod/p\npod/q"),
        ok("get pods --field-selector=status.phase=Running", "", err="No resources found.*"),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "a watch tells what changes",
        "1.2 2.4",
        ok("create cm a --from-literal=k=1", "configmap/a created"),
        background("table", "get cm -w --output-watch-events", until=r"^ADDED +a "),
        background("json", "get cm -w -o jsonpath='{.metadata.name}={.data.k};'", until="a=1;"),
        ok("create cm b --from-literal=k=2", "configmap/b created"),
        ok("delete cm b", r'configmap "b" deleted.*'),
        ok('patch cm a -p \'{"data":{"k":"3"}}\'', "configmap/a patched"),
        ends(
            "table",
            (
                r"^EVENT +NAME +DATA +AGE *$",
                rf"^ADDED +a +1 +{AGE}$",
                rf"^ADDED +b +1 +{AGE}$",
                rf"^DELETED +b +1 +{AGE}$",
                rf"^MODIFIED +a +1 +{AGE}$",
            ),
        ),
        ends("json", ("a=1;", "b=2;b=2;", "a=3;")),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "lists and watches as a client of one's own asks for them",
        "2.2 2.4 2.5 2.6",
        ok("create cm a --from-literal=k=1", "configmap/a created"),
        ok("get cm a -o jsonpath={.metadata.resourceVersion}", r"\d+", saves="first"),
        ok("create cm b --from-literal=k=2", "configmap/b created"),
        ok("get cm b -o jsonpath={.metadata.resourceVersion}", r"\d+", saves="second"),
        ok(
            f"get --raw '{_CMS}?watch=true&resourceVersion=$first&timeoutSeconds=1'",
            r'\{"type":"ADDED","object":\{.*"name":"b".*\}\}',
        ),
        ok(
            f"get --raw '{_CMS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
            "&resourceVersionMatch=NotOlderThan&timeoutSeconds=1'",
            (
                r'^\{"type":"ADDED","object":\{.*"name":"a"',
                r'^\{"type":"ADDED","object":\{.*"name":"b"',
                r'^\{"type":"BOOKMARK","object":\{.*"k8s\.io/initial-events-end": ?"true"',
            ),
        ),
        ok(
            f"get --raw '{_CMS}?resourceVersion=$first&resourceVersionMatch=Exact'",
            (r'"resourceVersion": ?"$first"', '"name": ?"a"'),
        ),
        ok(f"get --raw '{_CMS}?limit=1'", ('"remainingItemCount": ?1', '"continue": ?"')),
        fails(
            f"get --raw '{_CMS}?resourceVersion=999999999999'",
            (
                r"^Error from server \(Timeout\): Too large resource version: 999999999999, current: ",
            ),
        ),
        fails(
            f"get --raw '{_CMS}?resourceVersionMatch=Exact'",
            (r"\((Invalid|BadRequest)\)|is invalid", "resourceVersionMatch"),
        ),
        fails(
            f"get --raw '{_CMS}?watch=true&sendInitialEvents=true'",
            (r"sendInitialEvents",),
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "wait",
        "1.9",
        ok("create cm a --from-literal=k=1", "configmap/a created"),
        ok("wait cm/a --for=jsonpath='{.data.k}'=1", "configmap/a condition met"),
        ok("wait cm/absent --for=delete --timeout=5s", ""),
        fails(
            "wait cm/a --for=delete --timeout=1s",
            (
                "^error: timed out waiting for the condition on configmaps/a$",
            ),  # among notes of the client
        ),
        fails(
            "wait cm/absent --for=condition=Ready --timeout=1s",
            r'Error from server \(NotFound\): configmaps "absent" not found',
        ),
        ok("run p --image=example.com/c:1", "pod/p created"),
        background("waiting", "wait pod/p --for=condition=Ready --timeout=100s"),
        ok(
            "patch pod p --subresource=status -p "
            '\'{"status":{"conditions":[{"type":"Ready","status":"True"}]}}\'',
            "pod/p patched",
        ),
        ends("waiting", ("^pod/p condition met$",)),
    ),
    scenario(
        "events",
        "1.9 3.5",
        ok("create cm a", "configmap/a created"),
        ok("create -f -", r"event/a\.1 created", stdin=_EVENT),
        ok(
            "get events --field-selector=involvedObject.name=a,type=Warning,reason=Looked",
            table(
                "LAST SEEN TYPE REASON OBJECT MESSAGE",
                f"{AGE} Warning Looked configmap/a somebody has looked",
            ),
        ),
        ok("get events -o wide", ("SUBOBJECT", "SOURCE", "FIRST SEEN", "COUNT", "tester")),
        ok(
            "events",
            (r"^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE", r"Looked +ConfigMap/a +somebody has"),
        ),
        ok("events --for=configmap/a --types=Warning", ("somebody has looked",)),
        ok("events --for=configmap/b", "", err="No events found in $NS namespace\\."),
        ok("get events --field-selector=type=Normal", "", err="No resources found in $NS.*"),
        fails(
            "get events --field-selector=message=x",
            (r"field label not supported: message$",),
        ),
    ),
    scenario(
        "events are the same in both groups",
        "3.5",
        ok("create cm a", "configmap/a created"),
        ok("create -f -", r"event/a\.1 created", stdin=_EVENT),
        ok(
            "get events.events.k8s.io a.1 -o jsonpath='{.note} {.regarding.name} {.deprecatedCount}'",
            "somebody has looked a 3",
        ),
    ),
)
