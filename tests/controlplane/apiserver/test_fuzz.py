"""Whatever is asked of it, the server answers, and never that it failed.

Longer runs: `pytest tests/controlplane/apiserver/test_fuzz.py --fuzz-requests 20000 --fuzz-seed 7`.
"""

import asyncio
import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.call import Streaming
from controlplane.apiserver.documents import Documents
from controlplane.apiserver.incoming import Answer, Incoming, Query
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.api.served import CRONTABS
from tests.controlplane.apiserver import fuzz_words as words
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.fuzz_objects import SAMPLES
from tests.controlplane.apiserver.fuzz_requests import Fuzzed, requests

WATCHED_SECONDS = 0.02
pytestmark = pytest.mark.timeout(3_600)


@pytest.fixture(scope="module")
def member(program: tuple[str, ...]) -> Iterator[ClusterProcesses]:
    """A store of its own, for nothing in it stays as it was."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as folder,
        ClusterProcesses(program, Path(folder)) as cluster,
    ):
        yield cluster
        cluster.kill()


class Kept:
    """What a watch writes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_closed = False
        self.is_writable = True

    def write(self, chunks: bytes) -> None:
        self.chunks.append(chunks)

    async def drained(self) -> None:
        await asyncio.sleep(0)


async def prepare(api: Api) -> None:
    """A namespace, a kind of its own, and an object of each kind that kubectl makes."""
    await api.good("POST", "/api/v1/namespaces", {"metadata": {"name": words.SPACE}})
    accounts = f"/api/v1/namespaces/{words.SPACE}/serviceaccounts"
    await api.good("POST", accounts, {"metadata": {"name": "default"}})
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await api.good("POST", definitions, CRONTABS)
    conditions = [{"type": "Established", "status": "True"}]
    status = f"{definitions}/{CRONTABS['metadata']['name']}/status"
    merge: dict[str, Any] = {"content_type": "application/merge-patch+json"}
    await api.good("PATCH", status, {"status": {"conditions": conditions}}, **merge)
    await api.assembly.cacher.current()
    for resource in words.RESOURCES:
        if "get" in resource.verbs:
            await _made(api, resource)


async def _made(api: Api, resource: Resource) -> None:
    """Its object `a`."""
    space = f"/namespaces/{words.SPACE}" if resource.is_namespaced else ""
    root = f"/apis/{resource.group}" if resource.group else "/api"
    body = SAMPLES.get(resource.kind, [{}])[-1]
    made = {
        **body,
        "apiVersion": resource.api_version,
        "metadata": {**body.get("metadata", {}), "name": "a"},
    }
    made["metadata"].pop("namespace", None)
    await api.ask("POST", f"{root}/{resource.version}{space}/{resource.plural}", made)


async def judge(api: Api, asked: Fuzzed) -> int:
    """Status code of what is answered, which must be an answer indeed."""
    try:
        query = Query(asked.query)
    except errors.ApiError as error:
        return error.code
    incoming = Incoming(
        method=asked.method, path=asked.path, query=query, headers=asked.headers, body=asked.body
    )
    outgoing = await api.assembly.server.serve(incoming)
    if isinstance(outgoing, Streaming):
        await _watched(outgoing)
        return 200
    assert isinstance(outgoing, Answer), "no node is there that would speak anything else"
    _check(asked, outgoing)
    return outgoing.code


async def _watched(streaming: Streaming) -> None:
    sink = Kept()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WATCHED_SECONDS):
            await streaming.run(sink)
    for chunk in sink.chunks:
        assert b"InternalError" not in chunk[:300], chunk


def _check(asked: Fuzzed, answer: Answer) -> None:
    shown = (asked, answer)
    # 504 is right for a revision that is still to come, which is waited for (2.2).
    is_to_come = answer.code == 504 and b"Too large resource version" in answer.body
    assert 200 <= answer.code < 500 or is_to_come, shown
    for _, value in answer.headers:
        assert value.isprintable(), shown
        value.encode()
    if answer.content_type.startswith("application/json") and answer.code != 304:
        told = json.loads(answer.body.decode())
        if answer.code >= 400:
            assert (told["kind"], told["code"]) == ("Status", answer.code), shown
            assert told["reason"], shown
            assert told["message"], shown


async def fuzz(api: Api, count: int, number: int) -> Counter[int]:
    """How often each status code was answered."""
    answered: Counter[int] = Counter()
    loop = asyncio.get_running_loop()

    # State goes on from request to request, so that nothing could be found again by less of it.
    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def run(asked: Fuzzed) -> None:
        code = asyncio.run_coroutine_threadsafe(judge(api, asked), loop).result()
        answered[code] += 1

    await asyncio.to_thread(run)
    return answered


async def test_no_request_makes_the_server_fail(api: Api, request: pytest.FixtureRequest) -> None:
    """2.18, 2.19."""
    await prepare(api)
    count = request.config.getoption("--fuzz-requests")
    answered = await fuzz(api, count, request.config.getoption("--fuzz-seed"))
    assert sum(answered.values()) >= count * 0.95, answered
    done = sum(times for code, times in answered.items() if code < 300)
    assert done > count / 10, f"the fuzzer reaches nothing: {answered}"
    assert {200, 201, 400, 401, 403, 404, 405, 409, 415, 422} <= set(answered)
    assert (await api.ask("GET", "/readyz")).code == 200


async def test_the_fuzzer_notices_a_failure(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> Answer:
        raise KeyError("a bug")

    monkeypatch.setattr(Documents, "answer", fail)
    with pytest.raises(AssertionError, match="where 500 = Answer"):
        await fuzz(api, 500, 1)
