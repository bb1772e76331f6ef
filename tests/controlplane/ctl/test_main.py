"""cpctl as a user has it, against a real API server; texts are those of kubectl's documentation."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from cluster import kubeconfig
from controlplane.ctl.__main__ import main

STARTED_SECONDS_MAX = 120.0
pytestmark = pytest.mark.timeout(300)
# kubectl's own words.
_NAME_AND_SELECTOR = "name cannot be provided when a selector is specified"
_TUPLE_AND_SELECTOR = (
    "selectors and the all flag cannot be used when passing resource/name arguments"
)
_WORDS_AND_FILES = (
    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as"
    " well"
)


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str


Cpctl = Callable[..., Ran]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster of one member."""
    folder = tmp_path_factory.mktemp("cluster") / "data"
    command = [sys.executable, "-m", "cluster", "up", "--members=1", f"--data={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "healthy\n" for line in process.stdout)
        yield folder / "kubeconfig"
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def cpctl(config: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cpctl]:
    """Runs a command in a namespace of its own, which ends with the test."""
    namespace = f"case-{uuid.uuid4().hex[:8]}"

    def run(*words: str) -> Ran:
        capsys.readouterr()
        where = [] if {"-n", "-A"} & set(words) else ["-n", namespace]
        status = main(["--kubeconfig", str(config), *words, *where])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    manifest = config.parent / f"{namespace}.yaml"
    manifest.write_text(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n")
    assert run("create", "-f", str(manifest)).status == 0
    yield run
    assert run("delete", "ns", namespace, "--wait=false").status == 0


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    path = tmp_path / "things.yaml"
    path.write_text(
        """\
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, labels: {app: web}}
data: {word: "yes", text: "one\\ntwo\\n"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
---
# Nothing stands here.
"""
    )
    return path


def test_objects_are_created_printed_and_deleted(cpctl: Cpctl, manifests: Path) -> None:
    created = cpctl("create", "-f", str(manifests))
    assert created == Ran(0, "configmap/greeting created\ndeployment.apps/web created\n", "")
    table = cpctl("get", "cm", "greeting")
    assert [line.split() for line in table.out.splitlines()] == [
        ["NAME", "DATA", "AGE"],
        ["greeting", "2", table.out.split()[-1]],
    ]
    both = cpctl("get", "configmaps,deployments.apps", "-l", "app=web", "--no-headers")
    first, blank, second = both.out.splitlines()
    assert (first.split()[0], blank) == ("configmap/greeting", "")
    assert second.split()[:2] == ["deployment.apps/web", "0/2"]
    deleted = cpctl("delete", "deploy/web", "cm/greeting")
    assert deleted == Ran(0, 'deployment.apps "web" deleted\nconfigmap "greeting" deleted\n', "")
    assert cpctl("get", "deploy") == Ran(
        0, "", f"No resources found in {where(cpctl)} namespace.\n"
    )


def where(cpctl: Cpctl) -> str:
    """The namespace of this test, as the server tells it."""
    answer = cpctl("get", "cm", "nothing-of-this-name")
    assert answer.status == 1
    err = cpctl("get", "pvc").err
    return err.split()[4]


def test_forms_of_output(cpctl: Cpctl, manifests: Path) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    assert cpctl("get", "cm,deploy", "-l", "app=web", "-o", "name").out == (
        "configmap/greeting\ndeployment.apps/web\n"
    )
    found = yaml.safe_load(cpctl("get", "cm/greeting", "-o", "yaml").out)
    assert found["data"] == {"word": "yes", "text": "one\ntwo\n"}
    assert "managedFields" not in found["metadata"]
    several = json.loads(cpctl("get", "deploy", "-o", "json").out)
    assert (several["kind"], several["apiVersion"]) == ("List", "v1")
    assert [item["kind"] for item in several["items"]] == ["Deployment"]
    assert "IMAGES" in cpctl("get", "deploy", "-o", "wide").out
    assert "IMAGES" not in cpctl("get", "deploy").out
    everywhere = cpctl("get", "services", "-A")
    assert everywhere.out.split()[0] == "NAMESPACE"
    assert ["default", "kubernetes"] in [line.split()[:2] for line in everywhere.out.splitlines()]


def test_apply_owns_what_it_says(cpctl: Cpctl, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"

    def apply(data: str, *flags: str) -> Ran:
        path.write_text(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {data}}}")
        return cpctl("apply", "-f", str(path), *flags)

    def data() -> dict[str, str]:
        found: dict[str, str] = json.loads(cpctl("get", "cm/a", "-o", "json").out)["data"]
        return found

    dry = apply("{one: a}", "--dry-run=server")
    assert dry.out == "configmap/a serverside-applied (server dry run)\n"
    assert cpctl("get", "cm/a").status == 1
    assert apply("{one: a, two: b}").out == "configmap/a serverside-applied\n"
    assert apply("{one: c}").status == 0
    assert data() == {"one": "c"}
    # Who created a field by other means owns it.
    path.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {one: a}}")
    assert cpctl("create", "-f", str(path)).status == 0
    path.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {one: z}}")
    refused = cpctl("apply", "-f", str(path))
    assert refused.status == 1
    assert refused.err.startswith("error: Apply failed with 1 conflict")
    assert cpctl("apply", "-f", str(path), "--force-conflicts").status == 0


def test_replicas_are_scaled_and_only_from_what_was_expected(cpctl: Cpctl, manifests: Path) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    scaled = cpctl("scale", "deployment/web", "--replicas=5")
    assert scaled == Ran(0, "deployment.apps/web scaled\n", "")
    refused = cpctl("scale", "deploy", "web", "--replicas=1", "--current-replicas=2")
    assert (refused.status, refused.err) == (1, "error: Expected replicas to be 2, was 5\n")
    assert cpctl("get", "deploy/web", "--no-headers").out.split()[1] == "0/5"


def test_describe_tells_all_but_secrets(cpctl: Cpctl, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hushhush}}"
    )
    assert cpctl("create", "-f", str(path)).status == 0
    told = cpctl("describe", "secret", "s")
    assert told.status == 0
    assert "password:  8 bytes" in told.out
    assert "aHVzaGh1c2g=" not in told.out
    assert "hushhush" not in told.out
    assert told.out.endswith("Events:  <none>\n")
    namespace = cpctl("describe", "namespace", "default")
    assert "Finalizers:\n    kubernetes" in namespace.out


def test_describe_shows_the_events_of_this_object_only(cpctl: Cpctl, manifests: Path) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    found = json.loads(cpctl("get", "deploy/web", "-o", "json").out)["metadata"]
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web.1"},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "namespace": found["namespace"],
            "uid": found["uid"],
        },
        "type": "Normal",
        "reason": "Scaled",
        "message": "two of them",
        "source": {"component": "somebody"},
    }
    path = manifests.with_name("event.json")
    path.write_text(json.dumps(event))
    assert cpctl("create", "-f", str(path)).status == 0
    lines = [line.split() for line in cpctl("describe", "deploy/web").out.splitlines()]
    [told] = [line for line in lines if line[1:2] == ["Scaled"]]
    assert (told[0], told[3]) == ("Normal", "somebody")
    assert told[4:] == ["two", "of", "them"]
    assert cpctl("describe", "cm/greeting").out.endswith("Events:  <none>\n")


def test_errors_are_told_as_kubectl_tells_them(cpctl: Cpctl, manifests: Path) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    again = cpctl("create", "-f", str(manifests))
    assert again.status == 1
    assert again.err.splitlines()[0] == (
        f'Error from server (AlreadyExists): error when creating "{manifests}":'
        ' configmaps "greeting" already exists'
    )
    missing = cpctl("get", "deploy", "web", "nope")
    assert missing.status == 1
    assert missing.err == 'Error from server (NotFound): deployments.apps "nope" not found\n'
    assert "web" in missing.out
    unknown = cpctl("get", "gadgets")
    assert unknown == Ran(1, "", 'error: the server doesn\'t have a resource type "gadgets"\n')
    manifests.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: Not_Good}}")
    invalid = cpctl("create", "-f", str(manifests))
    assert invalid.err.startswith('The ConfigMap "Not_Good" is invalid: metadata.name: Invalid')
    manifests.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dato: {}}")
    strict = cpctl("create", "-f", str(manifests))
    assert 'strict decoding error: unknown field "dato"' in strict.err
    other = cpctl("get", "cm", "-l", "a in (")
    assert other.status == 1
    assert other.err.startswith("Error from server (BadRequest)")


@pytest.mark.parametrize(
    ("command", "done"), [("apply", "serverside-applied"), ("create", "created")]
)
def test_what_belongs_nowhere_is_told_and_all_else_is_made(
    cpctl: Cpctl, tmp_path: Path, command: str, done: str
) -> None:
    path = tmp_path / "many.yaml"
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    elsewhere = {**config_map("b"), "metadata": {"name": "b", "namespace": "elsewhere"}}
    things = [config_map("a"), gadget, elsewhere, config_map(".."), config_map("c")]
    path.write_text("\n---\n".join(map(json.dumps, things)))
    ran = cpctl(command, "-f", str(path), "-n", where(cpctl))
    assert (ran.status, ran.out) == (1, f"configmap/a {done}\nconfigmap/c {done}\n")
    assert (
        f'error: resource mapping not found for name: "g" namespace: "" from "{path}": no matches'
        ' for kind "Gadget" in version "example.com/v1"\nensure CRDs are installed first\n'
    ) in ran.err
    assert 'the namespace from the provided object "elsewhere" does not match' in ran.err
    assert '".."' in ran.err


def test_what_has_no_name_cannot_be_applied_and_all_else_is(cpctl: Cpctl, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("\n---\n".join(json.dumps(config_map(name)) for name in ("", "c")))
    ran = cpctl("apply", "-f", str(path))
    assert (ran.status, ran.out) == (1, "configmap/c serverside-applied\n")
    assert ran.err == f"error: from {path}: an object to be applied needs a name\n"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb"])
def test_a_name_never_becomes_another_path(cpctl: Cpctl, manifests: Path, name: str) -> None:
    """Else `delete cm ..` would delete the namespace, and `delete cm ""` all of them."""
    assert cpctl("create", "-f", str(manifests)).status == 0
    assert cpctl("delete", "cm", name).status == 1
    manifests.write_text(json.dumps(config_map(name)))
    assert cpctl("delete", "-f", str(manifests)).status == 1
    assert cpctl("get", "cm/greeting").status == 0


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_delete_needs_names_or_the_wish_for_all(cpctl: Cpctl, manifests: Path) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    refused = cpctl("delete", "cm")
    assert refused.err == "error: resource(s) were provided, but no name was specified\n"
    assert cpctl("delete", "cm", "nope", "--ignore-not-found") == Ran(0, "", "")
    assert cpctl("delete", "cm", "--all").out.count("deleted") >= 1
    assert "greeting" not in cpctl("get", "cm", "-o", "name").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cm", "greeting", "-l", "app=old"], _NAME_AND_SELECTOR),
        (["cm", "greeting", "--field-selector", "metadata.name=b"], _NAME_AND_SELECTOR),
        (["cm", "greeting", "--all"], _NAME_AND_SELECTOR),
        (["cm/greeting", "-l", "app=old"], _TUPLE_AND_SELECTOR),
        (["cm/greeting", "--all"], _TUPLE_AND_SELECTOR),
        (["cm", "greeting", "-A"], "a resource cannot be retrieved by name across all namespaces"),
        (["cm/greeting", "-A"], "a resource cannot be retrieved by name across all namespaces"),
        (
            ["cm", "--all", "-l", "app=web"],
            "setting 'all' parameter but found a non empty selector.",
        ),
        (["cm", "--all", "-f", "FILE"], _WORDS_AND_FILES),
        (["cm/greeting", "-f", "FILE"], _WORDS_AND_FILES),
        (["-f", "FILE", "-l", "app=old"], "a selector cannot be used with files"),
    ],
)
def test_delete_ignores_nothing_that_restricts_it(
    cpctl: Cpctl, manifests: Path, words: list[str], told: str
) -> None:
    """Whoever says two things that contradict each other has lost neither."""
    assert cpctl("create", "-f", str(manifests)).status == 0
    words = [str(manifests) if word == "FILE" else word for word in words]
    namespace = where(cpctl)
    assert cpctl("delete", *words) == Ran(1, "", f"error: {told}\n")
    for name in ("cm/greeting", "deploy/web"):
        assert cpctl("get", name, "-n", namespace).status == 0


def test_no_grace_is_a_second_of_it(cpctl: Cpctl, tmp_path: Path) -> None:
    """Without --force, which there is not: nobody is to lose data by a 0."""
    pod = {
        **config_map("held"),
        "kind": "Pod",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
        "spec": {"nodeName": "nowhere", "containers": [{"name": "c", "image": "i"}]},
    }
    path = tmp_path / "held.json"
    path.write_text(json.dumps(pod))
    assert cpctl("apply", "-f", str(path)).status == 0
    assert cpctl("delete", "pod/held", "--grace-period=0", "--wait=false").status == 0
    found = json.loads(cpctl("get", "pod/held", "-o", "json").out)
    assert found["metadata"]["deletionGracePeriodSeconds"] == 1
    path.write_text(json.dumps(pod | {"metadata": {"name": "held"}}))
    assert cpctl("apply", "-f", str(path)).status == 0  # it gives up its finalizer


def test_delete_waits_for_finalizers_as_long_as_it_is_told(
    config: Path, cpctl: Cpctl, tmp_path: Path
) -> None:
    held = config_map("held")
    held["metadata"] = {"name": "held", "finalizers": ["example.com/held"]}
    path = tmp_path / "held.json"
    path.write_text(json.dumps(held))
    assert cpctl("apply", "-f", str(path)).status == 0
    waited = cpctl("delete", "cm/held", "--timeout=1s")
    assert waited.status == 1
    assert waited.err == "error: timed out waiting for the condition on configmaps/held\n"
    words = ["--kubeconfig", str(config), "delete", "cm/held", "-n", where(cpctl)]
    command = [sys.executable, "-m", "controlplane.ctl", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as deleting:
        assert deleting.stdout is not None
        assert deleting.stdout.readline() == 'configmap "held" deleted\n'
        assert deleting.poll() is None
        path.write_text(json.dumps(config_map("held")))
        assert cpctl("apply", "-f", str(path)).status == 0  # it gives up its finalizer
        assert deleting.wait(60) == 0
    assert cpctl("get", "cm/held").status == 1


def test_a_watch_prints_what_is_there_and_what_changes(
    config: Path, cpctl: Cpctl, manifests: Path
) -> None:
    assert cpctl("create", "-f", str(manifests)).status == 0
    words = ["--kubeconfig", str(config), "get", "deploy", "-w", "-n", where(cpctl)]
    command = [sys.executable, "-m", "controlplane.ctl", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[0] == "NAME"
        assert watching.stdout.readline().split()[:2] == ["web", "0/2"]
        assert cpctl("scale", "deploy/web", "--replicas=7").status == 0
        # What controllers do meanwhile is printed as well.
        assert any(line.split()[:2] == ["web", "0/7"] for line in watching.stdout)
        watching.kill()


def test_who_is_not_let_in_is_told_so(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(config.read_text())
    tree["users"][0]["user"] = {"token": "of nobody"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(tree))
    assert main(["--kubeconfig", str(path), "get", "pods"]) == 1
    told = capsys.readouterr().err
    assert told == "error: You must be logged in to the server (Unauthorized)\n"


def test_nobody_listens(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = yaml.safe_load(config.read_text())
    tree["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(tree))
    assert not kubeconfig.is_current(path.read_text(), config.read_text())
    assert main(["--kubeconfig", str(path), "get", "pods"]) == 1
    assert capsys.readouterr().err == (
        "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or"
        " port?\n"
    )


def test_a_server_with_another_authority_is_not_trusted(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(config.read_text())
    cluster = tree["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["certificate-authority"] = str(config.parent / "certificates" / "store-ca.crt")
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(tree))
    assert main(["--kubeconfig", str(path), "get", "pods"]) == 1
    assert "Unable to connect to the server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["get"], "error: You must specify the type of resource"),
        (["fly"], 'error: unknown command "fly" for "cpctl"'),
        (["create"], "error: the following arguments are required: -f/--filename"),
        (["get", "pods", "-o", "xml"], "error: argument -o/--output: invalid choice"),
        (["delete", "-f", "/nowhere.yaml"], 'error: the path "/nowhere.yaml" does not exist'),
        (["get", "pods", "--context", "moon"], 'error: context "moon" does not exist'),
    ],
)
def test_words_that_make_no_sense(cpctl: Cpctl, words: list[str], told: str) -> None:
    answer = cpctl(*words)
    assert answer.status == 1
    assert answer.err.startswith(told)
