"""describe: it reads objects, what belongs to them and events, and prints what it understands."""

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import fails, ok, scenario
from tests.e2e.kubectl.scripts.kinds import POD_SPEC

_POD = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: p, labels: {{app: x}}}}
spec: {POD_SPEC}
"""

_EVENT = """\
apiVersion: v1
kind: Event
metadata: {name: p.1}
involvedObject: {apiVersion: v1, kind: Pod, name: p, namespace: $NS, uid: $uid}
reason: Looked
message: somebody has looked
type: Normal
count: 1
firstTimestamp: "2020-01-01T00:00:00Z"
lastTimestamp: "2020-01-01T00:00:00Z"
source: {component: tester}
"""

SCENARIOS = (
    scenario(
        "describe a pod and its events",
        "1.9 8.6",
        ok("create -f -", "pod/p created", stdin=_POD),
        ok("get pod p -o jsonpath={.metadata.uid}", r"[0-9a-f-]{36}", saves="uid"),
        ok("create -f -", r"event/p\.1 created", stdin=_EVENT),
        ok(
            "describe pod p",
            (
                r"^Name: +p$",
                r"^Namespace: +$NS$",
                r"^Service Account: +default$",
                r"^Labels: +app=x$",
                r"^Status: +Pending$",
                r"^ +Image: +example\.com/c:1$",
                r"^QoS Class: +BestEffort$",
                r"^Tolerations: +node\.kubernetes\.io/not-ready:NoExecute op=Exists for 300s$",
                r"^ +node\.kubernetes\.io/unreachable:NoExecute op=Exists for 300s$",
                r"^ +Normal +Looked +.* tester +somebody has looked$",
            ),
        ),
        ok("describe pods -l app=x --show-events=false", (r"^Name: +p$",)),
        fails("describe pod absent", r'Error from server \(NotFound\): pods "absent" not found'),
    ),
    scenario(
        "describe what is configured",
        "1.9",
        ok("create cm a --from-literal=k=hello", "configmap/a created"),
        ok(
            "describe cm a",
            (r"^Name: +a$", r"^Data$", r"^====$", r"^k:$", r"^hello$", r"^Events: +<none>$"),
        ),
        ok("create secret generic s --from-literal=k=hello", "secret/s created"),
        ok("describe secret s", (r"^Type: +Opaque$", r"^k: +5 bytes$")),
        ok("create quota q --hard=cpu=2,pods=3", "resourcequota/q created"),
        ok("describe quota q", (r"^Name: +q$", r"^Resource +Used +Hard$")),
        ok("describe ns $NS", (r"^Name: +$NS$", r"^Status: +Active$", r"Resource Quotas")),
        ok("describe sa default", (r"^Name: +default$", r"^Tokens: +")),
        ok("create role r --verb=get --resource=pods", "role.rbac.authorization.k8s.io/r created"),
        ok("describe role r", (r"^ +pods +\[\] +\[\] +\[get\]$",)),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "describe workloads and services",
        "1.9",
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok(
            "describe deployment web",
            (
                r"^Selector: +app=web$",
                r"^Replicas: +1 desired \| ",
                r"^StrategyType: +RollingUpdate$",
                r"^RollingUpdateStrategy: +25% max unavailable, 25% max surge$",
                r"^ +Image: +example\.com/c:1$",
            ),
        ),
        ok("expose deployment web --port=80", "service/web exposed"),
        ok(
            "describe svc web",
            (
                r"^Selector: +app=web$",
                r"^Type: +ClusterIP$",
                r"^IP: +10\.\d+\.\d+\.\d+$",
                r"^Port: +<unset> +80/TCP$",
                r"^Session Affinity: +None$",
            ),
            err=None,  # older kubectls read Endpoints, which are deprecated
        ),
        ok(
            "create cronjob c --image=example.com/c:1 --schedule='5 4 1 1 *'",
            "cronjob.batch/c created",
        ),
        ok("describe cronjob c", (r"^Schedule: +5 4 1 1 \*$", r"^Suspend: +False$")),
        ok(
            "create pdb b --selector=app=web --min-available=1",
            "poddisruptionbudget.policy/b created",
        ),
        ok("describe pdb b", (r"^Min available: +1$",)),
        ok(
            "autoscale deployment web --max=3",
            r"horizontalpodautoscaler\.autoscaling/web autoscaled",
        ),
        ok("describe hpa web", (r"^Reference: +Deployment/web$", r"^Max replicas: +3$")),
        ok(
            "create ingress i --rule=a.example.com/*=web:80",
            r"ingress\.networking\.k8s\.io/i created",
        ),
        ok(
            "describe ingress i",
            (r"^ +a\.example\.com *$", r"^ +/ +web:80"),
            err=None,  # older kubectls read Endpoints, which are deprecated
        ),
    ),
)
