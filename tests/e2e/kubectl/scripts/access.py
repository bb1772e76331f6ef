"""Who may do what: RBAC, impersonation, tokens, reviews, quotas and limits."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import Line, fails, ok, scenario
from tests.e2e.kubectl.scripts.kinds import POD_SPEC

_FORBIDDEN = (
    r'Error from server \(Forbidden\): {what} is forbidden: User "{user}" cannot {verb} resource '
    r'"{resource}" in API group "{group}" in the namespace "$NS"'
)


def forbidden(what: str, verb: str, resource: str, group: str = "", user: str = "bob") -> str:
    """The text of a 403 of RBAC (11.3)."""
    return _FORBIDDEN.format(what=what, verb=verb, resource=resource, group=group, user=user)


def both(command: str, out: str, *, refused: str) -> tuple[Line, Line]:
    """Refused to bob, and done by admin."""
    return fails(command, refused, user="bob"), ok(command, out)


_RECONCILED = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: $NS}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
"""

_POD_OF_CLASS = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {priorityClassName: $NS-high, containers: [{name: c, image: "example.com/c:1"}]}
"""

_LIMITS = """\
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec:
  limits:
  - type: Container
    default: {cpu: 200m}
    defaultRequest: {cpu: 100m}
    max: {cpu: "1"}
"""

SCENARIOS = (
    scenario(
        "a user may do what a role says",
        "11.1 11.3",
        fails("get pods", forbidden("pods", "list", "pods"), user="bob"),
        fails("get pod p", forbidden('pods "p"', "get", "pods"), user="bob"),
        fails(
            "get nodes",
            r'Error from server \(Forbidden\): nodes is forbidden: User "bob" cannot list resource '
            r'"nodes" in API group "" at the cluster scope',
            user="bob",
        ),
        fails(
            "get deployments",
            forbidden(r"deployments\.apps", "list", "deployments", "apps"),
            user="bob",
        ),
        *both(
            "create cm a",
            "configmap/a created",
            refused=r'error: failed to create configmap: configmaps is forbidden: User "bob" cannot '
            r'create resource "configmaps" in API group "" in the namespace "$NS"',
        ),
        ok("auth can-i list pods", "yes"),
        fails("auth can-i list pods", "", out="no", user="bob"),
        ok(
            "create role reader --verb=get,list,watch --resource=pods,deployments.apps",
            r"role\.rbac\.authorization\.k8s\.io/reader created",
        ),
        ok(
            "create rolebinding devs --role=reader --group=devs",
            r"rolebinding\.rbac\.authorization\.k8s\.io/devs created",
        ),
        ok("auth can-i list pods", "yes", user="bob"),
        ok("get pods", "", err=r"No resources found in $NS namespace\.", user="bob"),
        ok("get deployments", "", err=r"No resources found in $NS namespace\.", user="bob"),
        fails(
            "get pods -A",
            (r'cannot list resource "pods" in API group "" at the cluster scope',),
            user="bob",
        ),
        fails("delete pod p", forbidden('pods "p"', "delete", "pods"), user="bob"),
        ok("auth can-i list deployments.apps", "yes", user="bob"),
        ok(
            "auth can-i --list",
            (
                r"^pods +\[\] +\[\] +\[get list watch\]$",
                r"^deployments\.apps +\[\] +\[\] +\[get list watch\]$",
                r"^selfsubjectaccessreviews\.authorization\.k8s\.io +\[\] +\[\] +\[create\]$",
            ),
            user="bob",
        ),
        ok(
            "delete rolebinding devs",
            (r'rolebinding\.rbac\.authorization\.k8s\.io "devs" deleted',),
        ),
        fails("get pods", forbidden("pods", "list", "pods"), user="bob"),
        ok("get --raw /version", ("gitVersion",), user="bob"),
        fails(
            "get --raw /metrics",
            r'Error from server \(Forbidden\): forbidden: User "bob" cannot get path "/metrics"',
            user="bob",
        ),
    ),
    scenario(
        "cluster roles and one name only",
        "11.3",
        ok(
            "create clusterrole $NS-cm --verb=get --resource=configmaps --resource-name=a",
            r"clusterrole\.rbac\.authorization\.k8s\.io/$NS-cm created",
        ),
        ok(
            "create rolebinding b --clusterrole=$NS-cm --user=bob",
            r"rolebinding\.rbac\.authorization\.k8s\.io/b created",
        ),
        ok("create cm a", "configmap/a created"),
        ok("create cm b", "configmap/b created"),
        ok("get cm a -o name", "configmap/a", user="bob"),
        fails("get cm b", forbidden('configmaps "b"', "get", "configmaps"), user="bob"),
        fails("get cm", forbidden("configmaps", "list", "configmaps"), user="bob"),
        ok(
            "create rolebinding view --clusterrole=view --user=carol",
            r"rolebinding\.rbac\.authorization\.k8s\.io/view created",
        ),
        ok("get cm b -o name --as=carol", "configmap/b"),
        fails("get secrets --as=carol", forbidden("secrets", "list", "secrets", user="carol")),
        ok(
            "create rolebinding edit --clusterrole=edit --group=writers",
            r"rolebinding\.rbac\.authorization\.k8s\.io/edit created",
        ),
        ok("create cm made --as=dave --as-group=writers", "configmap/made created"),
        fails(
            "create role r --verb=get --resource=pods --as=dave --as-group=writers",
            (r"roles\.rbac\.authorization\.k8s\.io is forbidden",),
        ),
        ok(
            "create clusterrolebinding $NS-b --clusterrole=view --serviceaccount=$NS:robot",
            r"clusterrolebinding\.rbac\.authorization\.k8s\.io/$NS-b created",
        ),
        ok("auth can-i list pods -A --as=system:serviceaccount:$NS:robot", "yes", err=None),
        ok(
            "get clusterroles cluster-admin admin edit view -o name",
            (r"/cluster-admin$", "/admin$", "/edit$", "/view$"),
        ),
        ok(
            "set subject clusterrolebinding $NS-b --user=erin",
            r"clusterrolebinding\.rbac\.authorization\.k8s\.io/$NS-b subjects updated",
        ),
        ok("auth can-i list pods -A --as=erin", "yes", err=None),
        ok("delete clusterrolebinding $NS-b", ("deleted",)),
        fails("auth can-i list pods -A --as=erin", None, out="no"),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "nobody gives what he has not",
        "11.3",
        ok("create role giver --verb=create,update,patch,get --resource=roles,rolebindings", None),
        ok("create rolebinding giver --role=giver --user=bob", None),
        fails(
            "create role mine --verb=get --resource=secrets",
            (
                (
                    r'roles\.rbac\.authorization\.k8s\.io "mine" is forbidden: user "bob" '
                    r"\(groups=\[.*\"?devs\"?.*\]\) is attempting to grant RBAC permissions not "
                    r"currently held:"
                ),
                r'APIGroups:\[""\], Resources:\["secrets"\], Verbs:\["get"\]',
            ),
            user="bob",
        ),
        fails(
            "create rolebinding mine --clusterrole=admin --user=bob",
            (r"is attempting to grant RBAC permissions not currently held",),
            user="bob",
        ),
        ok(
            "auth reconcile -f r.yaml",
            (r"role\.rbac\.authorization\.k8s\.io/reconciled reconciled",),
            err=None,  # tells what was missing
        ),
        ok("auth reconcile -f r.yaml", None, err=None),
        fails(
            'patch rolebinding giver -p \'{"roleRef":{"name":"other"}}\'',
            (
                r'The RoleBinding "giver" is invalid: roleRef: Invalid value: .*: cannot change roleRef',
            ),
        ),
        files={"r.yaml": _RECONCILED},
        since=DEBIAN_MINOR,
    ),
    scenario(
        "who am I",
        "1.5 11.1 11.2",
        ok(
            "auth whoami",
            (r"^Username +bob$", r"^Groups +\[devs system:authenticated\]$"),
            user="bob",
            since=28,
        ),
        ok("auth whoami -o json", ('"username": "admin"', '"system:masters"'), since=28),
        ok(
            "auth whoami --as=carol --as-group=a --as-group=b",
            (r"^Username +carol$", r"^Groups +\[a b system:authenticated\]$"),
            since=28,
        ),
        fails(
            "get pods --as=carol",
            r'Error from server \(Forbidden\): users "carol" is forbidden: User "bob" cannot '
            r'impersonate resource "users" in API group "" at the cluster scope',
            user="bob",
        ),
        ok("create sa robot", "serviceaccount/robot created"),
        ok("create token robot", r"[\w-]+\.[\w-]+\.[\w-]+", saves="token"),
        ok(
            "auth whoami --token=$token --context=nobody",
            (r"^Username +system:serviceaccount:$NS:robot$", r"system:serviceaccounts:$NS"),
            since=28,
        ),
        fails(
            "get cm --token=$token --context=nobody",
            forbidden("configmaps", "list", "configmaps", user="system:serviceaccount:$NS:robot"),
        ),
        ok("create rolebinding v --clusterrole=view --serviceaccount=$NS:robot", None),
        ok("get cm --token=$token --context=nobody -o name", None),
        fails(
            "create token robot --duration=1s",
            (
                r"spec\.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            ),
        ),
        fails(
            "create token absent",
            r'error: failed to create token: serviceaccounts "absent" not found',
        ),
        fails(
            "get cm --token=nonsense --context=nobody",
            r"error: You must be logged in to the server \(Unauthorized\)",
        ),
        ok("delete sa robot", ("deleted",)),
        fails(
            "get cm --token=$token --context=nobody",
            r"error: You must be logged in to the server \(Unauthorized\)",
        ),
    ),
    scenario(
        "priority classes",
        "8.4",
        ok("create priorityclass $NS-high --value=1000 --preemption-policy=Never", (r"created$",)),
        ok("create -f -", "pod/p created", stdin=_POD_OF_CLASS),
        ok("get pod p -o jsonpath='{.spec.priority} {.spec.preemptionPolicy}'", "1000 Never"),
        fails(
            "create -f -",
            (r'pods "q" is forbidden: no PriorityClass with name $NS-none was found',),
            stdin=_POD_OF_CLASS.replace("name: p}", "name: q}").replace("$NS-high", "$NS-none"),
        ),
        fails(
            "patch priorityclass $NS-high --type=merge -p '{\"value\":5}'",
            (
                r"value: (Forbidden|Invalid value).*: may not be changed in an update|field is immutable",
            ),
        ),
        fails(
            "create priorityclass $NS-big --value=1000000001",
            (r"value: Forbidden: maximum allowed value of a user defined priority is 1000000000",),
        ),
        ok(
            "get priorityclass system-cluster-critical system-node-critical --no-headers",
            (
                r"^system-cluster-critical +2000000000 +false",
                r"^system-node-critical +2000001000 +false",
            ),
        ),
        ok("get pc -o name", (r"/system-node-critical$",)),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "limit ranges",
        "8.3 8.6",
        ok("create -f -", "limitrange/l created", stdin=_LIMITS),
        ok("run p --image=example.com/c:1", "pod/p created"),
        ok(
            "get pod p -o jsonpath='{.spec.containers[0].resources} {.status.qosClass}'",
            r'\{"limits":\{"cpu":"200m"\},"requests":\{"cpu":"100m"\}\} Burstable',
        ),
        fails(
            """run q --image=example.com/c:1 --overrides='{"spec":{"containers":[{"name":"q","image":"""
            """"example.com/c:1","resources":{"limits":{"cpu":"2"}}}]}}'""",
            (r'pods "q" is forbidden: maximum cpu usage per Container is 1, but limit is 2',),
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "quotas refuse what exceeds them",
        "8.2",
        ok(
            "create quota q --hard=configmaps=1,count/deployments.apps=0", "resourcequota/q created"
        ),
        # The controller counts what is used.
        ok(
            "wait quota/q --for=jsonpath='{.status.used.configmaps}'=0 --timeout=60s",
            "resourcequota/q condition met",
        ),
        ok("create cm a --dry-run=server", r"configmap/a created \(server dry run\)"),
        ok("create cm a", "configmap/a created"),
        fails(
            "create cm b",
            r'error: failed to create configmap: configmaps "b" is forbidden: exceeded quota: q, '
            "requested: configmaps=1, used: configmaps=1, limited: configmaps=1",
        ),
        fails(
            "create deployment d --image=example.com/c:1",
            r'error: failed to create deployment: deployments\.apps "d" is forbidden: exceeded '
            r"quota: q, requested: count/deployments\.apps=1, used: count/deployments\.apps=0, "
            r"limited: count/deployments\.apps=0",
        ),
        ok("get quota q -o jsonpath='{.status.used.configmaps}'", "1"),
        fails(
            "create quota bad --hard=nothing=1",
            (
                r"spec\.hard\[nothing\]: Invalid value: \"nothing\": must be a standard resource for quota",
            ),
        ),
    ),
    scenario(
        "quotas are recalculated",
        "8.2",
        ok("create quota q --hard=pods=1", "resourcequota/q created"),
        ok("wait quota/q --for=jsonpath='{.status.used.pods}'=0", "resourcequota/q condition met"),
        ok("run p --image=example.com/c:1", "pod/p created"),
        fails(
            "run q --image=example.com/c:1",
            (
                r'pods "q" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
            ),
        ),
        ok("delete pod p", ("deleted",)),
        ok("wait quota/q --for=jsonpath='{.status.used.pods}'=0", "resourcequota/q condition met"),
        needs="controllers",
    ),
    scenario(
        "a pod names an account that exists",
        "11.4",
        fails(
            "create -f -",
            (
                r'pods "p" is forbidden: error looking up service account $NS/robot: serviceaccount "robot" not found',
            ),
            stdin=f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {POD_SPEC}\n".replace(
                "{containers", "{serviceAccountName: robot, containers"
            ),
        ),
        ok("run p --image=example.com/c:1", "pod/p created"),
        ok(
            "get pod p -o jsonpath='{.spec.serviceAccountName} {.spec.volumes[0].name} {.spec.containers[0].volumeMounts[0].mountPath}'",
            r"default kube-api-access-[a-z0-9]{5} /var/run/secrets/kubernetes\.io/serviceaccount",
        ),
        since=DEBIAN_MINOR,
    ),
)
