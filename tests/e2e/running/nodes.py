"""Hollow nodes, as kubectl sees them."""

from tests.e2e.kubectl.script import comes, fails, ok, scenario
from tests.e2e.kubectl.scripts.kinds import AGE, deleted

_ON_HOLLOW = """\
apiVersion: v1
kind: Pod
metadata: {name: hollow}
spec:
  nodeSelector: {kubernetes.io/hostname: hollow-2}
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "example.com/whatever:1"}]
"""

HOLLOW_NODES_COME = scenario(
    "hollow nodes come",
    "6.1",
    comes("get node hollow-3 --no-headers", rf"hollow-3 +Ready +<none> +{AGE} +\S+"),
    ok("wait node/hollow-1 node/hollow-2 --for=condition=Ready --timeout=60s", None),
    ok("apply -f -", "pod/hollow created", stdin=_ON_HOLLOW),
    ok("wait pod/hollow --for=condition=Ready --timeout=60s", "pod/hollow condition met"),
    ok("get pod hollow -o jsonpath={.spec.nodeName}", "hollow-2"),
    ok("delete pod hollow", deleted('pod "hollow"')),
)

HOLLOW_NODES_GO = scenario(
    "hollow nodes go",
    "6.1",
    ok("delete node hollow-1 hollow-2 hollow-3", None),
    fails("get node hollow-1", (r'nodes "hollow-1" not found',)),
    comes("get nodes --no-headers -o custom-columns=N:.metadata.name", r"n1 *\nn2 *\nn3 *"),
)
