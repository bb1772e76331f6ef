"""The audit log (kube-behaviour 11.10)."""

import logging
from typing import Any

import orjson
import pytest

from controlplane.apiserver.audit import Audit
from controlplane.apiserver.incoming import target_of
from tests.controlplane.apiserver.asked import ALICE, NOW, incoming


def noted(method: str, path: str, query: str = "", **headers: Any) -> Any:
    written: list[bytes] = []
    asked = incoming(method, path, query, **headers)
    audit = Audit(written.append, lambda: NOW + 0.25)
    audit.note(asked, target_of(method, path, asked.query), ALICE, 201)
    (line,) = written
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return orjson.loads(line)


def test_a_line_says_who_asked_for_what_and_what_came_of_it() -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments/web/scale"
    found = noted("PATCH", path, "dryRun=All", user_agent="kubectl/v1")
    assert (found["kind"], found["apiVersion"]) == ("Event", "audit.k8s.io/v1")
    assert (found["level"], found["stage"]) == ("Metadata", "ResponseComplete")
    assert found["user"] == {"username": "alice", "groups": list(ALICE.groups)}
    assert found["verb"] == "patch"
    assert found["requestURI"] == f"{path}?dryRun=All"
    assert found["objectRef"] == {
        "resource": "deployments",
        "namespace": "shop",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
        "subresource": "scale",
    }
    assert found["responseStatus"]["code"] == 201
    assert found["sourceIPs"] == ["192.0.2.1"]
    assert found["userAgent"] == "kubectl/v1"
    assert found["stageTimestamp"] == "2023-11-14T22:13:20.250000Z"


def test_a_path_has_no_object() -> None:
    found = noted("GET", "/metrics")
    assert "objectRef" not in found
    assert (found["verb"], found["requestURI"]) == ("get", "/metrics")


def test_whom_one_acts_for_is_told() -> None:
    found = noted("GET", "/api/v1/pods", impersonate_user="carol")
    assert found["impersonatedUser"] == {"username": "carol"}
    assert found["user"]["username"] == "alice"


def test_a_token_is_never_told() -> None:
    found = noted("GET", "/api/v1/pods", authorization="Bearer s3cret")
    assert "s3cret" not in str(found)


def test_lines_have_ids_of_their_own() -> None:
    assert noted("GET", "/")["auditID"] != noted("GET", "/")["auditID"]


def test_a_full_disk_costs_the_line_and_not_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    def full(line: bytes) -> None:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.ERROR):
        Audit(full, lambda: NOW).note(incoming(), None, ALICE, 200)
    assert "No space left" in caplog.text


def test_without_a_log_nothing_is_kept() -> None:
    Audit(None, lambda: pytest.fail("nobody asks for the time")).note(incoming(), None, None, 401)
