"""Workloads that are carried out: roll-outs, scaling, jobs, services, nodes that are drained."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.script import comes, fails, ok, scenario
from tests.e2e.kubectl.scripts.kinds import AGE, deleted
from tests.e2e.running.pods import SLEEPER

_WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: local/http
        env: [{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
"""

_STUCK = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  replicas: 1
  progressDeadlineSeconds: 2
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec: {containers: [{name: c, image: "example.com/nope:1"}]}
"""

_BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: all}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
"""

_FAILING = """\
apiVersion: batch/v1
kind: Job
metadata: {name: failing}
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: local/shell, command: [sh, -c, "exit 1"]}]}
"""

_INDEXED = """\
apiVersion: batch/v1
kind: Job
metadata: {name: indexed}
spec:
  completionMode: Indexed
  completions: 3
  parallelism: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: local/shell, command: [sh, -c, "echo index $JOB_COMPLETION_INDEX"]}]}
"""

_ROLLED_OUT = 'deployment "web" successfully rolled out'

SCENARIOS = (
    scenario(
        "a deployment is rolled out, changed and rolled back",
        "4.1 4.4 4.5 4.6 4.8",
        ok("apply -f -", r"deployment\.apps/web created", stdin=_WEB),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("get deployment web --no-headers", rf"web +2/2 +2 +2 +{AGE}"),
        ok("get rs -l app=web --no-headers", rf"web-\S+ +2 +2 +2 +{AGE}"),
        ok("set env deployment/web COLOUR=green", r"deployment\.apps/web env updated"),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("rollout history deployment/web", (r"^1 +<none>$", r"^2 +<none>$")),
        ok("rollout history deployment/web --revision=2", ("COLOUR:.*green",)),
        ok("rollout undo deployment/web", r"deployment\.apps/web rolled back"),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("rollout history deployment/web", (r"^2 +<none>$", r"^3 +<none>$")),
        ok("rollout restart deployment/web", r"deployment\.apps/web restarted"),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        fails(
            "rollout undo deployment/web --to-revision=99",
            "error: unable to find specified revision 99 in history",
        ),
        ok("rollout pause deployment/web", r"deployment\.apps/web paused"),
        fails("rollout pause deployment/web", r'error: deployments\.apps "web" is already paused'),
        fails(
            "rollout undo deployment/web",
            ("cannot rollback a paused deployment; resume it first",),
        ),
        fails("rollout restart deployment/web", (r"can't restart paused deployment",)),
        ok("rollout resume deployment/web", r"deployment\.apps/web resumed"),
        fails("rollout resume deployment/web", r'error: deployments\.apps "web" is not paused'),
        fails(
            "rollout status deployment/nope",
            (r'deployments\.apps "nope" not found',),
        ),
        ok("delete deployment web", deleted(r'deployment\.apps "web"')),
        ok("wait pod -l app=web --for=delete --timeout=60s", None),
    ),
    scenario(
        "a roll-out that does not get on is told",
        "4.7",
        ok("apply -f -", r"deployment\.apps/stuck created", stdin=_STUCK),
        fails(
            "rollout status deployment/stuck --timeout=60s",
            'error: deployment "stuck" exceeded its progress deadline',
            out=None,
        ),
        fails(
            "rollout status deployment/stuck --watch=false --revision=7",
            ("desired revision",),
            out=None,
        ),
        ok(
            "get deployment stuck -o jsonpath='{.status.conditions[?(@.type==\"Progressing\")].reason}'",
            "ProgressDeadlineExceeded",
        ),
    ),
    scenario(
        "replicas come and go, and a service finds them",
        "2.20 4.1 5.4",
        ok("apply -f -", r"deployment\.apps/web created", stdin=_WEB),
        ok("expose deployment web --port=80 --target-port=8080", "service/web exposed"),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("scale deployment/web --replicas=3", r"deployment\.apps/web scaled"),
        ok(
            "wait deployment/web --for=jsonpath={.status.readyReplicas}=3 --timeout=60s",
            r"deployment\.apps/web condition met",
        ),
        fails(
            "scale deployment/web --current-replicas=5 --replicas=1",
            "error: Expected replicas to be 5, was 3",
        ),
        fails(
            "scale deployment/web --replicas=-1",
            (
                "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
            ),
        ),
        ok(
            "get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[0].endpoints[*].conditions.ready}'",
            "true true true",
        ),
        ok("describe service web", (r"Endpoints: +\S+:8080,\S+:8080,\S+:8080", "ClusterIP")),
        ok(
            "autoscale deployment web --min=1 --max=5",
            r"horizontalpodautoscaler\.autoscaling/web autoscaled",
        ),
        fails(
            "autoscale deployment web --max=0",
            ("--max=MAXPODS is required and must be at least 1",),
        ),
        fails("expose deployment nope --port=80", (r'deployments\.apps "nope" not found',)),
        fails("expose deployment web --port=80", (r'services "web" already exists',)),
        ok("scale deployment/web --replicas=0", r"deployment\.apps/web scaled"),
        ok("wait pod -l app=web --for=delete --timeout=60s", None),
        ok(
            "get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[*].endpoints}'",
            r"(\[\])?",
        ),
    ),
    scenario(
        "jobs run to their end",
        "4.11 4.12",
        ok("create job pi --image=local/shell -- sh -c 'echo 3.14'", r"job\.batch/pi created"),
        ok("wait job/pi --for=condition=complete --timeout=60s", r"job\.batch/pi condition met"),
        ok("logs job/pi", r"3\.14"),
        ok("get job pi --no-headers", rf"pi +Complete +1/1 +{AGE} +{AGE}"),
        ok("get pods -l job-name=pi --no-headers", rf"pi-\S+ +0/1 +Completed +0 +{AGE}"),
        ok("apply -f -", r"job\.batch/failing created", stdin=_FAILING),
        ok(
            "wait job/failing --for=condition=failed --timeout=60s",
            r"job\.batch/failing condition met",
        ),
        ok("describe job failing", ("BackoffLimitExceeded",)),
        fails(
            "wait job/failing --for=condition=complete --timeout=1s",
            ("timed out waiting for the condition on jobs/failing",),
        ),
        ok("apply -f -", r"job\.batch/indexed created", stdin=_INDEXED),
        ok(
            "wait job/indexed --for=condition=complete --timeout=60s",
            r"job\.batch/indexed condition met",
        ),
        ok("get job indexed -o jsonpath='{.status.completedIndexes} {.status.succeeded}'", "0-2 3"),
        ok("logs -l job-name=indexed --prefix=false", ("index 0", "index 1", "index 2")),
        ok("delete job pi failing indexed", None),
        ok("wait pod -l job-name=pi --for=delete --timeout=60s", None),
        fails("logs job/pi", (r'jobs\.batch "pi" not found',)),
    ),
    scenario(
        "nodes are cordoned, tainted and drained",
        "6.3 6.5 8.1",
        ok("get nodes --no-headers", ("^n1 +Ready", "^n2 +Ready", "^n3 +Ready")),
        ok("describe node n1", ("Non-terminated Pods", "KubeletReady", "Allocated resources")),
        ok("apply -f -", r"deployment\.apps/web created", stdin=_WEB),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("cordon n1 n2", "node/n1 cordoned\nnode/n2 cordoned"),
        ok("get node n1 --no-headers", ("Ready,SchedulingDisabled",)),
        ok("uncordon n2", "node/n2 uncordoned"),
        ok("taint node n2 keep=out:NoExecute", "node/n2 tainted"),
        fails(
            "taint node n2 keep=out:NoExecute", (r"already has keep taint\(s\) with same effect",)
        ),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("taint node n2 keep-", "node/n2 untainted"),
        ok("uncordon n1", "node/n1 uncordoned"),
        ok("apply -f -", r"poddisruptionbudget\.policy/all created", stdin=_BUDGET),
        ok(
            "wait pdb/all --for=jsonpath={.status.currentHealthy}=2 --timeout=60s",
            r"poddisruptionbudget\.policy/all condition met",
        ),
        ok(
            "apply -f -",
            "pod/sleeper created",
            stdin=SLEEPER.replace("spec:", "spec:\n  nodeName: n3", 1),
        ),
        ok("wait pod/sleeper --for=condition=Ready --timeout=60s", "pod/sleeper condition met"),
        fails(
            "drain n3 --timeout=5s",
            ("cannot delete .*Pods.* that declare no controller",),
            out=None,
        ),
        ok(
            "drain n3 --force --pod-selector=app=sleeper --timeout=60s",
            (r"pod/sleeper evicted", "node/n3 drained"),
            err=None,
        ),
        ok("uncordon n3", "node/n3 uncordoned"),
        ok("delete pdb all", deleted(r'poddisruptionbudget\.policy "all"')),
        ok("drain n2 --ignore-daemonsets --timeout=60s", ("node/n2 drained",), err=None),
        ok("uncordon n2", "node/n2 uncordoned"),
        fails("drain nope", (r'nodes "nope" not found',), out=None),
        fails("cordon nope", (r'nodes "nope" not found',)),
        ok("rollout status deployment/web --timeout=60s", (_ROLLED_OUT,)),
        ok("delete deployment web", deleted(r'deployment\.apps "web"')),
    ),
    scenario(
        "what nodes and pods use",
        "10.7",
        ok("apply -f -", "pod/sleeper created", stdin=SLEEPER),
        ok("wait pod/sleeper --for=condition=Ready --timeout=60s", "pod/sleeper condition met"),
        comes("top node", ("^NAME +CPU", r"^n1 +\d+m +\d+% +\d+Mi +\d+%")),
        comes("top pod sleeper --no-headers", r"sleeper +\d+m +\d+Mi *"),
        fails("top pod nope", (r"not found",)),
        fails("top node nope", (r"not found",)),
    ),
)
