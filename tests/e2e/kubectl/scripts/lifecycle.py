"""How objects end: finalizers, grace, propagation, namespaces."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import fails, ok, scenario
from tests.e2e.kubectl.scripts.kinds import deleted

_HELD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n"

_OWNED = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: dependent
  ownerReferences:
  - {apiVersion: v1, kind: ConfigMap, name: owner, uid: $uid, blockOwnerDeletion: true}
"""

SCENARIOS = (
    scenario(
        "finalizers hold an object",
        "2.16",
        ok("create -f -", "configmap/held created", stdin=_HELD),
        ok("delete cm held --wait=false", deleted('configmap "held"')),
        ok(
            "get cm held -o jsonpath='{.metadata.deletionTimestamp}'",
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        ),
        fails("delete cm held --timeout=1s", (r"timed out waiting for the condition",), out=None),
        fails(
            'patch cm held --type=json -p \'[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/more"}]\'',
            (
                r'^The ConfigMap "held" is invalid: metadata\.finalizers: Forbidden: no new finalizers can be added if the object is being deleted',
            ),
        ),
        ok("label cm held a=b", "configmap/held labeled"),
        ok(
            'patch cm held --type=merge -p \'{"metadata":{"finalizers":null}}\'',
            "configmap/held patched",
        ),
        fails("get cm held", r'Error from server \(NotFound\): configmaps "held" not found'),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "grace",
        "2.16",
        ok("run p --image=example.com/c:1", "pod/p created"),
        # Nobody has placed it, so there is nothing to wait for.
        ok("delete pod p", deleted('pod "p"')),
        ok(
            'run q --image=example.com/c:1 --overrides=\'{"spec":{"nodeName":"$NS-none"}}\'',
            "pod/q created",
        ),
        ok("delete pod q --wait=false --grace-period=100", deleted('pod "q"')),
        ok("get pod q -o jsonpath='{.metadata.deletionGracePeriodSeconds}'", "100"),
        ok("get pod q --no-headers", (r"^q +0/1 +Terminating +0 ",)),
        ok("delete pod q --wait=false --grace-period=200", deleted('pod "q"')),
        ok("get pod q -o jsonpath='{.metadata.deletionGracePeriodSeconds}'", "100"),
        ok("delete pod q --wait=false --grace-period=50", deleted('pod "q"')),
        ok("get pod q -o jsonpath='{.metadata.deletionGracePeriodSeconds}'", "50"),
        ok(
            "delete pod q --grace-period=0 --force",
            r'pod "q" force deleted.*',
            err=("Warning: Immediate deletion does not wait for confirmation",),
        ),
        ok("get pod q --ignore-not-found", ""),
    ),
    scenario(
        "delete many, and what is not there",
        "2.1 2.16",
        ok("create cm a", "configmap/a created"),
        ok("create cm b", "configmap/b created"),
        ok("create cm c", "configmap/c created"),
        ok("label cm a b tier=front", "configmap/a labeled\nconfigmap/b labeled"),
        ok("delete cm -l tier=front", (r'^configmap "a" deleted', r'^configmap "b" deleted')),
        ok("delete cm absent --ignore-not-found", ""),
        fails("delete cm absent", r'Error from server \(NotFound\): configmaps "absent" not found'),
        fails("delete cm", r"error: resource\(s\) were provided, but no name was specified"),
        fails("delete cm c --cascade=sometimes", (r"invalid cascade value",)),
        ok("delete cm c kube-root-ca.crt --ignore-not-found", (r'^configmap "c" deleted',)),
        ok("delete cm -l tier=front", "No resources found", err=""),
        ok("create cm d", "configmap/d created"),
        ok("delete cm --all", (r'^configmap "d" deleted',)),
        ok(
            "delete --raw /api/v1/namespaces/$NS/configmaps",
            ('"kind": ?"ConfigMapList"',),
        ),
    ),
    scenario(
        "what may not go",
        "3.1",
        fails(
            "delete ns default",
            r'Error from server \(Forbidden\): namespaces "default" is forbidden: this namespace may not be deleted',
        ),
        fails(
            "delete ns kube-system",
            r'Error from server \(Forbidden\): namespaces "kube-system" is forbidden: this namespace may not be deleted',
        ),
        ok(
            "get ns default kube-system kube-public kube-node-lease -o name",
            "namespace/default\nnamespace/kube-system\nnamespace/kube-public\nnamespace/kube-node-lease",
        ),
        fails(
            "create ns Wrong",
            (
                r'The Namespace "Wrong" is invalid: metadata\.name: Invalid value: "Wrong": a lowercase RFC 1123 label',
            ),
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "a namespace that ends takes nothing new",
        "3.1",
        ok("create ns $NS-end", "namespace/$NS-end created"),
        ok("create cm held -n $NS-end", "configmap/held created"),
        ok(
            'patch cm held -n $NS-end -p \'{"metadata":{"finalizers":["example.com/hold"]}}\'',
            "configmap/held patched",
        ),
        ok("delete ns $NS-end --wait=false", deleted('namespace "$NS-end"')),
        ok("get ns $NS-end --no-headers", (r"^$NS-end +Terminating ",)),
        fails(
            "create cm a -n $NS-end",
            r'error: failed to create configmap: configmaps "a" is forbidden: unable to create new '
            r"content in namespace $NS-end because it is being terminated",
        ),
        ok(
            'patch cm held -n $NS-end --type=merge -p \'{"metadata":{"finalizers":null}}\'',
            "configmap/held patched",
        ),
        needs="controllers",
    ),
    scenario(
        "a namespace ends with all that is in it",
        "3.1",
        ok("create ns $NS-end", "namespace/$NS-end created"),
        ok("wait sa/default -n $NS-end --for=jsonpath='{.metadata.name}'=default", None, since=31),
        ok("create cm a -n $NS-end", "configmap/a created"),
        ok("delete ns $NS-end --timeout=60s", deleted('namespace "$NS-end"')),
        fails(
            "get cm a -n $NS-end",
            (r'\(NotFound\): (namespaces "$NS-end"|configmaps "a") not found',),
        ),
        needs="controllers",
        since=DEBIAN_MINOR,
    ),
    scenario(
        "each namespace has an account",
        "3.1",
        ok("create ns $NS-new", "namespace/$NS-new created"),
        ok("wait sa/default -n $NS-new --for=create --timeout=60s", None, since=31),
        needs="controllers",
        since=DEBIAN_MINOR,
    ),
    scenario(
        "dependents go after their owner",
        "2.17 3.2",
        ok("create cm owner", "configmap/owner created"),
        ok("get cm owner -o jsonpath={.metadata.uid}", ".+", saves="uid"),
        ok("create -f -", "configmap/dependent created", stdin=_OWNED),
        ok("delete cm owner", deleted('configmap "owner"')),
        ok("wait cm/dependent --for=delete --timeout=60s", None),
        needs="controllers",
    ),
    scenario(
        "an owner waits for its dependents",
        "2.17 3.2",
        ok("create cm owner", "configmap/owner created"),
        ok("get cm owner -o jsonpath={.metadata.uid}", ".+", saves="uid"),
        ok("create -f -", "configmap/dependent created", stdin=_OWNED),
        ok("delete cm owner --cascade=foreground --timeout=60s", deleted('configmap "owner"')),
        ok("get cm dependent --ignore-not-found", ""),
        needs="controllers",
        since=DEBIAN_MINOR,
    ),
    scenario(
        "orphans stay",
        "2.17 3.2",
        ok("create cm owner", "configmap/owner created"),
        ok("get cm owner -o jsonpath={.metadata.uid}", ".+", saves="uid"),
        ok("create -f -", "configmap/dependent created", stdin=_OWNED),
        ok("delete cm owner --cascade=orphan --timeout=60s", deleted('configmap "owner"')),
        ok("get cm dependent -o jsonpath={.metadata.ownerReferences}", ""),
        needs="controllers",
        since=DEBIAN_MINOR,
    ),
    scenario(
        "propagation is marked in finalizers, which hold what is deleted",
        "2.17",
        ok("create cm owner", "configmap/owner created"),
        ok(
            'patch cm owner -p \'{"metadata":{"finalizers":["example.com/hold"]}}\'',
            "configmap/owner patched",
        ),
        ok("delete cm owner --cascade=foreground --wait=false", deleted('configmap "owner"')),
        ok(
            # The collector takes its own away as soon as nothing depends on the owner.
            "get cm owner -o jsonpath='{.metadata.deletionTimestamp} {.metadata.finalizers}'",
            r'20\d\d-.*Z \["example\.com/hold"(,"foregroundDeletion")?\]|20\d\d-.*Z \["foregroundDeletion","example\.com/hold"\]',
        ),
        since=DEBIAN_MINOR,
    ),
)
