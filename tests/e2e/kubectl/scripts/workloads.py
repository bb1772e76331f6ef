"""Workloads as they are asked for, and as controllers carry them out: no node runs their pods."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import Line, background, ends, fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE, TEMPLATE, deleted

_STATEFUL = f"""\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec: {{serviceName: db, selector: {{matchLabels: {{app: x}}}}, template: {TEMPLATE}}}
"""

_DAEMON = f"""\
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: agent}}
spec: {{selector: {{matchLabels: {{app: x}}}}, template: {TEMPLATE}}}
"""

_IMAGE = "-o jsonpath='{.spec.template.spec.containers[0].image}'"
_GENERATION = "get deploy web -o jsonpath={.metadata.generation}"


def _reaches(revision: int) -> tuple[Line, Line]:
    """Waits until the Deployment `web` is at a revision."""
    annotation = r".metadata.annotations.deployment\.kubernetes\.io/revision"
    told = f"""-o jsonpath='{{{annotation}}}{{"\\n"}}'"""
    return (
        background("revisions", f"get deployment web -w {told}"),
        ends("revisions", (f"^{revision}$",)),
    )


SCENARIOS = (
    scenario(
        "a deployment from words",
        "1.5 1.6 2.12",
        ok(
            "create deployment web --image=example.com/c:1 --replicas=2",
            r"deployment\.apps/web created",
        ),
        ok(_GENERATION, "1"),
        ok(
            "get deployment web -o jsonpath='{.spec.strategy} {.spec.revisionHistoryLimit} "
            "{.spec.progressDeadlineSeconds}'",
            r'\{"rollingUpdate":\{"maxSurge":"25%","maxUnavailable":"25%"\},"type":"RollingUpdate"\} '
            "10 600",
        ),
        ok(
            "get deployment web -o jsonpath='{.spec.template.spec.containers[0].imagePullPolicy} "
            "{.spec.template.spec.dnsPolicy} {.spec.template.spec.terminationGracePeriodSeconds}'",
            "IfNotPresent ClusterFirst 30",
        ),
        ok(
            "get deployment web -o wide",
            table(
                "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
                rf"web 0/2 \d \d {AGE} c example\.com/c:1 app=web",
            ),
        ),
        ok("set image deployment/web c=example.com/c:2", r"deployment\.apps/web image updated"),
        ok(f"get deploy web {_IMAGE}", r"example\.com/c:2"),
        ok(_GENERATION, "2"),
        ok("set env deployment/web KEY=value", r"deployment\.apps/web env updated"),
        ok("set env deployment/web --list", ("^KEY=value$",)),
        ok("set env deployment/web KEY-", r"deployment\.apps/web env updated"),
        ok(
            "set resources deployment/web --requests=cpu=100m --limits=cpu=200m",
            r"deployment\.apps/web resource requirements updated",
        ),
        ok(
            "get deploy web -o jsonpath='{.spec.template.spec.containers[0].resources}'",
            r'\{"limits":\{"cpu":"200m"\},"requests":\{"cpu":"100m"\}\}',
        ),
        ok(
            "set serviceaccount deployment/web robot",
            r"deployment\.apps/web serviceaccount updated",
        ),
        ok(_GENERATION, "6"),
        ok("label deploy web a=b", r"deployment\.apps/web labeled"),
        ok(_GENERATION, "6"),
        fails(
            "set image deployment/web nothing=x",
            ('error: unable to find container named "nothing"',),
        ),
        fails(
            "create deployment web --image=example.com/c:1",
            r'error: failed to create deployment: deployments\.apps "web" already exists',
        ),
        fails(
            'patch deploy web -p \'{"spec":{"selector":{"matchLabels":{"app":"other"}}}}\'',
            (r'^The Deployment "web" is invalid: ', r"field is immutable"),
        ),
        fails(
            "set resources deployment/web --requests=cpu=300m --limits=cpu=200m",
            (r"must be less than or equal to cpu limit( of 200m)?",),
        ),
        ok("delete deployment web", deleted(r'deployment\.apps "web"')),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "scale",
        "2.13",
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok("scale deployment web --replicas=3", r"deployment\.apps/web scaled"),
        ok("get deploy web -o jsonpath={.spec.replicas}", "3"),
        ok(
            "scale deployment/web --current-replicas=3 --replicas=2", r"deployment\.apps/web scaled"
        ),
        fails(
            "scale deployment web --current-replicas=3 --replicas=1",
            r"error: Expected replicas to be 3, was 2",
        ),
        ok(
            "get deployment web --subresource=scale",
            table("NAME DESIRED AVAILABLE AGE", rf"web 2 \d {AGE}"),
        ),
        ok(
            "get deployment web --subresource=scale -o jsonpath='{.kind} {.apiVersion} "
            "{.spec.replicas} {.status.selector}'",
            "Scale autoscaling/v1 2 app=web",
        ),
        ok("scale deployment web --replicas=0", r"deployment\.apps/web scaled"),
        ok("create -f -", r"statefulset\.apps/db created", stdin=_STATEFUL),
        ok("scale sts db --replicas=4", r"statefulset\.apps/db scaled"),
        ok("get sts db --no-headers", rf"db +0/4 +{AGE}"),
        fails(
            "scale deployment absent --replicas=1",
            r'(?s).*(deployments\.apps "absent" not found|no objects passed to scale).*',
        ),
        fails(
            "scale deployment web --replicas=-1",
            (r"error: The --replicas=COUNT flag is required|must be",),
        ),
        fails("scale cm kube-root-ca.crt --replicas=1", (r"^(Error|error)",)),
        ok(
            "autoscale deployment web --min=1 --max=3 --cpu-percent=50",
            r"horizontalpodautoscaler\.autoscaling/web autoscaled",
        ),
        ok(
            "get hpa web",
            table(
                "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE",
                f"web Deployment/web cpu: <unknown>/50% 1 3 0 {AGE}",
            ),
        ),
        ok(
            "get horizontalpodautoscalers.v1.autoscaling web -o jsonpath={.spec.targetCPUUtilizationPercentage}",
            "50",
        ),
        fails(
            "autoscale deployment web --max=3",
            (r'horizontalpodautoscalers\.autoscaling "web" already exists',),
        ),
        fails("autoscale deployment absent --max=3", (r'deployments\.apps "absent" not found',)),
    ),
    scenario(
        "rollout commands",
        "1.6 1.10",
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok("rollout pause deployment/web", r"deployment\.apps/web paused"),
        ok("get deploy web -o jsonpath={.spec.paused}", "true"),
        fails("rollout pause deployment/web", (r'deployments\.apps "web" is already paused',)),
        ok("rollout resume deployment/web", r"deployment\.apps/web resumed"),
        ok("get deploy web -o jsonpath={.spec.paused}", ""),
        fails("rollout resume deployment/web", (r'deployments\.apps "web" is not paused',)),
        *_reaches(1),
        ok("rollout restart deployment/web", r"deployment\.apps/web restarted"),
        ok(
            "get deploy web -o jsonpath='{.spec.template.metadata.annotations}'",
            r'\{"kubectl\.kubernetes\.io/restartedAt":"2.*"\}',
        ),
        *_reaches(2),
        ok("set image deployment/web c=example.com/c:3", r"deployment\.apps/web image updated"),
        ok(
            "annotate deployment/web kubernetes.io/change-cause=third",
            r"deployment\.apps/web annotated?",
        ),
        *_reaches(3),
        ok("get rs -l app=web --no-headers", (r"^web-[4-9bcdf]+ +1 ",)),
        ok(
            "rollout history deployment/web",
            (r"^REVISION +CHANGE-CAUSE$", r"^1 +<none>$", r"^2 +<none>$", r"^3 +third$"),
        ),
        ok("rollout history deployment/web --revision=1", (r"Image:\s+example\.com/c:1",)),
        ok("rollout undo deployment/web --to-revision=1", r"deployment\.apps/web rolled back"),
        ok(f"get deploy web {_IMAGE}", r"example\.com/c:1"),
        *_reaches(4),
        ok("rollout history deployment/web", "(?s)(?!.*\n1 ).*\n2 .*\n3 .*\n4 .*"),
        fails(
            "rollout undo deployment/web --to-revision=9",
            ("error: unable to find specified revision 9 in history",),
        ),
        fails(
            "rollout status deployment/absent",
            r'Error from server \(NotFound\): deployments\.apps "absent" not found',
        ),
        fails(
            "rollout status deployment/web --timeout=1s",
            ("^error: timed out waiting for the condition",),
            out=("Waiting for deployment",),
        ),
        ok("scale deployment/web --replicas=0", r"deployment\.apps/web scaled"),
        ok("rollout status deployment/web", ('deployment "web" successfully rolled out',)),
        ok("get deploy web --no-headers", rf"web +0/0 +0 +0 +{AGE}"),
        ok("create -f -", r"daemonset\.apps/agent created", stdin=_DAEMON),
        ok("rollout restart ds/agent", r"daemonset\.apps/agent restarted"),
        needs="controllers",
    ),
    scenario(
        "deployments are carried out",
        "1.10",
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok(
            "wait deploy/web --for=jsonpath='{.status.observedGeneration}'=1",
            r"deployment\.apps/web condition met",
        ),
        ok("get rs -l app=web --no-headers", (r"^web-[0-9a-z]+ +1 ",)),
        ok("get pods -l app=web --no-headers", (r"^web-[4-9bcdf]+-[0-9a-z]{5} +0/1 +Pending ",)),
        ok("set image deployment/web c=example.com/c:2", r"deployment\.apps/web image updated"),
        *_reaches(2),
        ok("rollout history deployment/web", (r"^2 +<none>$",)),
        ok("describe deployment web", (r"ScalingReplicaSet .*Scaled up replica set web-\w+ ",)),
        ok("delete deployment web --cascade=foreground", deleted(r'deployment\.apps "web"')),
        ok("get rs,pods -l app=web", "", err="No resources found in .* namespace.\n?"),
        needs="controllers",
    ),
    scenario(
        "pods and jobs",
        "1.6 2.16 2.19 8.6",
        ok("run p --image=example.com/c:1 --labels=app=x --env=K=v --port=80", "pod/p created"),
        ok(
            "get pod p",
            table("NAME READY STATUS RESTARTS AGE", f"p 0/1 Pending 0 {AGE}"),
        ),
        ok(
            "get pod p -o wide",
            table(
                "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
                f"p 0/1 Pending 0 {AGE} <none> <none> <none> <none>",
            ),
        ),
        ok("get pod p -o jsonpath='{.status.qosClass} {.spec.restartPolicy}'", "BestEffort Always"),
        ok("set image pod/p p=example.com/c:2", "pod/p image updated"),
        ok(
            "debug p --image=example.com/tools:1 --container=look --attach=false -q",
            None,
            err=None,
        ),
        ok(
            "get pod p -o jsonpath='{.spec.ephemeralContainers[*].name}'",
            "look",
        ),
        fails(
            "run p --image=example.com/c:1",
            r'Error from server \(AlreadyExists\): pods "p" already exists',
        ),
        fails(
            "run P --image=example.com/c:1",
            (
                r'The Pod "P" is invalid:',
                r'metadata\.name: Invalid value: "P": a lowercase RFC 1123 subdomain',
            ),
        ),
        fails(
            "run q --image=' '",
            (r"Invalid image name|must not have leading or trailing whitespace",),
        ),
        fails(
            "create -f -",
            (
                r'^The Pod "q" is invalid: ',
                r"spec\.containers\[0\]\.name: Required value",
                r'spec\.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
            ),
            stdin="apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nspec: {restartPolicy: Sometimes, "
            "containers: [{image: 'example.com/c:1'}]}\n",
        ),
        fails(
            "create -f -",
            (r"spec\.containers: Required value",),
            stdin="apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nspec: {}\n",
        ),
        fails("logs absent", (r'\(NotFound\): pods "absent" not found',)),
        fails("exec absent -- true", r'Error from server \(NotFound\): pods "absent" not found'),
        ok("create job j --image=example.com/c:1 -- true", r"job\.batch/j created"),
        ok(
            "get job j -o jsonpath='{.spec.backoffLimit} {.spec.completions} {.spec.parallelism}'",
            "6 1 1",
        ),
        fails(
            'patch job j -p \'{"spec":{"template":{"spec":{"restartPolicy":"OnFailure"}}}}\'',
            (r'^The Job "j" is invalid: spec\.template: Invalid value: ', r"field is immutable"),
        ),
        fails(
            "create cronjob c --image=example.com/c:1 --schedule='every day'",
            (r'spec\.schedule: Invalid value: "every day"',),
        ),
        ok("delete pod p --now", deleted('pod "p"')),
        ok("delete job j", deleted(r'job\.batch "j"')),
    ),
)
