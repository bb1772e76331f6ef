"""create, apply, patch and their like, on objects that nothing else acts upon."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE, POD_SPEC, deleted

_CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {k: "1", other: "1"}
"""
_CHANGED = _CONFIG.replace('k: "1"', 'k: "2"')
_LESS = _CONFIG.replace(', other: "1"', "")
_OF_ANOTHER = _CONFIG.replace('other: "1"', 'own: "1"')
_UNKNOWN = _CONFIG + "nothing: 1\n"
_POD = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {POD_SPEC}\n"
_VERSION = "get cm a -o jsonpath={.metadata.resourceVersion}"
_MANAGERS = "get cm a --show-managed-fields -o jsonpath='{.metadata.managedFields[*].manager}'"

SCENARIOS = (
    scenario(
        "apply on the client's side",
        "1.3 2.2 2.14",
        ok("apply -f a.yaml", "configmap/a created"),
        ok("apply -f a.yaml", "configmap/a unchanged"),
        ok(_VERSION, r"\d+", saves="version"),
        ok(
            "apply -f a.yaml --dry-run=server",
            r"configmap/a (unchanged|configured) \(server dry run\)",
        ),
        ok("apply -f changed.yaml --dry-run=client", r"configmap/a configured \(dry run\)"),
        ok("apply -f changed.yaml --dry-run=server", r"configmap/a configured \(server dry run\)"),
        ok(_VERSION, "$version"),
        ok("apply -f changed.yaml", "configmap/a configured"),
        ok("get cm a -o jsonpath={.data.k}", "2"),
        ok("apply -f less.yaml", "configmap/a configured"),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"1"\}'),
        ok("apply view-last-applied cm/a -o json", (r'"k": "1"',)),
        ok("apply set-last-applied -f a.yaml", "configmap/a configured"),
        ok("apply -f .  --dry-run=server -o name", "configmap/a\nconfigmap/a\nconfigmap/a"),
        ok("delete -f a.yaml", deleted('configmap "a"')),
        files={"a.yaml": _CONFIG, "changed.yaml": _CHANGED, "less.yaml": _LESS},
    ),
    scenario(
        "diff",
        "2.10",
        ok("create -f a.yaml", "configmap/a created"),
        ok("diff -f a.yaml", ""),
        fails("diff -f changed.yaml", "", out=(r'^-  k: "1"$', r'^\+  k: "2"$')),
        fails("diff --server-side -f changed.yaml --force-conflicts", "", out=(r'^\+  k: "2"$',)),
        ok("get cm a -o jsonpath={.data.k}", "1"),
        files={"a.yaml": _CONFIG, "changed.yaml": _CHANGED},
        since=DEBIAN_MINOR,
    ),
    scenario(
        "apply on the server's side",
        "2.15",
        ok("apply --server-side -f a.yaml", "configmap/a serverside-applied"),
        ok(_VERSION, r"\d+", saves="version"),
        ok("apply --server-side -f a.yaml", "configmap/a serverside-applied"),
        ok(_VERSION, "$version"),
        fails(
            "apply --server-side --field-manager=other -f changed.yaml",
            (
                r'^error: Apply failed with 1 conflict: conflict with "kubectl": \.data\.k$',
                r"^Please review the fields above",
            ),
        ),
        ok(
            "apply --server-side --field-manager=other -f changed.yaml --force-conflicts",
            "configmap/a serverside-applied",
        ),
        ok(_MANAGERS, "(kubectl other|other kubectl)"),
        # Both say `other: "1"`: it stays when one of them says it no longer.
        ok(
            "apply --server-side --field-manager=other -f less.yaml --force-conflicts",
            "configmap/a serverside-applied",
        ),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"1","other":"1"\}'),
        # And it goes when nobody says it any more.
        ok("apply --server-side -f less.yaml", "configmap/a serverside-applied"),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"1"\}'),
        fails(
            "apply --server-side -f unknown.yaml",
            (r"field not declared in schema|unknown field",),
        ),
        files={
            "a.yaml": _CONFIG,
            "changed.yaml": _CHANGED,
            "less.yaml": _LESS,
            "unknown.yaml": _UNKNOWN,
        },
    ),
    scenario(
        "ownership moves from client-side to server-side apply",
        "2.15",
        ok("apply -f a.yaml", "configmap/a created"),
        ok(_MANAGERS, "kubectl-client-side-apply"),
        ok("apply --server-side -f a.yaml", "configmap/a serverside-applied"),
        ok("apply --server-side -f changed.yaml", "configmap/a serverside-applied"),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"2","other":"1"\}'),
        ok("apply --server-side -f less.yaml", "configmap/a serverside-applied"),
        ok("get cm a -o jsonpath={.data}", r'\{"k":"1"\}'),
        files={"a.yaml": _CONFIG, "changed.yaml": _CHANGED, "less.yaml": _LESS},
    ),
    scenario(
        "unknown fields",
        "2.11",
        fails(
            "create -f -",
            (
                (
                    r"^Error from server \(BadRequest\): error when creating \"STDIN\": ConfigMap in "
                    r'version "v1" cannot be handled as a ConfigMap: strict decoding error: '
                    r'unknown field "nothing"$'
                ),
            ),
            stdin=_UNKNOWN,
        ),
        ok(
            "create -f - --validate=warn",
            "configmap/a created",
            err=r'Warning: unknown field "nothing"',
            stdin=_UNKNOWN,
        ),
        ok("get cm a -o jsonpath={.nothing}", ""),
        ok("replace -f - --validate=ignore", "configmap/a replaced", stdin=_UNKNOWN),
        fails(
            "apply -f -",
            (r'strict decoding error: unknown field "nothing"',),
            stdin=_UNKNOWN.replace("name: a", "name: b"),
        ),
        fails(
            "create -f -",
            (r'unknown field "spec\.containers\[0\]\.imag"', r'unknown field "spec\.nod"'),
            stdin=_POD.replace("containers:", "nod: 1, containers:").replace("image:", "imag:"),
        ),
    ),
    scenario(
        "patch in its forms",
        "2.3 2.14",
        ok("create -f -", "pod/p created", stdin=_POD),
        ok(
            """patch pod p -p '{"spec":{"containers":[{"name":"c","image":"example.com/c:2"}]}}'""",
            "pod/p patched",
        ),
        ok("get pod p -o jsonpath='{.spec.containers[*].image}'", r"example\.com/c:2"),
        ok(
            """patch pod p -p '{"spec":{"containers":[{"name":"c","image":"example.com/c:2"}]}}'""",
            r"pod/p patched \(no change\)",
        ),
        ok(
            """patch pod p --type=json -p '[{"op":"replace","path":"/spec/containers/0/image","""
            """"value":"example.com/c:3"},{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]'""",
            "pod/p patched",
        ),
        ok(
            """patch pod p --type=merge -p '{"metadata":{"labels":{"a":null,"c":"d"}}}'""",
            "pod/p patched",
        ),
        ok("get pod p --show-labels --no-headers", rf"p +0/1 +Pending +0 +{AGE} +c=d"),
        ok(
            """patch pod p --subresource=status --type=merge """
            """-p '{"status":{"phase":"Running"},"spec":{"nodeName":"n"}}'""",
            "pod/p patched",
        ),
        ok("get pod p -o jsonpath='{.status.phase} {.spec.nodeName}'", "Running ?"),
        fails(
            """patch pod p --type=json -p '[{"op":"test","path":"/metadata/name","value":"q"}]'""",
            (
                (
                    r"^The request is invalid: the server rejected our request due to an error in our "
                    r"request"
                ),
            ),
        ),
        fails(
            """patch pod p --type=json -p '[{"op":"remove","path":"/metadata/nothing"}]'""",
            (r"^The request is invalid: the server rejected our request",),
        ),
        fails(
            """patch pod p --type=merge -p '{"metadata":{"resourceVersion":"1"}}'""",
            (
                (
                    r'Error from server \(Conflict\): Operation cannot be fulfilled on pods "p": the '
                    r"object has been modified; please apply your changes to the latest version and "
                    r"try again"
                ),
            ),
        ),
        fails(
            """patch pod p -p '{"spec":{"restartPolicy":"Never"}}'""",
            (
                (
                    r'^The Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other '
                    r"than `spec\.containers\[\*\]\.image`"
                ),
            ),
        ),
        fails("patch pod p -p nonsense", (r"^Error from server \(BadRequest\): ",)),
        fails(
            "patch pod absent -p '{}'",
            r'Error from server \(NotFound\): pods "absent" not found',
        ),
    ),
    scenario(
        "label and annotate",
        "2.2 2.12",
        ok("create cm a", "configmap/a created"),
        ok("label cm a tier=front", "configmap/a labeled"),
        ok(_VERSION, r"\d+", saves="version"),
        ok("label cm a tier=front", "configmap/a not labeled"),
        ok(_VERSION, "$version"),
        ok("label cm a tier=back --overwrite", "configmap/a labeled"),
        ok("label cm a --list", "tier=back"),
        ok("label cm --all tier-", "configmap/a unlabeled"),
        ok("annotate cm a note='some words'", "configmap/a annotate(d)?"),
        ok("annotate cm a note-", "configmap/a annotate(d)?"),
        ok("get cm a -o jsonpath={.metadata.annotations}", ""),
        fails(
            "label cm a tier=front tier-",
            ("can not both modify and remove a label in the same command",),
        ),
        ok("label cm a tier=one", "configmap/a labeled"),
        fails(
            "label cm a tier=two",
            r"error: 'tier' already has a value \(one\), and --overwrite is false",
        ),
        fails("label cm a 'tier=two words' --overwrite", (r"^error: invalid label value",)),
        fails(
            """patch cm a -p '{"metadata":{"labels":{"tier":"two words"}}}'""",
            (
                (
                    r'^The ConfigMap "a" is invalid: metadata\.labels: Invalid value: "two words": a '
                    r"valid label must be an empty string or consist of alphanumeric characters"
                ),
            ),
        ),
    ),
    scenario(
        "replace and edit",
        "2.3 2.12",
        ok("create -f a.yaml", "configmap/a created"),
        ok("get cm a -o json", saves="before"),
        ok("get cm a -o jsonpath={.metadata.uid}", ".+", saves="uid"),
        ok("replace -f changed.yaml", "configmap/a replaced"),
        ok("get cm a -o jsonpath='{.metadata.uid} {.data.k}'", "$uid 2"),
        fails(
            "replace -f -",
            (
                (
                    r"^Error from server \(Conflict\): error when replacing \"STDIN\": Operation cannot "
                    r"be fulfilled on configmaps \"a\": the object has been modified; please apply "
                    r"your changes to the latest version and try again$"
                ),
            ),
            stdin="$before",
        ),
        fails(
            "replace -f -",
            r'Error from server \(NotFound\): error when replacing "STDIN": configmaps "b" not found',
            stdin=_CONFIG.replace("name: a", "name: b"),
        ),
        ok("replace --force -f a.yaml", (r'configmap "a" deleted', "configmap/a replaced")),
        ok("get cm a -o jsonpath='{.metadata.uid}'", "(?!$uid).*"),
        ok("edit cm a", "configmap/a edited", edit=('k: "1"', 'k: "7"')),
        ok("get cm a -o jsonpath={.data.k}", "7"),
        ok("edit cm a", "", err="Edit cancelled, no changes made."),
        fails("edit cm absent", r'Error from server \(NotFound\): configmaps "absent" not found'),
        files={"a.yaml": _CONFIG, "changed.yaml": _CHANGED},
        since=DEBIAN_MINOR,
    ),
    scenario(
        "dry runs",
        "2.10",
        ok("create cm a --dry-run=server", r"configmap/a created \(server dry run\)"),
        ok("create cm a --dry-run=client -o yaml", ("^kind: ConfigMap$",)),
        ok("create cm a --dry-run=server -o jsonpath={.metadata.uid}", r"[0-9a-f-]{36}"),
        ok("get cm a --ignore-not-found", ""),
        ok("create cm a", "configmap/a created"),
        fails(
            "create cm a --dry-run=server",
            r'error: failed to create configmap: configmaps "a" already exists',
            since=21,
        ),
        fails(
            "create cm a --dry-run=server",
            r'Error from server \(AlreadyExists\): configmaps "a" already exists',
            before=21,
        ),
        ok("delete cm a --dry-run=server", r'configmap "a" deleted.*\(server dry run\)'),
        ok("label cm a x=y --dry-run=server", r"configmap/a labeled( \(server dry run\))?"),
        ok("get cm a -o jsonpath={.metadata.labels}", ""),
        fails(
            "run p --image= --dry-run=server",
            (r"^error: Invalid image name|--image is required",),
        ),
        ok("get cm -o name", "configmap/a"),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "create from words",
        "1.5 2.9 2.18 9.3",
        ok("create configmap m --from-literal=a=1 --from-file=f.txt", "configmap/m created"),
        ok("get cm m -o jsonpath='{.data.a} {.data.f\\.txt}'", "1 text"),
        ok("create configmap e --from-env-file=f.env", "configmap/e created"),
        ok("get cm e -o jsonpath={.data.KEY}", "value"),
        ok("create secret generic g --from-literal=a=hello", "secret/g created"),
        ok("get secret g -o jsonpath={.data.a}", "aGVsbG8="),
        ok(
            "create secret docker-registry d --docker-server=example.com --docker-username=u "
            "--docker-password=p",
            "secret/d created",
        ),
        ok("get secret d --no-headers", rf"d +kubernetes\.io/dockerconfigjson +1 +{AGE}"),
        fails(
            "create -f -",
            (r'^The Secret "t" is invalid:', r"data\[tls\.crt\]: Required value"),
            stdin="apiVersion: v1\nkind: Secret\nmetadata: {name: t}\ntype: kubernetes.io/tls\n",
        ),
        ok("create serviceaccount robot", "serviceaccount/robot created"),
        ok("create namespace $NS-more", "namespace/$NS-more created"),
        ok("get ns $NS-more", table("NAME STATUS AGE", f"$NS-more Active {AGE}")),
        ok(
            "get ns $NS-more -o jsonpath='{.metadata.labels} {.spec.finalizers}'",
            r'\{"kubernetes\.io/metadata\.name":"$NS-more"\} \["kubernetes"\]',
        ),
        ok(
            "create priorityclass $NS-high --value=1000",
            r"priorityclass\.scheduling\.k8s\.io/$NS-high created",
        ),
        ok("create quota q --hard=pods=2", "resourcequota/q created"),
        ok(
            "create poddisruptionbudget b --selector=app=x --min-available=50%",
            r"poddisruptionbudget\.policy/b created",
        ),
        ok("get pdb b --no-headers", rf"b +50% +N/A +0 +{AGE}"),
        ok("create job j --image=example.com/c:1", r"job\.batch/j created"),
        ok(
            "create cronjob c --image=example.com/c:1 --schedule='5 4 1 1 *'",
            r"cronjob\.batch/c created",
        ),
        ok("create job k --from=cronjob/c", r"job\.batch/k created"),
        ok("create -k kustom", "configmap/one-k created"),
        ok("kustomize kustom", ("^  name: one-k$",)),
        ok("apply -k kustom", "configmap/one-k unchanged|configmap/one-k configured", err=None),
        ok(
            "create -f - -o name",
            r"configmap/auto-[bcdfghjklmnpqrstvwxz2456789]{5}",
            stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: auto-}\n",
        ),
        fails("create cm m", r'error: failed to create configmap: configmaps "m" already exists'),
        fails(
            "create ns $NS-more",
            r'Error from server \(AlreadyExists\): namespaces "$NS-more" already exists',
        ),
        fails(
            "create sa robot",
            r'error: failed to create serviceaccount: serviceaccounts "robot" already exists',
        ),
        fails(
            "create cm a -n $NS-no",
            r'error: failed to create configmap: namespaces "$NS-no" not found',
        ),
        files={
            "f.txt": "text",
            "f.env": "KEY=value\n",
            "kustom/kustomization.yaml": "namePrefix: one-\nresources: [k.yaml]\n",
            "kustom/k.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: k}\n",
        },
    ),
)
