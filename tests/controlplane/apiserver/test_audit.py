"""The audit log: what is told of a request (kube-behaviour 11.10)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest

from controlplane.apiserver.assembly import Assembly
from controlplane.apiserver.audit import Audit, Audited
from controlplane.apiserver.audit_policy import policy_of
from controlplane.apiserver.incoming import Answer, target_of
from controlplane.apiserver.large_bodies import LARGE_BYTES
from controlplane.apiserver.writes import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from controlplane.flags import SettingsError
from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.asked import ALICE, MASTER, NOW, incoming
from tests.controlplane.apiserver.conftest import Api, settings
from tests.controlplane.apiserver.test_audit_policy import policy

CREATED = Answer(code=201, body=b'{"kind":"ConfigMap","metadata":{"name":"x"}}')
MAPS = "/api/v1/namespaces/shop/configmaps"


class Log:
    """What was written for one request."""

    def __init__(self, *rules: dict[str, Any], **more: Any) -> None:
        self.lines: list[bytes] = []
        text = policy(*(rules or ({"level": "Metadata"},)), **more)
        self.audit = Audit(self.lines.append, lambda: NOW + 0.25, policy_of(text))

    def begin(self, method: str, path: str, query: str = "", **headers: Any) -> Audited:
        asked = incoming(method, path, query, **headers)
        return self.audit.begin(asked, target_of(method, path, asked.query))

    @property
    def events(self) -> list[Any]:
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in self.lines)
        return [orjson.loads(line) for line in self.lines]

    @property
    def stages(self) -> list[str]:
        return [event["stage"] for event in self.events]


def noted(
    method: str,
    path: str,
    query: str = "",
    *,
    level: str = "Metadata",
    answer: Answer = CREATED,
    **headers: Any,
) -> Any:
    """The last event of a request."""
    log = Log({"level": level})
    audited = log.begin(method, path, query, **headers)
    audited.identified(ALICE)
    audited.answered(answer)
    return log.events[-1]


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
    assert found["requestReceivedTimestamp"] == "2023-11-14T22:13:20.250000Z"


def test_a_path_has_no_object() -> None:
    found = noted("GET", "/metrics")
    assert "objectRef" not in found
    assert (found["verb"], found["requestURI"]) == ("get", "/metrics")


def test_a_token_is_never_told() -> None:
    found = noted("GET", "/api/v1/pods", authorization="Bearer s3cret")
    assert "s3cret" not in str(found)


def test_lines_have_ids_of_their_own_unless_the_client_has_one() -> None:
    assert noted("GET", "/")["auditID"] != noted("GET", "/")["auditID"]
    assert noted("GET", "/", audit_id="mine")["auditID"] == "mine"
    for bad in ("x" * 65, "a\nb", "ä"):
        assert noted("GET", "/", audit_id=bad)["auditID"] != bad


def test_a_full_disk_costs_the_line_and_not_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    def full(line: bytes) -> None:
        raise OSError(28, "No space left on device")

    audited = Audit(full, lambda: NOW).begin(incoming(), None)
    with caplog.at_level(logging.ERROR):
        audited.identified(ALICE)
        audited.answered(Answer())
    assert "No space left" in caplog.text


def test_without_a_log_nothing_is_kept() -> None:
    audited = Audit(None, lambda: NOW).begin(incoming(), None)
    audited.identified(ALICE)
    audited.answered(Answer())


# ------------------------------------------------------------------------------ levels


def test_bodies_are_told_as_the_level_says() -> None:
    """Row 11.10: None, Metadata, Request, RequestResponse."""
    body = {"metadata": {"name": "x"}, "data": {"k": "v"}}
    log = Log({"level": "None"})
    audited = log.begin("POST", MAPS, body=body)
    audited.identified(ALICE)
    audited.answered(CREATED)
    assert log.events == []
    metadata = noted("POST", MAPS, body=body)
    assert not {"requestObject", "responseObject"} & set(metadata)
    request = noted("POST", MAPS, body=body, level="Request")
    assert request["requestObject"] == body
    assert "responseObject" not in request
    whole = noted("POST", MAPS, body=body, level="RequestResponse")
    assert whole["requestObject"] == body
    assert whole["responseObject"] == orjson.loads(CREATED.body)


def test_a_created_object_is_named_as_it_was_sent() -> None:
    found = noted("POST", MAPS, body={"metadata": {"name": "x"}})
    assert found["objectRef"]["name"] == "x"
    found = noted("POST", MAPS, body={"metadata": {"generateName": "x-"}})
    assert "name" not in found["objectRef"]
    bodies: list[Any] = ["x", [], {"metadata": 5}, {"metadata": {"name": 7}}]
    for broken in bodies:
        assert "name" not in noted("POST", MAPS, body=broken)["objectRef"]


def test_patches_are_told_as_they_were_sent() -> None:
    asked: dict[str, Any] = {"path": f"{MAPS}/x", "level": "Request"}
    steps = [{"op": "remove", "path": "/data/k"}]
    found = noted("PATCH", body=steps, content_type="application/json-patch+json", **asked)
    assert found["requestObject"] == steps
    wish = {"data": {"k": "v"}}
    found = noted("PATCH", body=wish, content_type="application/apply-patch+yaml", **asked)
    assert found["requestObject"] == wish


def test_what_json_cannot_say_is_left_out() -> None:
    log = Log({"level": "Request"})
    asked = incoming("POST", MAPS, content_type="application/yaml")
    asked.body = b'metadata: {name: "\\ud800"}'
    audited = log.audit.begin(asked, target_of("POST", MAPS, asked.query))
    audited.identified(ALICE)
    audited.answered(CREATED)
    assert "requestObject" not in log.events[-1]


def test_a_large_body_is_not_read_again_for_the_log() -> None:
    """What could not be read before would be as slow to read, and no less in vain."""
    log = Log({"level": "Request"})
    asked = incoming("POST", MAPS, content_type="application/yaml")
    asked.body = b"metadata: {name: x}\ndata: {k: " + b"v" * LARGE_BYTES + b"}"
    for is_read in (False, True):
        if is_read:
            asked.decoded()
        audited = log.audit.begin(asked, target_of("POST", MAPS, asked.query))
        audited.identified(ALICE)
        audited.answered(CREATED)
        assert ("requestObject" in log.events[-1]) is is_read
        assert ("name" in log.events[-1]["objectRef"]) is is_read


def test_a_body_that_is_none_is_left_out() -> None:
    asked = noted("POST", MAPS, body=None, level="RequestResponse", answer=Answer(body=b"text"))
    assert not {"requestObject", "responseObject"} & set(asked)


def test_managed_fields_are_left_out_where_the_policy_says_so() -> None:
    body = {"metadata": {"name": "x", "managedFields": [{"manager": "m"}]}}
    answer = Answer(body=orjson.dumps({"items": [body, body]}))
    log = Log({"level": "RequestResponse"}, omitManagedFields=True)
    audited = log.begin("POST", MAPS, body=body)
    audited.identified(ALICE)
    audited.answered(answer)
    event = log.events[-1]
    assert event["requestObject"] == {"metadata": {"name": "x"}}
    assert event["responseObject"] == {"items": [{"metadata": {"name": "x"}}] * 2}


# ------------------------------------------------------------------------------ stages


def test_what_is_answered_at_once_is_received_and_complete() -> None:
    """Row 11.10: the stages RequestReceived and ResponseComplete."""
    log = Log()
    audited = log.begin("GET", "/api/v1/pods")
    audited.identified(ALICE)
    audited.answered(Answer())
    assert log.stages == ["RequestReceived", "ResponseComplete"]
    assert "responseStatus" not in log.events[0]
    assert len({event["auditID"] for event in log.events}) == 1


def test_what_lasts_has_a_stage_between() -> None:
    """Row 11.10: ResponseStarted is of long-running requests."""
    log = Log()
    audited = log.begin("GET", "/api/v1/pods", "watch=true")
    audited.identified(ALICE)
    audited.stream_began()
    audited.stream_ended()
    assert log.stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert log.events[1]["verb"] == "watch"


def test_our_own_fault_is_a_panic() -> None:
    """Row 11.10: the stage Panic."""
    log = Log()
    audited = log.begin("GET", "/api/v1/pods")
    audited.identified(ALICE)
    audited.panicked()
    audited.answered(
        Answer(code=500, body=b'{"kind":"Status","code":500,"reason":"InternalError"}')
    )
    assert log.stages == ["RequestReceived", "Panic"]
    assert log.events[1]["responseStatus"] == {"code": 500, "reason": "InternalError"}


def test_who_is_refused_at_the_door_is_told_once() -> None:
    log = Log()
    log.begin("GET", "/api/v1/pods").answered(Answer(code=401))
    assert log.stages == ["ResponseStarted"]
    assert log.events[0]["user"] == {}


def test_stages_that_the_policy_leaves_out_are_left_out() -> None:
    log = Log(omitStages=["RequestReceived"])
    audited = log.begin("GET", "/")
    audited.identified(ALICE)
    audited.answered(Answer())
    assert log.stages == ["ResponseComplete"]


# ------------------------------------------------------------------------ a whole server


@asynccontextmanager
async def serving(
    client: Client, member: ClusterProcesses, log: Path, *rules: dict[str, Any]
) -> AsyncIterator[Api]:
    chosen = msgspec.structs.replace(
        settings(tuple(member.endpoints)),
        audit_log=str(log),
        audit_policy=policy_of(policy(*rules)),
    )
    assembly = Assembly(chosen, client)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(assembly.run(url.set_result))
    yield Api(assembly, await url, running)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def of_path(log: Path, word: str) -> list[Any]:
    events = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    return [event for event in events if word in event["requestURI"]]


async def test_the_decision_and_the_reason_of_a_refusal_are_told(
    client: Client, member: ClusterProcesses, tmp_path: Path
) -> None:
    """Row 11.10: annotations (authorization decision), code."""
    log = tmp_path / "audit.log"
    async with serving(client, member, log, {"level": "Metadata"}) as api:
        await api.fault("GET", "/api/v1/namespaces/default/pods/forbidden", user="bob")
        await api.fault("GET", "/api/v1/namespaces/default/pods/missing")
        await api.ask("GET", "/api/v1/pods?unknown", user="nobody-knows")
    (forbidden,) = of_path(log, "forbidden")[1:]
    assert forbidden["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert forbidden["responseStatus"]["code"] == 403
    assert forbidden["responseStatus"]["reason"] == "Forbidden"
    (missing,) = of_path(log, "missing")[1:]
    assert missing["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert missing["responseStatus"]["code"] == 404
    (unknown,) = of_path(log, "unknown")
    assert unknown["responseStatus"]["code"] == 401
    assert "annotations" not in unknown


async def test_whom_one_acts_for_is_told(
    client: Client, member: ClusterProcesses, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    async with serving(client, member, log, {"level": "Metadata"}) as api:
        await api.ask("GET", "/api/v1/pods", impersonate_user="carol", impersonate_group="g")
    event = of_path(log, "pods")[-1]
    assert event["user"]["username"] == MASTER.name
    assert event["impersonatedUser"] == {
        "username": "carol",
        "groups": ["g", "system:authenticated"],
    }


async def test_the_answer_has_the_id_of_its_lines_also_that_of_a_watch(
    client: Client, member: ClusterProcesses, tmp_path: Path
) -> None:
    """Row 11.10: auditID header."""
    log = tmp_path / "audit.log"
    headers = {"Authorization": "Bearer admin"}
    async with (
        serving(client, member, log, {"level": "Metadata"}) as api,
        aiohttp.ClientSession(api.url, headers=headers) as session,
    ):
        async with session.get("/api/v1/namespaces") as answer:
            listed = answer.headers["Audit-Id"]
        async with session.get("/api/v1/configmaps?watch=true&timeoutSeconds=1") as answer:
            watched = answer.headers["Audit-Id"]
            await answer.read()
    assert {event["auditID"] for event in of_path(log, "/namespaces")} == {listed}
    stages = [event["stage"] for event in of_path(log, "watch") if event["auditID"] == watched]
    assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


async def test_a_secret_is_not_in_the_log_of_a_server_without_a_policy(
    client: Client, member: ClusterProcesses, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    chosen = msgspec.structs.replace(settings(tuple(member.endpoints)), audit_log=str(log))
    assembly = Assembly(chosen, client)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(assembly.run(url.set_result))
    api = Api(assembly, await url, running)
    space = await api.new_namespace()
    secret = {"metadata": {"name": "s"}, "stringData": {"k": "unspeakable"}}
    path = f"/api/v1/namespaces/{space}/secrets"
    await api.good("POST", path, secret)
    await api.good("GET", path)
    answers = [
        await api.fault("PATCH", f"{path}/s", patch, content_type=kind)
        for kind, patch in (
            (STRATEGIC_PATCH, {"immutable": "x", "stringData": {"l": "unspeakable"}}),
            (MERGE_PATCH, {"immutable": "x"}),
            (JSON_PATCH, [{"op": "add", "path": "/immutable", "value": "x"}]),
        )
    ]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [event["level"] for event in of_path(log, "secrets")] == ["Metadata"] * 5
    assert all("Secret.immutable of type bool" in answer["message"] for answer in answers)
    assert "dW5zcGVha2FibGU" not in str(answers)
    assert "unspeakable" not in str(answers)
    assert "unspeakable" not in log.read_text()
    assert "dW5zcGVha2FibGU" not in log.read_text()


async def test_a_log_that_cannot_be_written_is_told(
    client: Client, member: ClusterProcesses, tmp_path: Path
) -> None:
    chosen = msgspec.structs.replace(settings(tuple(member.endpoints)), audit_log=str(tmp_path))
    with pytest.raises(SettingsError, match="--audit-log-path: cannot write"):
        Assembly(chosen, client)
