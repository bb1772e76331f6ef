"""Nodes: cordon, drain, taint; what needs no agent on the node."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.script import comes, fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE, deleted

_NODE = """\
apiVersion: v1
kind: Node
metadata: {name: $NS-n, labels: {kubernetes.io/hostname: $NS-n, node-role.kubernetes.io/worker: ""}}
"""

_STATUS = (
    '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}],'
    '"addresses":[{"type":"InternalIP","address":"192.0.2.1"}],"capacity":{"cpu":"4","pods":"110"},'
    '"allocatable":{"cpu":"4","pods":"110"},'
    '"nodeInfo":{"kubeletVersion":"v1.33.0","osImage":"Debian","kernelVersion":"6.1",'
    '"containerRuntimeVersion":"keelson://1","machineID":"m","systemUUID":"s","bootID":"b",'
    '"kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"}}}'
)

_BINDING = (
    '{"apiVersion":"v1","kind":"Binding","metadata":{"name":"%s"},"target":{"apiVersion":"v1",'
    '"kind":"Node","name":"$NS-n"}}'
)

_OWNED = """\
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec: {containers: [{name: c, image: "example.com/c:1"}], terminationGracePeriodSeconds: 0}
"""

_BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: b}
spec: {minAvailable: 1, selector: {matchLabels: {app: x}}}
"""

SCENARIOS = (
    scenario(
        "a node is cordoned, tainted and described",
        "1.2 1.6 2.13 2.14",
        ok("create -f -", "node/$NS-n created", stdin=_NODE),
        ok(f"patch node $NS-n --subresource=status -p '{_STATUS}'", "node/$NS-n patched"),
        ok(
            "get node $NS-n",
            table("NAME STATUS ROLES AGE VERSION", rf"$NS-n Ready worker {AGE} v1\.33\.0"),
        ),
        ok(
            "get node $NS-n -o wide --no-headers",
            rf"$NS-n +Ready +worker +{AGE} +v1\.33\.0 +192\.0\.2\.1 +<none> +Debian +6\.1 +keelson://1",
        ),
        ok("cordon $NS-n", "node/$NS-n cordoned"),
        ok("cordon $NS-n", "node/$NS-n already cordoned"),
        ok("get node $NS-n --no-headers", (r"Ready,SchedulingDisabled",)),
        ok("uncordon $NS-n", "node/$NS-n uncordoned"),
        ok("taint node $NS-n key=value:NoSchedule", "node/$NS-n tainted"),
        ok(
            "get node $NS-n -o jsonpath='{.spec.taints}'",
            (r'\{"effect":"NoSchedule","key":"key","value":"value"\}',),
        ),
        fails(
            "taint node $NS-n key=other:NoSchedule",
            (
                r"error: node $NS-n already has key taint\(s\) with same effect\(s\) and --overwrite is false",
            ),
        ),
        ok("taint node $NS-n key=other:NoSchedule --overwrite", "node/$NS-n modified"),
        ok("taint node $NS-n key-", "node/$NS-n untainted"),
        fails("taint node $NS-n key-", (r'taint "key" not found',)),
        ok(
            "describe node $NS-n",
            (
                r"^Name: +$NS-n$",
                r"^Roles: +worker$",
                r"^ +Ready +True ",
                r"^Allocated resources:$",
                r"^ +cpu +0 \(0%\)",
            ),
        ),
        ok("label node $NS-n zone=a", "node/$NS-n labeled"),
        ok("drain $NS-n", (r"^node/$NS-n cordoned$", r"^node/$NS-n drained$")),
        fails("cordon $NS-none", (r'nodes "$NS-none" not found',)),
        fails("drain $NS-none", (r'nodes "$NS-none" not found',)),
        fails("top node $NS-n", "error: Metrics API not available"),
        ok("delete node $NS-n", deleted('node "$NS-n"')),
    ),
    scenario(
        "pods are bound and evicted",
        "1.5 1.9 7.2 8.1",
        ok("create -f -", "node/$NS-n created", stdin=_NODE),
        ok(f"patch node $NS-n --subresource=status -p '{_STATUS}'", "node/$NS-n patched"),
        ok("create -f -", "pod/p created", stdin=_OWNED),
        ok(
            "create --raw /api/v1/namespaces/$NS/pods/p/binding -f -",
            ('"status": ?"Success"',),
            stdin=_BINDING % "p",
        ),
        ok(
            "get pod p -o wide --no-headers",
            rf"p +0/1 +Pending +0 +{AGE} +<none> +$NS-n +<none> +<none>",
        ),
        ok(
            "get pod p -o jsonpath='{.status.conditions[?(@.type==\"PodScheduled\")].status}'",
            "True",
        ),
        fails(
            "create --raw /api/v1/namespaces/$NS/pods/p/binding -f -",
            r'Error from server \(Conflict\): Operation cannot be fulfilled on pods/binding "p": pod '
            r'p is already assigned to node "$NS-n"',
            stdin=_BINDING % "p",
        ),
        ok("get pods -A --field-selector=spec.nodeName=$NS-n -o name", "pod/p"),
        fails(
            "drain $NS-n",
            (
                r"cannot delete (Pods declare no controller|cannot delete Pods that declare no controller|Pods that declare no controller) \(use --force to override\): $NS/p",
            ),
            out=None,
        ),
        ok("create -f -", r"poddisruptionbudget\.policy/b created", stdin=_BUDGET),
        ok(
            'patch pod p --subresource=status -p \'{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}\'',
            None,
        ),
        comes("get pdb b -o jsonpath={.status.currentHealthy}", "1"),
        fails(
            "drain $NS-n --force --timeout=2s",
            (
                r"Cannot evict pod as it would violate the pod's disruption budget\.",
                "global timeout reached: 2s",
            ),
            out=None,
        ),
        fails(
            "create --raw /api/v1/namespaces/$NS/pods/p/eviction -f -",
            (
                r"Error from server \(TooManyRequests\): Cannot evict pod as it would violate the pod's disruption budget\.",
            ),
            stdin='{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}}',
        ),
        ok('patch pdb b --type=merge -p \'{"spec":{"minAvailable":0}}\'', None),
        comes("get pdb b -o jsonpath={.status.disruptionsAllowed}", "1"),
        ok(
            "drain $NS-n --force --dry-run=server",
            (r"^pod/p evicted \(server dry run\)|evicting pod $NS/p \(server dry run\)",),
            err=None,
        ),
        ok("get pdb b -o jsonpath={.status.disruptionsAllowed}", "1"),
        ok(
            "drain $NS-n --force --timeout=60s",
            ("^pod/p evicted$", "^node/$NS-n drained$"),
            err=None,
        ),
        comes("get pdb b -o jsonpath={.status.disruptionsAllowed}", "0"),
        ok("get pod p --ignore-not-found", ""),
    ),
)
