"""A whole API server in this process, over a real member of a store: ours, or Debian's etcd.

`--target etcd` runs all on etcd; without it that is done only for what is about the store.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from controlplane.apiserver.assembly import Assembly
from controlplane.apiserver.call import Streaming
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.settings import Settings
from controlplane.apiserver.users import User
from controlplane.flags import StoreSettings
from controlplane.tokens import Key
from kvstore.client import Client, connect
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses
from tests.controlplane.apiserver.asked import incoming
from tests.controlplane.test_tokens import pair, private_pem

USERS = {
    "admin": User(name="admin", groups=("system:masters",)),
    "bob": User(name="bob", groups=("devs",)),
}
STORES = {"keelson": KEELSON, "etcd": ETCD}
ON_BOTH = {"test_bootstrap", "test_cacher", "test_server", "test_subresources"}
"""Modules that run on both stores unless one is asked for; what the others are about is above."""

WAIT_SECONDS_MAX = 60.0
_numbers = itertools.count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which stores a test runs on that has one."""
    if "program" not in metafunc.fixturenames:
        return
    target = metafunc.config.getoption("--target")
    if target is not None:
        names = [target]
    elif metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        names = list(STORES)
    else:
        names = ["keelson"]
    metafunc.parametrize("program", names, indirect=True, scope="package")


def settings(endpoints: tuple[str, ...]) -> Settings:
    return Settings(
        store=StoreSettings(endpoints=endpoints),
        host="127.0.0.1",
        port=0,
        advertise_address="127.0.0.1",
        certificate="",
        key="",
        client_authority="",
        authority="",
        service_range="10.96.0.0/20",
        node_ports=(30000, 30100),
        issuer="https://kubernetes.default.svc",
        audiences=("api",),
        token_keys=(Key(private_pem(pair("p256"))),),
        static_tokens=USERS,
        encryption_keys=(("k1", b"k" * 32),),
        allows_anonymous=True,
        audit_log="",
    )


class Answered:
    """What came back."""

    def __init__(self, answer: Answer) -> None:
        self.code = answer.code
        self.headers = answer.headers
        self.raw = answer.body + b"".join(answer.rest or ())

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    def __repr__(self) -> str:
        return f"{self.code} {self.raw[:500]!r}"


class Events:
    """Where a watch writes: its events, one after the other."""

    is_writable = True
    is_closed = False

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def write(self, chunks: bytes) -> None:
        for line in chunks.split(b"\n"):
            if line.startswith(b"{"):
                self._events.put_nowait(orjson.loads(line))

    async def drained(self) -> None:
        await asyncio.sleep(0)

    async def next(self) -> Any:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return await self._events.get()


class Api:
    """Asks a server, past HTTP."""

    def __init__(self, assembly: Assembly, url: str, running: asyncio.Task[None]) -> None:
        self.assembly = assembly
        self.url = url
        self.running = running

    async def ask(
        self, method: str, path: str, body: object = None, *, user: str = "admin", **headers: Any
    ) -> Answered:
        path, _, query = path.partition("?")
        if user:
            headers["authorization"] = f"Bearer {user}"
        outgoing = await self.assembly.server.serve(
            incoming(method, path, query, body=body, **headers)
        )
        assert isinstance(outgoing, Answer)
        return Answered(outgoing)

    async def good(self, method: str, path: str, body: object = None, **headers: Any) -> Any:
        answered = await self.ask(method, path, body, **headers)
        assert answered.code < 300, answered
        return answered.body

    async def fault(self, method: str, path: str, body: object = None, **headers: Any) -> Any:
        """The Status of a request that must fail."""
        answered = await self.ask(method, path, body, **headers)
        assert answered.code >= 400, answered
        assert answered.body["kind"] == "Status"
        return answered.body

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[Events]:
        """What comes of a watch, until the end of the block."""
        path, _, query = path.partition("?")
        outgoing = await self.assembly.server.serve(
            incoming("GET", path, f"watch=1&{query}", authorization="Bearer admin")
        )
        assert isinstance(outgoing, Streaming), outgoing
        events = Events()
        running = asyncio.ensure_future(outgoing.run(events))
        try:
            yield events
        finally:
            running.cancel()
            await asyncio.wait([running])
            outgoing.release()

    async def new_namespace(self) -> str:
        """A namespace that no other test uses, with its account, as controllers would make it."""
        name = f"case-{next(_numbers)}"
        await self.good("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        await self.good("POST", accounts, {"metadata": {"name": "default"}})
        return name


@pytest.fixture(scope="package")
def program(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What starts a member of the store."""
    command = STORES[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: etcd-server)")
    return command


@pytest.fixture(scope="package")
def member(program: tuple[str, ...]) -> Iterator[ClusterProcesses]:
    """One member of the store for all tests."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="apiserver-", dir=memory) as folder,
        ClusterProcesses(program, Path(folder)) as cluster,
    ):
        yield cluster
        cluster.kill()


@pytest.fixture
async def client(member: ClusterProcesses) -> AsyncIterator[Client]:
    async with connect(member.endpoints) as connected:
        yield connected


@asynccontextmanager
async def started(client: Client, member: ClusterProcesses, **changes: Any) -> AsyncIterator[Api]:
    """An API server, until the end of the block. changes: of its settings"""
    chosen = msgspec.structs.replace(settings(tuple(member.endpoints)), **changes)
    assembly = Assembly(chosen, client)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(assembly.run(url.set_result))
    running.add_done_callback(lambda _: url.done() or url.cancel())
    try:
        announced = await url
    except asyncio.CancelledError:
        await running  # why it did not begin
        raise
    try:
        yield Api(assembly, announced, running)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def api(client: Client, member: ClusterProcesses) -> AsyncIterator[Api]:
    async with started(client, member) as serving:
        yield serving


@pytest.fixture
async def other_api(api: Api, client: Client, member: ClusterProcesses) -> AsyncIterator[Api]:
    """A second one over the same store."""
    async with started(client, member) as serving:
        yield serving
