"""Many write at once: nobody hears of a race that he did not ask to be told of (2.3, 8.2)."""

import asyncio
from collections import Counter
from typing import Any

from tests.controlplane.apiserver.conftest import Answered, Api

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
POD = {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}


def codes(answers: list[Answered]) -> Counter[int]:
    return Counter(answer.code for answer in answers)


async def with_quota(api: Api, name: str, hard: dict[str, str]) -> str:
    """A namespace with a quota of which nothing is used."""
    space = await api.new_namespace()
    place = f"/api/v1/namespaces/{space}/resourcequotas"
    await api.good("POST", place, {"metadata": {"name": name}, "spec": {"hard": hard}})
    used = dict.fromkeys(hard, "0")
    status = {"status": {"hard": hard, "used": used}}
    await api.good("PATCH", f"{place}/{name}/status", status, content_type=MERGE)
    await api.assembly.cacher.current()  # until then its status is unknown, and nothing has room
    return space


async def test_a_quota_is_used_up_by_parallel_creates_and_none_of_them_is_a_conflict(
    api: Api,
) -> None:
    """8.2: the first 40 of 64 have room."""
    space = await with_quota(api, "q", {"count/configmaps": "40"})
    path = f"/api/v1/namespaces/{space}/configmaps"
    answers = await asyncio.gather(
        *(api.ask("POST", path, {"metadata": {"name": f"c{number}"}}) for number in range(64))
    )
    assert codes(answers) == {201: 40, 403: 24}
    refused = [answer.body["message"] for answer in answers if answer.code == 403]
    assert all(
        "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=40" in told
        for told in refused
    )
    quota = await api.good("GET", f"/api/v1/namespaces/{space}/resourcequotas/q")
    assert quota["status"]["used"] == {"count/configmaps": "40"}


async def test_a_quota_holds_across_api_servers(api: Api, other_api: Api) -> None:
    """8.2."""
    space = await with_quota(api, "q", {"count/configmaps": "20"})
    path = f"/api/v1/namespaces/{space}/configmaps"
    await other_api.assembly.cacher.current()
    answers = await asyncio.gather(
        *(
            server.ask("POST", path, {"metadata": {"name": f"c{number}-{turn}"}})
            for turn in range(16)
            for number, server in enumerate((api, other_api))
        )
    )
    assert codes(answers) == {201: 20, 403: 12}
    quota = await api.good("GET", f"/api/v1/namespaces/{space}/resourcequotas/q")
    assert quota["status"]["used"] == {"count/configmaps": "20"}


async def test_creates_of_two_quotas_and_addresses_at_once_are_no_conflicts(api: Api) -> None:
    """8.2, 5.2: a service is charged to both quotas, and claims an address."""
    space = await with_quota(api, "q", {"services": "24"})
    place = f"/api/v1/namespaces/{space}"
    hard = {"count/services": "24", "pods": "24"}
    await api.good(
        "POST", f"{place}/resourcequotas", {"metadata": {"name": "r"}, "spec": {"hard": hard}}
    )
    status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    await api.good("PATCH", f"{place}/resourcequotas/r/status", status, content_type=MERGE)

    def posts(number: int) -> Any:
        metadata = {"name": f"s{number}"}
        pod = api.ask("POST", f"{place}/pods", {"metadata": metadata, **POD})
        spec = {"ports": [{"port": 80}]}
        service = api.ask("POST", f"{place}/services", {"metadata": metadata, "spec": spec})
        return asyncio.gather(pod, service)

    pairs = await asyncio.gather(*map(posts, range(24)))
    assert codes([answer for pair in pairs for answer in pair]) == {201: 48}
    found = await api.good("GET", f"{place}/resourcequotas/r")
    assert found["status"]["used"] == {"count/services": "24", "pods": "24"}


async def test_parallel_patches_without_resource_version_all_succeed(api: Api) -> None:
    """2.3: only who names a resourceVersion asks to be told that another was faster."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps"
    await api.good("POST", path, {"metadata": {"name": "c"}})
    answers = await asyncio.gather(
        *(
            api.ask("PATCH", f"{path}/c", {"data": {f"k{number}": "v"}}, content_type=MERGE)
            for number in range(64)
        )
    )
    assert codes(answers) == {200: 64}
    found = await api.good("GET", f"{path}/c")
    assert sorted(found["data"]) == sorted(f"k{number}" for number in range(64))


async def test_of_parallel_patches_at_one_resource_version_one_succeeds(api: Api) -> None:
    """2.3."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps"
    made = await api.good("POST", path, {"metadata": {"name": "c"}})
    version = {"resourceVersion": made["metadata"]["resourceVersion"]}
    answers = await asyncio.gather(
        *(
            api.ask(
                "PATCH",
                f"{path}/c",
                {"metadata": version, "data": {"k": str(number)}},
                content_type=MERGE,
            )
            for number in range(16)
        )
    )
    assert codes(answers) == {200: 1, 409: 15}


async def test_parallel_applies_of_what_is_not_there_create_it_once(api: Api) -> None:
    """2.15: whoever comes second finds it there, and updates it."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps/c"
    answers = await asyncio.gather(
        *(
            api.ask(
                "PATCH",
                f"{path}?fieldManager=m{number}",
                {"apiVersion": "v1", "kind": "ConfigMap", "data": {f"k{number}": "v"}},
                content_type=APPLY,
            )
            for number in range(16)
        )
    )
    assert codes(answers) == {201: 1, 200: 15}
    found = await api.good("GET", path)
    assert len(found["data"]) == 16


async def test_parallel_deletes_find_it_or_do_not(api: Api) -> None:
    """2.16: a deletion without preconditions is no conflict, whoever patches meanwhile."""
    space = await api.new_namespace()
    path = f"/api/v1/namespaces/{space}/configmaps"
    await api.good("POST", path, {"metadata": {"name": "c"}})
    patches = [
        api.ask("PATCH", f"{path}/c", {"data": {f"k{number}": "v"}}, content_type=MERGE)
        for number in range(32)
    ]
    deletes = [api.ask("DELETE", f"{path}/c") for _ in range(8)]
    answers = await asyncio.gather(*patches[:16], *deletes, *patches[16:])
    assert set(codes(answers)) <= {200, 404}
    assert codes(answers[16:24])[200] == 1
