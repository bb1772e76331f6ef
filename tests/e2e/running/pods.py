"""Pods that run: logs, exec, attach, copies, volumes, and what goes wrong with them."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.script import background, ends, fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE, deleted

DEFAULTED = r'Defaulted container "a" out of: a, b'
NOT_FOUND = r'Error from server \(NotFound\): pods "nope" not found'

SLEEPER = """\
apiVersion: v1
kind: Pod
metadata: {name: sleeper, labels: {app: sleeper}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: local/shell, command: [sh, -c, "trap 'exit 0' TERM; while true; do sleep 0.1; done"]}
"""

_DUO = """\
apiVersion: v1
kind: Pod
metadata: {name: duo, labels: {app: duo}}
spec:
  restartPolicy: Never
  containers:
  - {name: a, image: local/shell, command: [sh, -c, "echo from a"]}
  - {name: b, image: local/shell, command: [sh, -c, "echo from b"]}
"""

_CRASH = """\
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  containers:
  - {name: c, image: local/shell, command: [sh, -c, "echo boom; exit 3"]}
"""

_INIT = """\
apiVersion: v1
kind: Pod
metadata: {name: staged}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: local/shell, command: [sh, -c, "echo one > /shared/file"], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: second, image: local/shell, command: [sh, -c, "echo two >> /shared/file"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - {name: c, image: local/shell, command: [sh, -c, "cat /shared/file"], volumeMounts: [{name: shared, mountPath: /shared}]}
  volumes: [{name: shared, emptyDir: {}}]
"""

_CONFIGURED = """\
apiVersion: v1
kind: Pod
metadata: {name: configured, labels: {tier: front}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: local/shell
    command: [sh, -c, "sleep 1000"]
    resources: {limits: {memory: 64Mi}, requests: {cpu: 100m}}
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: secret, key: password}}}
    - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: GREETING, value: "I am $(ME)"}
    volumeMounts:
    - {name: settings, mountPath: /etc/settings}
    - {name: labels, mountPath: /etc/podinfo}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: labels, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
"""


def _pod(name: str, container: str, more: str = "") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{more} containers: [{{name: c, {container}}}]}}\n"


_SHELL = 'image: local/shell, command: [sh, -c, "sleep 1000"]'

SCENARIOS = (
    scenario(
        "a pod that ends, and its logs",
        "10.1 10.4 10.7",
        ok(
            'run hello --image=local/shell --restart=Never --command -- sh -c "echo one; echo two; exit 3"',
            "pod/hello created",
        ),
        ok(
            "wait pod/hello --for=jsonpath={.status.phase}=Failed --timeout=60s",
            "pod/hello condition met",
        ),
        ok("get pod hello", table("NAME READY STATUS RESTARTS AGE", rf"hello 0/1 Error 0 {AGE}")),
        ok(
            "get pod hello -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.reason}'",
            "3 Error",
        ),
        ok("logs hello", "one\ntwo"),
        ok("logs pod/hello --tail=1", "two"),
        ok("logs hello --limit-bytes=3", "one"),
        ok("logs hello --since=1h", "one\ntwo"),
        ok("logs hello --timestamps", (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z one$",)),
        ok("logs -f hello", "one\ntwo"),
        fails("logs hello -c nope", (r"container nope (is not valid for|not found in) pod hello",)),
        fails(
            "logs hello --previous",
            r'Error from server \(BadRequest\): previous terminated container "hello" in pod "hello" not found',
        ),
        fails("logs nope", (r'rror from server \(NotFound\): pods "nope" not found',)),
        fails("logs hello --tail=-5", (r"--tail must be greater than or equal to -1",)),
        fails(
            "exec hello -- true",
            (r"cannot exec (in|into) a container in a completed pod; current phase is Failed",),
        ),
    ),
    scenario(
        "two containers and their logs",
        "10.7",
        ok("apply -f -", "pod/duo created", stdin=_DUO),
        ok(
            "wait pod/duo --for=jsonpath={.status.phase}=Succeeded --timeout=60s",
            "pod/duo condition met",
        ),
        ok("get pod duo --no-headers", rf"duo +0/2 +Completed +0 +{AGE}"),
        ok("logs duo", "from a", err=DEFAULTED),
        ok("logs duo -c b", "from b"),
        ok("logs duo --all-containers", ("^from a$", "^from b$")),
        ok(
            "logs -l app=duo --all-containers --prefix",
            (r"^\[pod/duo/a\] from a$", r"^\[pod/duo/b\] from b$"),
        ),
    ),
    scenario(
        "commands in a container",
        "10.7",
        ok("apply -f -", "pod/sleeper created", stdin=SLEEPER),
        ok("wait pod/sleeper --for=condition=Ready --timeout=60s", "pod/sleeper condition met"),
        ok("exec sleeper -- echo hi", "hi"),
        fails(
            'exec sleeper -- sh -c "echo out; echo err >&2; exit 7"',
            ("^err$", "^command terminated with exit code 7$"),
            status=7,
            out="out",
        ),
        ok("exec -i sleeper -- cat", "typed", stdin="typed\n"),
        ok("exec sleeper -c main -- printenv HOSTNAME", "sleeper"),
        fails("exec sleeper -c nope -- true", (r"container.* nope|nope.*container",)),
        fails("exec nope -- true", NOT_FOUND),
        fails("exec sleeper", ("you must specify at least one command for the container",)),
        ok("cp notes.txt sleeper:/tmp/copied.txt"),
        ok("exec sleeper -- cat /tmp/copied.txt", "some notes"),
        ok("cp sleeper:/tmp/copied.txt back.txt", err=None),
        fails("cp nope.txt sleeper:/tmp/x", (r"nope\.txt doesn't exist in local filesystem",)),
        fails("cp nope:/tmp/x x", (NOT_FOUND,)),
        fails("debug nope --image=local/shell -- true", (NOT_FOUND,)),
        ok("delete pod sleeper", deleted('pod "sleeper"')),
        fails("get pod sleeper", (r'pods "sleeper" not found',)),
        files={"notes.txt": "some notes\n"},
    ),
    scenario(
        "a terminal is attached to what runs",
        "10.7",
        ok(
            'run ticker --image=local/shell --command -- sh -c "while true; do echo tick; sleep 0.2; done"',
            "pod/ticker created",
        ),
        ok("wait pod/ticker --for=condition=Ready --timeout=60s", "pod/ticker condition met"),
        background("attached", "attach ticker", "tick"),
        ends("attached", ("tick",)),
        background("followed", "logs -f ticker --tail=1", "tick"),
        ends("followed", ("tick\ntick",)),
        fails("attach nope", (NOT_FOUND,)),
        ok("delete pod ticker --grace-period=1", deleted('pod "ticker"')),
    ),
    scenario(
        "a pod is run for one command",
        "10.7",
        ok(
            "run once --rm -i --restart=Never --image=local/shell --command -- cat",
            ("typed",),
            stdin="typed\n",
            err=None,
        ),
        fails("get pod once", (r'pods "once" not found',)),
    ),
    scenario(
        "a container that crashes is started again, ever later",
        "10.4",
        ok("apply -f -", "pod/crash created", stdin=_CRASH),
        ok(
            "wait pod/crash --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s",
            "pod/crash condition met",
        ),
        ok(
            "wait pod/crash --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff --timeout=60s",
            "pod/crash condition met",
        ),
        ok(
            "get pod crash --no-headers", rf"crash +0/1 +CrashLoopBackOff +\d+ \({AGE} ago\) +{AGE}"
        ),
        ok("logs crash --previous", "boom"),
        ok(
            "get pod crash -o jsonpath='{.status.containerStatuses[0].lastState.terminated.exitCode}'",
            "3",
        ),
        ok("describe pod crash", ("CrashLoopBackOff", "BackOff", "Exit Code: +3")),
        ok("delete pod crash --now", deleted('pod "crash"')),
    ),
    scenario(
        "init containers run one after another",
        "10.2",
        ok("apply -f -", "pod/staged created", stdin=_INIT),
        ok(
            "wait pod/staged --for=jsonpath={.status.phase}=Succeeded --timeout=60s",
            "pod/staged condition met",
        ),
        ok("logs staged -c c", "one\ntwo"),
        ok("logs staged -c first", ""),
    ),
    scenario(
        "environment and files of a pod",
        "3.3 10.1",
        ok("create configmap settings --from-literal=colour=green", "configmap/settings created"),
        ok(
            "create secret generic secret --from-literal=password=swordfish",
            "secret/secret created",
        ),
        ok("apply -f -", "pod/configured created", stdin=_CONFIGURED),
        ok(
            "wait pod/configured --for=condition=Ready --timeout=60s",
            "pod/configured condition met",
        ),
        ok(
            "exec configured -- printenv COLOUR PASSWORD ME MEMORY",
            "green\nswordfish\nconfigured\n67108864",
        ),
        ok("exec configured -- printenv GREETING", "I am configured"),
        ok("exec configured -- cat /etc/settings/colour", "green"),
        ok("exec configured -- cat /etc/podinfo/labels", 'tier="front"'),
        ok("exec configured -- printenv KUBERNETES_SERVICE_PORT", "443"),
        ok("delete pod configured", deleted('pod "configured"')),
    ),
    scenario(
        "what cannot run says why",
        "10.4 7.2",
        ok("apply -f -", "pod/unknown created", stdin=_pod("unknown", "image: example.com/nope:1")),
        ok(
            "wait pod/unknown --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff --timeout=60s",
            "pod/unknown condition met",
        ),
        fails(
            "logs unknown",
            r'Error from server \(BadRequest\): container "c" in pod "unknown" is waiting to start: (trying and failing to pull image|image can\'t be pulled)',
        ),
        ok(
            "apply -f -",
            "pod/absent created",
            stdin=_pod("absent", "image: local/shell, command: [/no/such/program]"),
        ),
        ok(
            "wait pod/absent --for=jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=128 --timeout=60s",
            "pod/absent condition met",
        ),
        ok(
            "apply -f -",
            "pod/unset created",
            stdin=_pod("unset", f"{_SHELL}, envFrom: [{{configMapRef: {{name: nope}}}}]"),
        ),
        ok(
            "wait pod/unset --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError --timeout=60s",
            "pod/unset condition met",
        ),
        ok(
            "get pod unset -o jsonpath={.status.containerStatuses[0].state.waiting.message}",
            'configmap "nope" not found',
        ),
        fails(
            "exec unset -- true",
            (
                r"container not found|unable to upgrade connection|container .* is not running|not created or running",
            ),
        ),
        ok(
            "apply -f -",
            "pod/huge created",
            stdin=_pod("huge", f'{_SHELL}, resources: {{requests: {{cpu: "1000"}}}}'),
        ),
        ok(
            "wait pod/huge --for=condition=PodScheduled=false --timeout=60s",
            "pod/huge condition met",
        ),
        ok(
            "describe pod huge", (r"FailedScheduling.*0/3 nodes are available: 3 Insufficient cpu",)
        ),
        ok(
            "apply -f -",
            "pod/picky created",
            stdin=_pod("picky", _SHELL, "nodeSelector: {disk: nope},"),
        ),
        ok(
            "wait pod/picky --for=condition=PodScheduled=false --timeout=60s",
            "pod/picky condition met",
        ),
        ok(
            "get pod picky -o jsonpath={.status.conditions[0].message}",
            (r"0/3 nodes are available: 3 node\(s\) didn't match Pod's node affinity/selector",),
        ),
        ok("get pod huge --no-headers", rf"huge +0/1 +Pending +0 +{AGE}"),
        fails(
            "wait pod/huge --for=condition=Ready --timeout=1s",
            ("timed out waiting for the condition on pods/huge",),
        ),
    ),
    scenario(
        "events tell what happened",
        "3.5",
        ok("run told --image=local/shell --restart=Never --command -- true", "pod/told created"),
        ok(
            "wait pod/told --for=jsonpath={.status.phase}=Succeeded --timeout=60s",
            "pod/told condition met",
        ),
        ok("events --for pod/told", ("Scheduled", "Pulled", "Created", "Started")),
        ok(
            "get events --field-selector=reason=Scheduled,involvedObject.name=told -o jsonpath='{.items[0].message}'",
            r"Successfully assigned \S+/told to n\d",
        ),
        ok("delete pod told --force --grace-period=0", deleted('pod "told" force'), err=None),
        ok("get pods", "", err="No resources found in $NS namespace."),
    ),
)
