"""Patches and quantities against kubectl, in which Kubernetes' own code for them runs: 2.14."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.api import quantity
from controlplane.api.errors import ApiError
from controlplane.api.patch import json_patch, merge_patch
from controlplane.api.schemas import schema_of
from controlplane.api.strategic import strategic_merge

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")

Json = Any
DEPLOYMENT = schema_of("apps", "v1", "Deployment")
RUN_SECONDS_MAX = 60

EXAMPLES = 12
"""A run of kubectl takes its time, and each day has other examples."""

peer = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

names = st.sampled_from("abcd")
texts = st.sampled_from(["1", "2"])


def _some(**fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


def _named(**fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"name": names}, optional=fields)


def _each_once(items: st.SearchStrategy[Json], key: str = "name") -> st.SearchStrategy[Json]:
    # Of an empty list Kubernetes cannot tell what it is made of, and refuses some patches.
    return st.lists(items, min_size=1, max_size=4, unique_by=lambda item: item[key])


ports = _each_once(
    st.fixed_dictionaries({"containerPort": st.integers(80, 82)}, optional={"name": texts}),
    "containerPort",
)
env = _each_once(_named(value=texts))
arguments = st.lists(texts, max_size=2)
container = _named(image=texts, args=arguments, env=env, ports=ports)
volume = _named(emptyDir=st.just({}), configMap=st.just({"name": "x"}))
finalizers = st.lists(st.sampled_from(["x/a", "x/b", "x/c"]), min_size=1, max_size=3, unique=True)
labels = st.dictionaries(names, texts, max_size=3)
tolerations = st.lists(_some(key=texts, operator=st.just("Exists")), max_size=2)


def _deployment(pod_spec: st.SearchStrategy[Json], **meta: st.SearchStrategy[Json]) -> Any:
    spec = _some(replicas=st.integers(0, 2), template=st.fixed_dictionaries({"spec": pod_spec}))
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just("apps/v1"),
            "kind": st.just("Deployment"),
            "metadata": st.fixed_dictionaries({"name": st.just("d")}, optional=meta),
            "spec": spec,
        }
    )


objects = _deployment(
    _some(
        containers=_each_once(container),
        volumes=_each_once(volume),
        nodeSelector=labels,
        tolerations=tolerations,
    ),
    labels=labels,
    finalizers=finalizers,
)

null = st.none()
deletion = st.fixed_dictionaries({"name": names, "$patch": st.just("delete")})
replacement = st.just({"$patch": "replace"})
order = _each_once(st.fixed_dictionaries({"name": names}))
container_patch = container | deletion | _named(image=null, args=null, env=env | null)


@st.composite
def container_patches(draw: st.DrawFn) -> Json:
    items = draw(_each_once(container_patch))
    patch: Json = {"containers": items}
    if draw(st.booleans()):
        patch["containers"] = [*items, {"$patch": "replace"}]
    elif draw(st.booleans()):
        # As kubectl makes it: all that stay are named, in the order that they shall have.
        stay = [item["name"] for item in items if "$patch" not in item]
        others = draw(st.lists(names.filter(lambda name: name not in stay), unique=True))
        cut = draw(st.integers(0, len(others)))
        told = [*others[:cut], *stay, *others[cut:]]
        patch["$setElementOrder/containers"] = [{"name": name} for name in told]
    return patch


finalizer_patches = st.one_of(
    st.fixed_dictionaries({"finalizers": finalizers | null}),
    st.fixed_dictionaries({"$deleteFromPrimitiveList/finalizers": finalizers}),
    st.fixed_dictionaries({"$setElementOrder/finalizers": finalizers}),
)
label_patches = st.dictionaries(names, texts | null, max_size=3)
volume_patches = _each_once(
    st.sampled_from(["emptyDir", "configMap"]).flatmap(
        lambda source: st.fixed_dictionaries(
            {
                "name": names,
                "$retainKeys": st.just(["name", source]),
                source: st.just({} if source == "emptyDir" else {"name": "y"}),
            }
        )
    )
)


@st.composite
def strategic_patches(draw: st.DrawFn) -> Json:
    pod_spec = draw(
        _some(volumes=volume_patches, nodeSelector=label_patches | null, tolerations=tolerations)
    )
    if draw(st.booleans()):
        pod_spec |= draw(container_patches())
    patch: Json = {"metadata": draw(finalizer_patches), "spec": {"template": {"spec": pod_spec}}}
    patch["metadata"] |= draw(_some(labels=label_patches | null))
    return patch


merge_patches = _some(
    metadata=_some(labels=label_patches | null, finalizers=finalizers | null),
    spec=_some(
        replicas=st.integers(0, 2) | null,
        template=_some(spec=_some(containers=_each_once(container), nodeSelector=label_patches)),
    ),
)

places = st.sampled_from(
    [
        *("/metadata/labels", "/metadata/labels/a", "/metadata/finalizers/0", "/spec/replicas"),
        *("/metadata/finalizers/-", "/metadata/finalizers/1", "/metadata/annotations"),
    ]
)
operations = st.one_of(
    st.fixed_dictionaries({"op": st.just("remove"), "path": places}),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "test"]), "path": places, "value": texts | labels}
    ),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["move", "copy"]), "path": places, "from": places}
    ),
)


def _run(folder: Path, *arguments: str) -> Json:
    """What kubectl prints; None: it refuses."""
    run = subprocess.run(
        ["kubectl", *arguments, "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS_MAX,
        env={"HOME": str(folder), "PATH": str(Path(shutil.which("kubectl") or "").parent)},
    )
    return json.loads(run.stdout) if run.returncode == 0 else None


def _kubectl(folder: Path, obj: Json, patch: Json, kind: str) -> Json:
    file = folder / "object.json"
    file.write_text(json.dumps(obj))
    told = ["--local", "-f", str(file), "--type", kind, "-p", json.dumps(patch)]
    return _stored(_run(folder, "patch", *told))


def _stored(value: Json) -> Json:
    """As a server stores it: its types know neither null nor what begins with `$`."""
    if isinstance(value, dict):
        return {
            name: _stored(child)
            for name, child in value.items()
            if child is not None and name[0] != "$"
        }
    if isinstance(value, list):
        kept = (item for item in value if not (isinstance(item, dict) and "$patch" in item))
        return [_stored(item) for item in kept]
    return value


def _ours(obj: Json, patch: Json, kind: str) -> Json:
    try:
        match kind:
            case "json":
                return json_patch(obj, patch)
            case "merge":
                return merge_patch(obj, patch)
            case _:
                return strategic_merge(DEPLOYMENT, obj, patch)
    except ApiError:
        return None


@peer
@given(obj=objects, patch=strategic_patches())
def test_strategic_merges_are_those_of_kubernetes(tmp_path: Path, obj: Json, patch: Json) -> None:
    assert _ours(obj, patch, "strategic") == _kubectl(tmp_path, obj, patch, "strategic")


@peer
@given(obj=objects, patch=merge_patches)
def test_merge_patches_are_those_of_kubernetes(tmp_path: Path, obj: Json, patch: Json) -> None:
    assert _ours(obj, patch, "merge") == _kubectl(tmp_path, obj, patch, "merge")


@peer
@given(obj=objects, patch=st.lists(operations, min_size=1, max_size=3))
def test_json_patches_are_those_of_kubernetes(tmp_path: Path, obj: Json, patch: Json) -> None:
    assert _stored(_ours(obj, patch, "json")) == _kubectl(tmp_path, obj, patch, "json")


quantities = st.builds(
    "{}{}{}".format,
    st.integers(-3000, 3000),
    st.sampled_from(["", ".5", ".25", ".0625"]),
    st.sampled_from([*("n", "u", "m", "", "k", "M", "G", "T", "P"), *("Ki", "Mi", "Ti"), "e3"]),
)


@peer
@given(texts=st.lists(quantities, min_size=20, max_size=20))
def test_quantities_are_written_as_kubernetes_writes_them(tmp_path: Path, texts: Json) -> None:
    hard = ",".join(f"count/q{number}={text}" for number, text in enumerate(texts))
    made = _run(tmp_path, "create", "quota", "q", "--dry-run=client", f"--hard={hard}")
    told = [made["spec"]["hard"][f"count/q{number}"] for number in range(len(texts))]
    assert told == [quantity.canonical(text) for text in texts]
