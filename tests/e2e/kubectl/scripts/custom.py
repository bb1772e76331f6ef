"""Custom resources: defined, served at once, validated, defaulted, pruned, printed."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE

_DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.$NS.example.com}
spec:
  group: $NS.example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt], categories: [fleet]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.crew, statusReplicasPath: .status.crew}
    additionalPrinterColumns:
    - {name: Crew, type: integer, jsonPath: .spec.crew}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    selectableFields: [{jsonPath: .spec.flag}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [flag]
            properties:
              flag: {type: string, maxLength: 5, description: Where it is at home.}
              crew: {type: integer, minimum: 0, default: 3}
          status:
            type: object
            properties: {crew: {type: integer}}
"""

_ESTABLISHED = (
    '{"status":{"acceptedNames":{"plural":"boats","singular":"boat","kind":"Boat","shortNames":["bt"],'
    '"categories":["fleet"]},"conditions":[{"type":"NamesAccepted","status":"True"},'
    '{"type":"Established","status":"True"}]}}'
)

_BOAT = "apiVersion: $NS.example.com/v1\nkind: Boat\nmetadata: {name: b}\nspec: {flag: dk}\n"
_TYPE = r"boat\.$NS\.example\.com"

SCENARIOS = (
    scenario(
        "a custom resource",
        "2.12 2.13 2.14 11.7",
        ok(
            "create -f -",
            r"customresourcedefinition\.apiextensions\.k8s\.io/boats\.$NS\.example\.com created",
            stdin=_DEFINITION,
        ),
        # Who accepts names and establishes definitions may not run here.
        ok(
            f"patch crd boats.$NS.example.com --subresource=status --type=merge -p '{_ESTABLISHED}'"
        ),
        ok(
            "wait crd/boats.$NS.example.com --for=condition=Established --timeout=60s",
            ("condition met",),
        ),
        ok(
            "get crd boats.$NS.example.com",
            table("NAME CREATED AT", r"boats\.$NS\.example\.com \S+"),
        ),
        ok(
            "api-resources --api-group=$NS.example.com --no-headers",
            r"boats +bt +$NS\.example\.com/v1 +true +Boat",
        ),
        ok("apply -f boat.yaml", f"{_TYPE}/b created"),
        ok("apply -f boat.yaml", f"{_TYPE}/b unchanged"),
        ok("get boats", table("NAME CREW AGE", f"b 3 {AGE}")),
        ok("get fleet -o name", f"{_TYPE}/b"),
        ok("get bt --field-selector=spec.flag=dk -o name", f"{_TYPE}/b"),
        ok("explain boat.spec.flag", (r"^FIELD: flag <string>", "Where it is at home")),
        ok("scale boat b --replicas=5", f"{_TYPE}/b scaled"),
        ok("get boat b -o jsonpath='{.spec.crew} {.metadata.generation}'", "5 2"),
        ok(
            'patch boat b --type=merge --subresource=status -p \'{"status":{"crew":4}}\'',
            f"{_TYPE}/b patched",
        ),
        ok("get boat b -o jsonpath='{.status.crew} {.metadata.generation}'", "4 2"),
        ok("get boat b --subresource=scale -o jsonpath={.status.replicas}", "4"),
        ok(
            "apply --server-side --field-manager=other -f boat.yaml",
            f"{_TYPE}/b serverside-applied",
        ),
        fails(
            "patch boat b --type=strategic -p '{}'",
            (r"application/strategic-merge-patch\+json is not supported by .*Kind=Boat",),
        ),
        fails(
            'patch boat b --type=merge -p \'{"spec":{"crew":-1}}\'',
            (
                r'^The Boat "b" is invalid: spec\.crew: Invalid value: -1: spec\.crew in body should be greater than or equal to 0',
            ),
        ),
        fails(
            "create -f -",
            (r'strict decoding error: unknown field "spec\.sail"',),
            stdin=_BOAT.replace("dk}", "dk, sail: 1}").replace("name: b", "name: c"),
        ),
        fails(
            "create -f -",
            (r'^The Boat "c" is invalid: spec\.flag: Required value',),
            stdin=_BOAT.replace("{flag: dk}", "{}").replace("name: b", "name: c"),
        ),
        files={"boat.yaml": _BOAT},
    ),
    scenario(
        "definitions that cannot be",
        "11.7",
        fails(
            "create -f -",
            (
                r'^The CustomResourceDefinition "boats\.$NS\.example\.com" is invalid: ',
                r"metadata\.name: Invalid value: .*must be spec\.names\.plural\+\".\"\+spec\.group",
            ),
            stdin=_DEFINITION.replace("{plural: boats", "{plural: ships"),
        ),
        fails(
            "create -f -",
            (
                r"spec\.validation\.openAPIV3Schema\.type: Required value: must not be empty at the root",
            ),
            stdin=_DEFINITION.replace(
                "openAPIV3Schema:\n        type: object\n", "openAPIV3Schema:\n"
            ),
        ),
        fails(
            "create -f -",
            (r"must have exactly one version marked as storage version",),
            stdin=_DEFINITION.replace("storage: true", "storage: false"),
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "a definition goes with its objects",
        "11.7",
        ok("create -f -", (r"^customresourcedefinition.* created$",), stdin=_DEFINITION),
        ok("wait crd/boats.$NS.example.com --for=condition=Established --timeout=60s", None),
        ok("create -f -", f"{_TYPE}/b created", stdin=_BOAT),
        ok("delete crd boats.$NS.example.com --timeout=60s", ("deleted",)),
        fails(
            "get boats.$NS.example.com",
            r'''error: the server doesn't have a resource type "boats"''',
        ),
        needs="controllers",
        since=DEBIAN_MINOR,
    ),
)
