"""Events are one store with two faces, core/v1 and events.k8s.io/v1 (kube-behaviour 3.5)."""

import asyncio
from typing import Any

import orjson
import pytest

from controlplane.apiserver.call import Streaming
from tests.controlplane.apiserver.asked import incoming
from tests.controlplane.apiserver.conftest import Api

MERGE = "application/merge-patch+json"
TIME = "2026-01-02T03:04:05.000006Z"


class Events:
    """Those of a namespace, in both groups."""

    def __init__(self, api: Api, space: str) -> None:
        self.api = api
        self.space = space
        self.core = f"/api/v1/namespaces/{space}/events"
        self.new = f"/apis/events.k8s.io/v1/namespaces/{space}/events"

    async def by_old_client(self, name: str, **more: Any) -> Any:
        about = {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": self.space}
        event = {
            "metadata": {"name": name},
            "involvedObject": about,
            "reason": "Pulled",
            "message": "done",
            "type": "Normal",
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-01-02T03:04:05Z",
            "count": 3,
            **more,
        }
        return await self.api.good("POST", self.core, event)

    async def by_new_client(self, name: str, **more: Any) -> Any:
        event = {
            "metadata": {"name": name},
            "regarding": {"kind": "Pod", "name": "q", "namespace": self.space},
            "eventTime": TIME,
            "reportingController": "example.com/c",
            "reportingInstance": "c-1",
            "action": "Pulling",
            "reason": "Failed",
            "note": "no such image",
            "type": "Warning",
            **more,
        }
        return await self.api.good("POST", self.new, event)

    async def names(self, path: str, fields: str = "") -> list[str]:
        query = f"?fieldSelector={fields.replace('=', '%3D')}" if fields else ""
        found = await self.api.good("GET", path + query)
        return [one["metadata"]["name"] for one in found["items"]]


@pytest.fixture
async def events(api: Api) -> Events:
    return Events(api, await api.new_namespace())


class Watch:
    """What a watch has told so far."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.news = asyncio.Event()

    def write(self, chunk: bytes) -> None:
        for line in chunk.split(b"\r\n"):
            if line.startswith(b"{"):
                event = orjson.loads(line)
                self.told.append((event["type"], event["object"]))
        self.news.set()

    is_writable = True
    is_closed = False

    async def drained(self) -> None:
        """It always is."""

    async def first(self, count: int) -> list[tuple[str, Any]]:
        while len(self.told) < count:
            self.news.clear()
            await self.news.wait()
        return self.told[:count]


async def watched(api: Api, path: str, version: str, count: int) -> list[tuple[str, Any]]:
    """The first changes after a revision."""
    asked = incoming(
        "GET", path, f"watch=1&resourceVersion={version}", authorization="Bearer admin"
    )
    streaming = await api.assembly.server.serve(asked)
    assert isinstance(streaming, Streaming)
    watch = Watch()
    running = asyncio.ensure_future(streaming.run(watch))
    told = await watch.first(count)
    running.cancel()
    return told


async def test_what_old_clients_write_new_ones_read(events: Events) -> None:
    made = await events.by_old_client("a")
    found = await events.api.good("GET", f"{events.new}/a")
    assert (found["apiVersion"], found["kind"]) == ("events.k8s.io/v1", "Event")
    assert found["metadata"] == made["metadata"]
    assert found["note"] == "done"
    assert found["regarding"]["name"] == "p"
    assert found["deprecatedSource"] == {"component": "kubelet", "host": "n1"}
    assert found["deprecatedFirstTimestamp"] == "2026-01-02T03:04:05Z"
    assert found["deprecatedCount"] == 3
    assert not {"message", "involvedObject", "source", "firstTimestamp", "count"} & found.keys()


async def test_what_new_clients_write_old_ones_read(events: Events) -> None:
    made = await events.by_new_client("a")
    assert (made["apiVersion"], made["note"]) == ("events.k8s.io/v1", "no such image")
    found = await events.api.good("GET", f"{events.core}/a")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Event")
    assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert found["message"] == "no such image"
    assert found["involvedObject"]["name"] == "q"
    assert found["reportingComponent"] == "example.com/c"
    assert found["eventTime"] == TIME
    assert not {"note", "regarding", "reportingController"} & found.keys()


async def test_both_list_all_and_select_by_their_own_words(events: Events) -> None:
    """2.20."""
    await events.by_old_client("a")
    await events.by_new_client("b")
    for path, about, reporter in (
        (events.core, "involvedObject", "reportingComponent"),
        (events.new, "regarding", "reportingController"),
    ):
        assert await events.names(path) == ["a", "b"]
        assert await events.names(path, f"{about}.name=q") == ["b"]
        assert await events.names(path, f"{about}.name=p,type=Normal") == ["a"]
        assert await events.names(path, f"{reporter}=example.com/c") == ["b"]
        assert await events.names(path, "metadata.name=a") == ["a"]
    assert await events.names(events.core, "source=kubelet") == ["a"]
    assert await events.names(events.core, "source=example.com/c") == ["b"]
    refused = f"{events.new}?fieldSelector=involvedObject.name%3Dp"
    assert (await events.api.fault("GET", refused))["code"] == 400


async def test_both_tell_of_every_change(events: Events) -> None:
    """2.4."""
    version = (await events.api.good("GET", events.core))["metadata"]["resourceVersion"]
    await events.by_old_client("a")
    await events.by_new_client("b")
    patch = {"series": {"count": 2, "lastObservedTime": TIME}}
    await events.api.good("PATCH", f"{events.new}/b", patch, content_type=MERGE)
    await events.api.good("PATCH", f"{events.core}/a", {"count": 4}, content_type=MERGE)
    await events.api.good("DELETE", f"{events.core}/b")
    old = await watched(events.api, events.core, version, 5)
    new = await watched(events.api, events.new, version, 5)
    kinds = ["ADDED", "ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert [kind for kind, _ in old] == [kind for kind, _ in new] == kinds
    assert {one["apiVersion"] for _, one in old} == {"v1"}
    assert {one["apiVersion"] for _, one in new} == {"events.k8s.io/v1"}
    versions = [[one["metadata"]["resourceVersion"] for _, one in told] for told in (old, new)]
    assert versions[0] == versions[1]
    assert (old[1][1]["message"], new[1][1]["note"]) == ("no such image", "no such image")
    assert old[2][1]["series"] == new[2][1]["series"] == patch["series"]
    assert (old[3][1]["count"], new[3][1]["deprecatedCount"]) == (4, 4)


async def test_a_name_is_taken_in_both(events: Events) -> None:
    await events.by_old_client("a")
    body = {"metadata": {"name": "a"}, "regarding": {"namespace": events.space}, "type": "Normal"}
    reported = {"eventTime": TIME, "reportingController": "c", "reportingInstance": "i"}
    status = await events.api.fault(
        "POST", events.new, {**body, **reported, "action": "A", "reason": "R"}
    )
    assert (status["code"], status["reason"]) == (409, "AlreadyExists")
    assert status["message"] == 'events.events.k8s.io "a" already exists'
    await events.api.good("DELETE", f"{events.new}/a")
    assert (await events.api.fault("GET", f"{events.core}/a"))["code"] == 404


async def test_a_table_of_new_events_is_that_of_old_ones(events: Events) -> None:
    """1.2."""
    await events.by_old_client("a")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    rows = [
        (await events.api.good("GET", path, accept=accept))["rows"][0]["cells"]
        for path in (events.core, events.new)
    ]
    assert rows[0] == rows[1]
    assert rows[0][3] == "pod/p"


async def test_pages_of_new_events_come_from_the_store_as_well(events: Events) -> None:
    """2.8."""
    for name in ("a", "b", "c"):
        await events.by_old_client(name)
    first = await events.api.good("GET", f"{events.new}?limit=2")
    token = first["metadata"]["continue"]
    rest = await events.api.good("GET", f"{events.new}?limit=2&continue={token}")
    found = [*first["items"], *rest["items"]]
    assert [one["note"] for one in found] == ["done"] * 3
    selected = f"{events.new}?limit=1&fieldSelector=regarding.name%3Dp"
    token = (await events.api.good("GET", selected))["metadata"]["continue"]
    assert len((await events.api.good("GET", f"{selected}&continue={token}"))["items"]) == 1


# ------------------------------------------------------------------------------ Endpoints

DEPRECATED = (
    "Warning",
    '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"',
)


async def test_who_uses_endpoints_is_warned(api: Api) -> None:
    """5.4: whatever he does with them, and whether it succeeds."""
    path = f"/api/v1/namespaces/{await api.new_namespace()}/endpoints"
    asked = [
        ("POST", path, {"metadata": {"name": "a"}}),
        ("GET", f"{path}/a", None),
        ("GET", path, None),
        ("PUT", f"{path}/a", {"metadata": {"name": "a"}}),
        ("PATCH", f"{path}/a", {"metadata": {"labels": {"x": "y"}}}),
        ("GET", f"{path}/none", None),
        ("DELETE", f"{path}/a", None),
    ]
    for method, place, body in asked:
        headers = {"content_type": MERGE} if method == "PATCH" else {}
        answered = await api.ask(method, place, body, **headers)
        assert answered.headers.count(DEPRECATED) == 1, (method, place)
    slices = await api.ask("GET", "/apis/discovery.k8s.io/v1/endpointslices")
    assert DEPRECATED not in slices.headers
    assert DEPRECATED not in (await api.ask("GET", path, user="bob")).headers


async def test_who_watches_endpoints_is_warned(api: Api) -> None:
    """5.4."""
    asked = incoming("GET", "/api/v1/endpoints", "watch=1", authorization="Bearer admin")
    streaming = await api.assembly.server.serve(asked)
    assert DEPRECATED in streaming.headers
