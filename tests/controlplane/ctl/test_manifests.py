from pathlib import Path

import pytest

from controlplane.ctl import manifests
from controlplane.ctl.errors import CtlError


def test_a_folder_is_read_in_order_and_lists_are_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}'
    )
    (tmp_path / "a.yaml").write_text(
        """\
# a comment
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: one}}
--- # and more
{apiVersion: v1, kind: Pod, metadata: {name: two, annotations: {a: "x\\n---\\ny"}}}
---
"""
    )
    (tmp_path / "notes.txt").write_text("none of this")
    found = manifests.read([str(tmp_path)])
    assert [manifest.name for manifest in found] == ["one", "two", "b"]
    assert found[1].content["metadata"]["annotations"] == {"a": "x\n---\ny"}
    assert found[2].source == str(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no objects passed"),
        ("{kind: Pod}", "Object 'ApiVersion' is missing"),
        ("{apiVersion: v1}", "Object 'Kind' is missing"),
        ("just words", "holds no object"),
        ("{apiVersion: v1, kind: Pod, metadata: 3}", "metadata is no object"),
        ("{apiVersion: v1, kind: [", "error parsing"),
        ("{apiVersion: v1, kind: List, items: [3]}", "holds no object"),
    ],
)
def test_what_is_no_object_is_refused_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(CtlError, match=told):
        manifests.read([str(path)])
