"""Every kind once: created from a manifest, printed with its columns, labelled, deleted.

The columns are those that `kubectl get` prints for Kubernetes 1.33.
"""

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import Scenario, fails, ok, scenario, table

POD_SPEC = "{containers: [{name: c, image: 'example.com/c:1'}]}"
TEMPLATE = f"{{metadata: {{labels: {{app: x}}}}, spec: {POD_SPEC}}}"
JOB_TEMPLATE = "{spec: {restartPolicy: Never, containers: [{name: c, image: 'example.com/c:1'}]}}"
SELECTOR = "selector: {matchLabels: {app: x}}"
AGE = r"\S+"


def deleted(what: str) -> str:
    """What `delete` says; newer kubectls name the namespace as well."""
    return rf"{what} deleted( from \S+ namespace)?"


def kind(
    name: str,
    manifest: str,
    header: str,
    row: str,
    *,
    is_namespaced: bool = True,
    warning: str = "",
    rows: str = "",
) -> Scenario:
    """A kind's scenario.

    name      as kubectl prints it: `deployment.apps`
    manifest  apiVersion and kind, and on the next lines what else is said
    row       what the table has after the name, if it has one
    """
    version, what = manifest.split("\n", 1)[0].split()
    it = "x" if is_namespaced else "$NS-x"
    rest = manifest.partition("\n")[2]
    body = f"apiVersion: {version}\nkind: {what}\nmetadata: {{name: {it}}}\n{rest}"
    expected = row if header.startswith("LAST SEEN") else f"{it} {row}"
    lines = (
        ok("create -f -", rf"{name}/{it} created", stdin=body, err=warning),
        fails(
            "create -f -",
            (
                (
                    r'Error from server \(AlreadyExists\): error when creating "STDIN": '
                    rf'\S+ "{it}" already exists'
                ),
            ),
            stdin=body,
        ),
        ok(f"get {name} {it}", table(header, expected), err=warning),
        ok(f"label {name} {it} tier=$NS", rf"{name}/{it} labeled", err=warning),
        ok(f"get {name} -l tier=$NS,tier!=two -o name", f"{name}/{it}", err=warning),
        ok(f"delete {name} {it}", deleted(f'{name} "{it}"'), err=warning),
        fails(f"get {name} {it}", (rf'Error from server \(NotFound\): \S+ "{it}" not found',)),
    )
    rows = f"1.2 2.1 2.18 2.20 {rows}".strip()
    return scenario(f"kind {name}", rows, *lines, since=DEBIAN_MINOR)


SCENARIOS = (
    kind("configmap", "v1 ConfigMap\ndata: {a: '1', b: '2'}", "NAME DATA AGE", f"2 {AGE}"),
    kind(
        "secret",
        "v1 Secret\nstringData: {a: '1'}",
        "NAME TYPE DATA AGE",
        f"Opaque 1 {AGE}",
        rows="9.3",
    ),
    kind("serviceaccount", "v1 ServiceAccount", "NAME SECRETS AGE", f"0 {AGE}"),
    kind(
        "pod", f"v1 Pod\nspec: {POD_SPEC}", "NAME READY STATUS RESTARTS AGE", f"0/1 Pending 0 {AGE}"
    ),
    kind(
        "service",
        "v1 Service\nspec: {selector: {app: x}, ports: [{name: a, port: 80}, {name: b, port: 53, "
        "protocol: UDP}]}",
        r"NAME TYPE CLUSTER-IP EXTERNAL-IP PORT\(S\) AGE",
        rf"ClusterIP 10\.\d+\.\d+\.\d+ <none> 80/TCP,53/UDP {AGE}",
    ),
    kind(
        "endpoints",
        "v1 Endpoints\nsubsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 80}]}]",
        "NAME ENDPOINTS AGE",
        rf"192\.0\.2\.7:80 {AGE}",
        warning=r"Warning: v1 Endpoints is deprecated in v1\.33\+; "
        r"use discovery\.k8s\.io/v1 EndpointSlice",
    ),
    kind(
        "endpointslice.discovery.k8s.io",
        "discovery.k8s.io/v1 EndpointSlice\naddressType: IPv4\n"
        "endpoints: [{addresses: [192.0.2.7]}]\nports: [{port: 80}]",
        "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
        rf"IPv4 80 192\.0\.2\.7 {AGE}",
    ),
    kind(
        "replicaset.apps",
        f"apps/v1 ReplicaSet\nspec: {{replicas: 2, {SELECTOR}, template: {TEMPLATE}}}",
        "NAME DESIRED CURRENT READY AGE",
        rf"2 \d \d {AGE}",
    ),
    kind(
        "replicationcontroller",
        f"v1 ReplicationController\nspec: {{replicas: 2, template: {TEMPLATE}}}",
        "NAME DESIRED CURRENT READY AGE",
        rf"2 \d \d {AGE}",
    ),
    kind(
        "deployment.apps",
        f"apps/v1 Deployment\nspec: {{replicas: 2, {SELECTOR}, template: {TEMPLATE}}}",
        "NAME READY UP-TO-DATE AVAILABLE AGE",
        rf"0/2 \d \d {AGE}",
    ),
    kind(
        "statefulset.apps",
        f"apps/v1 StatefulSet\nspec: {{serviceName: x, {SELECTOR}, template: {TEMPLATE}}}",
        "NAME READY AGE",
        f"0/1 {AGE}",
    ),
    kind(
        "daemonset.apps",
        f"apps/v1 DaemonSet\nspec: {{{SELECTOR}, template: {TEMPLATE}}}",
        "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE",
        rf"\d+ \d+ 0 \d+ 0 <none> {AGE}",
    ),
    kind(
        "controllerrevision.apps",
        "apps/v1 ControllerRevision\nrevision: 3\ndata: {spec: 1}",
        "NAME CONTROLLER REVISION AGE",
        f"<none> 3 {AGE}",
        rows="3.4",
    ),
    kind(
        "job.batch",
        f"batch/v1 Job\nspec: {{suspend: true, completions: 3, template: {JOB_TEMPLATE}}}",
        "NAME STATUS COMPLETIONS DURATION AGE",
        f"(Running|Suspended) 0/3 {AGE}",
    ),
    kind(
        "cronjob.batch",
        f"batch/v1 CronJob\nspec: {{schedule: '5 4 1 1 *', suspend: true, jobTemplate: "
        f"{{spec: {{template: {JOB_TEMPLATE}}}}}}}",
        "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE",
        rf"5 4 1 1 \* <none> True 0 <none> {AGE}",
    ),
    kind(
        "horizontalpodautoscaler.autoscaling",
        "autoscaling/v2 HorizontalPodAutoscaler\nspec: {scaleTargetRef: {apiVersion: apps/v1, "
        "kind: Deployment, name: x}, maxReplicas: 3}",
        "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE",
        rf"Deployment/x cpu: <unknown>/80% 1 3 0 {AGE}",
    ),
    kind(
        "poddisruptionbudget.policy",
        f"policy/v1 PodDisruptionBudget\nspec: {{minAvailable: 1, {SELECTOR}}}",
        "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE",
        f"1 N/A 0 {AGE}",
        rows="8.1",
    ),
    kind(
        "persistentvolumeclaim",
        "v1 PersistentVolumeClaim\nspec: {storageClassName: fast, accessModes: [ReadWriteOnce], "
        "resources: {requests: {storage: 1Gi}}}",
        "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE",
        f"Pending fast <unset> {AGE}",
    ),
    kind(
        "persistentvolume",
        "v1 PersistentVolume\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce, "
        "ReadOnlyMany], hostPath: {path: /data}}",
        "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS "
        "VOLUMEATTRIBUTESCLASS REASON AGE",
        f"1Gi RWO,ROX Retain (Pending|Available) <unset> {AGE}",
        is_namespaced=False,
    ),
    kind(
        "storageclass.storage.k8s.io",
        "storage.k8s.io/v1 StorageClass\nprovisioner: example.com/disk",
        "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE",
        rf"example\.com/disk Delete Immediate false {AGE}",
        is_namespaced=False,
    ),
    kind(
        "ingress.networking.k8s.io",
        "networking.k8s.io/v1 Ingress\nspec: {rules: [{host: a.example.com, http: {paths: [{path: "
        "/, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}",
        "NAME CLASS HOSTS ADDRESS PORTS AGE",
        rf"<none> a\.example\.com 80 {AGE}",
    ),
    kind(
        "ingressclass.networking.k8s.io",
        "networking.k8s.io/v1 IngressClass\nspec: {controller: example.com/proxy}",
        "NAME CONTROLLER PARAMETERS AGE",
        rf"example\.com/proxy <none> {AGE}",
        is_namespaced=False,
    ),
    kind(
        "networkpolicy.networking.k8s.io",
        "networking.k8s.io/v1 NetworkPolicy\nspec: {podSelector: {matchLabels: {app: x}}}",
        "NAME POD-SELECTOR AGE",
        f"app=x {AGE}",
    ),
    kind(
        "lease.coordination.k8s.io",
        "coordination.k8s.io/v1 Lease\nspec: {holderIdentity: me}",
        "NAME HOLDER AGE",
        f"me {AGE}",
        rows="3.6",
    ),
    kind(
        "role.rbac.authorization.k8s.io",
        "rbac.authorization.k8s.io/v1 Role\nrules: [{apiGroups: [''], resources: [pods], "
        "verbs: [get]}]",
        "NAME CREATED AT",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        rows="11.3",
    ),
    kind(
        "rolebinding.rbac.authorization.k8s.io",
        "rbac.authorization.k8s.io/v1 RoleBinding\nroleRef: {apiGroup: rbac.authorization.k8s.io, "
        "kind: Role, name: r}\nsubjects: [{kind: User, name: u, apiGroup: "
        "rbac.authorization.k8s.io}]",
        "NAME ROLE AGE",
        f"Role/r {AGE}",
        rows="11.3",
    ),
    kind(
        "clusterrole.rbac.authorization.k8s.io",
        "rbac.authorization.k8s.io/v1 ClusterRole\nrules: [{nonResourceURLs: [/x], verbs: [get]}]",
        "NAME CREATED AT",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        is_namespaced=False,
        rows="11.3",
    ),
    kind(
        "clusterrolebinding.rbac.authorization.k8s.io",
        "rbac.authorization.k8s.io/v1 ClusterRoleBinding\nroleRef: {apiGroup: "
        "rbac.authorization.k8s.io, kind: ClusterRole, name: view}",
        "NAME ROLE AGE",
        f"ClusterRole/view {AGE}",
        is_namespaced=False,
        rows="11.3",
    ),
    kind(
        "priorityclass.scheduling.k8s.io",
        "scheduling.k8s.io/v1 PriorityClass\nvalue: 7",
        "NAME VALUE GLOBAL-DEFAULT AGE PREEMPTIONPOLICY",
        f"7 false {AGE} PreemptLowerPriority",
        is_namespaced=False,
        rows="8.4",
    ),
    kind(
        "resourcequota",
        "v1 ResourceQuota\nspec: {hard: {secrets: 0}}",
        "NAME( AGE)? REQUEST LIMIT( AGE)?",
        f"({AGE} )?(secrets: 0/0)?( {AGE})?",
        rows="8.2",
    ),
    kind(
        "limitrange",
        "v1 LimitRange\nspec: {limits: [{type: Container, default: {cpu: 1}}]}",
        "NAME CREATED AT",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        rows="8.3",
    ),
    kind(
        "node",
        "v1 Node",
        "NAME STATUS ROLES AGE VERSION",
        f"Unknown <none> {AGE}",
        is_namespaced=False,
    ),
    kind(
        "event",
        "v1 Event\ninvolvedObject: {kind: Pod, name: p, namespace: $NS}\nreason: Started\n"
        "message: it has begun\ntype: Normal\nlastTimestamp: '2020-01-01T00:00:00Z'",
        "LAST SEEN TYPE REASON OBJECT MESSAGE",
        f"{AGE} Normal Started pod/p it has begun",
        rows="3.5",
    ),
)
