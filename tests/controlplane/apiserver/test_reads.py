"""get and list over a real store: pages, selectors, versions (kube-behaviour 2.2, 2.8, 2.20)."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from controlplane.apiserver import reads, server
from controlplane.objects import ObjectStore, Page
from tests.controlplane.apiserver.conftest import Api

COUNT = 40
RARE = quote("color=red")


class Maps:
    """ConfigMaps of a namespace: `a00` … , of which every thirteenth is red."""

    def __init__(self, api: Api, space: str) -> None:
        self.api = api
        self.path = f"/api/v1/namespaces/{space}/configmaps"
        self.red = [f"a{number:02}" for number in range(COUNT) if number % 13 == 12]
        self.version = ""

    async def fill(self) -> None:
        for number in range(COUNT):
            name = f"a{number:02}"
            labels = {"color": "red" if name in self.red else "blue"}
            await self.api.good("POST", self.path, {"metadata": {"name": name, "labels": labels}})
        found = await self.api.good("GET", self.path)
        self.version = found["metadata"]["resourceVersion"]

    async def pages(self, query: str) -> AsyncIterator[Any]:
        """All pages from the first, of which only that may name a version."""
        found = await self.api.good("GET", f"{self.path}?{query}")
        yield found
        plain = "&".join(one for one in query.split("&") if "resourceVersion" not in one)
        while token := found["metadata"].get("continue"):
            found = await self.api.good("GET", f"{self.path}?{plain}&continue={quote(token)}")
            yield found


def names(found: Any) -> list[str]:
    return [one["metadata"]["name"] for one in found["items"]]


@pytest.fixture
async def maps(api: Api) -> Maps:
    made = Maps(api, await api.new_namespace())
    await made.fill()
    return made


class Counted:
    """How many pages the store was asked for."""

    def __init__(self, store: ObjectStore, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._list = store.list
        patch.setattr(store, "list", self.list)

    async def list(self, *arguments: Any, **named: Any) -> Page:
        self.count += 1
        return await self._list(*arguments, **named)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("keys", [1, 7, 500])
async def test_pages_of_a_selector_are_whole_whatever_is_read_at_a_time(
    maps: Maps, limit: int, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.8, 2.20. All of the first page's revision, each object once."""
    monkeypatch.setattr(reads, "PAGE_KEYS_MIN", keys)
    exact = f"resourceVersion={maps.version}&resourceVersionMatch=Exact&"
    await maps.api.good("DELETE", f"{maps.path}/{maps.red[-1]}")
    for version in (exact, ""):
        wanted = maps.red if version else maps.red[:-1]
        query = f"{version}labelSelector={RARE}&limit={limit}"
        pages = [page async for page in maps.pages(query)]
        assert [name for page in pages for name in names(page)] == wanted
        assert all(len(names(page)) == limit for page in pages[:-2])
        assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1
        assert all("remainingItemCount" not in page["metadata"] for page in pages)


async def test_a_rare_selector_does_not_ask_the_store_for_each_key(
    maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(maps.api.assembly.store, monkeypatch)
    version = f"resourceVersion={maps.version}&resourceVersionMatch=Exact"
    found = await maps.api.good("GET", f"{maps.path}?{version}&limit=1&labelSelector={RARE}")
    assert names(found) == maps.red[:1]
    assert counted.count == 1
    token = quote(found["metadata"]["continue"])
    query = f"limit=100&labelSelector={RARE}&continue={token}"
    assert names(await maps.api.good("GET", f"{maps.path}?{query}")) == maps.red[1:]
    assert counted.count == 2


async def test_a_list_that_takes_too_long_is_504(
    maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.23: a request has 60 s."""
    assert server.REQUEST_SECONDS_MAX == 60.0
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.0)
    status = await maps.api.fault("GET", f"{maps.path}?labelSelector={RARE}")
    assert (status["code"], status["reason"]) == (504, "Timeout")


async def test_pages_without_a_selector_say_how_many_are_left(maps: Maps) -> None:
    """2.8."""
    pages = [page async for page in maps.pages("limit=15")]
    assert [len(names(page)) for page in pages] == [15, 15, 10]
    left = [page["metadata"].get("remainingItemCount") for page in pages]
    assert left == [25, 10, None]


@pytest.mark.parametrize("limit", [7, 100])
async def test_a_version_with_a_limit_is_that_very_one(maps: Maps, limit: int) -> None:
    """2.2: whoever does not say what it means gets pages of one state, as of old."""
    await maps.api.good("DELETE", f"{maps.path}/a00")
    query = f"resourceVersion={maps.version}&limit={limit}"
    pages = [page async for page in maps.pages(query)]
    assert [name for page in pages for name in names(page)][:2] == ["a00", "a01"]
    assert {page["metadata"]["resourceVersion"] for page in pages} == {maps.version}
    for newer in (f"{query}&{MATCH}=NotOlderThan", f"resourceVersion=0&limit={limit}"):
        assert names(await maps.api.good("GET", f"{maps.path}?{newer}"))[0] == "a01"


@pytest.mark.parametrize("version", ["", "&resourceVersion=0"])
async def test_a_watch_that_declines_initial_events_begins_with_now(
    maps: Maps, version: str
) -> None:
    """2.6."""
    query = f"sendInitialEvents=false&{MATCH}=NotOlderThan{version}"
    async with maps.api.watch(f"{maps.path}?{query}") as events:
        await maps.api.good("POST", maps.path, {"metadata": {"name": "new"}})
        first = await events.next()
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "new")


MATCH = "resourceVersionMatch"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (f"{MATCH}=Exact", f"{MATCH} is forbidden unless resourceVersion is provided"),
        (
            f"{MATCH}=Exact&resourceVersion=0",
            f'{MATCH} "exact" is forbidden for resourceVersion "0"',
        ),
        (f"{MATCH}=Other&resourceVersion=5", 'Unsupported value: "Other"'),
        (f"{MATCH}=Exact&resourceVersion=5&continue=x", "is forbidden when continue is provided"),
        ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
        ("sendInitialEvents=false", "sendInitialEvents is forbidden for list"),
        (
            f"watch=1&{MATCH}=Exact&resourceVersion=5",
            f"{MATCH} is forbidden for watch unless sendInitialEvents is provided",
        ),
        (f"watch=1&{MATCH}=NotOlderThan&resourceVersion=5", "unless sendInitialEvents is provided"),
        (
            f"watch=1&{MATCH}=Exact&sendInitialEvents=true",
            f"sendInitialEvents requires setting {MATCH} to NotOlderThan",
        ),
        ("watch=1&sendInitialEvents=false", f"sendInitialEvents requires setting {MATCH}"),
    ],
)
async def test_versions_that_do_not_fit_are_422_with_what_is_wrong(
    api: Api, query: str, told: str
) -> None:
    """2.2, 2.6, 2.18. Kubernetes' validation of ListOptions."""
    status = await api.fault("GET", f"/api/v1/configmaps?{query}")
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert told in status["message"]
    assert status["message"].startswith('ListOptions.meta.k8s.io "" is invalid: ')
    details = status["details"]
    assert (details["group"], details["kind"]) == ("meta.k8s.io", "ListOptions")
    fields = {cause["field"] for cause in details["causes"]}
    assert fields <= {MATCH, "sendInitialEvents"}
    assert fields


async def test_all_that_is_wrong_with_the_version_is_told_at_once(api: Api) -> None:
    """2.19."""
    status = await api.fault("GET", f"/api/v1/configmaps?{MATCH}=Other&continue=x")
    reasons = [cause["reason"] for cause in status["details"]["causes"]]
    assert reasons == ["FieldValueForbidden", "FieldValueForbidden", "FieldValueNotSupported"]
